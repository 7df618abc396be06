"""Cards that compare methods: raw attention, rollout and gradient relevance of the selected tokens."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from mmviz.analysis.available_maps import flows, has_map, map_words, streams_of
from mmviz.app.components import page_elements
from mmviz.app.selection_amounts import SelectionView
from mmviz.app.session_actions import set_method
from mmviz.i18n.figures import unit_name
from mmviz.i18n.page import say
from mmviz.report.attribution_card import method_card_html
from mmviz.types import MapRef


def method_cards(view: SelectionView) -> None:
    """Draws a card for each method, each on its own scale, with a button that shows the method in the viewer."""
    record, selected = view.run.record, view.selection.map_ref
    raw = selected if selected.layer is not None and record.is_long else _last_map(view)
    whole_flows = [] if record.is_long else [flow for flow in flows(record) if _has_same_streams(view, flow)]
    methods = [*([] if raw is None else [raw]), *whole_flows]
    few = "" if len(methods) == 3 else "-few"
    with st.container(horizontal=True, vertical_alignment="bottom", key="methods-head"):
        page_elements.heading(say(f"methods-{view.selection.direction}{few}", token=view.name), say("methods-help"))
        _back_button(view)
    if view.versus_text:
        page_elements.note(view.versus_text)
    for map_ref, column in zip(methods, st.columns(3, gap="medium"), strict=False):
        with column, st.container(key=f"method-{map_ref.method}", border=True):
            _card(view, map_ref)
    if record.is_long:
        page_elements.note(say("methods-pooled" if view.is_pooled else "methods-long"))
    elif not any(method.method == "relevance" for method in methods):
        page_elements.note(say("methods-no-relevance"))


def _last_map(view: SelectionView) -> MapRef | None:
    """Returns the mean over heads of the last map between the same streams as the selected one, in its stack.

    Of a flow, which runs through all layers, the stack is the default one where that has such a map. None where no map
    runs between the streams of a flow, as from a language model into a tower.
    """
    record, selected = view.run.record, view.selection.map_ref
    stack = record.default_stack if selected.layer is None else record.maps[record.map_number(selected)].stack
    numbers = sorted(range(len(record.maps)), key=lambda k: (record.maps[k].stack == stack, k))
    refs = map(record.map_ref, reversed(numbers))
    return next((map_ref for map_ref in refs if _has_same_streams(view, map_ref)), None)


def _has_same_streams(view: SelectionView, map_ref: MapRef) -> bool:
    """Returns whether the run has ``map_ref``, between the same streams as the selected map."""
    record = view.run.record
    return has_map(record, map_ref) and streams_of(record, map_ref) == streams_of(record, view.selection.map_ref)


def _back_button(view: SelectionView) -> None:
    """Draws a button back to the method chosen for the model, where another one is selected."""
    default = view.run.map_ref
    if view.selection.map_ref != default:
        label = say("back", method=map_words(default, view.run.record))
        st.button(label, key="back", type="tertiary", help=say("back-help"), on_click=set_method, args=(default,))


def _card(view: SelectionView, map_ref: MapRef) -> None:
    shown = SelectionView(view.run, replace(view.selection, map_ref=map_ref, scale="view"))
    tokens = view.other_tokens
    unit = unit_name(map_ref.method)
    st.html(
        method_card_html(
            shown.method_text,
            view.run.sample,
            tokens,
            shown.amounts,
            shown.scale_max,
            page_elements.is_dark(),
            unit=unit,
        )
    )
    is_selected = map_ref == view.selection.map_ref
    st.button(
        say("method-shown" if is_selected else "method-show"), key=f"show-{map_ref.method}", disabled=is_selected,
        type="tertiary", on_click=set_method, args=(map_ref,),
    )  # fmt: skip
