"""The words of a written answer: how probable each is without some inputs, and which of them effects are about."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from mmviz.app import run_change_actions
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.session_state import State
from mmviz.backends import Backend
from mmviz.experiments.language_prior import LanguagePrior, measure_language_prior
from mmviz.explain import Run
from mmviz.i18n.page import say
from mmviz.i18n.unicode_display import replace_invisible
from mmviz.report.prior_and_similarity import prior_table
from mmviz.types import AttentionRecord, MmvizError

PRIOR = "prior"
"""The name of the experiment, and of its button."""


def answer_words(state: State, run: Run, backend: Callable[[], Backend], is_outdated: bool) -> None:
    """Draws the language prior of an answer, once it is requested, and the choice of its words.

    Nothing for a model that writes no answer, and for a run that this page cannot make again.
    """
    if not run.record.made_by.get("answer") or state.is_saved:
        return
    try:
        runner = ExperimentRunner(state, run, run.rerun_request(), backend)
    except MmvizError:
        return
    with st.container(key="answer-words", border=True):
        _language_prior(runner)
        _words_choice(run.record, is_outdated)


def measured_prior(state: State, run: Run) -> LanguagePrior | None:
    """Returns the language prior of ``run`` where the page has measured it."""
    job = state.experiments.get((run.record.id, PRIOR))
    return None if job is None else job.result


def _language_prior(runner: ExperimentRunner) -> None:
    page_elements.heading(say("prior"), say("prior-help"))
    page_elements.note(say("prior-help"))
    place = st.empty()
    is_asked = (runner.run.record.id, PRIOR) in runner.state.experiments
    if not is_asked and not place.button(say("prior-measure"), key=PRIOR):
        return
    place.empty()
    prior = runner.measure(
        (PRIOR,),
        lambda progress, stop: measure_language_prior(runner.backend(), runner.request, progress, stop),
    )
    if prior is None:
        return
    if len(prior.removed) > 1:
        st.html(prior_table(prior))
    for modality in prior.required:
        page_elements.note(say("prior-required", modality=say(f"the-{modality}")), "remark")
    if len(prior.removed) == 1 and not prior.required:
        page_elements.note(say("prior-nothing"), "remark")


def _words_choice(record: AttentionRecord, is_outdated: bool) -> None:
    """Draws a box for the words that answers, effects and gradients are about, and buttons that run the model so."""
    page_elements.heading(say("words"), say("words-help"))
    page_elements.note(say("words-help"))
    labels = words_of(record)
    part = list(record.made_by.get("answer_part", ()))
    with st.form("answer-part", border=False):
        st.multiselect(
            say("words-choice"), list(range(len(labels))), part, key=_key(record.id), placeholder=say("words-whole"),
            format_func=lambda number: f"{number + 1}: {labels[number]}",
        )  # fmt: skip
        st.form_submit_button(say("words-run"), on_click=_apply, args=(record.id,), disabled=is_outdated)
    if is_outdated:
        page_elements.note(say("words-outdated"))


def words_of(record: AttentionRecord) -> list[str]:
    """Returns the words of the answer as they are shown."""
    count = len(record.made_by["answer"])
    tokens = record.streams[record.made_by["answer_token"][0]][-count:]
    return [replace_invisible(token.label) for token in tokens]


def _apply(record_id: str) -> None:
    run = session.current_state().shown_run(record_id)
    if run is not None:
        part = tuple(sorted(st.session_state[_key(record_id)]))
        run_change_actions.choose_words(tuple(run.record.made_by["answer"]), part)


def _key(record_id: str) -> str:
    return f"answer-part-{record_id}"
