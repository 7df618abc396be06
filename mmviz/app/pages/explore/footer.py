"""The foot of the page: how to read it, what to take along, and the whole map token by token."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal

import streamlit as st

from mmviz.app import session_state as keep
from mmviz.app.components import widgets
from mmviz.app.selection_view import SelectionView
from mmviz.figures.token_matrix import token_matrix
from mmviz.i18n.language import current, joined, speaking
from mmviz.i18n.page import say

WEIGHTS = "weights"
"""The key of the part that is opened for the matrix."""


def foot(seen: SelectionView) -> None:
    """Reading help, controls and downloads beside each other; the matrix below, drawn once it is opened."""
    first, second, third = st.columns([1.5, 1, 1.2], gap="medium")
    with first:
        widgets.heading(say("reading"))
        widgets.note(joined(say(f"reading-{number}") for number in range(1, 5)))
    with second:
        widgets.heading(say("controls"))
        controls()
    with third:
        widgets.heading(say("save"))
        _downloads(seen)
        widgets.note(say("private"))
    if seen.run.record.is_long:
        widgets.note(say("all-weights-long" if seen.run.is_exact else "all-weights-kept"))
        return
    with st.expander(say("all-weights"), key=WEIGHTS, on_change="rerun") as part:
        if part.open:
            _matrix(seen)


def _matrix(seen: SelectionView) -> None:
    largest = float(seen.map.max()) or 1.0
    title = say("matrix", method=seen.method_words)
    figure = token_matrix(seen.map, *seen.sides, title, largest, widgets.is_dark())
    config = {"displayModeBar": False}
    st.plotly_chart(figure, theme=None, config=config, key="matrix-figure", alt=say("matrix-alt"))


def files(seen: SelectionView) -> dict[str, tuple[Callable[[], bytes], str, str]]:
    """What can be taken along, by code: how it is made, its name and its type. Whenever it is made, and by whatever
    thread, it speaks the language of now."""
    run, spoken = seen.run, current()

    def speaking_now(make: Callable[[], bytes]) -> Callable[[], bytes]:
        def made() -> bytes:
            with speaking(spoken):
                return make()

        return made

    return {
        "save-page": (speaking_now(lambda: run.to_html().encode()), "mmviz-page.html", "text/html"),
        "save-run": (run.to_bytes, "mmviz-run.npz", "application/octet-stream"),
        "save-summary": (
            speaking_now(lambda: json.dumps(run.summary(), indent=1, ensure_ascii=False).encode()),
            "mmviz-summary.json",
            "application/json",
        ),
        "save-figure": (speaking_now(lambda: _png(seen)), "mmviz-figure.png", "image/png"),
    }


def _downloads(seen: SelectionView) -> None:
    """Buttons for the files, which are made when they are asked for."""
    with st.container(horizontal=True, gap="small"):
        for code, (make, name, kind) in files(seen).items():
            st.download_button(say(code), make, name, kind, key=code, help=say(f"{code}-help"), on_click="ignore")


def controls() -> None:
    """The same inputs through a model that cannot know: what then still lights up says nothing about learning."""
    current = keep.state().control
    with st.container(horizontal=True, gap="small"):
        for control in keep.CONTROLS:
            label, hint = say(f"control-{control}"), say(f"control-{control}-help")
            kind: Literal["primary", "secondary"] = "primary" if control == current else "secondary"
            st.button(label, key=f"control-{control}", help=hint, type=kind, on_click=keep.control, args=(control,))


def _png(seen: SelectionView) -> bytes:
    chosen = seen.selection
    return seen.run.png(chosen.map_ref, chosen.tokens, chosen.direction, seen.scale_max)
