"""A run of the bundled model, with nothing but the installed package and torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mmviz
from mmviz.inputs.examples import load_gallery

pytest.importorskip("torch", reason="torch is not installed")
EXAMPLE = next(example for example in load_gallery() if example.image and example.audio)


@pytest.fixture(scope="module")
def run() -> mmviz.Run:
    return mmviz.explain(image=EXAMPLE.image, text=EXAMPLE.question, audio=EXAMPLE.audio, relevance=True, steps=True)


def test_the_answer_comes_with_attention_whose_rows_sum_to_1(run: mmviz.Run) -> None:
    assert run.record.answers[0].probability > 0.1
    fusion, tower = run.record.stacks
    assert [attn_map.stack for attn_map in run.record.maps] == [fusion] * 6 + [tower] * 4
    assert (fusion, tower) == ("blocks.attention", "encoders.sound.layers.attention") and len(run.tokens) > 150
    for attn_map in run.record.maps:
        assert np.abs(attn_map.weights.sum(axis=-1) - 1).max() < 1e-4
    assert run.record.relevance is not None and run.attention().sum() == pytest.approx(1, abs=1e-4)


def test_the_effects_of_the_modalities_sum_to_the_total(run: mmviz.Run) -> None:
    effect = run.effect()
    assert sum(effect[name] for name in ("image", "text", "audio")) == pytest.approx(effect["total"], abs=1e-4)


@pytest.mark.slow
def test_a_saved_run_is_the_same_run(run: mmviz.Run, tmp_path: Path) -> None:
    run.save(tmp_path / "run.npz")
    loaded = mmviz.Run.load(tmp_path / "run.npz")
    assert loaded.record.answers == run.record.answers
    assert np.array_equal(loaded.record.maps[3].weights, run.record.maps[3].weights)
