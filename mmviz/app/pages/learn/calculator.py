"""The linked viewer with the calculator for any run that has its steps, beside the one of the page's own run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import streamlit as st

from mmviz.app.components.viewer import MOST, component, is_there
from mmviz.app.selection import Selection, read_view, view_of
from mmviz.explain import Run
from mmviz.i18n.language import Language, current
from mmviz.report import ViewerData


@dataclass
class _Mounted:
    """What a viewer was given: of ``run``, in which ``language``, looked at as ``start`` says; ``sent``: the last
    of it; ``needed``: what it asked for; ``looked``: what a visitor chose since."""

    run: Run
    scene: ViewerData
    start: Selection | None
    language: Language
    serial: int = 0
    sent: bytes = b""
    needed: tuple[str, ...] = ()
    looked: Selection | None = None


def calculator(run: Run, key: str, start: Selection | None = None) -> Selection | None:
    """Mount the viewer of ``run``, whose record has steps, under ``key``, which no other widget of the page has.

    ``start``: what is looked at first; where a later call gives another one, the viewer goes there. All vectors are
    sent once, and what a visitor changes stays in the browser. The result is what the visitor looks at: ``start`` until
    something was chosen. Raises ``LookupError`` where the run has no steps.
    """
    if not run.record.steps:
        raise LookupError("a run without its steps")
    kept = f"{key}-mounted"
    found: _Mounted | None = st.session_state.get(kept)
    if found is None or found.run.record.id != run.record.id:
        found = _Mounted(run, ViewerData(run), start, current())
    if (found.start, found.language) != (start, current()):
        found.serial += found.start != start
        found.start, found.language, found.sent, found.looked = start, current(), b"", None
    if found.needed and found.sent:
        found.sent, found.needed = found.scene.answer(found.needed, found.serial), ()
    if not found.sent:
        found.sent = found.scene.to_bytes(view_of(start, run) if start else None, found.serial)
    st.session_state[kept] = found
    component(
        key=key, data=found.sent, height="content", on_view_change=partial(_look, key, kept),
        on_need_change=partial(_need, key, kept),
    )  # fmt: skip
    return found.looked or found.start


def _look(key: str, kept: str) -> None:
    now: _Mounted = st.session_state[kept]
    now.looked = read_view(st.session_state[key].get("view"), now.run, now.serial) or now.looked


def _need(key: str, kept: str) -> None:
    now: _Mounted = st.session_state[kept]
    asked = st.session_state[key].get("need")
    if not isinstance(asked, dict):
        return
    names = asked.get("names")
    if asked.get("run") != now.run.record.id:  # a viewer that was mounted anew has no run yet
        now.sent = b""
    elif isinstance(names, list) and len(names) <= MOST and all(is_there(name, now.run) for name in names):
        now.needed = tuple(dict.fromkeys(names))
