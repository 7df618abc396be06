"""Attention that was computed elsewhere: arrays of every kind become the same record, anything else is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from records import attention

import mmviz
from mmviz.types import CaptureError, MmvizError, Modality

LAYERS = [attention(2, 5, 5, seed) for seed in range(3)]
WORDS = ["what", "is", "left", "of", "it"]


class Jax:
    """What matters of a JAX array: shape, dtype, and that numpy can read it."""

    def __init__(self, values: np.ndarray):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.values


@pytest.mark.parametrize(
    "attentions",
    [
        LAYERS,
        tuple(LAYERS),
        np.stack(LAYERS),
        np.stack(LAYERS)[:, None],
        [weights[None] for weights in LAYERS],
        [torch.from_numpy(weights).requires_grad_() for weights in LAYERS],
        torch.from_numpy(np.stack(LAYERS)),
        [Jax(weights) for weights in LAYERS],
        [weights.astype(np.float64) for weights in LAYERS],
    ],
    ids=["list", "tuple", "array", "array with a batch", "batches of one", "torch", "torch array", "jax", "float64"],
)
def test_every_kind_of_array_gives_the_same_record(attentions: Any) -> None:
    record = mmviz.record(attentions, WORDS)
    assert [(attn_map.name, attn_map.layer, attn_map.queries, attn_map.keys) for attn_map in record.maps] == [
        (f"layer {k}", k, "tokens", "tokens") for k in range(3)
    ]
    for attn_map, weights in zip(record.maps, LAYERS, strict=True):
        assert np.array_equal(attn_map.weights, weights) and attn_map.weights.dtype == np.float32
    assert [(token.label, token.modality) for token in record.streams["tokens"]] == [
        (word, Modality.TEXT) for word in WORDS
    ]


def test_a_single_array_is_one_layer_and_tokens_are_numbered_if_there_are_none() -> None:
    record = mmviz.record(LAYERS[0])
    assert len(record.maps) == 1 and [token.label for token in record.streams["tokens"]] == list("01234")


@pytest.mark.parametrize(
    ("stored", "computed", "expected"),
    [
        (torch.bfloat16, None, "bfloat16"),
        (torch.float16, None, "float16"),
        (torch.float32, "bfloat16", "bfloat16"),
        (torch.float32, torch.bfloat16, "bfloat16"),
        (torch.float32, np.float16, "float16"),
        (torch.float32, np.dtype("float16"), "float16"),
    ],
)
def test_the_precision_sets_how_far_the_sum_of_a_row_may_be_from_1(
    stored: torch.dtype, computed: Any, expected: str
) -> None:
    rounded = torch.from_numpy(LAYERS[0]).to(getattr(torch, expected))
    record = mmviz.record([rounded.to(stored)], dtype=computed)
    assert record.maps[0].dtype == expected
    with pytest.raises(CaptureError) as refusal:
        mmviz.record([rounded.float()])
    assert refusal.value.code == "map-rows"


def test_a_batch_is_refused_as_a_run_until_a_sample_is_chosen() -> None:
    batch = np.stack([attention(2, 5, 5, seed) for seed in (7, 8)])
    record = mmviz.record([batch, batch[::-1]], WORDS)
    assert record.batch == 2 and record.maps[0].weights.shape == (2, 2, 5, 5) and record.maps[0].heads == 2
    with pytest.raises(CaptureError) as refusal:
        mmviz.Run(mmviz.Sample(), record)
    assert refusal.value.code == "run-batch"
    assert np.array_equal(record.sample(1).maps[1].weights, batch[0]) and record.sample(0).batch is None
    with pytest.raises(IndexError):
        record.sample(2)


def test_several_streams_are_named() -> None:
    cross, own = attention(2, 3, 5), attention(2, 3, 3)
    record = mmviz.record(
        {("decoder", "encoder"): [cross], "decoder": [own], "encoder": LAYERS},
        {"encoder": WORDS, "decoder": list("abc")},
    )
    assert [(attn_map.queries, attn_map.keys) for attn_map in record.maps] == [
        ("decoder", "encoder"),
        ("decoder", "decoder"),
        *[("encoder", "encoder")] * 3,
    ]
    assert len(record.streams["decoder"]) == 3 and record.streams["encoder"][2].label == "left"
    assert mmviz.Run(mmviz.Sample(), record).tokens == record.streams["encoder"]


def test_the_record_is_shown_as_any_other_run() -> None:
    run = mmviz.Run(mmviz.make_sample(text="what is left of it"), mmviz.record(LAYERS, WORDS))
    assert np.allclose(run.attention(token=1), LAYERS[-1][:, 1].mean(0))
    assert "what" in run.to_html()


@pytest.mark.parametrize(
    ("attentions", "tokens", "code"),
    [
        ((), None, "arrays-none"),
        ({}, None, "arrays-none"),
        ({"text": ()}, None, "arrays-none"),
        (np.zeros((0, 2, 5, 5)), None, "arrays-none"),
        (np.zeros((0, 1, 2, 5, 5)), None, "arrays-none"),
        (np.zeros((2, 0, 5)), None, "arrays-none"),
        (torch.zeros(0), None, "arrays-none"),
        (None, None, "arrays-none"),
        ((None, None), None, "arrays-none"),
        (((LAYERS[0],), (LAYERS[1],)), None, "arrays-nested"),
        ("attention", None, "arrays-type"),
        ([1.0], None, "arrays-type"),
        (np.array("attention"), None, "arrays-type"),
        ([np.array([["a", "b"]])], None, "arrays-type"),
        ([np.ones((2, 5, 5), complex)], None, "arrays-type"),
        ([np.full((2, 5, 5), None)], None, "map-negative"),
        ([np.full((2, 5, 5), "x", object)], None, "arrays-type"),
        (np.ones((5, 5)), None, "arrays-shape"),
        (np.array(1.0), None, "arrays-shape"),
        (np.ones((1, 1, 1, 2, 5, 5)), None, "arrays-shape"),
        ([np.ones((2, 2))], None, "arrays-shape"),
        ([np.ones((2, 0, 0))], None, "arrays-shape"),
        ([attention(2, 3, 5)], None, "arrays-sizes"),
        ({("a", "b", "c"): LAYERS}, None, "arrays-names"),
        ({5: LAYERS}, None, "arrays-names"),
        ({("a", 5): LAYERS}, None, "arrays-names"),
        (LAYERS, WORDS[:2], "arrays-tokens"),
        (LAYERS, {"words": WORDS}, "arrays-stream"),
        (LAYERS, "words", "capture-token-kind"),
        (LAYERS, [1, 2, 3, 4, 5], "capture-token-kind"),
        ([np.random.default_rng(0).normal(size=(1, 2, 5, 5))], None, "map-negative"),  # hidden states, say
        ([np.full((2, 5, 5), 0.3)], None, "map-rows"),
        ([np.full((2, 5, 5), np.nan)], None, "map-negative"),
    ],
)
def test_what_is_no_attention_is_refused_with_one_sentence(attentions: Any, tokens: Any, code: str) -> None:
    with pytest.raises(CaptureError) as refusal:
        mmviz.record(attentions, tokens)
    assert refusal.value.code == code and len(str(refusal.value)) > 20


@pytest.mark.parametrize("dtype", ["float33", "int8", "", "torch.complex64", torch.int64, np.complex64, 5, object()])
def test_an_unknown_dtype_is_refused_with_the_known_ones(dtype: Any) -> None:
    with pytest.raises(CaptureError, match="float64, float32, float16, bfloat16") as refusal:
        mmviz.record(LAYERS, dtype=dtype)
    assert refusal.value.code == "map-dtype"


def test_a_record_without_maps_is_refused_as_a_run_without_talk_of_a_file() -> None:
    record = replace(mmviz.record(LAYERS), maps=())
    with pytest.raises(MmvizError) as refusal:
        mmviz.Run(mmviz.Sample(), record)
    assert refusal.value.code == "run-no-maps" and "file" not in str(refusal.value)
