"""The door of the library and the command line."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import mmviz
from mmviz.cli import main


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    rng = np.random.default_rng(2)
    Image.fromarray(rng.integers(0, 255, (123, 200, 3), dtype=np.uint8)).save(tmp_path / "picture.png")
    soundfile.write(tmp_path / "sound.wav", rng.standard_normal(8_000) * 0.1, 8_000)
    return {"image": str(tmp_path / "picture.png"), "audio": str(tmp_path / "sound.wav")}


def test_every_kind_of_source_gives_the_same_answer(files: dict[str, str]) -> None:
    text = "how many things are there"
    picture, sound = Path(files["image"]).read_bytes(), Path(files["audio"]).read_bytes()
    wave, rate = soundfile.read(io.BytesIO(sound), dtype="float32")
    pictures = [
        files["image"],
        Path(files["image"]),
        picture,
        Image.open(files["image"]),
        np.asarray(Image.open(files["image"])),
    ]
    sounds = [files["audio"], Path(files["audio"]), sound, (wave, rate), (wave, rate)]
    runs = [mmviz.explain(image=one, text=text, audio=other) for one, other in zip(pictures, sounds, strict=True)]
    first = runs[0].summary()
    for run in runs[1:]:
        assert run.summary()["probabilities"] == first["probabilities"]


def test_the_summary_holds_what_it_promises(files: dict[str, str]) -> None:
    summary = mmviz.explain(text="What is it?", **files).summary()
    assert summary["answer"] == max(summary["probabilities"], key=summary["probabilities"].get)
    assert len(summary["tokens"]["image"]) == len(summary["attention"]["image"]) == 100
    assert summary["tokens"]["image"][-1]["box"] == pytest.approx([180, 110.7, 200, 123])
    assert [token["label"] for token in summary["tokens"]["text"]] == ["what", "is", "it", "?"]
    assert summary["tokens"]["text"][2]["chars"] == [8, 10]
    assert summary["tokens"]["audio"][-1]["seconds"] == pytest.approx([0.96, 1.0])
    shares = summary["attention"]
    total = sum(sum(shares[modality]) for modality in ("image", "text", "audio"))
    assert shares["query"] == "answer" and 0 < total <= 1 + 1e-6
    matrix = summary["modality_matrix"]
    assert np.allclose(np.sum(matrix["sums"], axis=1), 1)
    assert any("8,000" in notice or "8000" in notice for notice in summary["notices"])
    json.dumps(summary)


def test_a_missing_modality_has_no_tokens_to_show(files: dict[str, str]) -> None:
    summary = mmviz.explain(image=files["image"], text="what is it").summary()
    assert summary["tokens"]["audio"] == summary["attention"]["audio"] == []
    assert len(summary["attention"]["image"]) == 100 and "audio" in summary["modality_matrix"]["keys"]


def test_the_command_writes_json_npz_and_png(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = {kind: tmp_path / f"out.{kind}" for kind in ("json", "npz", "png")}
    code = main(
        ["explain", "--image", files["image"], "--text", "what is it", "--audio", files["audio"]]
        + [part for kind, path in out.items() for part in (f"--{kind}", str(path))]
    )
    assert code == 0 and "answer:" in capsys.readouterr().out
    summary = json.loads(out["json"].read_text())
    saved = mmviz.Run.load(out["npz"])  # it is not run again unless that is asked for
    assert saved.summary() == summary | {"effect": None}
    assert saved.effect() == pytest.approx(summary["effect"], abs=1e-6)
    with Image.open(out["png"]) as picture:
        assert picture.size == (1600, 900)
        colours = len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0))
    assert colours > 50


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["explain"], "picture"),
        (["explain", "--image", "nowhere.png"], "nowhere.png"),
        (["explain", "--text", "dog", "--model", "other"], "other"),
        (["explain", "--text", "dog", "--json", "/nowhere/at/all.json"], "all.json"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and words in printed and "Traceback" not in printed


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "letter.png").write_text("Dear all")
    assert main(["explain", "--image", str(tmp_path / "letter.png")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_synthesiser_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("MMVIZ_CACHE", str(tmp_path))
    assert main(["evaluate", "--count", "1"]) == 2
    printed = capsys.readouterr().err
    assert "apt-get install espeak-ng" in printed and "Traceback" not in printed


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert main(["evaluate"]) == 2
    assert "mmviz[train]" in capsys.readouterr().err
