"""Attention weights by their definition: those of torch's own attention, under every kind of mask."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmviz.capture.compute_attention_weights import attention_weights, mask_scores_, masked_softmax

QUERIES, KEYS, SIZE = 5, 7, 4


@pytest.fixture
def vectors() -> tuple[Tensor, Tensor]:
    """Queries and keys ``[batch, head, token, d]`` in float64."""
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(2, 3, QUERIES, SIZE, generator=generator, dtype=torch.float64),
        torch.randn(2, 3, KEYS, SIZE, generator=generator, dtype=torch.float64),
    )


def torch_weights(query: Tensor, key: Tensor, **options: object) -> Tensor:
    """Returns torch's weights: its attention over the identity as values."""
    identity = torch.eye(KEYS, dtype=query.dtype).expand(2, 3, KEYS, KEYS)
    return F.scaled_dot_product_attention(query, key, identity, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("masked", ["none", "boolean", "added"])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_weights_equal_torch(vectors: tuple[Tensor, Tensor], masked: str, scale: float) -> None:
    added = torch.linspace(-3, 3, KEYS, dtype=torch.float64).expand(QUERIES, KEYS)
    mask = {"none": None, "boolean": torch.arange(KEYS) != 2, "added": added}[masked]
    expected = torch_weights(*vectors, attn_mask=None if mask is None else mask.expand(QUERIES, KEYS), scale=scale)
    assert torch.allclose(attention_weights(*vectors, mask, False, scale), expected, atol=1e-12)


def test_causal_weights_equal_torch(vectors: tuple[Tensor, Tensor]) -> None:
    expected = torch_weights(*vectors, is_causal=True, scale=0.5)
    weights = attention_weights(*vectors, None, True, 0.5)
    assert torch.allclose(weights, expected, atol=1e-12) and not weights.triu(1).any()


def test_rows_of_fully_masked_queries_are_zero_and_have_zero_gradients(vectors: tuple[Tensor, Tensor]) -> None:
    query, key = vectors[0].requires_grad_(), vectors[1]
    mask = torch.ones(QUERIES, KEYS, dtype=torch.bool)
    mask[3] = False
    weights = attention_weights(query, key, mask, False, 0.5)
    assert not weights[:, :, 3].any() and torch.allclose(weights.sum(-1)[:, :, :3], torch.ones(2, 3, 3).double())
    (gradient,) = torch.autograd.grad(weights[..., 0].sum(), query)
    assert not gradient[:, :, 3].any() and gradient[:, :, 0].all()


def test_masks_are_added_in_the_unit_of_the_scores() -> None:
    scores, mask = torch.zeros(1, 2, 3), torch.tensor([0.0, 1.0, -torch.inf])
    assert mask_scores_(scores, mask, unit=2.0) is scores
    assert scores.tolist() == [[[0.0, 2.0, -torch.inf]] * 2]
    assert masked_softmax(torch.full((1, 2), -torch.inf)).tolist() == [[0.0, 0.0]]
