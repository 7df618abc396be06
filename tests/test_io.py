"""A run survives its file; anything else is refused with one sentence."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

import mmviz
from mmviz.explain import Run
from mmviz.types import MmvizError


@pytest.fixture(scope="module")
def run() -> Run:
    wave = (np.random.default_rng(0).standard_normal(9_000) * 0.1).astype(np.float32)
    return mmviz.explain(image=np.full((40, 60, 3), 90, np.uint8), text="what is it? <b>", audio=(wave, 22_050))


def test_a_saved_run_is_the_same_run(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path / "run.npz")
    again = Run.load(tmp_path / "run.npz")
    assert again.summary() == run.summary()
    assert again.sample.notices == run.sample.notices and again.record.notices == run.record.notices
    assert np.array_equal(again.sample.image.pixels, run.sample.image.pixels)
    assert np.array_equal(again.sample.audio.wave, run.sample.audio.wave)
    assert again.record.streams == run.record.streams
    for one, other in zip(again.record.maps, run.record.maps, strict=True):
        assert np.array_equal(one.weights, other.weights) and (one.name, one.layer) == (other.name, other.layer)
    assert not again.record.maps[0].weights.flags.writeable


def test_a_run_of_text_alone_survives(tmp_path: Path) -> None:
    run = mmviz.explain(text="dog")
    assert Run.load(_written(tmp_path, run.to_bytes())).summary() == run.summary()


def _written(folder: Path, data: bytes) -> Path:
    (folder / "file.npz").write_bytes(data)
    return folder / "file.npz"


def _pickled() -> bytes:
    file = io.BytesIO()
    np.savez(file, header=np.array([{"evil": 1}], dtype=object))
    return file.getvalue()


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04broken", _pickled()])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(MmvizError) as refusal:
        Run.load(_written(tmp_path, data))
    assert refusal.value.code == "run-unreadable"


def test_tampered_weights_are_refused(run: Run, tmp_path: Path) -> None:
    with np.load(io.BytesIO(run.to_bytes())) as arrays:
        parts = dict(arrays)
    parts["map2"] = parts["map2"] * 1.01
    file = io.BytesIO()
    np.savez(file, **parts)
    with pytest.raises(MmvizError, match="does not add up to 1"):
        Run.load(_written(tmp_path, file.getvalue()))
