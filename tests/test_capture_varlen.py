"""Packed attention of torch, which only a GPU computes: here its operator is computed by its definition.

It is recorded by the log-sum-exp that the operator returns, and named by its operator where that cannot be.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from eager_attention import Blocks, drawn
from torch import Tensor, nn

import mmviz
from mmviz.capture.recorder import PACKED, SDPA_LSE
from mmviz.types import CaptureError

varlen = pytest.importorskip("torch.nn.attention.varlen", reason="This torch has no varlen_attn.")
EDGES = torch.tensor([0, 3, 7, 12], dtype=torch.int32)
TOKENS, WIDTH = 12, 8


class Packed(nn.Module):
    """Three samples in one sequence ``[1, token, width]``, in four heads; keys and values in as many or in two."""

    def __init__(self, kv_heads: int = 4, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.num_heads, self.kv_heads, self.options = 4, kv_heads, options
        self.query, self.key, self.value = (nn.Linear(WIDTH, 2 * n) for n in (4, kv_heads, kv_heads))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (part(x[0]).unflatten(-1, (-1, 2)) for part in (self.query, self.key, self.value))
        options = {"enable_gqa": self.kv_heads < 4, **self.options}
        output: Tensor = varlen.varlen_attn(query, key, value, EDGES, EDGES, 5, 5, **options)
        return output.flatten(1)[None]

    def by_hand(self, x: Tensor, allowed: Tensor) -> Tensor:
        """The weights ``[head, query, key]`` in float64 of pairs that take part."""
        query, key = (part(x[0]).detach().double().unflatten(-1, (-1, 2)) for part in (self.query, self.key))
        scores = torch.einsum("qhd,khd->hqk", query, key.repeat_interleave(4 // self.kv_heads, 1))
        scores = scores * self.options.get("scale", 2**-0.5)
        return scores.masked_fill(~allowed, -torch.inf).softmax(-1)


SAME = torch.tensor([0] * 3 + [1] * 4 + [2] * 5)[:, None] == torch.tensor([0] * 3 + [1] * 4 + [2] * 5)
BEFORE = torch.arange(TOKENS)[:, None] - torch.arange(TOKENS)
"""How many tokens a key stands before its query."""


def by_definition(
    query: Tensor, key: Tensor, value: Tensor, edges: Tensor, key_edges: Tensor, *settings: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """The operator on the CPU: its output, the log-sum-exp ``[head, query]`` and the state of a generator."""
    _, _, is_causal, scale, (left, right), *_ = settings
    key, value = (tensor.repeat_interleave(query.shape[1] // key.shape[1], 1) for tensor in (key, value))
    output, lse = torch.zeros(*query.shape[:2], value.shape[2]), torch.zeros(query.shape[1], len(query))
    for k in range(len(edges) - 1):
        rows, columns = slice(edges[k], edges[k + 1]), slice(key_edges[k], key_edges[k + 1])
        scores = torch.einsum("qhd,khd->hqk", query[rows], key[columns]) * (scale or query.shape[-1] ** -0.5)
        count, keys = scores.shape[1:]
        for place in range(count):
            last = place + keys - count  # the key beside the query, from the end
            if left >= 0:
                scores[:, place, : max(last - left, 0)] = -torch.inf
            if is_causal or right >= 0:
                scores[:, place, last + 1 + max(right, 0) :] = -torch.inf
        output[rows] = torch.einsum("hqk,khd->qhd", scores.softmax(-1), value[columns])
        lse[:, rows] = scores.logsumexp(-1)
    return output, lse, torch.zeros(2, dtype=torch.uint64)


@pytest.fixture(scope="module", autouse=True)
def on_the_cpu() -> None:
    """Lets the CPU compute the operator, as long as torch itself does not."""
    try:
        varlen.varlen_attn(*[drawn(12, 2, 4)] * 3, EDGES, EDGES, 5, 5)
    except NotImplementedError:
        varlen._varlen_attn.register_kernel("cpu")(by_definition)


KINDS: dict[str, tuple[Packed, Tensor]] = {
    "all": (Packed(), SAME),
    "grouped": (Packed(kv_heads=2), SAME),
    "causal": (Packed(window_size=(-1, 0)), SAME & (BEFORE >= 0)),
    "window": (Packed(window_size=(2, 1), scale=0.5), SAME & (BEFORE <= 2) & (BEFORE >= -1)),
    "two before": (Packed(window_size=(2, 0)), SAME & (BEFORE <= 2) & (BEFORE >= 0)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_packed_samples_have_the_weights_of_each_by_itself(kind: str) -> None:
    model, allowed = KINDS[kind]
    x = drawn(1, TOKENS, WIDTH)
    with torch.no_grad():
        plain = model(x)
        with mmviz.capture(model) as result:
            assert torch.equal(model(x), plain)
    record = result.record()
    (attn_map,) = record.maps
    assert attn_map.weights.shape == (4, TOKENS, TOKENS) and record.notices == ()
    assert np.abs(attn_map.weights - model.by_hand(x, allowed).numpy()).max() < 2e-6
    assert attn_map.windows == (0,) * 3 + (1,) * 4 + (2,) * 5 and set(record.made_by["routes"]) == {PACKED}


def test_layers_of_packed_attention_are_followed_through_each_other() -> None:
    model, x = Blocks(Packed(), Packed(kv_heads=2)), drawn(1, TOKENS, WIDTH)
    with torch.no_grad(), mmviz.capture(model) as result:
        model(x)
    record = result.record()
    assert [(attn_map.name, attn_map.queries, attn_map.keys) for attn_map in record.maps] == [
        ("blocks.0", "tokens", "tokens"), ("blocks.1", "tokens", "tokens")
    ]  # fmt: skip
    steps = [(np.eye(TOKENS) + attn_map.weights.mean(0)) / 2 for attn_map in record.maps]
    np.testing.assert_allclose(result.rollout([9])[0], (steps[1] @ steps[0])[9], atol=1e-6)


def test_packed_queries_of_other_lengths_than_their_keys_end_beside_them() -> None:
    edges, key_edges = (torch.tensor(places, dtype=torch.int32) for places in ([0, 1, 3], [0, 4, 9]))

    class Newest(nn.Module):
        num_heads = 2

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            query, key = (part[0].unflatten(-1, (2, -1)) for part in (x, y))
            output: Tensor = varlen.varlen_attn(query, key, key, edges, key_edges, 2, 5, window_size=(-1, 0))
            return output.flatten(1)[None]

    x, y = drawn(1, 3, WIDTH), drawn(1, 9, WIDTH, seed=1)
    with torch.no_grad(), mmviz.capture(model := Newest()) as result:
        model(x, y)
    (attn_map,) = result.record().maps
    allowed = torch.tensor([[1] * 4 + [0] * 5, [0] * 4 + [1] * 4 + [0], [0] * 4 + [1] * 5]).bool()
    query, key = (part[0].double().unflatten(-1, (2, -1)).transpose(0, 1) for part in (x, y))
    expected = (query @ key.mT / 2).masked_fill(~allowed, -torch.inf).softmax(-1)
    assert np.abs(attn_map.weights - expected.numpy()).max() < 2e-6


def test_heads_of_packed_attention_are_ablated_and_its_weights_replaced() -> None:
    model, x = Packed(), drawn(1, TOKENS, WIDTH)
    with torch.no_grad():
        expected = model(x).unflatten(-1, (4, 2))
        expected[:, :, 1] = 0
        with mmviz.capture(model, ablate=[[("Packed", 1)]]):
            assert torch.equal(model(x), expected.flatten(2))
        with mmviz.capture(model, replace=lambda weights: torch.full_like(weights, 1 / weights.shape[-1])):
            output = model(x)
        value = model.value(x[0])
    means = torch.stack([value[SAME[row]].mean(0) for row in range(TOKENS)])
    torch.testing.assert_close(output[0], means)


class OfAPart(nn.Module):
    """Packed attention whose last tokens belong to no sample, so that what becomes of them is not known."""

    def __init__(self, has_more: bool) -> None:
        super().__init__()
        self.has_more = has_more

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = varlen.varlen_attn(x, x, x, EDGES[:3], EDGES[:3], 5, 5)
        if self.has_more:
            heads = output.transpose(0, 1)[None]
            output = F.scaled_dot_product_attention(heads, heads, heads)
        return output


def test_packed_attention_that_cannot_be_told_apart_is_named_by_its_operator() -> None:
    with torch.no_grad(), mmviz.capture(model := OfAPart(has_more=True)) as result:
        model(drawn(TOKENS, 2, 4))
    record = result.record()
    (notice,) = record.notices
    assert record.made_by["routes"] == [SDPA_LSE] and notice.code == "uncaptured-kernel"
    assert notice.parameters == {"module": "OfAPart", "kernel": "torch_attn._varlen_attn"}


def test_a_record_without_its_packed_attention_is_refused_with_its_name() -> None:
    with torch.no_grad(), mmviz.capture(model := OfAPart(has_more=False)) as result:
        model(drawn(TOKENS, 2, 4))
    with pytest.raises(CaptureError, match="_varlen_attn") as error:
        result.record()
    assert error.value.code == "capture-nothing"
