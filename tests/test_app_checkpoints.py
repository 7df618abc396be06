"""Two models compared on the same examples in the page: what the command finds, with progress and a stop."""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from app_page import ROOT, markup, notes, now, press, run, visit
from processes import wait_until
from routed_model import Routed, prepare, scores_of
from streamlit.testing.v1 import AppTest

import mmviz
from mmviz.app.pages.debug import audit as section
from mmviz.app.pages.debug import checkpoints
from mmviz.app.pages.debug.checkpoints import changes_html
from mmviz.cli import _parser
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.minus_sign import signed_text
from mmviz.i18n.page import say
from mmviz.inputs import make_sample
from mmviz.inputs.examples import Example
from mmviz.types import Sample

pytestmark = pytest.mark.slow

MODEL, OTHER, BROKEN = "test_app_checkpoints:reads_text", "test_app_checkpoints:reads_image", "nowhere_at_all:make"
PATIENCE = 120


def _model(name: str, reads: str) -> mmviz.CustomModel:
    """Returns the routed model whose answer token reads one modality in the last layer."""
    network: Any = Routed("fused")
    network.layers[1].scores = scores_of((("special", reads),))
    return mmviz.CustomModel(
        network, prepare, ["seen", "unseen"], name=name, batches=True, answer_token=0,
        pairs={"layers.*": ("tokens", "tokens")},
    )  # fmt: skip


def reads_text() -> mmviz.CustomModel:
    return _model("reads_text", "text")


def reads_image() -> mmviz.CustomModel:
    return _model("reads_image", "image")


def everything(*_: object) -> Sample:
    return make_sample(np.zeros((20, 30, 3), np.uint8), "what?", (np.zeros(16_000, np.float32), 16_000))


THREE = [Example(name, "what?", truth="seen", read=everything) for name in ("a", "b", "c")]


def offered(monkeypatch: pytest.MonkeyPatch, models: Sequence[str]) -> AppTest:
    """Returns the page with these models, once the means over three examples are measured."""
    monkeypatch.setattr(section, "load_gallery", lambda: THREE)
    monkeypatch.setattr(sys, "argv", ["run.py", *(part for model in models for part in ("--model", model))])
    monkeypatch.chdir(ROOT / "tests")
    page = finished(visit(page="debug", section="audit"), "audit")
    return finished(press(page, "averages-start"), "averages")


def finished(page: AppTest, name: str) -> AppTest:
    """Returns the page once the last experiment of this name is finished."""
    assert job_of(page, name).wait(PATIENCE)
    return run(page)


def job_of(page: AppTest, name: str) -> Any:
    return [job for key, job in now(page).experiments.items() if key[1] == name][-1]


def downloads(page: AppTest) -> dict[str, Any]:
    """Returns the buttons of the comparison's files, by what they are."""
    buttons = {element.proto.label: element.proto for element in page.get("download_button")[-2:]}
    assert set(buttons) == {say("table-csv"), say("table-json")}
    return buttons


def test_another_model_is_compared_on_the_same_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list[tuple[str, str, str]] = []
    drawn = checkpoints.downloads
    monkeypatch.setattr(
        checkpoints, "downloads", lambda *files: (tables.append(files[:3]), drawn(*files))[1]
    )  # fmt: skip
    page = offered(monkeypatch, [MODEL, OTHER])
    assert sentence("checkpoints-title") in markup(page) and not tables
    assert page.selectbox("checkpoints-other").options == [OTHER]
    page = finished(press(page, "checkpoints-start"), "checkpoints")
    (summary,) = (note for note in notes(page, "remark") if "another answer" in note)
    assert sentence("checkpoints-summary", before=MODEL, after=OTHER, of=3, changed=0) in summary
    assert sentence("checkpoints-correct", before=3, after=3, known=3) in summary

    name, table, document = tables[-1]
    rows = list(csv.DictReader(io.StringIO(table)))
    first, change = rows[0], math.log1p(math.exp(-2)) - math.log1p(math.exp(-2 / 7))
    assert (first["queries"], first["keys"], first["examples"]) == ("answer", "image", "3")
    assert float(first["change"]) == pytest.approx(change, abs=1e-5) and float(first["before"]) == pytest.approx(0)
    facts = json.loads(document)
    assert (facts["model"], facts["other"], facts["examples"], facts["measured"]) == (MODEL, OTHER, 3, 3)
    assert len(facts["routes"]) == len(rows) and facts["stopped"] is False and facts["by"] == "question"
    assert downloads(page) and name == "checkpoints-routes"
    command = page.code[-1].value
    options = _parser().parse_args(shlex.split(command)[1:])
    assert (options.model, options.other, options.by, options.table) == (MODEL, OTHER, "question", "routes")
    assert facts["command"] == command
    assert f"<td>{signed_text(float(first['after']))}</td><td>{signed_text(change)}</td><td>0.00</td>" in markup(page)

    page.segmented_control("checkpoints-table").set_value("maps")
    run(page)
    assert sentence("checkpoints-maps-title") in markup(page) and page.code[-1].value.endswith("--table maps")
    assert sentence("checkpoints-largest", shown=10, of=len(json.loads(tables[-1][2])["maps"])) in markup(page)
    page.segmented_control("checkpoints-table").set_value("answers")
    page.segmented_control("averages-by").set_value("all")
    run(page)
    assert sentence("checkpoints-unchanged") in markup(page), "no answer is another"
    assert [row["changed"] for row in json.loads(tables[-1][2])["answers"]] == [False] * 3
    assert "--by all" in page.code[-1].value


def test_a_stop_keeps_the_examples_that_were_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    measure, told = checkpoints.measure_examples, threading.Event()

    def stopped(backend: Any, model: str, examples: Any, routes: bool, progress: Any, stop: Any, options: Any) -> Any:
        result = measure(backend, model, examples[:1], routes)
        progress(1, len(examples))
        told.set()
        wait_until(stop, "nobody stopped it")
        return result

    monkeypatch.setattr(checkpoints, "measure_examples", stopped)
    page = press(offered(monkeypatch, [MODEL, OTHER]), "checkpoints-start")
    assert told.wait(PATIENCE)
    assert "1 of 3" in run(page).get("progress")[-1].proto.text, "how far it is, and how long it still takes"
    (stop,) = (button.key for button in page.button if str(button.key).startswith("experiment-stop-checkpoints"))
    page = finished(press(page, stop), "checkpoints")
    assert sentence("checkpoints-summary", before=MODEL, after=OTHER, of=1, changed=0) in markup(page)
    assert any("only" in note and "b, c" in note for note in notes(page, "plain")), "the two are named"


def test_a_model_that_cannot_be_loaded_says_why_and_the_means_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    page = finished(press(offered(monkeypatch, [MODEL, BROKEN]), "checkpoints-start"), "checkpoints")
    assert any("nowhere_at_all" in note for note in notes(page, "error"))
    assert page.get("plotly_chart") and sentence("checkpoints-none") not in markup(page)


def test_nothing_is_offered_where_there_is_no_other_model(monkeypatch: pytest.MonkeyPatch) -> None:
    page = offered(monkeypatch, [MODEL])
    assert sentence("checkpoints-title") not in markup(page)


def test_markup_in_a_name_stays_text() -> None:
    table = changes_html([["where"], ["<b>x</b>"]], "<i>")
    assert "<b>" not in table and "<i>" not in table
