"""Confidence by hand: temperature, calibration error, and what is said where a model is not sure."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mmviz
from mmviz.analysis.unsure_answers import unsure_answers
from mmviz.i18n.language import use_language
from mmviz.models.confidence import confidence, expected_calibration_error, fitted_temperature, unsure_notices
from mmviz.present import make_talk
from mmviz.report.answer_title import answer_title
from mmviz.report.json_summary import run_summary
from mmviz.report.noscript_content import document_content
from mmviz.report.run_report import RunReport
from mmviz.report.run_report_html import report_html
from mmviz.training.evaluate.calibration import Calibration, tables
from mmviz.types import Answer, AttentionRecord, Sample
from mmviz.types.maps import AttentionMap
from mmviz.types.tokens import Modality, Token


def answers(*probabilities: float) -> tuple[Answer, ...]:
    return tuple(Answer(f"word {k}", p, k) for k, p in enumerate(probabilities))


def test_a_temperature_above_one_makes_less_sure() -> None:
    assert confidence([0.8, 0.2], 1) == pytest.approx(0.8)
    assert confidence([0.8, 0.2], 2) == pytest.approx(2 / 3)  # odds of 4 become odds of 2
    assert confidence([0.5, 0.5], 0.1) == pytest.approx(0.5)
    assert confidence([1.0, 0.0, 0.0], 3) == pytest.approx(1)


def test_the_calibration_error_by_hand() -> None:
    confidences = np.array([0.95, 0.95, 0.95, 0.95, 0.15])
    is_right = np.array([True, True, False, False, False])
    assert expected_calibration_error(confidences, is_right) == pytest.approx((4 * 0.45 + 0.15) / 5)
    assert expected_calibration_error(np.array([1.0]), np.array([True])) == 0


def test_a_temperature_is_found_again() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (4_000, 5))
    odds = np.exp(logits)
    truths = np.array([rng.choice(5, p=row / row.sum()) for row in odds])
    assert fitted_temperature(logits * 2, truths) == pytest.approx(2, abs=0.15)
    assert fitted_temperature(logits, truths) == pytest.approx(1, abs=0.08)


def test_a_notice_names_the_three_likeliest_where_confidence_is_low() -> None:
    (notice,) = unsure_notices(answers(0.4, 0.3, 0.2, 0.1), 1)
    assert notice.code == "answer-unsure"
    assert all(f"word {k} ({share}.0%)" in str(notice) for k, share in enumerate((40, 30, 20)))
    assert not unsure_notices(answers(0.9, 0.06, 0.03, 0.01), 1)
    assert unsure_notices(answers(0.9, 0.06, 0.03, 0.01), 4), "a model that was too sure"
    assert not unsure_notices(answers(0.4, 0.35, 0.25), 0.2)


def run_with(probabilities: tuple[float, ...]) -> mmviz.Run:
    tokens = (Token(Modality.SPECIAL, "answer"),)
    weights = np.ones((1, 1, 1), np.float32)
    shown = answers(*probabilities)
    record = AttentionRecord(
        "one", {"tokens": tokens}, (AttentionMap("0", 0, "tokens", "tokens", weights),), shown,
        {"model": "trio", "device_name": "CPU"},
    )  # fmt: skip
    return mmviz.Run(Sample(None, "what is it"), replace(record, notices=unsure_notices(shown, 1.0)))


def test_the_summary_says_not_sure_with_three_answers(tmp_path: Path) -> None:
    unsure, sure = run_with((0.4, 0.3, 0.2, 0.1)), run_with((0.7, 0.2, 0.05, 0.05))
    assert [answer["label"] for answer in run_summary(unsure)["not_sure"]] == ["word 0", "word 1", "word 2"]
    assert run_summary(sure)["not_sure"] == [] and unsure_answers(sure.record) == ()
    (tmp_path / "run.npz").write_bytes(unsure.to_bytes())
    assert len(unsure_answers(mmviz.Run.load(tmp_path / "run.npz").record)) == 3, "saved runs say so, too"


def test_documents_lead_with_the_same_verdict_in_the_same_digits() -> None:
    for probabilities, title in (
        ((0.4, 0.3, 0.2, 0.1), "Not sure: word 0 40.0%, word 1 30.0%, word 2 20.0%"),
        ((0.9996, 0.0004), "Answer: word 0 (100.0%)"),
    ):
        run = run_with(probabilities)
        assert answer_title(run.record) == title == document_content(run, run.map_ref, 0).title
        assert f"<h1>{title}</h1>" in report_html(RunReport(run, (), None, "")).decode()
        talk = make_talk(run)
        assert talk.slides[1].title == title
        assert re.findall("<b>([^<]*%)</b>", talk.to_html()) == [f"{share:.1%}" for share in probabilities]
    with use_language("zh"):
        assert "没有把握" in answer_title(run_with((0.4, 0.3, 0.2, 0.1)).record)


def test_the_table_of_calibration_counts_answers() -> None:
    calibration = Calibration(1.0)
    for probabilities, truth in (((0.8, 0.1, 0.1), "word 0"), ((0.4, 0.3, 0.3), "word 1"), ((0.9, 0.05, 0.05), "x")):
        calibration.add(run_with(probabilities).record, truth)
    figures = calibration.figures()
    assert figures["ece"] == pytest.approx((0.2 + 0.4 + 0.9) / 3)
    assert figures["not sure"] == pytest.approx(1 / 3)
    assert figures["right where sure"] == 0.5 and figures["right where not sure"] == 0
    assert "| own | 0.500 | 0.500 | 0.333 | 0.500 | 0.000 |" in tables({"own": figures})
