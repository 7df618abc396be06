"""The table of routes: what cutting each route in each window of layers changes, beside the attention that it has."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mmviz.app import session_state as session
from mmviz.app.chosen_routes import choose_cell, cut_stacks
from mmviz.app.components import page_elements
from mmviz.app.components.route_names import route_text
from mmviz.app.components.stack_select import stack_text
from mmviz.app.components.table_downloads import table_downloads
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.reproduce_command import table_command
from mmviz.experiments.route_cut import (
    LARGE_EFFECT,
    LITTLE_ATTENTION,
    MUCH_ATTENTION,
    NO_EFFECT,
    ROUTES,
    LayerWindow,
    Route,
    RouteEffect,
    RouteTable,
    measure_routes,
    most_seconds,
    route_cells,
)
from mmviz.figures.colour_scale import short
from mmviz.figures.route_grids import Mark, align, effect_grid, share_grid, signed_label
from mmviz.i18n.page import say
from mmviz.i18n.viewer import viewer_words
from mmviz.report.duration_words import duration_words
from mmviz.report.routes_table import route_words, routes_sentences, routes_table, window_words
from mmviz.types import AttentionRecord

TABLE = ("routes",)
"""The name of the experiment."""
AT_ONCE = 60.0
"""Seconds: a table that takes no longer is measured without a click."""
FRAMES: dict[str, Mark] = {"unattended": "solid", "unused": "dot"}


@dataclass(frozen=True, eq=False)
class Grid:
    """The part of a table that is drawn: the windows of one stack, and all layers."""

    stack: str
    """The stack of its windows."""
    routes: tuple[Route, ...]
    """The route of each row, in the order of `ROUTES`."""
    windows: tuple[LayerWindow, ...]
    """The window of layers of each column."""
    effects: dict[tuple[int, int], RouteEffect]
    """By row and column; fewer than cells where the model has no such route, or it was not reached."""

    def values(self, kind: Literal["effect", "share"]) -> NDArray[np.float64]:
        """Returns the ``effect``, in nats, or the ``share`` of attention ``[route, window]``; NaN where there is
        none."""
        values = np.full((len(self.routes), len(self.windows)), np.nan)
        for place, effect in self.effects.items():
            values[place] = effect.effect if kind == "effect" else effect.cell.attention.share
        return values


def route_table_section(runner: ExperimentRunner) -> bool:
    """Draws the table with its estimate; measures it where that is quick or requested.

    Returns whether it is measured, or waits for a click.
    """
    record = runner.run.record
    page_elements.heading(say("routes-table"), say("routes-table-help"))
    cells = runner.measure(("routes-cells",), lambda *_: route_cells(record))
    if cells is None:
        return False
    seconds = most_seconds(record, cells)
    page_elements.note(estimate_text(len(cells), seconds))
    key = f"routes-measure-{record.id}"
    if seconds is not None and seconds > AT_ONCE and not st.session_state.get(f"{key}-pressed"):
        st.button(say("routes-measure"), key=key, on_click=st.session_state.update, args=({f"{key}-pressed": True},))
        return True
    table = runner.measure(
        TABLE,
        lambda progress, stop: measure_routes(runner.backend(), runner.request, record, cells, progress, stop),
        seconds,
    )
    if table is None or not table.effects:
        return False
    if len(table.effects) < table.planned:
        page_elements.note(say("routes-stopped", done=len(table.effects), of=table.planned))
    strongest, *disagreements = routes_sentences(record, table)
    page_elements.note(strongest, "remark")
    grid = table_grid(table, _stack(record))
    if grid.effects:
        _figures(record, table, grid)
    if disagreements:
        items = "".join(f"<li>{html.escape(text)}</li>" for text in disagreements)
        st.html(f"<ul class='route-list'>{items}</ul>")
        if more := len(table.disagreements) - len(disagreements):
            page_elements.note(say("routes-more", count=more))
    else:
        page_elements.note(say("routes-agree"))
    command = table_command(runner.state, runner.request, "routes")
    table_downloads(routes_table(runner.request, record, table, command))
    return True


def estimate_text(cells: int, seconds: float | None) -> str:
    """Returns how many cuts the table needs, and how long they take at most."""
    if seconds is None:
        return say("routes-estimate-unknown", cells=cells)
    return say("routes-estimate", cells=cells, most=duration_words(seconds))


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
    return Grid(stack, routes, tuple(windows), effects)


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


def _figures(record: AttentionRecord, table: RouteTable, grid: Grid) -> None:
    """Draws effects and shares side by side; a click on a cell of either cuts it above."""
    rows, columns = len(grid.routes), len(grid.windows)
    hover = [
        [_hover(record, table, grid.effects.get((row, column))) for column in range(columns)]
        for row in range(rows)
    ]  # fmt: skip
    marks = [
        (*place, FRAMES[effect.disagreement])
        for place, effect in grid.effects.items() if effect.disagreement is not None
    ]  # fmt: skip
    names = [route_text(route) for route in grid.routes], [axis_text(window) for window in grid.windows]
    breaks = [row for row in range(1, rows) if grid.routes[row][0] != grid.routes[row - 1][0]]
    dark = page_elements.is_dark()
    texts = {
        kind: {
            "title": say(f"routes-{kind}"), "note": say(f"routes-{kind}-note"), "axis": say("routes-axis"),
            "unit": say(f"routes-{kind}-unit", answer=table.answer),
        }
        for kind in ("effects", "shares")
    }  # fmt: skip
    figures = {
        "effects": effect_grid(grid.values("effect"), *names, texts["effects"], hover, breaks, marks, dark),
        "shares": share_grid(grid.values("share"), *names, texts["shares"], hover, breaks, dark),
    }
    align(*figures.values())
    stacks = list(cut_stacks(record))
    number = stacks.index(grid.windows[0].stack) if grid.windows[0].stack in stacks else 0
    for column, (kind, figure) in zip(st.columns(2, gap="medium"), figures.items(), strict=True):
        key = f"routes-{kind}-{number}"
        with column:
            st.plotly_chart(
                figure, theme=None, config=page_elements.PLOTLY_CONFIG, key=key, selection_mode="points",
                alt=texts[kind]["title"], on_select=partial(_choose, record.id, grid.stack, key),
            )  # fmt: skip
    page_elements.note(
        say("routes-legend", little=LITTLE_ATTENTION, large=LARGE_EFFECT, much=MUCH_ATTENTION, small=NO_EFFECT)
    )


def _choose(record_id: str, stack: str, key: str) -> None:
    """Cuts the route of the cell that was clicked in the figure ``key`` of a stack, in its layers."""
    state, points = session.current_state(), st.session_state[key]["selection"]["points"]
    run, job = state.shown_run(record_id), state.experiments.get((record_id, *TABLE))
    if points and run is not None and job is not None and job.result is not None:
        row, column = (int(value) for value in points[0]["customdata"])
        choose_cell(run.record, table_grid(job.result, stack).effects[row, column].cell)


def axis_text(window: LayerWindow) -> str:
    """Returns the layers of a window for an axis, such as 1–2."""
    if window.layers is None:
        return say("routes-axis-all")
    first, last = window.layers[0] + 1, window.layers[-1] + 1
    return str(first) if first == last else f"{first}–{last}"


def _hover(record: AttentionRecord, table: RouteTable, effect: RouteEffect | None) -> str:
    """Returns what is told of a cell, as HTML for Plotly; empty for a cell that is not there."""
    if effect is None:
        return ""
    attention = effect.cell.attention
    return say(
        "routes-hover", route=html.escape(route_words(effect.cell)),
        layers=html.escape(window_words(record, effect.cell.window)), effect=signed_label(effect.effect),
        answer=html.escape(table.answer), share=short(attention.share), uniform=short(attention.uniform),
        other=html.escape(effect.answer), probability=effect.probability,
    )  # fmt: skip
