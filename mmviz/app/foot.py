"""The foot of the page: the whole map token by token, how to read it, and what to take along."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal

import streamlit as st

from mmviz.app import state as keep
from mmviz.app import widgets
from mmviz.app.seen import Seen
from mmviz.app.texts import say
from mmviz.figures.matrix import token_matrix


def foot(seen: Seen) -> None:
    """Matrix on the left; reading help and downloads on the right."""
    left, right = st.columns([2.2, 1], gap="medium")
    with left:
        largest = float(seen.map.max()) or 1.0
        figure = token_matrix(
            seen.map, seen.tokens, seen.tokens, say("matrix", way=seen.way), largest, widgets.is_dark()
        )
        config = {"displayModeBar": False}
        st.plotly_chart(figure, theme=None, config=config, key="matrix-figure", alt=say("matrix-alt"))
    with right:
        widgets.heading(say("reading"))
        for number in range(1, 5):
            widgets.note(say(f"reading-{number}"))
        widgets.heading(say("controls"))
        _controls()
        widgets.heading(say("save"))
        _downloads(seen)
        widgets.note(say("private"))


def files(seen: Seen) -> dict[str, tuple[Callable[[], bytes], str, str]]:
    """What can be taken along, by code: how it is made, its name and its type."""
    run = seen.run
    return {
        "save-run": (run.to_bytes, "mmviz-run.npz", "application/octet-stream"),
        "save-summary": (
            lambda: json.dumps(run.summary(), indent=1, ensure_ascii=False).encode(),
            "mmviz-summary.json",
            "application/json",
        ),
        "save-figure": (lambda: _png(seen), "mmviz-figure.png", "image/png"),
    }


def _downloads(seen: Seen) -> None:
    """Buttons for the files, which are made when they are asked for."""
    with st.container(horizontal=True, gap="small"):
        for code, (make, name, kind) in files(seen).items():
            st.download_button(say(code), make, name, kind, key=code, help=say(f"{code}-help"), on_click="ignore")


def _controls() -> None:
    """The same inputs through a model that cannot know: what then still lights up says nothing about learning."""
    current = keep.state().control
    with st.container(horizontal=True, gap="small"):
        for control in keep.CONTROLS:
            label, hint = say(f"control-{control}"), say(f"control-{control}-help")
            kind: Literal["primary", "secondary"] = "primary" if control == current else "secondary"
            st.button(label, key=f"control-{control}", help=hint, type=kind, on_click=keep.control, args=(control,))


def _png(seen: Seen) -> bytes:
    chosen = seen.selection
    return seen.run.png(chosen.way, chosen.token, chosen.direction, seen.scale_max)
