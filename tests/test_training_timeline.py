"""Attention as it is learned: what is kept is small and stays true to what was recorded."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from mmviz.io.training_timeline_file import joined, unpack
from mmviz.training.release.record_training_timeline import choose_snapshots, pack, split
from mmviz.types import Answer, AttentionMap, AttentionRecord, Modality, Token


def record(seed: int, best: str) -> AttentionRecord:
    rng = np.random.default_rng(seed)
    tokens = tuple(Token(Modality.TEXT, f"word {k}") for k in range(9))
    weights = rng.dirichlet(np.full(9, 0.3), (3, 9)).astype(np.float32)
    weights /= weights.sum(-1, keepdims=True)
    maps = tuple(AttentionMap(f"layer {k}", k, "words", "words", weights) for k in range(2))
    labels = [best, *(label for label in "abcdefg" if label != best)]
    answers = tuple(Answer(label, p) for label, p in zip(labels, (0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05), strict=True))
    return AttentionRecord(str(seed), {"words": tokens}, maps, answers, {})


def test_what_comes_back_is_what_was_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [record(seed, best) for seed, best in enumerate("gfa")]
    packed = pack("an example", (64, 109, 185), records)
    monkeypatch.setattr(ast, "parse", lambda *_, **__: pytest.fail("parsed as Python, see mmviz.io.npz"))
    learning = unpack(packed)
    assert learning.sample == "an example" and learning.scenes == (64, 109, 185) and learning.labels[3] == "word 3"
    assert learning.weights.shape == (3, 2, 9, 9)
    expected = np.stack([[attn_map.weights.mean(0) for attn_map in record.maps] for record in records])
    assert np.abs(learning.weights - expected).max() < 0.01
    assert np.allclose(learning.weights.sum(-1), 1, atol=1e-6)
    assert learning.answers == ("a", "b", "c", "d", "e")
    assert learning.probabilities[0].tolist() == pytest.approx([0.2, 0.1, 0.1, 0.1, 0.05])
    assert learning.probabilities[2, 0] == pytest.approx(0.4)


def test_rounding_keeps_about_three_digits() -> None:
    values = np.geomspace(1e-3, 1, 500)
    assert np.abs(joined(**split(values)).astype(np.float64) / values - 1).max() <= 2.0**-8 + 2.0**-11
    assert joined(**split(np.array([0.0, 1.0]))).tolist() == [0, 1]


def test_moments_come_from_every_stage(tmp_path: Path) -> None:
    for stage, names in (("one", range(1, 14)), ("two", range(20, 24))):
        (tmp_path / stage / "snapshots").mkdir(parents=True)
        for name in names:
            (tmp_path / stage / "snapshots" / f"{name:08d}.safetensors").touch()
    chosen = [int(path.stem) for path in choose_snapshots([tmp_path / "one", tmp_path / "two"], count=10)]
    assert chosen == [1, 4, 7, 10, 13, 20, 21, 22, 23]
