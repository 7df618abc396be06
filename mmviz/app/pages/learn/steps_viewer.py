"""The linked viewer with the calculator, mounted for a run that has its steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import streamlit as st

from mmviz.app.components.viewer_code import mount_viewer, reported
from mmviz.app.selection import Selection, read_view, view_of
from mmviz.explain import Run
from mmviz.i18n.language import Language, current_language
from mmviz.report import ViewerData
from mmviz.report.viewer_request_check import MAX_SECTIONS, has_section


@dataclass
class _MountedViewer:
    """A viewer of the page, and what it was sent."""

    run: Run
    data: ViewerData
    start: Selection | None
    """The selection it was opened with."""
    language: Language
    serial: int = 0
    """How often the page, not the visitor, set the selection."""
    payload: bytes = b""
    """The bytes it was last sent; empty where it has no run yet."""
    requested: tuple[str, ...] = ()
    """Names of the sections that it requested and was not sent yet."""
    selection: Selection | None = None
    """What the visitor selected since ``start``."""


def calculator(run: Run, key: str, start: Selection | None = None) -> Selection | None:
    """Mount the viewer of ``run``, whose record has steps.

    Args:
        run: The vectors of a map are sent when the viewer requests them; what a visitor changes stays in the browser.
        key: No other widget of the page has it.
        start: The first selection. Where a later call gives another, the viewer goes there.

    Returns:
        The visitor's selection, at first ``start``.

    Raises:
        LookupError: The record of the run has no steps.
    """
    if not run.record.steps:
        raise LookupError("a run without its steps")
    state_key = f"{key}-mounted"
    viewer: _MountedViewer | None = st.session_state.get(state_key)
    if viewer is None or viewer.run.record.id != run.record.id:
        viewer = _MountedViewer(run, ViewerData(run), start, current_language())
    if (viewer.start, viewer.language) != (start, current_language()):
        viewer.serial += viewer.start != start
        viewer.start, viewer.language, viewer.payload, viewer.selection = start, current_language(), b"", None
    if viewer.requested and viewer.payload:
        viewer.payload, viewer.requested = viewer.data.encode_sections(viewer.requested, viewer.serial), ()
    if not viewer.payload:
        viewer.payload = viewer.data.first_part(view_of(start, run) if start else None, viewer.serial)
    st.session_state[state_key] = viewer
    mount_viewer(key, viewer.payload, partial(_on_view, key, state_key), partial(_on_need, key, state_key))
    return viewer.selection or viewer.start


def _on_view(key: str, state_key: str) -> None:
    viewer: _MountedViewer = st.session_state[state_key]
    viewer.selection = read_view(reported(key, "view"), viewer.run, viewer.serial) or viewer.selection


def _on_need(key: str, state_key: str) -> None:
    viewer: _MountedViewer = st.session_state[state_key]
    need = reported(key, "need")
    if not isinstance(need, dict):
        return
    names = need.get("names")
    if need.get("run") != viewer.run.record.id:  # the viewer was mounted anew and has no run yet
        viewer.payload = b""
        return
    if isinstance(names, list) and len(names) <= MAX_SECTIONS and all(has_section(name, viewer.run) for name in names):
        viewer.requested = tuple(dict.fromkeys(names))
