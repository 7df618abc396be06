"""The ways of looking beside each other: raw attention, rollout and gradient relevance of the same token."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mmviz.analysis.planes import plane_of, streams_of, way_of
from mmviz.analysis.select import Way
from mmviz.app import widgets
from mmviz.app.seen import Seen
from mmviz.app.selection import has
from mmviz.app.state import look_by
from mmviz.app.texts import say
from mmviz.figures.image import data_uri, smaller, spotlight
from mmviz.figures.legend import amount_legend_html
from mmviz.figures.places import names
from mmviz.figures.strip import strip_html
from mmviz.language import listed
from mmviz.types import Modality, PixelBox, Sample, Token

SIDE = 240
"""Pixels of the small pictures, twice what they take on the page."""


def ways(seen: Seen) -> None:
    """A card for each way of looking, each on its own scale, with a button to look that way."""
    chosen = seen.selection.way
    last = chosen if chosen.layer is not None and seen.run.record.is_long else _last(seen)
    found = [way for way in (last, Way("rollout"), Way("relevance")) if way == last or _fits(seen, way)]
    few = "" if len(found) == 3 else "-few"
    with st.container(horizontal=True, vertical_alignment="bottom", key="ways-head"):
        widgets.heading(say(f"ways-{seen.selection.direction}{few}", token=seen.name), say("ways-help"))
        _back(seen)
    if seen.versus_words:
        widgets.note(seen.versus_words)
    for way, column in zip(found, st.columns(3, gap="medium"), strict=False):
        with column, st.container(key=f"way-{way.method}", border=True):
            _card(seen, way)
    if seen.run.record.is_long:
        widgets.note(say("ways-about" if seen.is_about else "ways-long"))
    elif Way("relevance") not in found:
        widgets.note(say("ways-no-relevance"))


def _last(seen: Seen) -> Way:
    """The mean of the last layer whose streams are those that are looked at, so that the chosen tokens are its too."""
    record = seen.run.record
    for way in (way_of(record, f"{number}:mean") for number in reversed(range(len(record.maps)))):
        if _fits(seen, way):
            return way
    raise LookupError("what is looked at has no layer")  # it is one itself


def _fits(seen: Seen, way: Way) -> bool:
    """Whether there is this way of looking at the same tokens."""
    record = seen.run.record
    return has(seen.run, way) and (
        streams_of(record, plane_of(record, way)) == streams_of(record, plane_of(record, seen.selection.way))
    )


def _back(seen: Seen) -> None:
    """A button back to the way of looking chosen for the model, where another one is looked at."""
    chosen = seen.run.way
    if seen.selection.way != chosen:
        label = say("back", way=chosen.words())
        st.button(label, key="back", type="tertiary", help=say("back-help"), on_click=look_by, args=(chosen,))


def _card(seen: Seen, way: Way) -> None:
    one = Seen(seen.run, replace(seen.selection, way=way, scale="view"))
    st.html(lit_html(one.way, seen.run.sample, seen.lit, one.amounts, one.scale_max))
    is_now = way == seen.selection.way
    st.button(
        say("way-now" if is_now else "way-look"), key=f"look-{way.method}", disabled=is_now, type="tertiary",
        on_click=look_by, args=(way,),
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
    if picture is not None and any(isinstance(token.where, PixelBox) for token in tokens):
        lit = spotlight(smaller(picture.pixels, SIDE), tokens, amounts, top, (picture.width, picture.height))
        parts.append(f"<img src='{data_uri(lit)}' alt='{html.escape(say('picture-alt'))}'>")
    strips = [
        f"<div>{html.escape(say(f'strip-{modality}'))}</div>{strip_html(tokens, amounts, top, modality)}"
        for modality in (Modality.TEXT, Modality.AUDIO)
        if any(token.modality is modality and token.where is not None for token in tokens)
    ]
    named = names(tokens)
    strongest = listed(f"“{named[k]}”" for k in np.argsort(-amounts, kind="stable")[:3])
    strips.append(f"<div>{html.escape(say('strongest', tokens=strongest))}</div>")
    parts.append(f"<div class='way-side'>{''.join(strips)}</div>")
    return f"<div class='way'>{''.join(parts)}{amount_legend_html(top, widgets.is_dark(), unit)}</div>"
