"""Means over the examples of the section Audit, by question or answer: routes, attention by modality, and places."""

from __future__ import annotations

import html
import shlex
from collections.abc import Sequence
from typing import get_args

import numpy as np
import streamlit as st

from mmviz.analysis.comparable_attention import SOUND_PARTS, MapPlace
from mmviz.app.components import page_elements
from mmviz.app.components.example_set_picker import ExampleSource
from mmviz.app.components.route_names import route_text
from mmviz.app.components.table_downloads import table_downloads
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.pages.debug.checkpoints import checkpoints_part
from mmviz.app.pages.debug.route_table import axis_text
from mmviz.app.reproduce_command import option_words
from mmviz.experiments.example_averages import Averages, By, Mean, MeanAttention, MeanPlaces, MeanRoute, average
from mmviz.experiments.example_measurements import ExampleMeasurement, measure_examples
from mmviz.experiments.route_cut import ROUTES, LayerWindow
from mmviz.figures.colour_scale import short
from mmviz.figures.patch_heatmap import places_grid
from mmviz.figures.route_grids import effect_grid, share_grid, signed_label
from mmviz.i18n.errors_and_notices import sentence
from mmviz.report.average_tables import TABLES, average_tables
from mmviz.report.average_text import group_name
from mmviz.report.routes_table import layers_words
from mmviz.report.run_facts import option_texts
from mmviz.types import MODALITIES, Modality, TokenGroup


def averages_section(runner: ExperimentRunner, source: ExampleSource) -> None:
    """Draws a button that measures the examples, then the means of one group and the tables of all."""
    with st.expander(sentence("average-title"), key="averages"):
        page_elements.note(sentence("average-note"))
        name = ("averages", *source.key)
        if (runner.run.record.id, *name) not in runner.state.experiments and not st.button(
            sentence("average-start", count=len(source.examples)), key="averages-start"
        ):
            return
        outcome = runner.measure(
            name,
            lambda progress, stop: measure_examples(
                runner.backend(), runner.request.model, source.examples, True, progress, stop, runner.request.options
            ),
        )
        if outcome is None:
            return
        measurements, skipped = outcome
        if not measurements:
            page_elements.note(sentence("average-none"), "remark")
            return
        left, middle, right = st.columns([1.2, 2, 1.4], vertical_alignment="bottom")
        with left:
            by: By = st.segmented_control(
                sentence("average-by"), get_args(By), default="question", required=True, key="averages-by",
                format_func=lambda by: sentence(f"average-by-{by}"), help=sentence("average-by-help"),
                persist_state="session",
            )  # fmt: skip
        averages = average(measurements, by)
        with middle:
            group = _group_select(averages)
        with right:
            stack = _stack_select(averages)
        _figures(averages, group, stack)
        for notice in averages.left_out:
            page_elements.note(str(notice))
        facts = {
            "model": runner.request.model, "options": option_texts(runner.request.options),
            "examples": len(source.examples), "measured": len(measurements),
            "skipped": [{"name": name, "reason": str(error)} for name, error in skipped],
        }  # fmt: skip
        command = _command(runner, source, by)
        _downloads(averages, measurements, facts, command)
        checkpoints_part(runner, source, measurements, by, command)


def _group_select(averages: Averages) -> str:
    groups = list(averages.groups)
    choice: str = st.selectbox(
        sentence("average-group"), groups, key=f"averages-group-{averages.by}",
        format_func=lambda group: _count_text(averages, group),
    )  # fmt: skip
    return choice


def _count_text(averages: Averages, group: str) -> str:
    count = len(averages.groups[group])
    code = "average-count-1" if count == 1 else "average-count"
    return sentence(code, group=group_name(averages.by, group), count=count)


def _stack_select(averages: Averages) -> str:
    """Draws a box with the stacks, where there are several, and returns the one that was chosen."""
    stacks = list(dict.fromkeys(cell.place.stack for cell in averages.maps))
    if len(stacks) < 2:
        return stacks[0] if stacks else ""
    choice: str = st.selectbox(sentence("average-stack"), stacks, index=len(stacks) - 1, key="averages-stack")
    return choice


def _figures(averages: Averages, group: str, stack: str) -> None:
    """Draws routes and attention side by side, and the places of one layer below."""
    routes = [
        route for route in averages.routes
        if route.group == group and (route.window.stack == stack or route.window.layers is None)
    ]  # fmt: skip
    cells = [cell for cell in averages.maps if cell.group == group and cell.place.stack == stack]
    count = _count_text(averages, group)
    left, right = st.columns(2, gap="medium")
    with left:
        if routes:
            _routes_figure(routes, count)
    with right:
        if cells:
            _maps_figure(cells, count)
    places = [places for places in averages.places if places.group == group and places.place.stack == stack]
    if places:
        _places_figures(places, count)


def _routes_figure(routes: Sequence[MeanRoute], count: str) -> None:
    present = {(route.queries, route.keys) for route in routes}
    rows = [route for route in ROUTES if route in present]
    columns = list(dict.fromkeys(route.window for route in routes))
    effects, hover = np.full((len(rows), len(columns)), np.nan), [[""] * len(columns) for _ in rows]
    for route in routes:
        row, column = rows.index((route.queries, route.keys)), columns.index(route.window)
        effects[row, column] = route.effect.mean
        hover[row][column] = sentence(
            "average-routes-hover", route=html.escape(route_text(rows[row])),
            layers=html.escape(layers_words(route.window.layers)),
            mean=signed_label(route.effect.mean), spread=_spread(route.effect), count=route.effect.count,
            attention=short(route.attention.mean), uniform=short(route.uniform),
        )  # fmt: skip
        if route.told:
            hover[row][column] += sentence("average-routes-hover-told", changed=route.changed, told=route.told)
    texts = _texts("routes", count=count)
    names = [route_text(route) for route in rows], [axis_text(window) for window in columns]
    figure = effect_grid(effects, *names, texts, hover, dark=page_elements.is_dark())
    st.plotly_chart(figure, theme=None, config=page_elements.PLOTLY_CONFIG, key="averages-routes", alt=texts["title"])


def _maps_figure(cells: Sequence[MeanAttention], count: str) -> None:
    """Draws the mean over heads by modalities and map, and over all maps in the last column."""
    values: dict[tuple[tuple[Modality, Modality], MapPlace | None], list[MeanAttention]] = {}
    for cell in cells:
        for place in (cell.place, None):
            values.setdefault(((cell.queries, cell.keys), place), []).append(cell)
    pairs = [(queries, keys) for queries in MODALITIES for keys in MODALITIES]
    rows = [pair for pair in pairs if (pair, None) in values]
    columns: list[MapPlace | None] = [*dict.fromkeys(cell.place for cell in cells), None]
    shares, hover = np.full((len(rows), len(columns)), np.nan), [[""] * len(columns) for _ in rows]
    for (pair, place), own in values.items():
        row, column = rows.index(pair), columns.index(place)
        means = np.array([cell.attention.mean for cell in own])
        shares[row, column] = means.mean()
        queries, keys = pair
        hover[row][column] = sentence(
            "average-maps-hover", route=html.escape(_pair_text(queries, keys)),
            layers=html.escape(layers_words(None if place is None else (place.layer,))),
            mean=short(float(means.mean())), spread=short(float(means.std())), count=own[0].attention.count,
            ratio=short(float(np.mean([cell.ratio.mean for cell in own]))),
        )  # fmt: skip
    texts = _texts("maps", count=count)
    layers = [axis_text(LayerWindow("", None if place is None else (place.layer,))) for place in columns]
    figure = share_grid(
        shares, [_pair_text(*pair) for pair in rows], layers, texts, hover, dark=page_elements.is_dark()
    )
    st.plotly_chart(figure, theme=None, config=page_elements.PLOTLY_CONFIG, key="averages-maps", alt=texts["title"])


def _places_figures(all_places: Sequence[MeanPlaces], count: str) -> None:
    """Draws a box to choose a layer in, and what the answer token attends to in picture and sound there."""
    maps = list(dict.fromkeys(places.place for places in all_places))
    place: MapPlace = st.selectbox(
        sentence("average-layer"), maps, index=len(maps) - 1, key="averages-layer",
        format_func=lambda place: layers_words((place.layer,)),
    )  # fmt: skip
    for column, modality in zip(st.columns(2, gap="medium"), (Modality.IMAGE, Modality.AUDIO), strict=True):
        places = next((own for own in all_places if own.place == place and own.modality is modality), None)
        if places is None:
            continue
        kind = "picture" if modality is Modality.IMAGE else "sound"
        amounts = np.atleast_2d(places.mean)
        hover = [["" for _ in row] for row in amounts]
        for at, mean in np.ndenumerate(places.mean):
            row, number = at if len(at) == 2 else (0, at[0])
            if not np.isnan(mean):
                name = (
                    sentence("average-patch", row=row + 1, column=number + 1) if kind == "picture"
                    else sentence("average-part", start=_percent(number), end=_percent(number + 1))
                )  # fmt: skip
                spread = "–" if np.isnan(places.spread[at]) else short(float(places.spread[at]))
                heads = short(float(places.over_heads[at]))
                hover[row][number] = sentence(
                    "average-places-hover", place=name, mean=short(float(mean)), spread=spread, heads=heads,
                    count=int(places.count[at]),
                )  # fmt: skip
        texts = {
            "title": sentence(f"average-{kind}-title"), "unit": sentence("average-places-unit"),
            "note": sentence(f"average-{kind}-note", layer=place.layer + 1, count=count),
            "axis": sentence("average-sound-axis"),
        }  # fmt: skip
        names = [f"{_percent(part)}–{_percent(part + 1)}" for part in range(SOUND_PARTS)] if kind == "sound" else []
        figure = places_grid(amounts, texts, hover, names, page_elements.is_dark())
        with column:
            st.plotly_chart(
                figure, theme=None, config=page_elements.PLOTLY_CONFIG, key=f"averages-{kind}", alt=texts["title"],
                width="content" if kind == "picture" else "stretch",
            )  # fmt: skip


def _downloads(
    averages: Averages, measurements: Sequence[ExampleMeasurement], facts: dict[str, object], command: str
) -> None:  # fmt: skip
    """Draws a choice of one of the tables of all groups, and its downloads."""
    name: str = st.segmented_control(
        sentence("average-download"), TABLES, default=TABLES[0], required=True, key="averages-table",
        format_func=lambda name: sentence(f"average-download-{name}"), persist_state="session",
    )  # fmt: skip
    table_downloads(average_tables(averages, measurements, facts, f"{command} --table {name}")[name])


def _command(runner: ExperimentRunner, source: ExampleSource, by: By) -> str:
    folder = [] if source.kind == "gallery" else ["FOLDER"]
    words = ["mmviz", "average", *folder, "--model", runner.request.model, "--by", by]
    return shlex.join([*words, *option_words(runner.request.options)])


def _texts(kind: str, count: str) -> dict[str, str]:
    parts = {part: sentence(f"average-{kind}-{part}") for part in ("title", "unit")}
    return {**parts, "note": sentence(f"average-{kind}-note", count=count), "axis": sentence("average-axis")}


def _pair_text(queries: TokenGroup, keys: TokenGroup) -> str:
    return route_text((queries, keys))


def _spread(mean: Mean) -> str:
    return "–" if mean.spread is None else short(mean.spread)


def _percent(part: int) -> str:
    return f"{100 * part / SOUND_PARTS:.0f}"
