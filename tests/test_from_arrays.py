"""Attention that was worked out elsewhere: arrays of every kind become the same record, and what is none is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from records import attention

import mmviz
from mmviz.types import CaptureError, Modality

LAYERS = [attention(2, 5, 5, seed) for seed in range(3)]
WORDS = ["what", "is", "left", "of", "it"]


class Jax:
    """What of a JAX array counts: shape, dtype, and that numpy can read it."""

    def __init__(self, values: np.ndarray):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.values


@pytest.mark.parametrize(
    "given",
    [
        LAYERS,
        tuple(LAYERS),
        np.stack(LAYERS),
        np.stack(LAYERS)[:, None],
        [one[None] for one in LAYERS],
        [torch.from_numpy(one).requires_grad_() for one in LAYERS],
        torch.from_numpy(np.stack(LAYERS)),
        [Jax(one) for one in LAYERS],
        [one.astype(np.float64) for one in LAYERS],
    ],
    ids=["list", "tuple", "array", "array with a batch", "batches of one", "torch", "torch array", "jax", "float64"],
)
def test_every_kind_of_array_gives_the_same_record(given: Any) -> None:
    found = mmviz.record(given, WORDS)
    assert [(one.name, one.layer, one.queries, one.keys) for one in found.maps] == [
        (f"layer {k}", k, "tokens", "tokens") for k in range(3)
    ]
    for one, weights in zip(found.maps, LAYERS, strict=True):
        assert np.array_equal(one.weights, weights) and one.weights.dtype == np.float32
    assert [(token.label, token.modality) for token in found.streams["tokens"]] == [
        (word, Modality.TEXT) for word in WORDS
    ]


def test_one_layer_may_come_alone_and_tokens_may_stay_away() -> None:
    found = mmviz.record(LAYERS[0])
    assert len(found.maps) == 1 and [token.label for token in found.streams["tokens"]] == list("01234")


@pytest.mark.parametrize(
    ("dtype", "given"), [(torch.bfloat16, None), (torch.float16, None), (torch.float32, "bfloat16")]
)
def test_the_precision_says_how_near_to_1_rows_must_sum(dtype: torch.dtype, given: str | None) -> None:
    rounded = torch.from_numpy(LAYERS[0]).to(torch.bfloat16 if given else dtype)
    found = mmviz.record([rounded.to(dtype)], dtype=given)
    assert found.maps[0].dtype == given or str(dtype).endswith(found.maps[0].dtype)
    with pytest.raises(CaptureError) as refusal:
        mmviz.record([rounded.float()])
    assert refusal.value.code == "map-rows"


def test_a_batch_stays_one_until_a_sample_is_chosen() -> None:
    batch = np.stack([attention(2, 5, 5, seed) for seed in (7, 8)])
    found = mmviz.record([batch, batch[::-1]], WORDS)
    assert found.batch == 2 and found.maps[0].weights.shape == (2, 2, 5, 5) and found.maps[0].heads == 2
    with pytest.raises(CaptureError) as refusal:
        mmviz.Run(mmviz.Sample(), found)
    assert refusal.value.code == "run-batch"
    assert np.array_equal(found.row(1).maps[1].weights, batch[0]) and found.row(0).batch is None


def test_several_streams_are_named() -> None:
    cross, own = attention(2, 3, 5), attention(2, 3, 3)
    found = mmviz.record(
        {("decoder", "encoder"): [cross], "decoder": [own], "encoder": LAYERS},
        {"encoder": WORDS, "decoder": list("abc")},
    )
    assert [(one.queries, one.keys) for one in found.maps] == [
        ("decoder", "encoder"),
        ("decoder", "decoder"),
        *[("encoder", "encoder")] * 3,
    ]
    assert len(found.streams["decoder"]) == 3 and found.streams["encoder"][2].label == "left"
    assert mmviz.Run(mmviz.Sample(), found).tokens == found.streams["encoder"]


def test_it_is_shown_as_any_other_run() -> None:
    run = mmviz.Run(mmviz.make_sample(text="what is left of it"), mmviz.record(LAYERS, WORDS))
    rolled = run.attention(token=1)
    assert np.allclose(rolled, LAYERS[-1][:, 1].mean(0))
    assert "what" in run.to_html()


@pytest.mark.parametrize(
    ("given", "tokens", "code"),
    [
        ((), None, "given-nothing"),
        (None, None, "given-nothing"),
        ((None, None), None, "given-nothing"),
        (((LAYERS[0],), (LAYERS[1],)), None, "given-steps"),
        ("attention", None, "given-kind"),
        ([1.0], None, "given-kind"),
        ([np.ones((2, 2))], None, "given-shape"),
        ([np.ones((2, 0, 0))], None, "given-shape"),
        ([attention(2, 3, 5)], None, "given-sizes"),
        (LAYERS, WORDS[:2], "given-tokens"),
        (LAYERS, {"words": WORDS}, "given-stream"),
        (LAYERS, "words", "capture-token-kind"),
        (LAYERS, [1, 2, 3, 4, 5], "capture-token-kind"),
        ([np.random.default_rng(0).normal(size=(1, 2, 5, 5))], None, "map-negative"),  # hidden states, say
        ([np.full((2, 5, 5), 0.3)], None, "map-rows"),
        ([np.full((2, 5, 5), np.nan)], None, "map-negative"),
    ],
)
def test_what_is_no_attention_is_refused_in_words(given: Any, tokens: Any, code: str) -> None:
    with pytest.raises(CaptureError) as refusal:
        mmviz.record(given, tokens)
    assert refusal.value.code == code and len(str(refusal.value)) > 20
