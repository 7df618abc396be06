"""``mmviz audit``: over the bundled set and a folder, what it prints and writes, and how it ends."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from app_page import EXAMPLES, picture

from mmviz.cli import audit, main
from mmviz.experiments import runs as evidence
from mmviz.experiments.modality_shapley import SMALL_SHARE
from mmviz.i18n.audit import health_words
from mmviz.i18n.messages import sentence
from mmviz.inputs.examples import Example

BY_ID = {example.id: example for example in EXAMPLES}


def copied(example: Example, folder: Path) -> dict[str, str | None]:
    """The entry of a bundled trio whose files are now in ``folder`` as well."""
    for path in (example.image, example.audio):
        if path:
            shutil.copy(path, folder)
    image, audio = (path and path.name for path in (example.image, example.audio))
    return {"id": example.id, "image": image, "audio": audio, "text": example.question, "truth": example.truth}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two bundled trios, the second under a name that a spreadsheet would work out and without a truth, and one whose
    picture is none."""
    found = tmp_path / "trios"
    found.mkdir()
    formula = {**copied(BY_ID["said"], found), "id": "=1+1", "truth": None}
    (found / "letter.png").write_text("Dear all")
    broken = {"id": "broken\x1b[31m", "image": "letter.png"}
    (found / "trios.json").write_text(json.dumps([copied(BY_ID["mask"], found), formula, broken]))
    return found


def test_the_bundled_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = {kind: tmp_path / f"out.{kind}" for kind in ("json", "csv")}
    assert main(["audit", "--json", str(out["json"]), "--csv", str(out["csv"])]) == 0
    printed, progress = capsys.readouterr()
    assert progress.endswith(f"\r{sentence('audit-progress', done=12, of=12)}\n") and progress.count("\n") == 1
    found = json.loads(out["json"].read_text())
    rows = found["rows"]
    assert [row["name"] for row in rows] == [example.id for example in EXAMPLES] and not found["refused"]
    assert found["known"] == 12 and found["right"] == sum(row["right"] for row in rows)
    assert f"12 of 12 trios judged. {found['right']} of 12 answers are right." in printed.splitlines()[0]
    for modality, name in (("image", "picture"), ("text", "text"), ("audio", "sound")):
        there = [row[modality] for row in rows if row[modality]]
        held = {flag: sum(one[flag] for one in there) for flag in ("decides", "ignored", "overruled")}
        means = {share: sum(one[share] for one in there) / len(there) for share in ("effect", "attention")}
        assert found["modalities"][modality] == pytest.approx({"of": len(there), **held, **means})
        counts = [(len(there), 12), *((count, len(there)) for count in held.values())]
        cells = [f"{count} ({100 * count / of:.0f} %)" for count, of in counts]
        cells += [f"{mean:.2f}" for mean in means.values()]
        (line,) = (line for line in printed.splitlines() if line.startswith(f"{name} "))
        assert line.split(None, 1)[1].replace("  ", " ").split() == " ".join(cells).split()
        assert all(one["effect"] < SMALL_SHARE and not one["decides"] for one in there if one["ignored"])
    for row in rows:
        shares = [row[modality]["effect"] for modality in ("image", "text", "audio") if row[modality]]
        assert sum(shares) == pytest.approx(1) and row["probability"] > 0
    assert all(words in printed for words in found["findings"]) and "\ndecides: Without it" in printed
    lines = list(csv.DictReader(out["csv"].open(newline="")))
    assert [line["name"] for line in lines] == [example.id for example in EXAMPLES]
    assert float(lines[0]["audio_phi"]) == pytest.approx(rows[0]["audio"]["phi"])
    assert lines[0]["right"] == str(rows[0]["right"]).lower()


def test_a_folder_with_one_that_is_left_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    judge, asked = evidence.evaluate_examples, []
    monkeypatch.setattr(evidence, "judge", lambda *known: asked.append(known[3]) or judge(*known))
    assert main(["audit", str(folder), "--baseline", "mean", "--csv", str(tmp_path / "out.csv")]) == 0
    printed, progress = capsys.readouterr()
    assert asked == ["mean"]
    assert "2 of 3 trios judged" in printed and "absent: mean" in printed
    assert "Of the 1 answers whose truth is known" in printed
    assert "Left out, 1 of 3:\nbroken␛[31m: This file is not a picture" in printed
    assert "\x1b" not in printed + progress and not caplog.text
    first, second, third = csv.DictReader((tmp_path / "out.csv").open(newline=""))
    right = str(BY_ID["mask"].is_right(first["answer"])).lower()
    assert (first["name"], first["right"], first["left_out"]) == ("mask", right, "")
    assert (second["name"], second["right"]) == ("'=1+1", "") and second["image_phi"] == ""
    assert third["answer"] == "" and "not a picture" in third["left_out"]


def test_a_file_that_cannot_be_written_costs_nobody_the_table(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken.csv").mkdir()
    assert main(["audit", str(folder), "--csv", str(tmp_path / "taken.csv")]) == 2
    out, err = capsys.readouterr()
    assert "2 of 3 trios judged" in out and "taken.csv could not be written" in err


def test_json_alone_can_be_piped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(folder), "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["absent"] == "learned" and found["rows"][1]["right"] is None
    assert found["rows"][1]["image"] is None and found["rows"][1]["audio"]["phi"] != 0
    assert found["rows"][0]["right"] is BY_ID["mask"].is_right(found["rows"][0]["answer"])


def test_where_nothing_can_be_judged_the_exit_code_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        (tmp_path / f"{number}.png").write_bytes(picture())
    assert main(["audit", str(tmp_path), "--model", "toy"]) == 2
    printed = capsys.readouterr().out
    why = sentence("model-needs-text", model="toy")
    assert printed == (
        f"Model toy, absent: learned. 0 of 12 trios judged. {health_words('untrained')}\n\n"
        f"Left out, 12 of 12:\n0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 2 more: {why}\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
def test_ctrl_c_ends_with_what_has_been_judged(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def press(done: int, of: int) -> None:
        assert done == 1, "it stopped after the first"
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(audit, "_print_progress", press)
    assert main(["audit", str(folder), "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["stopped"] is True and [row["name"] for row in found["rows"]] == ["mask"] and found["trios"] == 3
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
def test_ctrl_c_before_anything_was_judged_and_pressed_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def press(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(evidence, "judge", lambda *_: press() or ([], []))
    assert main(["audit", str(folder), "--model", "toy"]) == 130
    monkeypatch.setattr(evidence, "judge", lambda *_: press() or press() or pytest.fail("the second one ends it"))
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
        (["--token-file", "nowhere.txt", "--backend", "https://somewhere"], "nowhere.txt"),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_runs(
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
