"""The results of a run: its answer, the top five, and the banners and notices about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from mmviz.analysis.answer_shares import written_log_probability
from mmviz.analysis.available_maps import map_words
from mmviz.analysis.unsure_answers import unsure_answers
from mmviz.app import run_change_actions
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.components.route_names import cuts_text
from mmviz.backends.fallback import CODE
from mmviz.explain import Run
from mmviz.i18n.language import join_list, join_sentences
from mmviz.i18n.page import say
from mmviz.types import AblateHead, Answer, AttentionRecord, CutRoute

OUT_OF_DISTRIBUTION = (
    "image-out-of-distribution",
    "audio-out-of-distribution",
    "question-out-of-distribution",
    "question-word",
    "answer-unsure",
)
"""Notices that put the answer itself in doubt, and so stand first."""


def results(run: Run, is_outdated: bool) -> None:
    """Draws the results of ``run``; ``is_outdated``: the form has changed since."""
    record, state = run.record, session.current_state()
    page_elements.weight_banners(record)
    if record.has_change(AblateHead):
        page_elements.note(say("heads-ablated", heads=_ablated_heads(run)), "banner")
    if record.has_change(CutRoute):
        _cut_routes_banner(run)
    first, second = st.columns([1.2, 1], gap="medium", vertical_alignment="center")
    with first:
        verdict, kind = ("", "unknown") if is_outdated else _verdict(record.answers)
        origin, details = _origin(record.made_by, state.is_saved)
        changed = say("changed") if is_outdated else ""
        page_elements.answer(_shown_answer(record), verdict, kind, origin, details, changed)
    with second:
        written = written_text(record)
        if written:
            page_elements.note(written)
        elif record.answers:
            page_elements.top_answers(record.answers)
    if not is_outdated:
        _notices(run)


def _notices(run: Run) -> None:
    """Draws the notices in one line that unfolds: first those that put the answer itself in doubt."""
    notices = [notice for notice in (*run.sample.notices, *run.record.notices) if notice.code != CODE]
    doubts = [str(notice) for notice in notices if notice.code in OUT_OF_DISTRIBUTION]
    rest = [str(notice) for notice in notices if notice.code not in OUT_OF_DISTRIBUTION]
    if notices:
        page_elements.folded_notices(doubts, rest)


def _ablated_heads(run: Run) -> str:
    """Returns the heads that are ablated in the run, in words, as its file names them where there is no request."""
    record, changes = run.record, run.request.changes if run.request else ()
    heads = [map_words(record.map_ref(head.map, head.head), record) for head in changes if isinstance(head, AblateHead)]
    return join_list(heads or [text for text in record.made_by["changes"] if "AblateHead" in text])


def _cut_routes_banner(run: Run) -> None:
    """Says which routes are cut in the run, with a button that restores those which the visitor cut."""
    cuts = [change for change in run.request.changes if isinstance(change, CutRoute)] if run.request else []
    routes = (
        cuts_text(run.record, cuts)
        if cuts
        else join_list(text for text in run.record.made_by["changes"] if "CutRoute" in text)
    )
    with st.container(horizontal=True, vertical_alignment="center", key="routes-cut-in-run"):
        page_elements.note(say("routes-cut-in-run", routes=routes), "banner")
        if session.current_state().cut_routes:
            label, hint = say("routes-restore-run"), say("routes-restore-run-help")
            st.button(label, key="routes-restore-run", help=hint, on_click=run_change_actions.cut_routes, args=((),))


def written_text(record: AttentionRecord) -> str:
    """Returns how probable a written answer is, or the part of it that the run is about; empty for any other model."""
    log_p, part = written_log_probability(record), record.made_by.get("answer_part", ())
    if log_p is None:
        return ""
    count = len(part) or len(record.made_by["answer"])
    text = say("written-about" if part else "written-whole", total=log_p, count=count, mean=log_p / count)
    return join_sentences([text, say("written-help")])


def _shown_answer(record: AttentionRecord) -> str:
    """Returns the likeliest answer; that the model is not sure, and its likeliest answers; or that there is none."""
    if unsure := unsure_answers(record):
        return say("not-sure", answers=join_list(answer.label for answer in unsure))
    return record.answers[0].label if record.answers else say("no-answer")


def _verdict(answers: tuple[Answer, ...]) -> tuple[str, str]:
    """Returns a sentence on whether the likeliest answer is correct, and its kind: true, wrong or unknown."""
    state = session.current_state()
    example = state.run_example
    if not answers:
        return "", "unknown"
    if example is None or example.truth is None:
        return say("truth-unknown"), "unknown"
    if state.run_config.spec is not None and not _can_answer([answer.label for answer in answers], example.truth):
        return say("truth-unknown"), "unknown"
    if example.is_right(answers[0].label):
        return say("right"), "true"
    return say("wrong", answer=answers[0].label, truth=example.truth), "wrong"


def _origin(made_by: Mapping[str, Any], is_saved: bool) -> tuple[str, str]:
    """Returns where and how fast the run was computed, in short and in full."""
    times = made_by.get("milliseconds", {})
    prepare, forward, capture = (float(times.get(stage, 0)) for stage in ("prepare", "model", "capture"))
    device_id = str(made_by.get("device"))
    device = {"cpu": "CPU", "cuda": "GPU"}.get(device_id.split(":")[0], device_id)
    host = made_by.get("backend")
    code = "computed-there" if host else "computed"
    if is_saved:
        code = "saved-run"
    elif made_by.get("recorded"):
        code = "recorded"
    origin = say(code, model=made_by.get("model"), device=device, milliseconds=forward + capture, host=host)
    details = say(
        "computed-help", name=", ".join(str(made_by[name]) for name in ("device_name", "dtype") if made_by.get(name)),
        prepare=prepare, forward=forward, capture=capture, parity=float(made_by.get("parity") or 0),
    )  # fmt: skip
    if host:
        queue, network = (float(times.get(stage, 0)) for stage in ("queue", "network"))
        details = join_sentences([details, say("computed-there-help", host=host, queue=queue, network=network)])
    return origin, details


def _can_answer(labels: Sequence[str], truth: str) -> bool:
    """Returns whether the expected answer is among the ``labels`` that a model can answer."""
    return truth.strip().casefold() in {label.strip().casefold() for label in labels}
