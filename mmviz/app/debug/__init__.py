"""The page Debug: what the answer depends on, measured, beside what attention shows. A file for each part of it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from mmviz.app import link, widgets
from mmviz.app import state as keep
from mmviz.app.debug.compare import compare
from mmviz.app.debug.effect import effect
from mmviz.app.debug.faith import faith
from mmviz.app.debug.heads import heads
from mmviz.app.debug.health import health
from mmviz.app.debug.measuring import Bench
from mmviz.app.look import strip
from mmviz.app.texts import say
from mmviz.backends import Backend
from mmviz.explain import Run
from mmviz.types import MmvizError

_PARTS: dict[keep.Section, Callable[[Bench], None]] = {
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
        bench = Bench(now, run, run.asked(), backend)
    except MmvizError as refusal:
        widgets.note(str(refusal), "refusal")
        return
    _PARTS[now.section](bench)
