"""Rollout and relevance through several streams, compared with full matrices by the papers' formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from co_attention import (
    CO_ATTENTION,
    ENCODER_DECODER,
    SIZE,
    CoAttention,
    EncoderDecoder,
    P,
    Pass,
    W,
    dense_relevance,
    dense_rollout,
    layer_weights,
    weighted,
)
from torch import Tensor, nn

import mmviz
from mmviz.types import CaptureError

COUNTS = {W: 5, P: 7}
PAIRS = [(W, W), (W, P), (P, W), (P, P)]


def run(model: nn.Module, seed: int = 1) -> tuple[Any, Tensor]:
    """The capture of a model over two samples, and a logit of the second."""
    generator = torch.Generator().manual_seed(seed)
    words, patches = (torch.randn(2, count, SIZE, generator=generator) for count in COUNTS.values())
    with mmviz.capture(model) as result:
        output = model(words, patches)
    words = output[0] if isinstance(output, tuple) else output
    record = result.record({W: ["w"] * COUNTS[W], P: ["p"] * COUNTS[P]}, batch=1)
    assert set(record.streams) == set(COUNTS)
    return result, words[1, 0].square().sum()


def built(model_class: type[nn.Module]) -> nn.Module:
    torch.manual_seed(3)
    return model_class()


CASES = [(CoAttention, CO_ATTENTION), (EncoderDecoder, ENCODER_DECODER)]


@pytest.mark.parametrize(("model_class", "passes"), CASES)
def test_rollout_between_streams_is_that_of_the_joint_matrix(model_class: type[nn.Module], passes: list[Pass]) -> None:
    result, _ = run(built(model_class))
    expected = dense_rollout(passes, layer_weights(result, 1), COUNTS)
    for queries, keys in PAIRS:
        if (queries, keys) == (P, W) and model_class is EncoderDecoder:
            continue
        streams = {"queries": queries, "keys": keys, "batch": 1}
        rows = result.rollout(range(COUNTS[queries]), **streams)
        columns = result.rollout([1, 3], "to", **streams)
        np.testing.assert_allclose(rows, expected[queries, keys], atol=1e-6)
        np.testing.assert_allclose(columns, expected[queries, keys][:, [1, 3]], atol=1e-6)
    from_words = [result.rollout([2], queries=W, keys=keys, batch=1).sum() for keys in (W, P)]
    assert sum(from_words) == pytest.approx(1, abs=1e-6) and min(from_words) > 0.1


@pytest.mark.parametrize(("model_class", "passes"), CASES)
def test_relevance_between_streams_follows_the_bimodal_rules(model_class: type[nn.Module], passes: list[Pass]) -> None:
    result, logit = run(built(model_class))
    expected = dense_relevance(passes, weighted(result, logit, 1), COUNTS)
    for queries, keys in PAIRS:
        if (queries, keys) == (P, W) and model_class is EncoderDecoder:
            continue
        rows = result.relevance(logit, queries=queries, keys=keys, batch=1)
        exact = expected[queries, keys]
        assert exact.max() > 0 and np.abs(rows - exact).max() < 1e-5 * exact.max()
        some = result.relevance(logit, [4, 0], queries=queries, keys=keys, batch=1)
        assert np.abs(some - exact[[4, 0]]).max() < 1e-5 * exact.max()


def test_co_attention_reads_tokens_as_they_were() -> None:
    result, _ = run(built(CoAttention))
    in_order = dense_rollout([Pass(*each[:2]) for each in CO_ATTENTION], layer_weights(result, 1), COUNTS)
    assert np.abs(result.rollout(range(7), queries=P, keys=W, batch=1) - in_order[P, W]).max() > 1e-3


def test_an_encoder_does_not_attend_to_its_decoder() -> None:
    result, logit = run(built(EncoderDecoder))
    for flow in (lambda **ends: result.rollout([0], **ends), lambda **ends: result.relevance(logit, [0], **ends)):
        with pytest.raises(CaptureError) as error:
            flow(queries=P, keys=W, batch=1)
        assert error.value.code == "flow-route"
        with pytest.raises(CaptureError) as error:
            flow(queries="sounds", batch=1)
        assert error.value.code == "flow-name" and "words" in str(error.value)


def test_by_default_a_flow_stays_in_the_stream_of_the_last_queries() -> None:
    result, _ = run(built(EncoderDecoder))
    np.testing.assert_array_equal(result.rollout([1], batch=1), result.rollout([1], queries=W, keys=W, batch=1))
