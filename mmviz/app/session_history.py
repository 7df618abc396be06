"""What a session collects of its runs: their history, and the talk made of them. Kept in memory only."""

from __future__ import annotations

import streamlit as st

from mmviz.app.past_runs import PastRun
from mmviz.app.talk_draft import TalkDraft
from mmviz.present import Talk

PAST_RUNS, TALK = "past-runs", "own-talk"


def past_runs() -> list[PastRun]:
    """Returns the runs of the session, those shown last first, to be changed in place."""
    runs: list[PastRun] = st.session_state.setdefault(PAST_RUNS, [])
    return runs


def own_talk() -> TalkDraft:
    """Returns the talk that the visitor puts together, to be changed in place."""
    talk: TalkDraft = st.session_state.setdefault(TALK, TalkDraft())
    return talk


def open_talk(talk: Talk) -> None:
    """Puts a talk that was read from a file in the place of the visitor's own, with its order, texts and views."""
    st.session_state[TALK] = TalkDraft.of_file(talk)


def forget_past_runs() -> None:
    """Deletes the history and the talk."""
    for key in (PAST_RUNS, TALK):
        st.session_state.pop(key, None)
