"""The row of choosers: from which token, in which direction, in which way of looking, on which scale."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from mmviz.analysis.select import Direction, Method, Way, find_layer
from mmviz.app.state import DIRECTION, HEAD, LAYER, METHOD, TOKEN, Scale, Selection
from mmviz.app.texts import say
from mmviz.explain import Run
from mmviz.figures.places import MODALITY_NAMES, places
from mmviz.types import Modality


def choosers(run: Run) -> Selection:
    """Draw the row; what it says."""
    layers = sorted({found.layer for found in run.record.maps})
    with st.container(key="choosers"):
        spots = st.columns([2.9, 1.9, 1.6, 1, 0.9, 1.5, 2], vertical_alignment="bottom")
        with spots[0]:
            named = _token_words(run)
            token: int = st.selectbox(
                say("query"), _grouped(run), format_func=lambda k: named[k], key=TOKEN, help=say("query-help")
            )
        with spots[1]:
            direction = _switch(DIRECTION, ("from", "to"))
        with spots[2]:
            methods: list[Method] = ["mean", "head", "rollout"]
            if run.record.relevance is not None:
                methods.append("relevance")
            method: Method = st.selectbox(
                say("way"), methods, format_func=lambda one: say(f"way-{one}"), key=METHOD, help=say("way-help")
            )
        with spots[3]:
            layer: int = st.selectbox(
                say("layer"), layers, format_func=lambda k: f"{k + 1} of {len(layers)}", key=LAYER,
                disabled=method not in ("mean", "head"), help=say("layer-help"),
            )  # fmt: skip
        with spots[4]:
            heads = find_layer(run.record, layer).heads
            head: int = st.selectbox(
                say("head"), range(heads), format_func=lambda k: f"{k + 1} of {heads}", key=HEAD,
                disabled=method != "head", help=say("head-help"),
            )  # fmt: skip
        with spots[5]:
            style = _switch("style", ("spotlight", "heat"))
        with spots[6]:
            scale = _switch("scale", ("view", "map"))
    way = Way(method, layer if method in ("mean", "head") else None, head if method == "head" else None)
    return Selection(token, _direction(direction), way, _style(style), _scale(scale))


def back_to_chosen(run: Run, way: Way) -> None:
    """A button back to the way of looking chosen for the model, where another one is looked at."""
    if way != run.way:
        label = say("back", way=run.way.words())
        st.button(label, key="back", type="tertiary", help=say("back-help"), on_click=_set_way, args=(run,))


def fit(run: Run) -> None:
    """The chosen way of looking at first; what is not there in ``run`` goes back to it."""
    if METHOD not in st.session_state or st.session_state[LAYER] not in {found.layer for found in run.record.maps}:
        _set_way(run)
    if st.session_state[HEAD] >= find_layer(run.record, st.session_state[LAYER]).heads:
        st.session_state[HEAD] = 0
    if st.session_state[METHOD] == "relevance" and run.record.relevance is None:
        _set_way(run)
    if st.session_state.get(TOKEN, len(run.tokens)) >= len(run.tokens):
        st.session_state[TOKEN] = run.asker


def look_by(way: Way) -> None:
    """Look in another way."""
    st.session_state[METHOD] = way.method
    if way.layer is not None:
        st.session_state[LAYER] = way.layer
    if way.head is not None:
        st.session_state[HEAD] = way.head


def _set_way(run: Run) -> None:
    st.session_state[LAYER], st.session_state[HEAD] = run.record.maps[-1].layer, 0
    look_by(run.way)


def _grouped(run: Run) -> list[int]:
    """Token indices: special tokens first, then words, picture and sound."""
    order = [Modality.OTHER, Modality.TEXT, Modality.IMAGE, Modality.AUDIO]
    return sorted(range(len(run.tokens)), key=lambda k: (order.index(run.tokens[k].modality), k))


def _token_words(run: Run) -> list[str]:
    """What a token is called in the list, its modality first."""
    kinds = [MODALITY_NAMES[token.modality] for token in run.tokens]
    found = zip(kinds, places(run.tokens), strict=True)
    return [place if place.startswith(kind) else f"{kind}: {place}" for kind, place in found]


def _switch(code: str, options: tuple[str, str]) -> str:
    """A choice of two that always has an answer."""
    chosen: str | None = st.segmented_control(
        say(code), options, format_func=lambda one: say(f"{code}-{one}"), default=options[0], required=True, key=code,
        help=say(f"{code}-help"), width="stretch",
    )  # fmt: skip
    return chosen or options[0]


def _direction(value: str) -> Direction:
    return "to" if value == "to" else "from"


def _style(value: str) -> Literal["spotlight", "heat"]:
    return "heat" if value == "heat" else "spotlight"


def _scale(value: str) -> Scale:
    return "map" if value == "map" else "view"
