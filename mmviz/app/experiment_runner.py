"""Experiments on the run on the screen: they run in the background, show progress, can be stopped, and are kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.jobs import Job
from mmviz.app.session_state import State
from mmviz.backends import Backend, Progress, Stop
from mmviz.experiments.removals import Baseline
from mmviz.experiments.time_estimates import seconds_left
from mmviz.explain import Run
from mmviz.i18n.page import say
from mmviz.report.duration_words import duration_words
from mmviz.types import MmvizError, Request

T = TypeVar("T")
QUICK = 0.4
"""Seconds that an experiment may take before the page shows its progress."""

ABSENCE = 10.0
"""Seconds without a connection after which a visitor has left; a browser connects again within a few."""


@dataclass(frozen=True)
class ExperimentRunner:
    """Runs experiments on one run, and keeps their results until another run is shown."""

    state: State
    """The visitor's state, which holds the experiments with their results."""
    run: Run
    """The run that the experiments are on: the one on the screen."""
    request: Request
    """The request that ``run`` came from."""
    backend: Callable[[], Backend]
    """Returns the backend on which variants of ``run`` are made."""

    def measure(
        self, name: tuple[object, ...], work: Callable[[Progress, Stop], T], most_seconds: float | None = None
    ) -> T | None:
        """Returns the result of ``work``, which is called once for each ``name``.

        ``most_seconds`` is how long it takes at most, where that is known. Returns None while it is in progress, and
        after an error or a stop without a result; the page then says so.
        """
        key = (self.run.record.id, *name)
        experiments = self.state.experiments
        if key not in experiments:
            experiments[key] = Job(work, visitor_left())
        job: Job[T] = experiments[key]
        if not job.wait(QUICK):
            _progress(key, most_seconds)
            return None
        if job.error is not None:
            is_known = isinstance(job.error, MmvizError)
            page_elements.note(str(job.error) if is_known else say("experiment-unexpected"), "error")
        elif job.is_stopped:
            code = "experiment-stopped" if job.of else "experiment-stopped-early"
            page_elements.note(say(code, done=job.done, of=job.of), "remark")
        if job.error is not None or job.is_stopped:
            label, widget_key = say("experiment-again"), f"experiment-again-{_widget_key(key)}"
            st.button(label, key=widget_key, on_click=_discard, args=(key,))
        return job.result


def visitor_left() -> Stop:
    """Returns a function for another thread: whether the visitor of this script run has been away for `ABSENCE`."""
    context = get_script_run_ctx()
    session_id = "" if context is None else context.session_id
    away_since: float | None = None

    def has_left() -> bool:
        nonlocal away_since
        if not runtime.exists() or runtime.get_instance().is_active_session(session_id):
            away_since = None
            return False
        away_since = away_since or time.monotonic()
        return time.monotonic() - away_since > ABSENCE

    return has_left


def baseline_select(key: str, default: Baseline = "learned") -> Baseline:
    """Draws a box to choose the baseline in, and returns the choice."""
    baselines = get_args(Baseline)
    choice: Baseline = st.selectbox(
        say("baseline"), baselines, index=baselines.index(default), key=key,
        format_func=lambda baseline: say(f"baseline-{baseline}"), help=say("baseline-help"),
    )  # fmt: skip
    return choice


def _widget_key(key: tuple[object, ...]) -> str:
    """Returns the key of an experiment as part of a widget's key."""
    return "-".join(str(part) for part in key[1:]).replace(":", "-")


def _stop(key: tuple[object, ...]) -> None:
    """Stops an experiment, unless it is gone."""
    job = session.current_state().experiments.get(key)
    if job is not None:
        job.stop()


def _discard(key: tuple[object, ...]) -> None:
    """Drops an experiment that has ended, so that it is begun again; not one that a click before has begun."""
    experiments = session.current_state().experiments
    if key in experiments and experiments[key].wait(0):
        del experiments[key]


@st.fragment(run_every=0.4)
def _progress(key: tuple[object, ...], most_seconds: float | None = None) -> None:
    """Draws the progress of an experiment, how long it still takes, and a button that stops it; draws the page anew
    once it has finished."""
    state = session.current_state()
    job = state.experiments.get(key)
    if job is None or job.wait(0):
        st.rerun()
    widget_key = _widget_key(key)
    with st.container(horizontal=True, vertical_alignment="center", key=f"experiment-progress-{widget_key}"):
        label, hint = say("stop"), say("experiment-stop-help")
        st.button(label, key=f"experiment-stop-{widget_key}", help=hint, on_click=_stop, args=(key,))
        share = job.done / job.of if job.of else 0.0
        st.progress(share, progress_text(job, most_seconds))


def progress_text(job: Job[Any], most_seconds: float | None) -> str:
    """Returns how far a job is, and how much longer it takes: by what is done, else at most ``most_seconds``."""
    left = seconds_left(job.done, job.of, job.seconds_to_done)
    if left is not None:
        left = max(left - (job.seconds - job.seconds_to_done), 0.0)  # part of it has passed since the last report
        return say("experiment-left", done=job.done, of=job.of, seconds=job.seconds, left=duration_words(left))
    if most_seconds is not None and most_seconds > job.seconds:
        return say("experiment-most", seconds=job.seconds, most=duration_words(most_seconds))
    code = "experiment" if job.of else "experiment-elapsed"
    return say(code, done=job.done, of=job.of, seconds=job.seconds)
