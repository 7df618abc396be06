"""Cards that compare methods: raw attention, rollout and gradient relevance of the selected tokens."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mmviz.analysis.map_refs import flows, has_map, map_words, streams_of
from mmviz.app.components import widgets
from mmviz.app.selection_view import SelectionView
from mmviz.app.session_state import set_method
from mmviz.figures.heat_strip import strip_html
from mmviz.figures.image import data_uri, downscaled, spotlight
from mmviz.figures.legend import amount_legend_html
from mmviz.figures.token_labels import names
from mmviz.i18n.figures import unit_name
from mmviz.i18n.language import join_list
from mmviz.i18n.page import say
from mmviz.types import MapRef, Modality, PixelBox, Sample, Token

SIDE = 240
"""Longer side of the small images in pixels, twice that on the page."""


def method_cards(view: SelectionView) -> None:
    """Draws a card for each method, each on its own scale, with a button that shows the method in the viewer."""
    record, selected = view.run.record, view.selection.map_ref
    raw = selected if selected.layer is not None and record.is_long else _last_map(view)
    whole_flows = [] if record.is_long else [flow for flow in flows(record) if _has_same_streams(view, flow)]
    methods = [*([] if raw is None else [raw]), *whole_flows]
    few = "" if len(methods) == 3 else "-few"
    with st.container(horizontal=True, vertical_alignment="bottom", key="methods-head"):
        widgets.heading(say(f"methods-{view.selection.direction}{few}", token=view.name), say("methods-help"))
        _back_button(view)
    if view.versus_text:
        widgets.note(view.versus_text)
    for map_ref, column in zip(methods, st.columns(3, gap="medium"), strict=False):
        with column, st.container(key=f"method-{map_ref.method}", border=True):
            _card(view, map_ref)
    if record.is_long:
        widgets.note(say("methods-pooled" if view.is_pooled else "methods-long"))
    elif not any(method.method == "relevance" for method in methods):
        widgets.note(say("methods-no-relevance"))


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
        label = say("back", method=map_words(default))
        st.button(label, key="back", type="tertiary", help=say("back-help"), on_click=set_method, args=(default,))


def _card(view: SelectionView, map_ref: MapRef) -> None:
    shown = SelectionView(view.run, replace(view.selection, map_ref=map_ref, scale="view"))
    tokens = view.other_tokens
    unit = unit_name(map_ref.method)
    st.html(attention_html(shown.method_text, view.run.sample, tokens, shown.amounts, shown.scale_max, unit=unit))
    is_selected = map_ref == view.selection.map_ref
    st.button(
        say("method-shown" if is_selected else "method-show"), key=f"show-{map_ref.method}", disabled=is_selected,
        type="tertiary", on_click=set_method, args=(map_ref,),
    )  # fmt: skip


def attention_html(
    title: str, sample: Sample, tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float,
    details: str = "", unit: str = "",
) -> str:  # fmt: skip
    """Returns small figures of ``amounts`` ``[token]``: spotlight on the image, strips for text and audio, a legend.

    ``details`` is HTML below the title. ``unit`` is that of the amounts, by default an attention weight.
    """
    image = sample.image
    parts = [f"<b>{html.escape(title)}</b>{details}"]
    if image is not None and any(isinstance(token.location, PixelBox) for token in tokens):
        lit = spotlight(downscaled(image.pixels, SIDE), tokens, amounts, scale_max, (image.width, image.height))
        parts.append(f"<img src='{data_uri(lit)}' alt='{html.escape(say('picture-alt'))}'>")
    strips = [
        f"<div>{html.escape(say(f'strip-{modality}'))}</div>{strip_html(tokens, amounts, scale_max, modality)}"
        for modality in (Modality.TEXT, Modality.AUDIO)
        if any(token.modality is modality and token.location is not None for token in tokens)
    ]
    labels = names(tokens)
    strongest = join_list(f"“{labels[k]}”" for k in np.argsort(-amounts, kind="stable")[:3])
    strips.append(f"<div>{html.escape(say('strongest', tokens=strongest))}</div>")
    parts.append(f"<div class='method-card-side'>{''.join(strips)}</div>")
    legend = amount_legend_html(scale_max, widgets.is_dark(), unit)
    return f"<div class='method-card'>{''.join(parts)}{legend}</div>"
