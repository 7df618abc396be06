"""The page with a written answer: its language prior, effects on chosen words, and a stop while it is written."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
import tiny_checkpoints  # noqa: F401  # first: it sets what transformers reads
from app_page import EXAMPLES, AppTest, give, markup, notes, now, press, record_of, run, settled, visit, wav

from mmviz.app import run_launcher
from mmviz.app.jobs import Job
from mmviz.backends.local.backend import this_machine
from mmviz.figures.signed_colours import signed
from mmviz.i18n.page import say
from mmviz.models.huggingface.chat_model import ChatModel
from mmviz.types import AttentionRecord, Request

pytestmark = pytest.mark.slow
PATIENCE = 20
"""Seconds; far more than a word takes."""


def test_the_prior_is_measured_and_words_are_chosen(qwen2_audio_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMVIZ_MODEL", f"hf:{qwen2_audio_folder}")
    page = visit()
    give(page, "audio", "sound.wav", wav())
    press(run(page), "run")
    first = record_of(page)
    assert first.answer_log_probabilities is not None and len(first.made_by["answer"]) == 32
    total = float(first.answer_log_probabilities[0].sum())
    words = f"−{-total:.1f} nats for {len(first.made_by['answer'])} tokens"
    assert any(words in note for note in notes(page, "plain"))
    assert say("prior-caption") not in markup(page), "it is measured on request alone"
    settled(press(page, "prior"))
    table = markup(page).split(say("prior-caption"))[1].split("</table>")[0]
    assert table.count("<tr") == 4, "words, two rows and their difference: this model reads no picture"
    assert (
        say("prior-without", modalities=say("the-image")) not in table
        and say("prior-without", modalities=say("the-audio")) in table
    )
    page.multiselect(key=f"answer-part-{first.id}").set_value([1, 3])
    page.button(key=f"FormSubmitter:answer-part-{say('words-run')}").click()
    run(page)
    second = record_of(page)
    assert second.made_by["answer"] == first.made_by["answer"] and second.made_by["answer_part"] == [1, 3]
    assert second.made_by["answer_token"][1] == first.made_by["answer_token"][1] + 1
    assert now(page).run.request.answer_part == (1, 3), "experiments are about these words"  # type: ignore[union-attr]
    press(page, "run")
    assert "answer_part" not in record_of(page).made_by, "another run is about the whole answer again"


@pytest.fixture
def other_answers(qwen2_audio_folder: Path) -> Callable[..., Any]:
    """Returns a function that makes a run of the model without the page."""
    spec = f"hf:{qwen2_audio_folder}"
    backend = this_machine(spec)
    return lambda sample, *changes, answer=(): backend.run([Request(spec, sample, changes, answer=answer)])[0]


def test_what_is_compared_with_a_written_answer_has_an_answer_of_its_own(
    qwen2_audio_folder: Path, other_answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMVIZ_MODEL", f"hf:{qwen2_audio_folder}")
    page = settled(visit(page="debug", section="compare"))
    option = page.selectbox("compare-with").value
    (other,) = (example for example in EXAMPLES if option == f"example/{example.id}")
    shown = now(page).experiments[record_of(page).id, "compare", option].result
    own = other_answers(other.sample())
    assert own.made_by["answer"] != record_of(page).made_by["answer"]
    assert (
        shown.record.made_by["answer"] == own.made_by["answer"]
        and shown.record.answers[0].label == own.answers[0].label
    )
    page.selectbox("compare-with").set_value("uniform")
    settled(run(page))
    uniform = now(page).experiments[record_of(page).id, "compare", "uniform"].result
    assert uniform.record.made_by["answer"] == record_of(page).made_by["answer"], "a control is about the same answer"


def verdict(page: AppTest) -> str:
    (text,) = re.findall(r"<p class='verdict'>(.*?)</p>", markup(page))
    return str(html.unescape(text))


def changed(before: AttentionRecord, after: AttentionRecord) -> str:
    """What is to be said where a written answer has the log-probability of ``before``, then that of ``after``."""
    first, second = (float(record.answer_log_probabilities[0].sum()) for record in (before, after))
    return say("written-change", change=signed(second - first), before=first, after=second)


@pytest.mark.long
def test_of_a_written_answer_nothing_but_its_probability_is_claimed(
    qwen2_audio_folder: Path, other_answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMVIZ_MODEL", f"hf:{qwen2_audio_folder}")
    page = settled(visit(page="debug", section="effect"))
    sample, record = now(page).run.sample, record_of(page)
    answer = tuple(record.made_by["answer"])
    page.selectbox("perturb-audio").set_value("remove")
    page = settled(run(page))
    without = other_answers(replace(sample, audio=None), answer=answer)
    assert other_answers(replace(sample, audio=None)).made_by["answer"] != list(answer), "it would write another"
    assert verdict(page) == f"{changed(record, without)} {say('written-kept')}"
    press(page, "section-routes")
    settled(press(settled(page), "routes-cell-answer-audio"))
    cuts = now(page).route_cuts
    assert (
        cuts
        and verdict(page) == f"{changed(record, other_answers(sample, *cuts, answer=answer))} {say('written-kept')}"
    )
    assert markup(page).count("class='route-answer'") == 1, "the answer that is kept stands there once"


def test_a_stop_ends_the_writing(qwen2_audio_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMVIZ_MODEL", f"hf:{qwen2_audio_folder}")
    page = visit()
    before = now(page).run
    generate, wait = ChatModel.generate, Job.wait
    has_begun, has_ended = threading.Event(), threading.Event()
    written: list[int] = []

    def held(self: ChatModel, prepared: Any, stop: Any, step: Any) -> tuple[int, ...]:
        def slow_step(done: int, of: int) -> None:
            step(done, of)
            has_begun.set()
            for _ in range(PATIENCE * 100):
                if stop():
                    break
                threading.Event().wait(0.01)

        try:
            answer = generate(self, prepared, stop, slow_step if not written else step)
            written.append(len(answer))
            return answer
        finally:
            has_ended.set()

    def wait_once(job: Job[Any], seconds: float) -> bool:
        assert has_begun.wait(PATIENCE)
        if seconds != run_launcher.QUICK:
            st.stop()
        return wait(job, 0)

    monkeypatch.setattr(ChatModel, "generate", held)
    monkeypatch.setattr(Job, "wait", wait_once)
    press(page, "run")
    assert "word 1 of at most 32" in markup(page), "the page says what it does"
    press(page, "stop")
    assert has_ended.wait(PATIENCE) and written == [1], "the model writes no further word"
    assert now(page).run is before and say("stopped") in markup(page)
