"""The recorded runs of the gallery are those of the shipped weights, and are shown without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mmviz.assets_path import assets_dir
from mmviz.backends.local import LocalBackend
from mmviz.backends.replay import ReplayBackend, recording, sample_digest
from mmviz.inputs.examples import load_gallery
from mmviz.io.run_file import made_by
from mmviz.models.cards import trio_card
from mmviz.training.release.record_gallery import record_gallery
from mmviz.types import (
    AttentionRecord,
    AudioInput,
    DropModality,
    ImageInput,
    MmvizError,
    Modality,
    Request,
    Sample,
    UniformAttention,
)

ROOT = Path(__file__).parent.parent
GALLERY = assets_dir() / "gallery"
RUNS = GALLERY / "runs"
EXAMPLES = {example.id: example for example in load_gallery()}
CLOSE = 1e-4


@cache
def local() -> LocalBackend:
    return LocalBackend("cpu")


def replayed(sample: Sample) -> AttentionRecord:
    return ReplayBackend(RUNS).run([Request("trio", sample, relevance=True)])[0]


def test_every_trio_of_the_gallery_has_its_recording_and_nothing_else_has() -> None:
    assert {path.name for path in RUNS.iterdir()} == {f"{name}.npz" for name in EXAMPLES}
    assert sum(path.stat().st_size for path in RUNS.iterdir()) < 6 * 2**20


@pytest.mark.parametrize("path", sorted(RUNS.glob("*.npz")), ids=lambda path: path.stem)
def test_a_recording_is_what_the_shipped_weights_do(path: Path) -> None:
    sample = EXAMPLES[path.stem].sample()
    shown = replayed(sample)
    (now,) = local().run([Request("trio", sample, relevance=True)])
    assert shown.made_by["recorded"] == {"name": path.stem, "sample": sample_digest(sample)}
    same = ("model", "weights", "trained", "map_ref", "changes", "dtype", "seed")
    assert {name: shown.made_by[name] for name in same} == {name: now.made_by[name] for name in same}
    assert shown.streams == now.streams and shown.notices == now.notices
    for one, other in zip(shown.maps, now.maps, strict=True):
        assert (one.name, one.layer, one.queries, one.keys) == (other.name, other.layer, other.queries, other.keys)
        assert np.abs(one.weights - other.weights).max() <= CLOSE
    assert shown.answers[0].label == now.answers[0].label
    probabilities = {answer.label: answer.probability for answer in now.answers}
    assert {answer.label: answer.probability for answer in shown.answers} == pytest.approx(probabilities, abs=CLOSE)
    scale = max(1.0, float(now.relevance.max()))  # relevance is not bound to 1: beyond it, in parts of the largest
    assert np.abs(shown.relevance - now.relevance).max() <= CLOSE * scale


def test_a_recording_is_shown_without_torch() -> None:
    code = """
import json, sys
from mmviz.inputs.examples import load_gallery
from mmviz.assets_path import assets_dir
from mmviz.backends.replay import ReplayBackend
from mmviz.explain import run_sample
backend = ReplayBackend(assets_dir() / "gallery" / "runs")
summaries = [run_sample(trio.sample(), backend=backend).summary() for trio in load_gallery()]
cards = [card.id for card in backend.models()]
print(json.dumps([sorted(sys.modules), cards, [summary["answer"] for summary in summaries]]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded, cards, answers = json.loads(done.stdout)
    assert "mmviz.backends.replay" in loaded and not {"torch", "streamlit"} & set(loaded)
    assert cards == ["trio"]
    assert answers == [replayed(example.sample()).answers[0].label for example in EXAMPLES.values()]


def test_a_recording_of_other_weights_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = EXAMPLES["said"].sample()
    record = replayed(sample)
    stale = replace(record, made_by={**record.made_by, "weights": "0" * 64})
    (tmp_path / "said.npz").write_bytes(recording("said", sample, stale))
    backend = ReplayBackend(tmp_path)
    with pytest.raises(MmvizError, match=r"mmviz\.training\.record") as refusal:
        backend.run([Request("trio", sample)])
    assert refusal.value.code == "replay-stale" and backend.models() == ()

    # the other way round: the recording stays, and the weights file beside the card is another one
    shutil.copytree(assets_dir() / "trio", tmp_path / "trio")
    with (tmp_path / "trio" / "weights.safetensors").open("ab") as file:
        file.write(b" ")
    monkeypatch.setattr("mmviz.models.cards.assets_dir", lambda: tmp_path)
    with pytest.raises(MmvizError) as refusal:
        ReplayBackend(RUNS).run([Request("trio", sample)])
    assert refusal.value.code == "replay-stale"


def test_the_card_without_torch_is_the_card_of_the_model() -> None:
    (card,) = ReplayBackend(RUNS).models()
    assert card == trio_card() == next(card for card in local().models() if card.id == "trio")


def changed(name: str, sample: Sample) -> Sample:
    """``sample`` with one small thing changed."""
    image, audio = sample.image, sample.audio
    if name == "pixel":
        pixels = image.pixels.copy()
        pixels[-1, -1, -1] ^= 1
        return replace(sample, image=ImageInput(pixels, image.width, image.height))
    if name == "size":
        return replace(sample, image=ImageInput(image.pixels, image.width * 2, image.height))
    if name == "wave":
        wave = audio.wave.copy()
        wave[-1] += 1e-4
        return replace(sample, audio=AudioInput(wave, audio.rate, audio.seconds))
    if name == "seconds":
        return replace(sample, audio=AudioInput(audio.wave, audio.rate, audio.seconds + 1))
    return replace(sample, **{name: "what?" if name == "text" else None})


@pytest.mark.parametrize("name", ["pixel", "size", "wave", "seconds", "text", "image", "audio"])
def test_another_sample_is_not_answered(name: str) -> None:
    sample = EXAMPLES["spoken-place"].sample()
    assert replayed(sample).answers
    with pytest.raises(MmvizError) as refusal:
        replayed(changed(name, sample))
    assert refusal.value.code == "replay-not-recorded"


@pytest.mark.parametrize(
    "request_",
    [{"changes": (UniformAttention(),)}, {"changes": (DropModality(Modality.IMAGE),)}, {"seed": 1}, {"model": "toy"}],
    ids=str,
)
def test_another_request_is_not_answered(request_: dict[str, object]) -> None:
    plain = Request("trio", EXAMPLES["said"].sample())
    backend = ReplayBackend(RUNS)
    assert len(backend.run([plain])) == 1
    with pytest.raises(MmvizError, match="recorded") as refusal:
        backend.run([replace(plain, **request_)])
    assert refusal.value.code == "replay-not-recorded"


def test_relevance_is_answered_only_where_it_was_recorded(tmp_path: Path) -> None:
    sample = EXAMPLES["said"].sample()
    assert ReplayBackend(RUNS).run([Request("trio", sample)])[0].relevance is not None
    (tmp_path / "said.npz").write_bytes(recording("said", sample, replace(replayed(sample), relevance=None)))
    backend = ReplayBackend(tmp_path)
    assert backend.run([Request("trio", sample)])[0].relevance is None
    with pytest.raises(MmvizError) as refusal:
        backend.run([Request("trio", sample, relevance=True)])
    assert refusal.value.code == "replay-not-recorded"


def test_a_damaged_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "said.npz").write_bytes((RUNS / "said.npz").read_bytes()[:-100])
    with pytest.raises(MmvizError) as refusal:
        ReplayBackend(tmp_path).run([Request("trio", EXAMPLES["said"].sample())])
    assert refusal.value.code == "run-unreadable"


def test_recording_anew_replaces_what_is_there(tmp_path: Path) -> None:
    entries = [e for e in json.loads((GALLERY / "gallery.json").read_text(encoding="utf-8")) if e["id"] == "said"]
    (tmp_path / "gallery.json").write_text(json.dumps(entries), encoding="utf-8")
    shutil.copy(GALLERY / "said.wav", tmp_path)
    (tmp_path / "runs").mkdir()
    for name in ("said", "gone"):
        (tmp_path / "runs" / f"{name}.npz").write_bytes(b"old")
    record_gallery(tmp_path, local())
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["said.npz"]
    assert made_by(tmp_path / "runs" / "said.npz")["recorded"]["name"] == "said"
    (record,) = ReplayBackend(tmp_path / "runs").run([Request("trio", EXAMPLES["said"].sample(), relevance=True)])
    assert record.made_by["device"] == "cpu" and record.relevance is not None
