"""What is being measured of a run: worked out beside the page, with progress and a stop, and kept until another run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

import streamlit as st

from mmviz.app import session_state as keep
from mmviz.app.components import widgets
from mmviz.app.jobs import Job
from mmviz.app.session_state import State
from mmviz.backends import Backend, Progress, Stop
from mmviz.experiments.modality_shapley import Baseline
from mmviz.explain import Run
from mmviz.i18n.page import say
from mmviz.types import MmvizError, Request

T = TypeVar("T")
QUICK = 0.4
"""Seconds that something may take before the page says that it is under way."""


@dataclass(frozen=True)
class ExperimentRunner:
    """``run``, the ``request`` it came from, and where variants of it are run: ``backend()``."""

    now: State
    run: Run
    request: Request
    backend: Callable[[], Backend]

    def measured(self, name: tuple[object, ...], make: Callable[[Progress, Stop], T]) -> T | None:
        """What ``make`` gives, once for ``name``; None as long as it is not there, which the page then says."""
        key = (self.run.record.id, *name)
        works = self.now.works
        if key not in works:
            works[key] = Job(make)
        job: Job[T] = works[key]
        if not job.wait(QUICK):
            _under_way(key)
            return None
        if job.problem is not None:
            known = isinstance(job.problem, MmvizError)
            widgets.note(str(job.problem) if known else say("work-unexpected"), "refusal")
        elif job.is_stopped:
            code = "work-stopped" if job.of else "work-stopped-alone"
            widgets.note(say(code, done=job.done, of=job.of), "remark")
        if job.problem is not None or job.is_stopped:
            st.button(say("work-again"), key=f"work-again-{_called(key)}", on_click=_forget, args=(works, key))
        return job.result


def absent_box(key: str, first: Baseline = "learned") -> Baseline:
    """What taking away means, to choose from; at first ``first``."""
    every = get_args(Baseline)
    found: Baseline = st.selectbox(
        say("absent"), every, index=every.index(first), format_func=lambda one: say(f"absent-{one}"), key=key,
        help=say("absent-help"),
    )  # fmt: skip
    return found


def _called(key: tuple[object, ...]) -> str:
    """The key of a widget, for what goes by ``key``."""
    return "-".join(str(part) for part in key[1:]).replace(":", "-")


def _forget(works: dict[tuple[object, ...], Job[Any]], key: tuple[object, ...]) -> None:
    works.pop(key, None)


@st.fragment(run_every=0.4)
def _under_way(key: tuple[object, ...]) -> None:
    """How far it is, and a button that stops it; the page is drawn anew when it is done."""
    now = keep.state()
    job = now.works.get(key)
    if job is None or job.wait(0):
        now.resend = True
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", key=f"under-way-{_called(key)}"):
        st.button(say("stop"), key=f"work-stop-{_called(key)}", help=say("work-stop-help"), on_click=job.stop)
        share = job.done / job.of if job.of else 0.0
        words = say("work" if job.of else "work-alone", done=job.done, of=job.of, seconds=job.seconds)
        st.progress(share, words)
