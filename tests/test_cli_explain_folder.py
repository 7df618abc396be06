"""``mmviz explain FOLDER_OR_CSV``: files of each example, what is finished, bad examples, Ctrl-C, wrong options."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_page import wav
from PIL import Image

from mmviz.cli import main
from mmviz.cli.resumable_results import MANIFEST, stems
from mmviz.i18n.errors_and_notices import sentence

pytestmark = pytest.mark.slow

SOURCE = """
import os, signal
import mmviz
from custom_model import Net, prepare

calls = []
stop_at = None
bias = 0.0

class Counted(Net):
    def forward(self, x):
        calls.append(len(x))
        if len(calls) == stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        return super().forward(x)

def _made(batches):
    net = Counted()
    net.out.bias.data += bias
    return mmviz.CustomModel(net, prepare, ["yes", "no"], name="own", batches=batches)

def together():
    return _made(True)

def alone():
    return _made(False)
"""
TOGETHER, ALONE = "explained_models:together", "explained_models:alone"
TEXT = "is there a cat in the picture"
"""Long enough for shared calls on a CPU, which need twelve tokens."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three examples, and a picture that is none; beside them the models."""
    path = tmp_path / "examples"
    path.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)).save(path / f"{name}.png")
        (path / f"{name}.wav").write_bytes(wav())
        (path / f"{name}.txt").write_text(f"{name} {TEXT}")
    (path / "bad.png").write_text("Dear all")
    (tmp_path / "explained_models.py").write_text(SOURCE)
    sys.modules.pop("explained_models", None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return path


def explain(*arguments: str, model: str = TOGETHER) -> tuple[int, list[int]]:
    """Returns the exit code, and how many samples each call of the model had."""
    models = sys.modules.get("explained_models")
    before = len(models.calls) if models else 0
    code = main(["explain", "examples", "--out", "out", "--model", model, *arguments])
    return code, sys.modules["explained_models"].calls[before:]


def index() -> list[dict[str, str]]:
    with Path("out/index.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def bytes_of(folder: Path) -> dict[str, tuple[str, int]]:
    """Returns the digest of each file of a folder, and when it was written."""
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in folder.iterdir()
    }


def same(batch: Any, single: Any) -> bool:
    """Returns whether two JSON documents are equal, numbers to rounding."""
    if isinstance(batch, dict) and isinstance(single, dict):
        return batch.keys() == single.keys() and all(same(batch[key], single[key]) for key in batch)
    if isinstance(batch, list) and isinstance(single, list):
        return len(batch) == len(single) and all(map(same, batch, single))
    if isinstance(batch, float) and isinstance(single, float):
        return bool(batch == pytest.approx(single, rel=1e-5, abs=1e-6))
    return bool(batch == single)


def document(path: str) -> dict[str, Any]:
    """Returns a summary without what no two runs have in common."""
    summary: dict[str, Any] = json.loads(Path(path).read_text())
    assert summary["made_by"].pop("milliseconds")
    summary["made_by"].pop("batch_size", None)
    return summary


@pytest.mark.slow
def test_each_trio_has_the_files_of_a_run_by_itself(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, calls = explain()
    printed, progress = capsys.readouterr()
    assert code == 1 and calls[0] == 3, "the three examples share a call"
    counts = {"model": TOGETHER, "done": 3, "of": 4, "failed": 1, "index": Path("out/index.csv")}
    assert printed.startswith(sentence("explain-failed", **counts))
    assert "bad: This file is not in an image format" in progress and " s left" in progress
    assert progress.rstrip().endswith(sentence("explain-progress", done=4, of=4))
    rows = index()
    assert [row["name"] for row in rows] == ["a", "b", "bad", "c"]
    assert rows[2]["error"].startswith("This file is not in an image format") and not rows[2]["answer"]
    assert {path.name for path in Path("out").iterdir()} == {
        "index.csv", MANIFEST, *(f"{name}.{format}" for name in "abc" for format in ("html", "json"))
    }  # fmt: skip
    for row in (rows[0], rows[1], rows[3]):
        name = row["name"]
        given = [f"--image=examples/{name}.png", f"--audio=examples/{name}.wav", "--text", f"{name} {TEXT}"]
        assert main(["explain", *given, "--model", TOGETHER, "--json", "one.json", "--html", "one.html"]) == 0
        single = document("one.json")
        assert same(document(f"out/{name}.json"), single)
        assert row["answer"] == single["answer"] and row["files"] == f"{name}.html; {name}.json" and not row["error"]
        assert float(row["probability"]) == pytest.approx(max(single["probabilities"].values()), abs=2e-6)
        assert abs(len(Path("one.html").read_text()) - len(Path(f"out/{name}.html").read_text())) < 2_000
    assert not same(document("out/a.json"), document("out/b.json"))


@pytest.mark.slow
def test_what_is_finished_is_not_computed_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explain()
    first = bytes_of(Path("out"))
    capsys.readouterr()
    assert explain() == (1, [])
    assert sentence("explain-finished", done=3, of=4) in capsys.readouterr().err
    again = bytes_of(Path("out"))
    assert again.pop("index.csv")[0] == first.pop("index.csv")[0] and again == first

    def changed(do: Callable[[], object], *arguments: str, model: str = TOGETHER) -> set[str]:
        """Returns the files that the command writes after ``do``."""
        do()
        before = bytes_of(Path("out"))
        explain(*arguments, model=model)
        return {name for name, file in bytes_of(Path("out")).items() if file != before.get(name)} - {
            "index.csv", MANIFEST
        }  # fmt: skip

    of_b = {"b.html", "b.json"}
    assert changed(lambda: (folder / "b.txt").write_text(f"{TEXT} now")) == of_b
    assert changed(lambda: Image.new("RGB", (40, 30), "navy").save(folder / "b.png")) == of_b
    assert changed(lambda: (folder / "b.wav").unlink()) == of_b
    assert changed(lambda: Path("out/b.html").unlink()) == of_b
    assert changed(lambda: Path("out/b.json").write_text("cut off")) == of_b
    assert changed(lambda: None, "--formats", "html") == set()
    everything = {f"{name}.{format}" for name in "abc" for format in ("html", "json")}
    assert changed(lambda: None, "--relevance") == everything
    assert changed(lambda: setattr(sys.modules["explained_models"], "bias", 0.5), "--relevance") == everything, (
        "other weights"
    )
    assert changed(lambda: None, model=ALONE) == everything, "another model"
    assert changed(lambda: None, "--formats", "npz", model=ALONE) == {"a.npz", "b.npz", "c.npz"}
    assert changed(lambda: None, "--formats", "pdf", model=ALONE) == {"a.pdf", "b.pdf", "c.pdf"}
    assert index()[0]["files"] == "a.html; a.json; a.npz; a.pdf", "made of the same, they stay"
    assert changed(lambda: (folder / "a.txt").write_text(TEXT), "--formats", "html", model=ALONE) == {"a.html"}
    assert not Path("out/a.npz").exists() and index()[0]["files"] == "a.html", "made of another text, they go"
    assert changed(lambda: (folder / "a.png").write_text("Dear all"), model=ALONE) == set()
    assert not Path("out/a.html").exists() and index()[0]["error"]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
def test_ctrl_c_keeps_what_is_done(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    explain("--formats", "npz", model=ALONE)
    whole = Path("out/index.csv").read_bytes()
    for path in Path("out").iterdir():
        path.unlink()
    models = sys.modules["explained_models"]
    monkeypatch.setattr(models, "stop_at", len(models.calls) + 2)
    capsys.readouterr()
    code, calls = explain("--formats", "npz", model=ALONE)
    assert (code, calls) == (130, [1, 1]) and sentence("explain-stopped", done=2, of=4) in capsys.readouterr().err
    assert [row["name"] for row in index()] == ["a", "b"]
    assert {path.name for path in Path("out").iterdir()} == {"a.npz", "b.npz", "index.csv", MANIFEST}
    assert explain("--formats", "npz", model=ALONE) == (1, [1])
    assert Path("out/index.csv").read_bytes() == whole
    monkeypatch.setattr(models, "stop_at", len(models.calls) + 2)
    assert explain("--formats", "npz", "--relevance", model=ALONE)[0] == 130
    assert [row["name"] for row in index()] == ["a", "b"], "the others were made under other options"


def test_changes_are_those_of_every_trio(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explain("--formats", "json")
    plain = document("out/a.json")
    _, calls = explain("--formats", "json", "--drop", "image:mean,audio")
    assert calls, "a changed run is not the one that is finished"
    changed = document("out/a.json")
    assert changed["made_by"]["changes"] and not same(changed["probabilities"], plain["probabilities"])
    given = ["--image=examples/a.png", "--audio=examples/a.wav", "--text", f"a {TEXT}", "--drop", "image:mean,audio"]
    assert main(["explain", *given, "--model", TOGETHER, "--json", "one.json"]) == 0
    assert same(changed, document("one.json"))


def test_a_table_lists_the_examples(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sub").mkdir()
    (folder / "a.png").rename(folder / "sub/a.png")
    rows = [
        ("name", "image", "text", "audio"), ("../up", "sub/a.png", "one, two", ""), ("Con", "b.png", "", "b.wav"),
        ("con", "", "=1+1", ""), ("gone", "gone.png", "", ""), ("out", "../explained_models.py", "", ""),
    ]  # fmt: skip
    with (folder / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    code = main(["explain", "examples/list.csv", "--out", "examples/out", "--model", TOGETHER, "--formats", "json"])
    names = stems(["../up", "Con", "con", "gone", "out"])
    assert code == 1
    with Path("examples/out/index.csv").open(newline="") as file:
        index = {row["name"]: row for row in csv.DictReader(file)}
    assert [*index] == ["../up", "Con", "con", "gone", "out"]
    for name in ("../up", "Con", "con"):
        assert index[name]["files"] == f"{names[name]}.json" and not index[name]["error"]
        assert (folder / "out" / index[name]["files"]).is_file()
    assert "gone.png" in index["gone"]["error"] and "outside" in index["out"]["error"]
    assert document(f"examples/out/{names['../up']}.json")["tokens"]["text"][0]["label"] == "one,"
    assert {path.name for path in folder.parent.iterdir()} >= {"examples"} and not list(folder.glob("_*"))


@pytest.mark.slow
def test_a_file_that_cannot_be_written_ends_it_and_the_rest_is_kept(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out/b.html").mkdir(parents=True)
    code, _ = explain()
    assert code == 2 and "b.html could not be written" in capsys.readouterr().err.splitlines()[-1]
    assert [row["name"] for row in index()] == ["a"] and not list(Path("out").glob("*.part"))
    Path("out/b.html").rmdir()
    Path("out/.c.html.part").write_text("a process was killed here")
    assert explain()[0] == 1
    assert [row["name"] for row in index()] == ["a", "b", "bad", "c"] and not list(Path("out").glob(".*.part"))


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"version": 1, "runs": {"a": 1}}', '{"version": 2, "runs": {}}'])
def test_a_manifest_of_another_kind_counts_as_none(folder: Path, manifest: str) -> None:
    Path("out").mkdir()
    Path("out", MANIFEST).write_text(manifest)
    assert explain("--formats", "npz") == (1, [3])
    assert json.loads(Path("out", MANIFEST).read_text())["runs"].keys() == {*"abc"}


def test_names_of_files() -> None:
    names = ["cat1", "Wörter", "a/b", "a:b", "..", "", "Cat", "cat", "nul.x", "x" * 400, "狗" * 200, ".hidden", "end."]
    files: Mapping[str, str] = stems(names)
    assert files["cat1"] == "cat1" and files["Wörter"] == "Wörter"
    assert stems(["q?"]) == {"q?": stems(["q_", "q?"])["q?"]}, "it does not depend on the others"
    assert len({stem.casefold() for stem in files.values()}) == len(names)
    for stem in files.values():
        assert len(f".{stem}.html.part".encode()) <= 255 and not {*stem} & {*'/\\:*?"<>|\0'}
        assert stem.strip(". ") == stem and stem.partition(".")[0].casefold() not in {"nul", "con"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["examples"], sentence("explain-out")),
        (["examples", "--out", ""], sentence("explain-out")),
        (["examples", "--out", "out", "--json", "x.json"], sentence("explain-single", option="--json")),
        (["examples", "--out", "out", "--text", "x"], sentence("explain-single", option="--text")),
        (["examples", "--out", "out", "--formats", "html,gif"], sentence("explain-formats", value="html,gif")),
        (["examples", "--out", "out", "--formats", ""], sentence("explain-formats", value="")),
        (["examples", "--out", "out", "--keep", "exact"], "--formats npz"),
        (["examples", "--out", "out", "--words", "x"], "--words"),
        (["examples", "--out", "examples"], sentence("explain-out-inside", name="examples")),
        (["examples", "--out", "examples/out"], sentence("explain-out-inside", name="out")),
        (["examples", "--out", "explained_models.py"], "explained_models.py"),
        (["nowhere", "--out", "out"], "nowhere"),
        (["nowhere.csv", "--out", "out"], "nowhere.csv"),
        (["examples/a.png", "--out", "out"], "no folder a.png"),
        (["examples", "--out", "out", "--model", "unknown"], "unknown"),
        (["--text", "x", "--out", "out"], "FOLDER_OR_CSV"),
        (["--text", "x", "--formats", "html"], "FOLDER_OR_CSV"),
    ],
)
def test_a_wrong_argument_is_one_line_before_anything_runs(
    arguments: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and words in err and not Path("out").exists()
