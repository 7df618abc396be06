"""The ways of looking beside each other: raw attention, rollout and gradient relevance of the same token."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mmviz.analysis.map_refs import has_map, map_words, streams_of
from mmviz.app.components import widgets
from mmviz.app.selection_view import SelectionView
from mmviz.app.session_state import look_by
from mmviz.figures.heat_strip import strip_html
from mmviz.figures.image import data_uri, smaller, spotlight
from mmviz.figures.legend import amount_legend_html
from mmviz.figures.token_labels import names
from mmviz.i18n.language import listed
from mmviz.i18n.page import say
from mmviz.types import MapRef, Modality, PixelBox, Sample, Token

SIDE = 240
"""Pixels of the small pictures, twice what they take on the page."""


def ways(seen: SelectionView) -> None:
    """A card for each way of looking, each on its own scale, with a button to look that way."""
    chosen = seen.selection.map_ref
    last = chosen if chosen.layer is not None and seen.run.record.is_long else _last(seen)
    found = [
        map_ref for map_ref in (last, MapRef("rollout"), MapRef("relevance")) if map_ref == last or _fits(seen, map_ref)
    ]
    few = "" if len(found) == 3 else "-few"
    with st.container(horizontal=True, vertical_alignment="bottom", key="ways-head"):
        widgets.heading(say(f"ways-{seen.selection.direction}{few}", token=seen.name), say("ways-help"))
        _back(seen)
    if seen.versus_words:
        widgets.note(seen.versus_words)
    for map_ref, column in zip(found, st.columns(3, gap="medium"), strict=False):
        with column, st.container(key=f"way-{map_ref.method}", border=True):
            _card(seen, map_ref)
    if seen.run.record.is_long:
        widgets.note(say("ways-about" if seen.is_about else "ways-long"))
    elif MapRef("relevance") not in found:
        widgets.note(say("ways-no-relevance"))


def _last(seen: SelectionView) -> MapRef:
    """The mean of the last layer whose streams are those that are looked at, so that the chosen tokens are its too."""
    record = seen.run.record
    for map_ref in (record.map_ref(number) for number in reversed(range(len(record.maps)))):
        if _fits(seen, map_ref):
            return map_ref
    raise LookupError("what is looked at has no layer")  # it is one itself


def _fits(seen: SelectionView, map_ref: MapRef) -> bool:
    """Whether there is this way of looking at the same tokens."""
    record = seen.run.record
    return has_map(record, map_ref) and streams_of(record, map_ref) == streams_of(record, seen.selection.map_ref)


def _back(seen: SelectionView) -> None:
    """A button back to the way of looking chosen for the model, where another one is looked at."""
    chosen = seen.run.map_ref
    if seen.selection.map_ref != chosen:
        label = say("back", method=map_words(chosen))
        st.button(label, key="back", type="tertiary", help=say("back-help"), on_click=look_by, args=(chosen,))


def _card(seen: SelectionView, map_ref: MapRef) -> None:
    one = SelectionView(seen.run, replace(seen.selection, map_ref=map_ref, scale="view"))
    st.html(lit_html(one.method_words, seen.run.sample, seen.lit, one.amounts, one.scale_max))
    is_now = map_ref == seen.selection.map_ref
    st.button(
        say("way-now" if is_now else "way-look"), key=f"look-{map_ref.method}", disabled=is_now, type="tertiary",
        on_click=look_by, args=(map_ref,),
    )  # fmt: skip


def lit_html(
    title: str, sample: Sample, tokens: Sequence[Token], amounts: NDArray[Any], top: float, more: str = "",
    unit: str = "",
) -> str:  # fmt: skip
    """What gets how much, small: the picture under light, words and sound as strips, the strongest by name, the scale.

    ``more``: HTML below the title; ``unit``: of the amounts (left out: share of
    attention).
    """
    picture = sample.image
    parts = [f"<b>{html.escape(title)}</b>{more}"]
    if picture is not None and any(isinstance(token.location, PixelBox) for token in tokens):
        lit = spotlight(smaller(picture.pixels, SIDE), tokens, amounts, top, (picture.width, picture.height))
        parts.append(f"<img src='{data_uri(lit)}' alt='{html.escape(say('picture-alt'))}'>")
    strips = [
        f"<div>{html.escape(say(f'strip-{modality}'))}</div>{strip_html(tokens, amounts, top, modality)}"
        for modality in (Modality.TEXT, Modality.AUDIO)
        if any(token.modality is modality and token.location is not None for token in tokens)
    ]
    named = names(tokens)
    strongest = listed(f"“{named[k]}”" for k in np.argsort(-amounts, kind="stable")[:3])
    strips.append(f"<div>{html.escape(say('strongest', tokens=strongest))}</div>")
    parts.append(f"<div class='way-side'>{''.join(strips)}</div>")
    return f"<div class='way'>{''.join(parts)}{amount_legend_html(top, widgets.is_dark(), unit)}</div>"
