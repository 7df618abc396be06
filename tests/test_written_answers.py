"""Answers of many words: the shares of attention of each, its probability without some inputs, and effects on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_checkpoints  # first: it sets what transformers reads

import mmviz
from mmviz import Modality, Token
from mmviz.analysis.answer_shares import answer_shares
from mmviz.backends.local import LocalBackend
from mmviz.models.model_factory import load

PIXELS = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
QUESTION = "What is this?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoints.save_checkpoint("llava", tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def spec(folder: Path) -> str:
    return f"hf:{folder}"


@pytest.fixture(scope="module")
def backend(spec: str) -> LocalBackend:
    return LocalBackend("cpu", {spec: load(spec, "cpu")})


@pytest.fixture(scope="module")
def run(spec: str, backend: LocalBackend) -> mmviz.Run:
    return mmviz.explain(image=PIXELS, text=QUESTION, model=spec, backend=backend, options={"new_tokens": 6})


def test_shares_worked_out_by_hand() -> None:
    kinds = [Modality.IMAGE, Modality.TEXT, Modality.AUDIO, Modality.SPECIAL, Modality.TEXT, Modality.TEXT]
    keys = [Token(kind, "t") for kind in kinds]
    rows = np.array([[0.4, 0.1, 0.3, 0.2, 0, 0], [0.1, 0.1, 0.25, 0.25, 0.3, 0]])
    shares = answer_shares(rows, (4, 5), keys, (4, 5))
    assert shares.groups == ("image", "text", "audio", "special", "answer")
    assert shares.queries == (3, 4), "a word is written from the token before it"
    np.testing.assert_allclose(shares.shares, [[0.4, 0.1, 0.3, 0.2, 0], [0.1, 0.1, 0.25, 0.25, 0.3]])
    assert answer_shares(rows, (4, 5), keys, ()).groups == ("image", "text", "audio", "special")
    with pytest.raises(ValueError, match="do not fit"):
        answer_shares(rows[:, 1:], (4, 5), keys, (4, 5))


def test_the_shares_of_each_word_are_those_of_its_query_and_sum_to_1(run: mmviz.Run) -> None:
    shares = run.answer_shares()
    tokens = run.record.streams["language_model"]
    assert shares is not None and shares.words == tuple(range(len(tokens) - 6, len(tokens)))
    assert shares.queries[0] == run.answer_query
    np.testing.assert_allclose(shares.shares.sum(1), 1, atol=1e-6)
    image = [k for k, token in enumerate(tokens) if token.modality is Modality.IMAGE]
    for row, query in zip(shares.shares, shares.queries, strict=True):
        weights = run.attention(token=query)
        assert row[shares.groups.index("image")] == pytest.approx(weights[image].sum(), abs=1e-6)
        assert row[shares.groups.index("answer")] == pytest.approx(weights[-6:].sum(), abs=1e-6)
    assert shares.shares[0, shares.groups.index("answer")] == 0, "there is no earlier word"
    tower = next(m for m in run.record.maps if m.stack != run.record.default_stack)
    number = run.record.maps.index(tower)
    assert run.answer_shares(run.record.map_ref(number)) is None, "patches are no words"
    summary = run.summary()["answer_shares"]
    assert summary["shares"] == shares.shares.tolist() and len(summary["words"]) == 6
