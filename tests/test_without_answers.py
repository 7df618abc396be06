"""A model that attends and gives no answers: what measures an answer says so in one sentence, the rest works."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from answerless_model import answerless
from app_page import markup, notes, now, press, run, settled, visit

import mmviz
from mmviz.backends.local import LocalBackend
from mmviz.cli import main
from mmviz.experiments.audit import evaluate_examples
from mmviz.experiments.faithfulness import measure_faithfulness
from mmviz.experiments.head_ablation import measure_head_ablation
from mmviz.experiments.head_edges import measure_head_edges
from mmviz.experiments.lens import measure_lens
from mmviz.experiments.modality_shapley import measure_modality_effect
from mmviz.experiments.route_cut import measure_routes
from mmviz.experiments.story import measure_story
from mmviz.i18n.errors_and_notices import sentence
from mmviz.inputs.examples import load_gallery
from mmviz.types import Answer, MmvizError
from mmviz.types.best_answer import best_answer

MODEL = "answerless_model:answerless"
REFUSAL = sentence("answer-none", model="answerless")
INPUTS = ["--text", "two words", "--model", MODEL]
OF_ANSWERS = ("effect", "routes", "heads", "lens", "faithfulness")


@pytest.fixture(scope="module")
def answerless_run() -> mmviz.Run:
    backend = LocalBackend("cpu", {"answerless": answerless()})
    return mmviz.explain(text="two words", model="answerless", backend=backend)


def test_the_best_answer_is_the_first(answerless_run: mmviz.Run) -> None:
    record = answerless_run.record
    assert record.answers == () and record.maps, "it attends all the same"
    answers = (Answer("two", 0.5, 1), Answer("one", 0.25, 0))
    assert best_answer(mmviz.types.AttentionRecord("id", record.streams, record.maps, answers, {})) == answers[0]


@pytest.mark.parametrize(
    "measure",
    [
        lambda run: run.effect(),
        lambda run: run.story(),
        lambda run: measure_modality_effect(run.backend, run.request),
        lambda run: measure_routes(run.backend, run.request, run.record),
        lambda run: measure_head_ablation(run.backend, run.request, run.record),
        lambda run: measure_head_edges(run.backend, run.request, run.record, 1, 0),
        lambda run: measure_faithfulness(run.backend, run.request, run.record, {}, "mean"),
        lambda run: measure_story(run.backend, run.request, run.record),
        lambda run: measure_lens(run.backend, run.request),
    ],
    ids=["effect", "story", "shapley", "routes", "heads", "edges", "methods", "story-steps", "lens"],
)
def test_what_measures_an_answer_needs_one(answerless_run: mmviz.Run, measure: Callable[[mmviz.Run], Any]) -> None:
    with pytest.raises(MmvizError) as refused:
        measure(answerless_run)
    assert refused.value.code == "answer-none" and str(refused.value) == REFUSAL


@pytest.mark.parametrize(
    "command",
    [["effect"], ["routes"], ["heads"], ["heads", "--edges", "1:0"], ["methods"], ["lens"], ["story"]],
    ids=" ".join,
)
def test_a_command_that_measures_an_answer_prints_why_it_does_not(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *INPUTS]) == 2
    out, err = capsys.readouterr()
    progress, _, last = err.rstrip("\n").rpartition("\n")
    assert (out, last) == ("", f"mmviz: {REFUSAL}"), "one sentence, and no estimate of what does not happen"
    assert not progress or command == ["lens"], "which is little more than the run itself, and shows its progress"


@pytest.mark.slow
def test_attention_is_compared_and_averaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *INPUTS, "--other-text", "other words"]) == 0
    assert "answer:" not in capsys.readouterr().out
    path = tmp_path / "maps.csv"
    assert main(["average", "--model", MODEL, "--table", "maps", "--csv", str(path)]) == 0
    assert len(list(csv.DictReader(path.open(newline="", encoding="utf-8")))) > 0
    capsys.readouterr()
    assert main(["average", "--model", MODEL]) == 0
    assert sentence("average-answers") in capsys.readouterr().out


def test_gradients_of_no_answer_are_left_out() -> None:
    backend = LocalBackend("cpu", {"answerless": answerless()})
    request = mmviz.types.Request("answerless", load_gallery()[0].sample(), relevance=True)
    for records in (backend.run([replace(request, integrated=True)]), backend.run([request, request])):
        assert all(r.maps and r.relevance is None and r.integrated is None and not r.answers for r in records)


def test_every_example_of_an_audit_is_skipped_with_the_reason() -> None:
    backend, examples = LocalBackend("cpu", {"answerless": answerless()}), load_gallery()[:2]
    assessments, skipped = evaluate_examples(backend, "answerless", examples)
    assert assessments == [] and [(name, str(error)) for name, error in skipped] == [
        (example.id, REFUSAL) for example in examples
    ]


@pytest.mark.slow
def test_the_sections_of_the_page_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMVIZ_MODEL", MODEL)
    page = visit(page="debug", section="effect")
    assert now(page).run is not None
    for section in OF_ANSWERS:
        page = press(run(page), f"section-{section}")
        (error,) = notes(page, "error")
        assert REFUSAL in error and not now(page).experiments, "nothing is measured"
    page = settled(press(page, "section-compare"))
    assert not notes(page, "error") and "class='compare-card'" in markup(page)
