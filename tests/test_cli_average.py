"""``mmviz average`` on a folder: its output, its files, two checkpoints, a broken example, Ctrl-C, wrong options."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import sys
from pathlib import Path

import pytest
from app_page import image_bytes, wav

from mmviz.cli import average, main
from mmviz.cli.options import backend_with
from mmviz.experiments import example_measurements
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.page import say

pytestmark = pytest.mark.slow

MODEL, OTHER = "averaged_models:routed", "averaged_models:direct"
SOURCE = """
import mmviz
from routed_model import Routed, prepare, scores_of

def _made(name, reads):
    model = Routed("fused")
    model.layers[1].scores = scores_of((("special", reads),))
    return mmviz.CustomModel(
        model, prepare, ["seen", "unseen"], name=name, batches=True, answer_token=0,
        pairs={"layers.*": ("tokens", "tokens")},
    )

def routed():
    return _made("routed", "text")

def direct():
    return _made("direct", "image")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two examples with one question, one with another, and a broken one; beside them the two models."""
    path = tmp_path / "examples"
    path.mkdir()
    for name, question in (("a", "what?"), ("b", "what?"), ("c", "=who?")):
        (path / f"{name}.png").write_bytes(image_bytes())
        (path / f"{name}.wav").write_bytes(wav())
        (path / f"{name}.txt").write_text(question)
    (path / "a.answer.txt").write_text("seen")
    (path / "broken.png").write_text("Dear all")
    (tmp_path / "averaged_models.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return path


def test_a_folder_by_question(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = {kind: tmp_path / f"out.{kind}" for kind in ("json", "csv")}
    arguments = ["average", str(folder), "--model", MODEL, "--json", str(out["json"]), "--csv", str(out["csv"])]
    assert main(arguments) == 0
    printed, progress = capsys.readouterr()
    assert progress.endswith(f"\r{sentence('examples-progress', done=4, of=4)}\n") and "s left" in progress
    assert "3 of 4 examples measured" in printed and "Question “what?”: 2 examples" in printed
    assert (
        say("route", queries=say("name-text"), keys=say("name-image")) in printed
        and "broken: This file is not in an image format" in printed
    )
    document = json.loads(out["json"].read_text())
    assert document["command"].startswith("mmviz average ") and document["groups"] == {
        "what?": ["a", "b"],
        "=who?": ["c"],
    }
    assert (document["examples"], document["measured"], document["stopped"]) == (4, 3, False)
    assert [entry["name"] for entry in document["skipped"]] == ["broken"]
    rows = list(csv.DictReader(out["csv"].open(newline="")))
    assert len(rows) == len(document["routes"]) and {row["group"] for row in rows} == {"what?", "'=who?"}
    (route,) = (
        row for row in document["routes"]
        if (row["group"], row["layers"], row["queries"], row["keys"]) == ("what?", [0], "text", "image")
    )  # fmt: skip
    assert route["effect"] == pytest.approx(-0.3799, abs=1e-4) and route["examples"] == 2
    correct = {row["example"]: row["correct"] for row in document["answers"]}
    assert correct == {"a": True, "b": None, "c": None}
    assert main(["average", str(folder), "--model", MODEL]) == 0
    assert capsys.readouterr().out == printed, "what only the files hold is not measured, and nothing else changes"


@pytest.mark.slow
def test_one_table_alone_runs_no_cuts(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(example_measurements, "read_routes", lambda *_: pytest.fail("routes were measured"))
    for table in ("maps", "places", "answers"):
        out = tmp_path / f"{table}.csv"
        assert (
            main(["average", str(folder), "--model", MODEL, "--by", "answer", "--table", table, "--csv", str(out)]) == 0
        )
        rows = list(csv.DictReader(out.open(newline="")))
        assert {row["group"] for row in rows} == {"seen"}
        assert "Answer “seen”: 3 examples" in capsys.readouterr().out


@pytest.mark.slow
def test_two_checkpoints(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.csv"
    assert main(["average", str(folder), "--model", MODEL, "--other", OTHER, "--csv", str(out)]) == 0
    printed, progress = capsys.readouterr()
    assert progress.endswith(f"{sentence('examples-progress', done=8, of=8)}\n")
    assert f"{MODEL} → {OTHER}: of 3 examples, 0 have another answer." in printed
    first = next(csv.DictReader(out.open(newline="")))
    assert (first["queries"], first["keys"], first["examples"]) == ("answer", "image", "3")
    change = math.log1p(math.exp(-2)) - math.log1p(math.exp(-2 / 7))
    assert float(first["change"]) == pytest.approx(change, abs=1e-5)
    assert float(first["before"]) == pytest.approx(0, abs=1e-5)
    assert main(["average", str(folder), "--model", MODEL, "--other", OTHER, "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {*document} >= {"routes", "maps", "answers", "left_out", "other"} and not document["left_out"]
    assert document["maps"][0]["module"] == "layers.1" and len(document["answers"]) == 3


def test_models_of_this_machine_share_a_backend() -> None:
    """Each backend loads the catalogue's models for their cards, so that comparing two of them loaded trio twice."""
    backend, is_trained = backend_with(None, "trio")
    other, _ = backend_with(None, "trio-reduced")
    assert other is backend and is_trained


@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
def test_ctrl_c_keeps_what_was_measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(average, "examples_progress", lambda of: lambda done: os.kill(os.getpid(), signal.SIGINT))
    assert main(["average", str(folder), "--model", MODEL, "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["stopped"] and document["measured"] == 1 and document["examples"] == 4
    assert [row["example"] for row in document["answers"]] == ["a"] and document["routes"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere"),
        (["--model", "other"], "other"),
        (["--other", "trio"], "Both models are trio"),
        (["--other", "toy", "--table", "places"], "routes, maps, answers"),
        (["--other", "nowhere_to_be_found:make"], "nowhere_to_be_found"),
        (["--json", "nowhere/at/all.json"], "all.json"),
        (["--csv", "-"], "--csv"),
    ],
)
def test_a_wrong_argument_is_one_line_before_anything_runs(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert main(["average", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and words in err and "Traceback" not in err
