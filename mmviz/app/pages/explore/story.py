"""The strip of cards that tells the story of an answer, and the way from each card into the viewer.

A recorded run of the gallery has its story, which stands there at once. Of any other run it is traced on request, so
that the first view never waits for it.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from mmviz.analysis.route_attention import group_members
from mmviz.app import resources, run_links, session_actions
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.components.table_downloads import table_downloads
from mmviz.app.effect_and_story import Trace, measure_trace
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.pages.explore.answer_words import words_of
from mmviz.app.reproduce_command import table_command
from mmviz.app.selection import Selection
from mmviz.app.session_state import State
from mmviz.backends import Backend
from mmviz.experiments.modality_shapley import Effect
from mmviz.experiments.story import Story, about_word
from mmviz.experiments.story_search import Step, most_cuts
from mmviz.experiments.time_estimates import most_seconds
from mmviz.explain import Run
from mmviz.i18n.language import join_sentences
from mmviz.i18n.page import say
from mmviz.report.story_cards import step_card, story_verdict
from mmviz.report.story_table import story_table
from mmviz.types import ANSWER, AttentionMap, AttentionRecord, MmvizError, Request

STORY = "story"
"""The name of the experiment, and of its button."""


def story_strip(state: State, run: Run, backend: Callable[[], Backend], is_outdated: bool) -> None:
    """Draws the recorded story of the answer, else the story traced on request; of a written answer
    that of a chosen word.

    Nothing for a run without answers, and for one that this page cannot make again.
    """
    if not run.record.answers or state.is_saved:
        return
    recorded = resources.recorded_story(run.record)
    if recorded is not None:
        with st.container(key="story-strip"):
            page_elements.heading(say("story"), join_sentences([say("story-help"), say("story-recorded")]))
            _cards(run, run.record, recorded, None)
        if run.request is not None:
            _downloads(state, run.request, run.record, recorded)
        return
    try:
        runner = ExperimentRunner(state, run, run.rerun_request(), backend)
    except MmvizError:
        return
    with st.container(key="story-strip"):
        word = _word(state, run.record)
        request, record = (runner.request, run.record) if word is None else about_word(runner.request, run.record, word)
        name, trace = (STORY, word), state.traces.get(word)
        place = st.empty()
        if trace is None and (run.record.id, *name) not in state.experiments:
            if is_outdated or not place.button(say("story-trace"), key=STORY, help=say("story-trace-help")):
                return
            place.empty()
        page_elements.heading(say("story"), say("story-help"))
        if trace is None:
            trace = runner.measure(
                name,
                lambda progress, stop: measure_trace(runner.backend(), request, record, progress, stop),
                most_seconds(record, most_cuts(record)),
            )
            if trace is not None and trace.is_complete:
                run_links.keep_trace(state, word, trace)
        if trace is not None and trace.story is not None:
            _cards(run, record, trace.story, word)
    if trace is not None and trace.story is not None:
        _downloads(state, request, record, trace.story)


def told_story(state: State, record: AttentionRecord) -> Story | None:
    """Returns the story of a record that the page shows: recorded, or traced, of a written answer for a word."""
    recorded = resources.recorded_story(record)
    if recorded is not None:
        return recorded
    trace = _traced(state, record)
    return None if trace is None else trace.story


def shown_effect(state: State, record: AttentionRecord) -> Effect | MmvizError | None:
    """Returns the effect of each modality on the answer of a record: recorded, or measured with its story."""
    recorded = resources.recorded_effect(record)
    if recorded is not None:
        return recorded
    trace = _traced(state, record)
    return None if trace is None else trace.effect


def can_trace(run: Run, state: State) -> bool:
    """Returns whether the page can make ``run`` again, with changes."""
    try:
        run.rerun_request()
    except MmvizError:
        return False
    return bool(run.record.answers) and not state.is_saved


def _traced(state: State, record: AttentionRecord) -> Trace | None:
    word = st.session_state.get(f"story-word-{record.id}")
    job = state.experiments.get((record.id, STORY, word))
    return state.traces.get(word) if job is None else job.result


def _word(state: State, record: AttentionRecord) -> int | None:
    """Draws a box for the word of a written answer, at first one that was traced; None for an answer that is not
    written, or a chosen part of it."""
    if not record.made_by.get("answer") or record.made_by.get("answer_part"):
        return None
    words = words_of(record)
    traced = max((word for word in state.traces if word is not None), default=0)
    choice: int = st.selectbox(
        say("story-word"), range(len(words)), index=traced, key=f"story-word-{record.id}",
        format_func=lambda number: f"{number + 1}: {words[number]}",
    )  # fmt: skip
    return choice


def _cards(run: Run, record: AttentionRecord, story: Story, word: int | None) -> None:
    verdict = story_verdict(story)
    if verdict:
        page_elements.note(verdict, "remark")
    if not story.steps:
        return
    with st.container(horizontal=True, gap="small", key="story-cards"):
        for number, step in enumerate(story.steps, start=1):
            with st.container(border=True, key=f"story-card-{number}"):
                st.html(step_card(run, step, number))
                st.button(
                    say("story-show"), key=f"story-show-{number}", help=say("story-show-help"), type="tertiary",
                    on_click=show_step, args=(record.id, word, step),
                )  # fmt: skip


def _downloads(state: State, request: Request, record: AttentionRecord, story: Story) -> None:
    """Draws the story as a table, in a popover below the strip, which stays on the first screen."""
    with st.popover(say("story-table"), help=say("story-table-help"), key="story-table", type="tertiary"):
        table_downloads(story_table(request, record, story, table_command(state, request, "story")))


def show_step(record_id: str, word: int | None, step: Step) -> None:
    """Opens the viewer on a step: on the layer where its queries attend to its keys most, with its tokens selected.

    Selected are the queries where they are the answer token or chosen ones; of a whole modality, the keys. ``word``:
    the word of a written answer whose story it is.
    """
    state = session.current_state()
    run = state.shown_run(record_id)
    if run is None:  # clicked while another run was being made
        return
    record = run.record if word is None else about_word(run.rerun_request(), run.record, word)[1]
    best, place = -1.0, None
    for number, attn_map in enumerate(record.maps):
        is_inside = any(
            (not window.stack or window.stack == attn_map.stack)
            and (not window.layers or attn_map.layer in window.layers)
            for window in step.windows
        )
        rows = group_members(record, step.queries, attn_map.queries)
        columns = group_members(record, step.keys, attn_map.keys)
        if not is_inside or not rows.any() or not columns.any():
            continue
        share = (
            float(attn_map.weights[:, rows][:, :, columns].sum(2).mean()) if isinstance(attn_map, AttentionMap) else 0.0
        )
        if share > best:
            best, place = share, (number, rows, columns)
    if place is None or state.selection is None:
        return
    number, rows, columns = place
    is_from = step.queries == ANSWER or bool(step.query_tokens(record))
    tokens = tuple(int(k) for k in (rows if is_from else columns).nonzero()[0])
    before = state.selection
    session_actions.show_in_viewer(
        Selection(tokens, (), "from" if is_from else "to", record.map_ref(number), before.style, before.scale)
    )
