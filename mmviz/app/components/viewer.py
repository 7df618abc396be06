"""The linked viewer on the page: what it is given, and what a visitor does in it."""

from __future__ import annotations

import streamlit as st

from mmviz.analysis.map_refs import parse_map_ref
from mmviz.app import session_state as keep
from mmviz.app.selection import read_view, view_of
from mmviz.app.session_state import State
from mmviz.explain import Run
from mmviz.i18n.language import current
from mmviz.report.attention_steps import steps_number
from mmviz.report.section_requests import asked_for
from mmviz.viewer import pack

KEY = "viewer"
MOST = 8
"""So much of what was asked for last is answered again: an answer may be overtaken by the next question."""
component = st.components.v2.component("mmviz_viewer", css=pack.css(), js=pack.component_js())


def viewer(now: State, run: Run) -> None:
    """Mount the viewer. What it was sent last stays, byte for byte, until the page itself looks elsewhere, or the
    viewer asks for something: then that alone is sent."""
    assert now.scene is not None and now.told is not None  # `keep.accept` has seen to it
    here = (run.record.id, now.serial, now.told, current())
    if now.sent_of != here:
        now.sent, now.sent_of, now.needed = now.scene.to_bytes(view_of(now.told, run), now.serial), here, ()
    elif now.needed and not now.answered:
        now.sent, now.answered = now.scene.answer(now.needed, now.serial), True
    component(key=KEY, data=now.sent, height="content", on_view_change=_look, on_need_change=_need)


def alone(key: str, data: bytes) -> None:
    """A viewer beside the run of the page: all that it shows is in ``data``, and what is chosen in it stays there."""
    component(key=key, data=data, height="content", on_view_change=_heard, on_need_change=_heard)


def _heard() -> None:
    pass


def _look() -> None:
    now = keep.state()
    found = read_view(st.session_state[KEY].get("view"), now.run, now.serial) if now.run else None
    if found is not None:
        now.selection = found


def _need() -> None:
    now, asked = keep.state(), st.session_state[KEY].get("need")
    if now.run is None or not isinstance(asked, dict):
        return
    if asked.get("run") != now.run.record.id:  # a viewer that was mounted anew has no run yet
        now.sent_of = None
        now.told = now.selection
        return
    names = asked.get("names")
    if isinstance(names, list) and len(names) <= MOST and all(is_there(name, now.run) for name in names):
        now.needed = tuple(dict.fromkeys((*now.needed, *names)))[-MOST:]
        now.answered = False


def is_there(name: object, run: Run) -> bool:
    """Whether a viewer may ask for this by name; any browser may say anything."""
    if not isinstance(name, str):
        return False
    kind, _, rest = name.partition("/")
    try:
        if kind == "map":
            parse_map_ref(run.record, rest)
        elif kind == "steps":
            return steps_number(rest) < len(run.record.steps)
        else:
            asked_for(run.record, kind, rest)
    except LookupError:
        return False
    return True
