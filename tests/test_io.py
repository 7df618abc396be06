"""Runs and recordings are read back from their files; any other file is refused with one sentence."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mmviz
from mmviz.explain import Run
from mmviz.io.recording_file import STEP, from_recording, read_made_by, to_recording
from mmviz.types import Answer, AttentionMap, AttentionRecord, MmvizError, Modality, Token


@pytest.fixture(scope="module")
def run() -> Run:
    wave = (np.random.default_rng(0).standard_normal(9_000) * 0.1).astype(np.float32)
    return mmviz.explain(image=np.full((40, 60, 3), 90, np.uint8), text="what is it? <b>", audio=(wave, 22_050))


@pytest.mark.slow
def test_a_saved_run_is_read_back(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path / "run.npz")
    loaded = Run.load(tmp_path / "run.npz")
    assert (loaded.sample, loaded.record, loaded.backend) == (run.sample, run.record, None)
    assert loaded.summary() == run.summary() | {"effect": None}  # the model is not run again for it
    assert not loaded.record.maps[0].weights.flags.writeable
    assert loaded.to_bytes() == run.to_bytes()


def test_a_saved_run_of_text_alone_is_read_back(tmp_path: Path) -> None:
    run = mmviz.explain(text="dog")
    assert Run.load(_save(tmp_path, run.to_bytes())).summary() == run.summary() | {"effect": None}


def _save(folder: Path, data: bytes) -> Path:
    (folder / "file.npz").write_bytes(data)
    return folder / "file.npz"


def _pickle() -> bytes:
    file = io.BytesIO()
    np.savez(file, header=np.array([{"evil": 1}], dtype=object))
    return file.getvalue()


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04broken", _pickle()])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(MmvizError) as refusal:
        Run.load(_save(tmp_path, data))
    assert refusal.value.code == "run-unreadable"


def test_tampered_weights_are_refused(run: Run, tmp_path: Path) -> None:
    with np.load(io.BytesIO(run.to_bytes())) as arrays:
        parts = dict(arrays)
    parts["map2"] = parts["map2"] * 1.01
    file = io.BytesIO()
    np.savez(file, **parts)
    with pytest.raises(MmvizError, match="does not sum to 1"):
        Run.load(_save(tmp_path, file.getvalue()))


def _hard_rows(tokens: int = 150) -> np.ndarray:
    """Weights ``[1, query, key]`` that are hard to round: uniform and peaked rows, halves, tiny and zero weights."""
    rng = np.random.default_rng(4)
    rows = [rng.dirichlet(np.full(tokens, spread)) for spread in np.geomspace(0.003, 30, tokens - 6)]
    rows += [np.full(tokens, 1 / tokens), np.eye(tokens)[3], np.eye(tokens)[[2, 9]].mean(0)]
    for small in (0.4 * STEP, 0.6 * STEP, 1.4 * STEP):  # all weights of the row are rounded the same way
        rows.append(np.full(tokens, small))
        rows[-1][7] = 1 - small * (tokens - 1)
    weights = np.array(rows)[None]
    weights[:, :40, 60:] = 0
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def _record(weights: np.ndarray, relevance: np.ndarray | None = None) -> AttentionRecord:
    tokens = tuple(Token(Modality.TEXT, str(k)) for k in range(weights.shape[-1]))
    attn_map = AttentionMap("layer", 0, "text", "text", weights)
    return AttentionRecord("id", {"text": tokens}, (attn_map,), (Answer("a", 1.0),), {"model": "m"}, (), relevance)


def test_a_recording_keeps_every_weight_to_one_step(tmp_path: Path) -> None:
    weights = _hard_rows()
    record = _record(weights)
    (loaded,) = from_recording(_save(tmp_path, to_recording(record))).maps
    assert np.abs(loaded.weights.astype(np.float64) - weights).max() <= STEP
    assert np.abs(loaded.weights.sum(-1, dtype=np.float64) - 1).max() < 1e-6
    largest = weights.argmax(-1, keepdims=True)
    assert np.array_equal(np.take_along_axis(loaded.weights, largest, -1), np.take_along_axis(weights, largest, -1))
    assert not loaded.weights[weights == 0].any()


def test_a_recording_keeps_relevance_to_the_scale_of_its_row(tmp_path: Path) -> None:
    relevance = np.random.default_rng(1).random((150, 150), np.float32) * np.geomspace(1e-9, 40, 150)[:, None]
    relevance[5] = 0
    relevance = relevance.astype(np.float32)
    loaded = from_recording(_save(tmp_path, to_recording(_record(_hard_rows(), relevance)))).relevance
    assert (np.abs(loaded - relevance) <= 1.01 * relevance.max(-1, keepdims=True) / 131_070).all()
    assert from_recording(_save(tmp_path, to_recording(_record(_hard_rows())))).relevance is None


@pytest.mark.slow
def test_a_recording_keeps_everything_else_exactly(run: Run, tmp_path: Path) -> None:
    data = to_recording(run.record)
    loaded = from_recording(_save(tmp_path, data))
    assert replace(loaded, maps=(), relevance=None) == replace(run.record, maps=(), relevance=None)
    assert [(m.name, m.layer, m.dtype) for m in loaded.maps] == [(m.name, m.layer, m.dtype) for m in run.record.maps]
    assert read_made_by(tmp_path / "file.npz") == run.record.made_by
    assert len(data) < 0.4 * len(run.to_bytes())


@pytest.mark.slow
def test_a_recording_has_the_same_bytes_each_time(run: Run) -> None:
    data = to_recording(run.record)
    assert to_recording(run.record) == data
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        assert {part.date_time for part in parts.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.slow
def test_a_recording_is_not_a_run_and_a_run_is_not_a_recording(run: Run, tmp_path: Path) -> None:
    with pytest.raises(MmvizError) as refusal:
        Run.load(_save(tmp_path, to_recording(run.record)))
    assert refusal.value.code == "run-recording"
    with pytest.raises(MmvizError) as refusal:
        from_recording(_save(tmp_path, run.to_bytes()))
    assert refusal.value.code == "run-format"


@pytest.mark.slow
def test_damage_anywhere_is_refused(tmp_path: Path) -> None:
    record = _record(_hard_rows(20))
    data = to_recording(record)
    for at in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[at] ^= 0xFF
        try:
            loaded = from_recording(_save(tmp_path, bytes(damaged)))
        except MmvizError:
            continue
        assert np.abs(loaded.maps[0].weights - record.maps[0].weights).max() <= STEP  # a byte that zip does not use
