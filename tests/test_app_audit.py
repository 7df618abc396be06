"""The section Audit of the page Debug, without a browser."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from app_page import EXAMPLES, markup, notes, now, press, run, visit
from planted_pointing import POINTS_TO_IMAGE
from processes import wait_until
from streamlit.testing.v1 import AppTest
from test_pointing_heads import write_folder

from mmviz.app.pages.debug import audit as section
from mmviz.app.pages.debug import pointing
from mmviz.cli import _parser
from mmviz.experiments.audit import Assessment
from mmviz.experiments.modality_shapley import Effect
from mmviz.i18n.audit import audit_words
from mmviz.i18n.page import say
from mmviz.inputs.examples import load_examples
from mmviz.report.audit_report import Audit, meanings, rows, sentences, summary, table
from mmviz.report.pointing_table import heads_of
from mmviz.report.pointing_table import sentences as pointing_sentences
from mmviz.report.pointing_table import table as pointing_rows
from mmviz.report.result_table import ExperimentTable
from mmviz.types import Modality

ADDRESS = {"page": "debug", "section": "audit"}
TWO = [example for example in EXAMPLES if example.id in ("mask", "said")]
PATIENCE = 120
"""Seconds; far more than the audit of two examples takes."""


def measured(page: AppTest, baseline: str = "learned") -> Audit:
    """Returns the audit once it is finished, and draws it."""
    job = now(page).experiments[now(page).run.record.id, "audit", baseline]
    assert job.wait(PATIENCE)
    run(page)
    audit: Audit = job.result
    return audit


@pytest.fixture
def two_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two examples in place of the gallery, so that the audit is quick."""
    monkeypatch.setattr(section, "load_gallery", lambda: TWO)


@pytest.mark.slow
def test_the_table_its_terms_and_the_examples(two_examples: None, monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[tuple[int, int]] = []
    evaluate = section.evaluate_examples

    def watched(*arguments: Any, options: Any) -> Any:
        *inputs, progress, stop = arguments
        return evaluate(*inputs, lambda *done: (reports.append(done), progress(*done))[0], stop, options)

    monkeypatch.setattr(section, "evaluate_examples", watched)
    page = visit(**ADDRESS)
    audit = measured(page)
    assert reports == [(1, 2), (2, 2)], "progress is reported for each example"
    body = markup(page)
    assert len(audit.assessments) == 2 and not audit.is_stopped and summary(audit) in body
    (table_html,) = (e.proto.body for e in page.html if "facts audit' tabindex='0'><caption>" in e.proto.body)
    for name, cells in table(audit):
        assert say(f"name-{name}") in table_html
        for text, share in cells:
            bar = f"<i style='width:{share:.1%}'></i>" if share else ""
            assert f"<td>{text}<div class='bar'>{bar}</div></td>" in table_html
    assert table_html.count("style='background:") == 3, "a modality's colour is that of its dot alone"
    assert all(text in "".join(notes(page, "remark")) for text in sentences(audit))
    assert all(f"{audit_words(flag)}: {meanings()[flag]}" in body for flag in ("decides", "ignored", "overruled"))
    assert say("audit-gallery") in body and say("audit-unchanged") not in body
    (expander,) = (block for block in page.expander if block.label == say("audit-examples"))
    assert not expander.proto.expanded
    lines = expander.html[0].proto.body
    for example, row in zip(TWO, rows(audit), strict=True):
        verdict = say("audit-right" if example.is_right(row["answer"]) else "audit-wrong")
        assert f"<th scope='row'>{example.title}</th><td>{row['answer']}</td><td>{verdict}</td>" in lines
    assert "<td>–</td>" in lines, "one of them has no image"
    labels = [element.proto.label for element in page.get("download_button")]
    assert labels == [say("audit-csv"), say("audit-json")] * 2, "below the table, and below that of the examples"
    program, *words = shlex.split(page.code[0].value)
    options = _parser().parse_args(words)
    assert program == "mmviz" and page.code[0].value.startswith("mmviz audit") and options.folder is None
    assert (options.model, options.baseline, options.csv) == (audit.model, audit.baseline, None)
    assert [block.value for block in page.code] == [
        page.code[0].value, f"{page.code[0].value} --csv audit.csv"
    ] and expander.code[0].value == page.code[1].value  # fmt: skip


@pytest.mark.slow
def test_a_stop_keeps_the_examples_done_and_another_baseline_is_measured_anew(
    two_examples: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = section.evaluate_examples

    def stopped_after_one(
        backend: Any, model: str, examples: Any, baseline: Any, progress: Any, stop: Any, options: Any
    ) -> Any:
        result = evaluate(backend, model, examples[:1], baseline, progress)
        wait_until(stop, "nobody stopped it")
        return result

    monkeypatch.setattr(section, "evaluate_examples", stopped_after_one)
    page = visit(**ADDRESS)
    assert "<table class='facts audit'" not in markup(page)
    (stop,) = (button.key for button in page.button if (button.key or "").startswith("experiment-stop"))
    press(page, stop)
    audit = measured(page)
    assert audit.is_stopped and summary(audit) in markup(page)
    assert say("experiment-stopped", done=1, of=1) in "".join(notes(page, "remark"))
    assert "<table class='facts audit'" in markup(page)
    monkeypatch.setattr(section, "evaluate_examples", evaluate)
    page.selectbox("audit-baseline").set_value("mean")
    run(page)
    audit = measured(page, "mean")
    assert audit.baseline == "mean" and not audit.is_stopped and summary(audit) in markup(page)
    assert page.code[0].value == "mmviz audit --baseline mean"


@pytest.mark.slow
def test_heads_that_point_stand_below_where_the_examples_have_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = load_examples(write_folder(tmp_path / "examples", 16))
    monkeypatch.setattr(section, "load_gallery", lambda: examples)
    monkeypatch.setenv("MMVIZ_MODEL", "planted_pointing:make")
    page = visit(**ADDRESS)
    assert "facts audit pointing" not in markup(page)
    audit = measured(page)
    heads = heads_of(audit.assessments)
    body = markup(page).split("facts audit pointing")[1].split("</table>")[0]
    rows_of_page = [re.findall(r"<td>([^<]*)</td>", row) for row in body.split("<tr>")[2:]]
    assert rows_of_page == [cells for _, cells in pointing_rows(heads)] and len(rows_of_page) == 2
    assert POINTS_TO_IMAGE in rows_of_page[0] and "8 / 8" in rows_of_page[0]
    assert all(text in "".join(notes(page, "remark")) for text in pointing_sentences(heads))
    assert [key for button in page.download_button if (key := str(button.key)).startswith("heads-")] == [
        "heads-csv", "heads-json",
    ]  # fmt: skip
    shown: list[ExperimentTable] = []
    monkeypatch.setattr(pointing, "table_downloads", shown.append)
    pointing.pointing_heads_part(replace(audit, options=(("system", "Be brief."), ("new_tokens", 4))))
    words = ["--model", audit.model, "--system", "Be brief.", "--new-tokens", "4", "--heads-csv", "heads.csv"]
    assert shlex.split(shown[0].command) == ["mmviz", "audit", "FOLDER", *words]
    assert shown[0].facts["options"] == ["system=Be brief.", "new_tokens=4"]


SOURCE = """
import torch
from torch import nn
import mmviz

class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.word, self.answer = nn.Embedding(100, 8), nn.Linear(8, 2)

    def forward(self, ids):
        return self.answer(self.layer(self.word(ids))[:, 0])

def prepare(sample):
    words = sample.text.split()
    tokens = [mmviz.Token(mmviz.Modality.TEXT, word) for word in words]
    return torch.tensor([[len(word) for word in words]]), tokens

def make():
    return mmviz.CustomModel(Reader(), prepare, answers=["<b>yes</b>", "no"])
"""


@pytest.fixture
def reader(operator_model: Callable[[str, str], None]) -> None:
    """A custom model that needs a text."""
    operator_model("only_reads", SOURCE)


def test_examples_that_a_model_cannot_evaluate_are_named_with_the_reason(two_examples: None, reader: None) -> None:
    page = visit(**ADDRESS)
    audit = measured(page)
    assert not audit.assessments and len(audit.skipped) == 2
    (note,) = notes(page, "error")
    assert "said, mask" in note and "AttributeError" in note and "only_reads.py" in note
    assert "<table class='facts audit'" not in markup(page) and not page.expander


def test_markup_in_an_example_or_an_answer_stays_text() -> None:
    nothing, everything = frozenset[Modality](), frozenset({Modality.TEXT})
    values = {nothing: -2.0, everything: -0.1}
    answers = {subset: ("<i>cat</i>", 0.9) for subset in values}
    phi = {Modality.IMAGE: 0.0, Modality.TEXT: 1.9, Modality.AUDIO: 0.0}
    assessment = Assessment("<b>name</b>", Effect("<i>cat</i>", values, answers, phi), None)
    audit = Audit("<u>model</u>", "learned", 1, [assessment])
    body = section.table_html(audit) + section.examples_html(audit)
    assert not any(tag in body for tag in ("<b>", "<i>", "<u>")) and "&lt;i&gt;cat&lt;/i&gt;" in body
