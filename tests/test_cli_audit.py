"""``mmviz audit`` on the gallery and on a folder: its output, its files and its exit code."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from app_page import EXAMPLES, image_bytes

from mmviz.analysis.attention_vs_effect import SMALL_SHARE
from mmviz.cli import audit, main
from mmviz.experiments import audit as experiment
from mmviz.i18n.audit import audit_words
from mmviz.i18n.errors_and_notices import sentence
from mmviz.inputs.examples import Example

pytestmark = pytest.mark.slow

BY_ID = {example.id: example for example in EXAMPLES}


def copy_entry(example: Example, folder: Path) -> dict[str, str | None]:
    """Copies the files of a bundled example to ``folder`` and returns its entry."""
    for path in (example.image, example.audio):
        if path:
            shutil.copy(path, folder)
    image, audio = (path and path.name for path in (example.image, example.audio))
    return {"id": example.id, "image": image, "audio": audio, "text": example.question, "truth": example.truth}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two bundled examples, the second named like a formula and without an expected answer, and a broken one."""
    path = tmp_path / "examples"
    path.mkdir()
    formula = {**copy_entry(BY_ID["said"], path), "id": "=1+1", "truth": None}
    (path / "letter.png").write_text("Dear all")
    broken = {"id": "broken\x1b[31m", "image": "letter.png"}
    (path / "examples.json").write_text(json.dumps([copy_entry(BY_ID["mask"], path), formula, broken]))
    return path


def test_the_gallery(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder the gallery is audited, of which four examples are enough."""
    gallery = [BY_ID[name] for name in ("mask", "said", "heard", "spoken-place")]
    monkeypatch.setattr("mmviz.inputs.examples.load_gallery", lambda: gallery)
    count = len(gallery)
    out = {kind: tmp_path / f"out.{kind}" for kind in ("json", "csv")}
    assert main(["audit", "--json", str(out["json"]), "--csv", str(out["csv"])]) == 0
    printed, progress = capsys.readouterr()
    assert progress.endswith(f"\r{sentence('examples-progress', done=count, of=count)}\n") and progress.count("\n") == 1
    document = json.loads(out["json"].read_text())
    rows = document["rows"]
    assert [row["name"] for row in rows] == [example.id for example in gallery] and not document["skipped"]
    assert document["with_truth"] == count and document["correct"] == sum(row["correct"] for row in rows)
    assert (
        f"{count} of {count} examples evaluated. {document['correct']} of {count} answers are correct."
        in printed.splitlines()[0]
    )
    for modality, name in (("image", "picture"), ("text", "text"), ("audio", "sound")):
        entries = [row[modality] for row in rows if row[modality]]
        flag_counts = {flag: sum(entry[flag] for entry in entries) for flag in ("decides", "ignored", "overruled")}
        means = {share: sum(entry[share] for entry in entries) / len(entries) for share in ("effect", "attention")}
        numbers = {"present": len(entries), "told": len(entries), **flag_counts, **means}
        assert document["modalities"][modality] == pytest.approx(numbers)
        counts = [(len(entries), count), *((flagged, len(entries)) for flagged in flag_counts.values())]
        cells = [f"{flagged} ({100 * flagged / of:.0f} %)" for flagged, of in counts]
        cells += [f"{mean:.2f}" for mean in means.values()]
        (line,) = (line for line in printed.splitlines() if line.startswith(f"{name} "))
        assert line.split(None, 1)[1].replace("  ", " ").split() == " ".join(cells).split()
        assert all(entry["effect"] < SMALL_SHARE and not entry["decides"] for entry in entries if entry["ignored"])
    for row in rows:
        shares = [row[modality]["effect"] for modality in ("image", "text", "audio") if row[modality]]
        assert sum(shares) == pytest.approx(1) and row["probability"] > 0
    assert all(words in printed for words in document["findings"]) and "\ndecides: Without it" in printed
    lines = list(csv.DictReader(out["csv"].open(newline="")))
    assert [line["name"] for line in lines] == [example.id for example in gallery]
    assert float(lines[0]["audio_phi"]) == pytest.approx(rows[0]["audio"]["phi"])
    assert lines[0]["correct"] == str(rows[0]["correct"]).lower()


def test_a_folder_with_an_example_that_is_skipped(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    evaluate, baselines = experiment.evaluate_examples, []
    monkeypatch.setattr(
        experiment, "evaluate_examples", lambda *inputs: baselines.append(inputs[3]) or evaluate(*inputs)
    )
    assert main(["audit", str(folder), "--baseline", "mean", "--csv", str(tmp_path / "out.csv")]) == 0
    printed, progress = capsys.readouterr()
    assert baselines == ["mean"]
    assert "2 of 3 examples evaluated" in printed and "baseline mean" in printed
    assert "of 1 (examples whose correct answer is known" in printed
    assert "Left out, 1 of 3:\nbroken␛[31m: This file is not in an image format" in printed
    assert "\x1b" not in printed + progress and not caplog.text
    first, second, third = csv.DictReader((tmp_path / "out.csv").open(newline=""))
    correct = str(BY_ID["mask"].is_right(first["answer"])).lower()
    assert (first["name"], first["correct"], first["skipped"]) == ("mask", correct, "")
    assert (second["name"], second["correct"]) == ("'=1+1", "") and second["image_phi"] == ""
    assert third["answer"] == "" and "not in an image format" in third["skipped"]


def test_the_table_is_printed_even_if_a_file_cannot_be_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.csv").mkdir()
    assert main(["audit", str(folder), "--csv", str(tmp_path / "folder.csv")]) == 2
    out, err = capsys.readouterr()
    assert "2 of 3 examples evaluated" in out and "folder.csv could not be written" in err


def test_json_can_be_written_to_standard_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(folder), "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["baseline"] == "learned" and document["rows"][1]["correct"] is None
    assert document["rows"][1]["image"] is None and document["rows"][1]["audio"]["phi"] != 0
    assert document["rows"][0]["correct"] is BY_ID["mask"].is_right(document["rows"][0]["answer"])


def test_the_exit_code_is_2_if_no_example_can_be_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        (tmp_path / f"{number}.png").write_bytes(image_bytes())
    assert main(["audit", str(tmp_path), "--model", "toy"]) == 2
    printed = capsys.readouterr().out
    reason = sentence("model-needs-text", model="toy")
    assert printed == (
        f"Model toy, baseline learned. 0 of 12 examples evaluated. {audit_words('untrained')}\n\n"
        f"Left out, 12 of 12:\n0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 2 more: {reason}\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
def test_ctrl_c_keeps_what_was_evaluated(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def press(done: int) -> None:
        assert done == 1, "the audit stops after the first example"
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(audit, "examples_progress", lambda of: press)
    assert main(["audit", str(folder), "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (
        document["stopped"] is True
        and [row["name"] for row in document["rows"]] == ["mask"]
        and document["examples"] == 3
    )
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
def test_ctrl_c_before_the_first_example_and_pressed_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def press(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(experiment, "evaluate_examples", lambda *_: press() or ([], []))
    assert main(["audit", str(folder), "--model", "toy"]) == 130
    monkeypatch.setattr(
        experiment, "evaluate_examples", lambda *_: press() or press() or pytest.fail("the second one ends it")
    )
    assert main(["audit", str(folder), "--model", "toy"]) == 130
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere"),
        (["--model", "other"], "other"),
        (["--model", "nowhere_to_be_found:make"], "nowhere_to_be_found"),
        (["--backend", "ftp://somewhere"], "ftp://somewhere"),
        (["--json", "nowhere/at/all.json"], "all.json"),
        (["--csv", "nowhere/at/all.csv"], "all.csv"),
        (["--csv", "-"], "--csv needs the name of a file"),
        (["--heads-csv", ""], "--heads-csv needs the name of a file"),
        (["--token-file", "nowhere.txt", "--backend", "https://somewhere"], "nowhere.txt"),
    ],
)
def test_a_wrong_argument_is_reported_in_one_line_before_anything_runs(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert main(["audit", *arguments]) == 2
    sys.path[:] = before
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and words in err and "Traceback" not in err
