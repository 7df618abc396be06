"""A route between single tokens: those that are selected in the viewer, as queries or as keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import streamlit as st

from mmviz.analysis.available_maps import streams_of
from mmviz.app.chosen_routes import KEYS, QUERIES, RouteChoice, has_route, toggle_route
from mmviz.app.components import page_elements
from mmviz.app.components.route_names import group_text
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.selection import Selection
from mmviz.experiments.route_cut import LayerWindow
from mmviz.figures.token_labels import group_name, names
from mmviz.i18n.page import say
from mmviz.types import ANSWER, AttentionRecord, ChosenTokens, TokenGroup

SELECTED = "selected"
"""The choice that stands for the selected tokens."""


def selected_tokens_cut(runner: ExperimentRunner, choice: RouteChoice, window: LayerWindow) -> None:
    """Draws a box for the queries and one for the keys, and a button that cuts this route, or restores it."""
    record, selection = runner.run.record, runner.state.selection
    assert selection is not None  # there is one with every run
    page_elements.heading(say("routes-selected"), say("routes-selected-help"))
    tokens = selected_tokens(record, selection)
    left, middle, right = st.columns([1.4, 1.4, 1], vertical_alignment="bottom")
    with left:
        queries = _group_select(record, "queries", tokens)
    with middle:
        keys = _group_select(record, "keys", tokens)
    route = queries, keys
    is_possible, is_cut = tokens in route and has_route(record, window, route), route in choice.routes
    with right:
        st.button(
            say("routes-selected-restore" if is_cut else "routes-selected-cut"), key="routes-selected-cut",
            disabled=not (is_possible or is_cut), width="stretch", on_click=toggle_route, args=(record.id, route),
        )  # fmt: skip
    if tokens not in route:
        page_elements.note(say("routes-selected-none"))
    elif not is_possible:
        page_elements.note(say("routes-cell-missing", queries=group_text(queries), keys=group_text(keys)))


def selected_tokens(record: AttentionRecord, selection: Selection) -> ChosenTokens:
    """Returns the selected tokens in the stream that they are selected in: the queries of a map, or its keys."""
    stream = streams_of(record, selection.map_ref)[0 if selection.direction == "from" else 1]
    return ChosenTokens(selection.tokens, stream)


def _group_select(record: AttentionRecord, side: Literal["queries", "keys"], tokens: ChosenTokens) -> TokenGroup:
    """Draws a box for one side of the route, and returns its group."""
    groups: Mapping[str, TokenGroup] = {
        SELECTED: tokens, **{str(group): group for group in (QUERIES if side == "queries" else KEYS)}
    }  # fmt: skip
    labels = names(record.streams[tokens.stream])
    selected = say("routes-selected-tokens", tokens=group_name([labels[token] for token in tokens.tokens]))
    first = list(groups).index(ANSWER if side == "queries" else SELECTED)
    name = st.selectbox(
        say(f"routes-selected-{side}"), groups, index=first, key=f"routes-selected-{side}", persist_state="session",
        format_func=lambda name: selected if name == SELECTED else group_text(groups[name]),
    )  # fmt: skip
    return groups[name]
