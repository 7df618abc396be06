"""The recorded runs of the gallery: they match the shipped weights, and load without torch."""

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
from same_notices import assert_same_notices

from mmviz.assets_path import assets_dir
from mmviz.backends.local import LocalBackend
from mmviz.backends.replay import ReplayBackend, recording_bytes, sample_digest
from mmviz.experiments.effect_file import effect_of_record, read_effects
from mmviz.experiments.story_file import read_stories, story_of_record
from mmviz.inputs.examples import load_gallery
from mmviz.io.recording_file import read_made_by
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

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
GALLERY = assets_dir() / "gallery"
RUNS = GALLERY / "runs"
EXAMPLES = {example.id: example for example in load_gallery()}
TOLERANCE = 1e-4


@cache
def local() -> LocalBackend:
    return LocalBackend("cpu")


@cache
def recorded() -> ReplayBackend:
    return ReplayBackend(RUNS)


def replayed(sample: Sample) -> AttentionRecord:
    return recorded().run([Request("trio", sample, relevance=True)])[0]


def test_the_recordings_are_those_of_the_examples_of_the_gallery() -> None:
    assert {path.name for path in RUNS.iterdir()} == {f"{name}.npz" for name in EXAMPLES}
    assert sum(path.stat().st_size for path in RUNS.iterdir()) < 10 * 2**20


@pytest.mark.parametrize("path", sorted(RUNS.glob("*.npz")), ids=lambda path: path.stem)
def test_a_recording_equals_a_run_with_the_shipped_weights(path: Path) -> None:
    sample = EXAMPLES[path.stem].sample()
    shown = replayed(sample)
    (now,) = local().run([Request("trio", sample, relevance=True)])
    assert shown.made_by["recorded"] == {"name": path.stem, "sample": sample_digest(sample)}
    same = ("model", "weights", "trained", "map_ref", "changes", "dtype", "seed")
    assert {name: shown.made_by[name] for name in same} == {name: now.made_by[name] for name in same}
    assert shown.streams == now.streams
    assert_same_notices(shown, now, TOLERANCE)
    for attn_map, other in zip(shown.maps, now.maps, strict=True):
        names = ("name", "layer", "queries", "keys")
        assert [getattr(attn_map, name) for name in names] == [getattr(other, name) for name in names]
        assert np.abs(attn_map.weights - other.weights).max() <= TOLERANCE
    assert shown.answers[0].label == now.answers[0].label
    probabilities = {answer.label: answer.probability for answer in now.answers}
    assert {answer.label: answer.probability for answer in shown.answers} == pytest.approx(probabilities, abs=TOLERANCE)
    scale = max(1.0, float(now.relevance.max()))  # relevance may exceed 1, and is then compared in parts of its maximum
    assert np.abs(shown.relevance - now.relevance).max() <= TOLERANCE * scale


@pytest.mark.slow
def test_recordings_load_without_torch() -> None:
    code = """
import json, sys
names = sys.argv[1:]
from mmviz.inputs.examples import load_gallery
from mmviz.assets_path import assets_dir
from mmviz.backends.replay import ReplayBackend
from mmviz.explain import run_sample
backend = ReplayBackend(assets_dir() / "gallery" / "runs")
samples = [example.sample() for example in load_gallery() if example.id in names]
summaries = [run_sample(sample, backend=backend).summary() for sample in samples]
cards = [card.id for card in backend.models()]
print(json.dumps([sorted(sys.modules), cards, [summary["answer"] for summary in summaries]]))
"""
    examples = [example for example in EXAMPLES.values() if example.id in ("mask", "said", "seen")]
    arguments = [sys.executable, "-c", code, *(example.id for example in examples)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    loaded, cards, answers = json.loads(done.stdout)
    assert "mmviz.backends.replay" in loaded and not {"torch", "streamlit"} & set(loaded)
    assert cards == ["trio"]
    assert answers == [replayed(example.sample()).answers[0].label for example in examples]


def test_a_recording_of_other_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = EXAMPLES["said"].sample()
    record = replayed(sample)
    stale = replace(record, made_by={**record.made_by, "weights": "0" * 64})
    (tmp_path / "said.npz").write_bytes(recording_bytes("said", sample, stale))
    backend = ReplayBackend(tmp_path)
    with pytest.raises(MmvizError) as error:
        backend.run([Request("trio", sample)])
    assert error.value.code == "replay-stale" and backend.models() == ()

    # the other way round: the same recording, and other weights beside the card
    shutil.copytree(assets_dir() / "trio", tmp_path / "trio")
    with (tmp_path / "trio" / "weights.safetensors").open("ab") as file:
        file.write(b" ")
    monkeypatch.setattr("mmviz.models.cards.assets_dir", lambda: tmp_path)
    with pytest.raises(MmvizError) as error:
        ReplayBackend(RUNS).run([Request("trio", sample)])
    assert error.value.code == "replay-stale"


def test_the_card_of_the_recordings_equals_that_of_the_model() -> None:
    (card,) = ReplayBackend(RUNS).models()
    assert card == trio_card() == next(card for card in local().models() if card.id == "trio")


def changed(name: str, sample: Sample) -> Sample:
    """Returns ``sample`` with one small change."""
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
def test_another_sample_has_no_recording(name: str) -> None:
    sample = EXAMPLES["spoken-place"].sample()
    assert replayed(sample).answers
    with pytest.raises(MmvizError) as error:
        replayed(changed(name, sample))
    assert error.value.code == "replay-not-recorded"


@pytest.mark.parametrize(
    "fields",
    [{"changes": (UniformAttention(),)}, {"changes": (DropModality(Modality.IMAGE),)}, {"seed": 1}, {"model": "toy"}],
    ids=str,
)
def test_another_request_has_no_recording(fields: dict[str, object]) -> None:
    plain = Request("trio", EXAMPLES["said"].sample())
    backend = recorded()
    assert len(backend.run([plain])) == 1
    with pytest.raises(MmvizError) as error:
        backend.run([replace(plain, **fields)])
    assert error.value.code == "replay-not-recorded"


def test_a_request_for_relevance_needs_a_recording_with_relevance(tmp_path: Path) -> None:
    sample = EXAMPLES["said"].sample()
    assert recorded().run([Request("trio", sample)])[0].relevance is not None
    (tmp_path / "said.npz").write_bytes(recording_bytes("said", sample, replace(replayed(sample), relevance=None)))
    backend = ReplayBackend(tmp_path)
    assert backend.run([Request("trio", sample)])[0].relevance is None
    with pytest.raises(MmvizError) as error:
        backend.run([Request("trio", sample, relevance=True)])
    assert error.value.code == "replay-not-recorded"


def test_a_damaged_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "said.npz").write_bytes((RUNS / "said.npz").read_bytes()[:-100])
    with pytest.raises(MmvizError) as error:
        ReplayBackend(tmp_path).run([Request("trio", EXAMPLES["said"].sample())])
    assert error.value.code == "run-unreadable"


@pytest.mark.slow
def test_recording_the_gallery_replaces_the_recordings(tmp_path: Path) -> None:
    entries = [e for e in json.loads((GALLERY / "gallery.json").read_text(encoding="utf-8")) if e["id"] == "said"]
    (tmp_path / "gallery.json").write_text(json.dumps(entries), encoding="utf-8")
    shutil.copy(GALLERY / "said.wav", tmp_path)
    (tmp_path / "runs").mkdir()
    for name in ("said", "gone"):
        (tmp_path / "runs" / f"{name}.npz").write_bytes(b"old")
    record_gallery(tmp_path, local())
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["said.npz"]
    assert read_made_by(tmp_path / "runs" / "said.npz")["recorded"]["name"] == "said"
    (record,) = ReplayBackend(tmp_path / "runs").run([Request("trio", EXAMPLES["said"].sample(), relevance=True)])
    assert record.made_by["device"] == "cpu" and record.relevance is not None
    assert story_of_record(read_stories(tmp_path / "stories.json"), record) is not None
    assert effect_of_record(read_effects(tmp_path / "effects.json"), record) is not None
