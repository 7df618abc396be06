"""What is below the form: the answer, the viewer, and what stands beside what it shows."""

from __future__ import annotations

from typing import Any

import streamlit as st

from mmviz.app import link
from mmviz.app import session_state as keep
from mmviz.app.components import widgets
from mmviz.app.components.viewer import viewer
from mmviz.app.pages.explore.footer import foot
from mmviz.app.pages.explore.method_cards import ways
from mmviz.app.selection_view import SelectionView
from mmviz.app.setup import names_truth
from mmviz.backends.fallback import CODE
from mmviz.explain import Run
from mmviz.i18n.language import joined, listed
from mmviz.i18n.messages import sentence
from mmviz.i18n.page import say
from mmviz.inputs.examples import Example

FOREIGN = ("picture-foreign", "sound-foreign", "question-foreign", "question-word")
"""Notices that take the ground from under the answer, and so stand alone."""


@st.fragment
def look(run: Run, example: Example | None, is_old: bool) -> None:
    """Everything about ``run``; ``example`` where its truth is known; ``is_old``: the form holds something else by now.

    A change of view redraws only this part of the page.
    """
    now = keep.state()
    if now.asked:  # a button in here wants another run, which the whole page makes
        st.rerun()
    assert now.selection is not None  # there is one with every run
    seen = SelectionView(run, now.selection)
    link.note(now, seen.selection)
    with st.container():
        strip(run, example, is_old)
    viewer(now, run)
    remarks = [words for words in (seen.spread_words, seen.sink_words) if words]
    if remarks:
        widgets.note(joined(remarks))
    ways(seen)
    foot(seen)


def strip(run: Run, example: Example | None, is_old: bool) -> None:
    """The answer, the top five, and what is to be known about both."""
    made, answers = run.record.made_by, run.record.answers
    if made.get("trained") is False:
        widgets.note(say("untrained"), "banner")
    if any("Uniform" in change for change in made.get("changes", ())):
        widgets.note(say("evened"), "banner")
    ablated_heads = keep.state().ablated_heads
    if any("HeadOff" in change for change in made.get("changes", ())):
        named = listed(sentence("way-head", layer=one.map + 1, head=one.head + 1) for one in ablated_heads)
        widgets.note(say("heads-off", heads=named), "banner")
    first, second, third = st.columns([1.2, 1.3, 1], gap="medium")
    with first:
        if not answers:
            verdict, kind = "", "unknown"
        elif example is None or not _could_know(example, [one.label for one in answers]):
            verdict, kind = say("truth-unknown"), "unknown"
        elif example.is_right(answers[0].label):
            verdict, kind = say("right"), "true"
        else:
            verdict, kind = say("wrong", answer=answers[0].label, truth=example.truth), "wrong"
        origin, details = _origin(made, keep.state().is_saved)
        if is_old:
            origin = say("origin-changed", origin=origin, changed=say("changed"))
        widgets.answer(answers, verdict, kind, origin, details)
    with second:
        if answers:
            widgets.top_answers(answers)
    notices = (*run.sample.notices, *run.record.notices)
    foreign = [notice for notice in notices if notice.code in FOREIGN]
    rest = [str(notice) for notice in notices if notice not in foreign and notice.code != CODE]
    with third:
        for notice in foreign:
            widgets.note(str(notice), "foreign")
        if rest:
            widgets.note(joined(rest), "notice")


def _could_know(example: Example, labels: list[str]) -> bool:
    """Whether the model, which may be the operator's own, has the true answer among its answers."""
    return example.truth is not None and (keep.state().setup.spec is None or names_truth(labels, example.truth))


def _origin(made: Any, is_saved: bool) -> tuple[str, str]:
    """Where and how fast it was computed: in short, and in full."""
    times = made.get("milliseconds", {})
    prepare, forward, capture = (float(times.get(stage, 0)) for stage in ("prepare", "model", "capture"))
    device = {"cpu": "CPU", "cuda": "GPU"}.get(str(made.get("device")).split(":")[0], str(made.get("device")))
    host = made.get("backend")
    code = "saved-run" if is_saved else "recorded" if made.get("recorded") else "computed-there" if host else "computed"
    origin = say(code, model=made.get("model"), device=device, milliseconds=forward + capture, host=host)
    details = say(
        "computed-help", name=made.get("device_name"), prepare=prepare, forward=forward, capture=capture,
        parity=float(made.get("parity") or 0),
    )  # fmt: skip
    if host:
        queue, network = (float(times.get(stage, 0)) for stage in ("queue", "network"))
        details = joined([details, say("computed-there-help", host=host, queue=queue, network=network)])
    return origin, details
