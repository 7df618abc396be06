"""The question composer: every wording that the model knows, with words to search among."""

from __future__ import annotations

import html

import streamlit as st

from mmviz.app import session_state as keep
from mmviz.i18n.page import say
from mmviz.models.question_templates import NEEDS, RELATIONS, TEMPLATES, compose, known_words, slots

POPOVER = "composer"
_WORDINGS = [(family, k) for family, wordings in TEMPLATES.items() for k in range(len(wordings))]
_SLOTS = {"x": "compose-x", "y": "compose-y", "rel": "compose-rel"}


@st.fragment
def composer() -> None:
    """A button that opens the composer; only asking draws the rest of the page anew."""
    with st.popover(say("compose"), key=POPOVER, help=say("compose-help"), on_change="rerun", width="content"):
        family, wording = st.selectbox(
            say("compose-wording"), _WORDINGS, format_func=_words, key="compose-wording",
            help=say("compose-wording-help"),
        )  # fmt: skip
        chosen = {slot: _slot(slot) for slot in slots(family)}
        text = compose(family, wording=wording, **chosen)
        st.html(f"<div class='composed'>{html.escape(text)}</div><div class='small'>{_needs(family)}</div>")
        if st.button(
            say("compose-ask"), type="primary", key="compose-ask", on_click=_ask, args=(text,), width="stretch"
        ):
            st.rerun()


def _slot(slot: str) -> str:
    options = RELATIONS if slot == "rel" else known_words()
    first = 1 if slot == "y" else 0  # two different words to begin with
    chosen: str = st.selectbox(say(_SLOTS[slot]), options, index=first, key=_SLOTS[slot])
    return chosen


def _words(wording: tuple[str, int]) -> str:
    family, k = wording
    return TEMPLATES[family][k].format(a="a", x="…", y="…", rel="left of")


def _needs(family: str) -> str:
    return say("compose-needs", needs=say(f"compose-needs-{'-'.join(NEEDS[family])}"))


def _ask(text: str) -> None:
    keep.ask_text(text)
    st.session_state[POPOVER] = False
