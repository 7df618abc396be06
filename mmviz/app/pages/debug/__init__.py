"""The page Debug: what the answer depends on, measured, beside what attention shows. A file for each part of it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from mmviz.app import link
from mmviz.app import session_state as keep
from mmviz.app.components import widgets
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.pages.debug.audit import health
from mmviz.app.pages.debug.compare import compare
from mmviz.app.pages.debug.faithfulness import faith
from mmviz.app.pages.debug.heads import heads
from mmviz.app.pages.debug.modality_effect import effect
from mmviz.app.pages.explore.results import strip
from mmviz.backends import Backend
from mmviz.explain import Run
from mmviz.i18n.page import say
from mmviz.types import MmvizError

_PARTS: dict[keep.Section, Callable[[ExperimentRunner], None]] = {
    "effect": effect, "heads": heads, "faith": faith, "compare": compare, "health": health,
}  # fmt: skip


@st.fragment
def debug(run: Run, backend: Callable[[], Backend], is_old: bool) -> None:
    """The answer, and the part of the page that is open; ``backend`` gives where variants of ``run`` are run."""
    now = keep.state()
    if now.asked:  # a button in here wants another run, which the whole page makes
        st.rerun()
    assert now.selection is not None  # there is one with every run
    link.note(now, now.selection)
    strip(run, now.shown, is_old)
    with st.container(horizontal=True, key="sections", gap="small"):
        for section in keep.SECTIONS:
            label, hint = say(f"section-{section}"), say(f"section-{section}-help")
            key = f"section-{section}"
            st.button(label, key=key, help=hint, type="tertiary", on_click=keep.open_section, args=(section,))
    widgets.here(f"section-{now.section}")
    try:
        bench = ExperimentRunner(now, run, run.asked(), backend)
    except MmvizError as refusal:
        widgets.note(str(refusal), "refusal")
        return
    _PARTS[now.section](bench)
