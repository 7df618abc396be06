"""The linked viewer on the page: what it is given, and what a visitor does in it."""

from __future__ import annotations

import streamlit as st

from mmviz.app import state as keep
from mmviz.app.selection import known_plane, read_view, view_of
from mmviz.app.state import State
from mmviz.explain import Run
from mmviz.viewer import pack

KEY = "viewer"
_viewer = st.components.v2.component("mmviz_viewer", css=pack.css(), js=pack.component_js())


def viewer(now: State, run: Run) -> None:
    """Mount the viewer. What it was told last stays, byte for byte, until the page itself looks elsewhere, or a plane
    is needed: the browser then has nothing to fetch."""
    assert now.scene is not None and now.told is not None  # `keep.accept` has seen to it
    data = now.scene.to_bytes(view_of(now.told, run), now.serial, now.needed)
    _viewer(key=KEY, data=data, height="content", on_view_change=_look, on_need_change=_need)


def _look() -> None:
    now = keep.state()
    found = read_view(st.session_state[KEY].get("view"), now.run, now.serial) if now.run else None
    if found is not None:
        now.selection = found


def _need() -> None:
    now, asked = keep.state(), st.session_state[KEY].get("need")
    if now.run is None or not isinstance(asked, dict) or asked.get("run") != now.run.record.id:
        return
    plane = asked.get("plane")
    if isinstance(plane, str) and known_plane(plane, now.run) is not None and plane not in now.needed:
        now.needed = (*now.needed, plane)
