"""The question composer: every wording that the bundled model was trained on, with words to search among."""

from __future__ import annotations

import html

import streamlit as st

from mmviz.app import session_actions
from mmviz.i18n.page import say
from mmviz.models.question_templates import NEEDS, RELATIONS, TEMPLATES, compose, known_words, slots

POPOVER = "composer"
_WORDINGS = [(family, k) for family, wordings in TEMPLATES.items() for k in range(len(wordings))]
_SLOTS = {"x": "compose-x", "y": "compose-y", "rel": "compose-rel"}


@st.fragment
def question_composer() -> None:
    """Draws a button that opens the composer. Only its Ask button draws the rest of the page anew."""
    with st.popover(say("compose"), key=POPOVER, help=say("compose-help"), on_change="rerun", width="content"):
        family, wording = st.selectbox(
            say("compose-wording"), _WORDINGS, format_func=_wording_text, key="compose-wording",
            help=say("compose-wording-help"),
        )  # fmt: skip
        text = compose(family, template=wording, **{slot: _slot_select(slot) for slot in slots(family)})
        st.html(f"<div class='composed'>{html.escape(text)}</div><div class='small'>{_needs_text(family)}</div>")
        if st.button(
            say("compose-ask"), type="primary", key="compose-ask", on_click=_submit, args=(text,), width="stretch"
        ):
            st.rerun()


def _slot_select(slot: str) -> str:
    options = RELATIONS if slot == "rel" else known_words()
    index = 1 if slot == "y" else 0  # the two words differ at first
    choice: str = st.selectbox(say(_SLOTS[slot]), options, index=index, key=_SLOTS[slot])
    return choice


def _wording_text(wording: tuple[str, int]) -> str:
    family, k = wording
    return TEMPLATES[family][k].format(a="a", x="…", y="…", rel="left of")


def _needs_text(family: str) -> str:
    return say("compose-needs", needs=say(f"compose-needs-{'-'.join(NEEDS[family])}"))


def _submit(text: str) -> None:
    session_actions.submit_text(text)
    st.session_state[POPOVER] = False
