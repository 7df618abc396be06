"""The ways of looking beside each other: raw attention, rollout and gradient relevance of the same token."""

from __future__ import annotations

import html
from dataclasses import replace

import numpy as np
import streamlit as st

from mmviz.analysis.select import Way
from mmviz.app import widgets
from mmviz.app.seen import Seen
from mmviz.app.state import look_by
from mmviz.app.texts import say
from mmviz.figures.image import data_uri, smaller, spotlight
from mmviz.figures.legend import amount_legend_html
from mmviz.figures.places import names
from mmviz.figures.strip import strip_html
from mmviz.types import Modality, PixelBox

SIDE = 240
"""Pixels of the small pictures, twice what they take on the page."""


def ways(seen: Seen) -> None:
    """A card for each way of looking, each on its own scale, with a button to look that way."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="ways-head"):
        widgets.heading(say(f"ways-{seen.selection.direction}", token=seen.name), say("ways-help"))
        _back(seen)
    if seen.versus_words:
        widgets.note(seen.versus_words)
    found = [Way("mean", layer=seen.run.record.maps[-1].layer), Way("rollout")]
    if seen.run.record.relevance is not None:
        found.append(Way("relevance"))
    for way, column in zip(found, st.columns(3, gap="medium"), strict=False):
        with column, st.container(key=f"way-{way.method}", border=True):
            _card(seen, way)
    if len(found) < 3:
        widgets.note(say("ways-no-relevance"))


def _back(seen: Seen) -> None:
    """A button back to the way of looking chosen for the model, where another one is looked at."""
    chosen = seen.run.way
    if seen.selection.way != chosen:
        label = say("back", way=chosen.words())
        st.button(label, key="back", type="tertiary", help=say("back-help"), on_click=look_by, args=(chosen,))


def _card(seen: Seen, way: Way) -> None:
    one = Seen(seen.run, replace(seen.selection, way=way, scale="view"))
    amounts, top = one.amounts, one.scale_max
    picture = seen.run.sample.image
    parts = [f"<b>{html.escape(one.way)}</b>"]
    if picture is not None and any(isinstance(token.where, PixelBox) for token in seen.tokens):
        lit = spotlight(smaller(picture.pixels, SIDE), seen.tokens, amounts, top, (picture.width, picture.height))
        parts.append(f"<img src='{data_uri(lit)}' alt='{html.escape(say('picture-alt'))}'>")
    strips = [
        f"<div>{html.escape(say(f'strip-{modality}'))}</div>{strip_html(seen.tokens, amounts, top, modality)}"
        for modality in (Modality.TEXT, Modality.AUDIO)
        if any(token.modality is modality and token.where is not None for token in seen.tokens)
    ]
    named = names(seen.tokens)
    strongest = ", ".join(f"“{named[k]}”" for k in np.argsort(-amounts, kind="stable")[:3])
    strips.append(f"<div>{html.escape(say('strongest', tokens=strongest))}</div>")
    parts.append(f"<div class='way-side'>{''.join(strips)}</div>")
    st.html(f"<div class='way'>{''.join(parts)}{amount_legend_html(top, widgets.is_dark())}</div>")
    is_now = way == seen.selection.way
    st.button(
        say("way-now" if is_now else "way-look"), key=f"look-{way.method}", disabled=is_now, type="tertiary",
        on_click=look_by, args=(way,),
    )  # fmt: skip
