"""The part Modality health of the page Debug, without a browser."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from app_page import EXAMPLES, markup, notes, now, press, run, visit
from streamlit.testing.v1 import AppTest
from test_health import SEEN, SOUND_WINS, made

from mmviz.experiments.audit import Assessment
from mmviz.i18n.page import say
from mmviz.report.audit_report import Audit, meanings, rows, sentences, summary, table

health = importlib.import_module("mmviz.app.pages.debug.audit")  # the package calls a function so
ADDRESS = {"page": "debug", "section": "health"}
SOME = [example for example in EXAMPLES if example.id in ("mask", "said")]


def measured(page: AppTest, baseline: str = "learned") -> Audit:
    """What was found over the trios, which the page then shows."""
    job = now(page).works[now(page).run.record.id, "health", baseline]
    assert job.wait(120)
    run(page)
    found: Audit = job.result
    return found


@pytest.fixture
def some(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two trios in place of the gallery, so that it is quick."""
    monkeypatch.setattr(health, "load_gallery", lambda: SOME)


def test_the_table_its_words_and_the_trios_behind_it(some: None, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    judge = health.judge

    def watched(*known: Any) -> Any:
        *first, progress, stop = known
        return judge(*first, lambda *so_far: (told.append(so_far), progress(*so_far))[0], stop)

    monkeypatch.setattr(health, "judge", watched)
    page = visit(**ADDRESS)
    audit = measured(page)
    assert told == [(1, 2), (2, 2)], "progress is told a trio"
    body = markup(page)
    assert len(audit.judged) == 2 and not audit.is_stopped and summary(audit) in body and "2 of 2 trios" in body
    (shown,) = (one.proto.body for one in page.html if "<table class='facts health'><caption>" in one.proto.body)
    for name, cells in table(audit):
        assert say(f"name-{name}") in shown
        for words, share in cells:
            bar = f"<i style='width:{share:.1%}'></i>" if share else ""
            assert f"<td>{words}<div class='bar'>{bar}</div></td>" in shown
    assert shown.count("style='background:") == 3, "a modality's colour is its mark alone"
    assert all(words in "".join(notes(page, "remark")) for words in sentences(audit))
    assert all(f"{word}: {meanings()[word]}" in body for word in ("decides", "ignored", "overruled"))
    assert say("health-drawn") in body and say("health-as-is") not in body
    (behind,) = (one for one in page.expander if one.label == say("health-trios"))
    assert not behind.proto.expanded
    lines = behind.html[0].proto.body
    for example, row in zip(SOME, rows(audit), strict=True):
        verdict = say("health-right" if example.is_right(row["answer"]) else "health-wrong")
        assert f"<th scope='row'>{example.title}</th><td>{row['answer']}</td><td>{verdict}</td>" in lines
    assert "<td>–</td>" in lines, "one of them has no picture"
    names = [element.proto.label for element in page.get("download_button")]
    assert names == [say("health-csv"), say("health-json")]


def test_a_stop_leaves_what_was_judged_and_another_absent_is_measured_anew(
    some: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = health.judge

    def slow(backend: Any, model: str, examples: Any, baseline: Any, progress: Any, stop: Any) -> Any:
        found = judge(backend, model, examples[:1], baseline, progress)
        while not stop():
            time.sleep(0.01)
        return found

    monkeypatch.setattr(health, "judge", slow)
    page = visit(**ADDRESS)
    assert "<table class='facts health'" not in markup(page)
    (stop,) = (button.key for button in page.button if (button.key or "").startswith("work-stop"))
    press(page, stop)
    audit = measured(page)
    assert audit.is_stopped and "Stopped; 1 of 2 trios" in markup(page)
    assert "You stopped this" in "".join(notes(page, "remark")) and "<table class='facts health'" in markup(page)
    monkeypatch.setattr(health, "judge", judge)
    page.selectbox("health-absent").set_value("mean")
    run(page)
    audit = measured(page, "mean")
    assert audit.baseline == "mean" and not audit.is_stopped and "absent: mean. 2 of 2" in markup(page)


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
    return mmviz.Yours(Reader(), prepare, answers=["<b>yes</b>", "no"])
"""


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A model of the operator's own that cannot do without a text."""
    (tmp_path / "only_reads.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MMVIZ_MODEL", "only_reads:make")
    before = list(sys.path)
    yield
    sys.path[:] = before
    sys.modules.pop("only_reads", None)


def test_a_model_that_cannot_do_without_says_why_trios_are_left_out(some: None, reader: None) -> None:
    page = visit(**ADDRESS)
    audit = measured(page)
    assert not audit.judged and len(audit.refused) == 2
    (words,) = [note for note in notes(page, "refusal") if "Left out" in note]
    assert "Left out (2): said, mask. prepare failed: AttributeError" in words and "only_reads.py" in words
    assert "<table class='facts health'" not in markup(page) and not page.expander


def test_what_a_trio_or_a_model_says_stays_text() -> None:
    audit = made(
        judged=[Assessment("<b>name</b>", replace(SOUND_WINS, answer="<i>cat</i>"), SEEN)], model="<u>model</u>"
    )
    body = health.table_html(audit) + health.trios_html(audit)
    assert not any(tag in body for tag in ("<b>", "<i>", "<u>")) and "&lt;i&gt;cat&lt;/i&gt;" in body
