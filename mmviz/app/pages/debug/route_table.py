"""The table of routes: what cutting each route in each window of layers changes, beside the attention that it has."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Literal

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mmviz.app.components import widgets
from mmviz.app.components.route_names import layers_text, route_text
from mmviz.app.components.stack_select import stack_text
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.pages.debug.route_choice import choose_cell, cut_stacks
from mmviz.experiments.route_cut import (
    LARGE_EFFECT,
    LITTLE_ATTENTION,
    MUCH_ATTENTION,
    NO_EFFECT,
    ROUTES,
    LayerWindow,
    Route,
    RouteCell,
    RouteEffect,
    RouteTable,
    measure_routes,
    most_seconds,
    route_cells,
)
from mmviz.figures.colour_scale import short
from mmviz.figures.route_grids import Mark, effect_grid, share_grid, signed_label
from mmviz.i18n.page import say
from mmviz.i18n.viewer import viewer_words
from mmviz.types import AttentionRecord

AT_ONCE = 60.0
"""Seconds: a table that takes no longer is measured without being asked for."""
MAX_NAMED = 5
"""Disagreements that are named, largest first."""
FRAMES: dict[str, Mark] = {"unattended": "solid", "unused": "dot"}


@dataclass(frozen=True, eq=False)
class Grid:
    """The part of a table that is drawn: the windows of one stack, and all layers."""

    routes: tuple[Route, ...]
    windows: tuple[LayerWindow, ...]
    effects: dict[tuple[int, int], RouteEffect]
    """By row and column; fewer than cells where the model has no such route, or it was not reached."""

    def values(self, kind: Literal["effect", "share"]) -> NDArray[np.float64]:
        """Returns the ``effect``, in nats, or the ``share`` of attention ``[route, window]``; NaN where there is
        none."""
        values = np.full((len(self.routes), len(self.windows)), np.nan)
        for place, effect in self.effects.items():
            values[place] = effect.effect if kind == "effect" else effect.cell.attention.share
        return values


def route_table(runner: ExperimentRunner) -> RouteTable | None:
    """Draws the table with its estimate, measures it where that is quick or asked for, and returns it."""
    record = runner.run.record
    widgets.heading(say("routes-table"), say("routes-table-help"))
    cells = runner.measure(("routes-cells",), lambda *_: route_cells(record))
    if cells is None:
        return None
    seconds = most_seconds(record, cells)
    widgets.note(estimate_text(len(cells), seconds))
    key = f"routes-measure-{record.id}"
    if (seconds is None or seconds > AT_ONCE) and not st.session_state.get(f"{key}-pressed"):
        st.button(say("routes-measure"), key=key, on_click=st.session_state.update, args=({f"{key}-pressed": True},))
        return None
    table = runner.measure(
        ("routes",),
        lambda progress, stop: measure_routes(runner.backend(), runner.request, record, cells, progress, stop),
    )
    if table is None or not table.effects:
        return None
    if len(table.effects) < table.planned:
        widgets.note(say("routes-stopped", done=len(table.effects), of=table.planned))
    has_stacks = len(cut_stacks(record)) > 1
    widgets.note(summary(table, has_stacks), "remark")
    grid = table_grid(table, _stack(record))
    if grid.effects:
        _figures(record, table, grid, has_stacks)
    named = disagreement_texts(table, has_stacks)
    items = "".join(f"<li>{html.escape(text)}</li>" for text in named)
    st.html(f"<ul class='route-list'>{items}</ul>" if table.disagreements else f"<p class='note'>{named[0]}</p>")
    return table


def estimate_text(cells: int, seconds: float | None) -> str:
    """Returns how many cuts the table needs, and how long they take at most."""
    if seconds is None:
        return say("routes-estimate-unknown", cells=cells)
    code = "minutes" if seconds >= 90 else "seconds"
    time = say(f"routes-{code}", seconds=max(1.0, seconds), minutes=seconds / 60)
    return say("routes-estimate", cells=cells, seconds=time)


def table_grid(table: RouteTable, stack: str) -> Grid:
    """Returns the part of ``table`` in the windows of ``stack``, and in all layers."""
    cells = [effect.cell for effect in table.effects]
    windows = dict.fromkeys(cell.window for cell in cells if cell.window.stack == stack or not cell.window.stack)
    present = {(cell.queries, cell.keys) for cell in cells if cell.window in windows}
    routes = tuple(route for route in ROUTES if route in present)
    effects = {
        (row, column): effect
        for row, route in enumerate(routes)
        for column, window in enumerate(windows)
        if (effect := table.at(window, route)) is not None
    }
    return Grid(routes, tuple(windows), effects)


def summary(table: RouteTable, has_stacks: bool) -> str:
    """Returns a sentence on the cell whose cut changes the answer most."""
    strongest = min(table.effects, key=lambda effect: effect.effect)
    if strongest.effect > -LARGE_EFFECT:
        return say("routes-no-effect", answer=table.answer, large=LARGE_EFFECT)
    return say("routes-strongest", answer=table.answer, **_names(strongest, has_stacks))


def disagreement_texts(table: RouteTable, has_stacks: bool) -> list[str]:
    """Returns a sentence for each of the largest disagreements of attention and effect, or that there is none."""
    if not table.disagreements:
        return [say("routes-agree")]

    def size(effect: RouteEffect) -> float:
        return abs(effect.effect) if effect.disagreement == "unattended" else effect.cell.attention.share

    texts = []
    for kind in ("unattended", "unused"):
        alike = [effect for effect in table.disagreements if effect.disagreement == kind]
        for effect in sorted(alike, key=size, reverse=True)[:MAX_NAMED]:
            share = effect.cell.attention.share
            texts.append(
                say(f"routes-{kind}", share=share if kind == "unused" else short(share), **_names(effect, has_stacks))
            )
    rest = len(table.disagreements) - len(texts)
    return [*texts, say("routes-more", count=rest)] if rest else texts


def _names(effect: RouteEffect, has_stacks: bool) -> dict[str, str]:
    cell = effect.cell
    return {
        "route": route_text((cell.queries, cell.keys)), "layers": _layers_text(cell, has_stacks),
        "effect": signed_label(effect.effect),
    }  # fmt: skip


def _layers_text(cell: RouteCell, has_stacks: bool) -> str:
    return layers_text(cell.window if has_stacks else LayerWindow("", cell.window.layers))


def _stack(record: AttentionRecord) -> str:
    """Draws a box with the stacks whose layers the table shows, where there are several; returns the one chosen."""
    stacks = list(cut_stacks(record))
    if len(stacks) == 1:
        return stacks[0]
    words = viewer_words()
    index = stacks.index(record.default_stack) if record.default_stack in stacks else 0
    choice: str = st.selectbox(
        words["stack"], stacks, index=index, key=f"routes-table-stack-{record.id}", help=words["stack-help"],
        format_func=lambda stack: stack_text(record, stack), persist_state="session",
    )  # fmt: skip
    return choice


def _figures(record: AttentionRecord, table: RouteTable, grid: Grid, has_stacks: bool) -> None:
    """Draws effects and shares side by side; a click on a cell of either cuts it above."""
    rows, columns = len(grid.routes), len(grid.windows)
    hover = [
        [_hover(table, grid.effects.get((row, column)), has_stacks) for column in range(columns)]
        for row in range(rows)
    ]  # fmt: skip
    marks = [
        (*place, FRAMES[effect.disagreement])
        for place, effect in grid.effects.items() if effect.disagreement is not None
    ]  # fmt: skip
    names = [route_text(route) for route in grid.routes], [axis_text(window) for window in grid.windows]
    dark = widgets.is_dark()
    for column, kind in zip(st.columns(2, gap="medium"), ("effects", "shares"), strict=True):
        texts = {
            "title": say(f"routes-{kind}"), "note": say(f"routes-{kind}-note"), "axis": say("routes-axis"),
            "unit": say(f"routes-{kind}-unit", answer=table.answer),
        }  # fmt: skip
        figure = (
            effect_grid(grid.values("effect"), *names, texts, hover, marks, dark) if kind == "effects"
            else share_grid(grid.values("share"), *names, texts, hover, dark)
        )  # fmt: skip
        key = f"routes-{kind}-{list(cut_stacks(record)).index(grid.windows[0].stack) if grid.windows[0].stack else 0}"
        with column:
            st.plotly_chart(
                figure, theme=None, config=widgets.PLOTLY_CONFIG, key=key, selection_mode="points", alt=texts["title"],
                on_select=lambda key=key: _choose(record, grid, key),
            )  # fmt: skip
    widgets.note(
        say("routes-legend", little=LITTLE_ATTENTION, large=LARGE_EFFECT, much=MUCH_ATTENTION, small=NO_EFFECT)
    )


def _choose(record: AttentionRecord, grid: Grid, key: str) -> None:
    """Cuts the route of the cell that was clicked in the figure ``key``, in its layers."""
    points = st.session_state[key]["selection"]["points"]
    if points:
        row, column = (int(value) for value in points[0]["customdata"])
        choose_cell(record, grid.effects[row, column].cell)


def axis_text(window: LayerWindow) -> str:
    """Returns the layers of a window for an axis, such as 1–2."""
    if window.layers is None:
        return say("routes-axis-all")
    first, last = window.layers[0] + 1, window.layers[-1] + 1
    return str(first) if first == last else f"{first}–{last}"


def _hover(table: RouteTable, effect: RouteEffect | None, has_stacks: bool) -> str:
    """Returns what is told of a cell, as HTML for Plotly; empty for a cell that is not there."""
    if effect is None:
        return ""
    attention = effect.cell.attention
    names = {code: html.escape(text) for code, text in _names(effect, has_stacks).items()}
    return say(
        "routes-hover", **names, answer=html.escape(table.answer), share=short(attention.share),
        uniform=short(attention.uniform), other=html.escape(effect.answer), probability=effect.probability,
    )  # fmt: skip
