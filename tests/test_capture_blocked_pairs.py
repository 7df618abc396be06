"""Blocked pairs are minus infinity by every way that attention is computed; a row with nothing left is 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import test_capture_ablation as ablation
import torch
import torch.nn.functional as F
from test_capture_ablation import BATCH, HEADS, SIZE, TOKENS, WIDTH, Attend, layers
from torch import Tensor, nn
from torch.nn.attention.flex_attention import flex_attention

import mmviz
from mmviz.capture import CaptureResult
from mmviz.capture.blocked_pairs import BlockedPairs
from mmviz.capture.qkv_and_projections import attention_tensors
from mmviz.capture.score_axes import spread_of
from mmviz.types import CaptureError

LIMIT = 2e-6
X = torch.randn(BATCH, TOKENS, WIDTH, generator=torch.Generator().manual_seed(0))
PAIRS = torch.rand(BATCH, 1, TOKENS, TOKENS, generator=torch.Generator().manual_seed(1)) < 0.4
PAIRS[1, :, 2] = True  # which leaves the query nothing
IN_HEADS = PAIRS & (torch.arange(HEADS) % 2 == 1)[:, None, None]
"""The same in some of the heads alone."""
SECOND = 1
"""The layer in which pairs are blocked."""


def scores_of(query: Tensor, key: Tensor) -> Tensor:
    scores: Tensor = query @ key.transpose(-2, -1) / SIZE**0.5
    return scores


def log_softmax(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return scores_of(query, key).log_softmax(-1).exp() @ value


def softmin(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return F.softmin(-scores_of(query, key), -1) @ value


def flat_heads(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Heads and samples in one axis, as in ``torch.bmm``."""
    query, key, value = (x.reshape(-1, TOKENS, SIZE) for x in (query, key, value))
    return torch.bmm(scores_of(query, key).softmax(-1), value).view(-1, HEADS, TOKENS, SIZE)


def sink(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """A score that belongs to no key takes a share of every row."""
    scores = scores_of(query, key)
    extended = torch.cat([scores, torch.zeros_like(scores[..., :1])], -1)
    return extended.softmax(-1)[..., :-1] @ value


def transposed(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Keys before queries, and values first."""
    weights = (key @ query.transpose(-2, -1) / SIZE**0.5).softmax(-2)
    output: Tensor = (value.transpose(-2, -1) @ weights).transpose(-2, -1)
    return output


def large_mask(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The last two keys are masked by a large negative number, as in models of Hugging Face."""
    mask = torch.zeros(TOKENS).index_fill(0, torch.tensor([5, 6]), torch.finfo(torch.float32).min)
    return (scores_of(query, key) + mask).softmax(-1) @ value


def fused_mask(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    mask = torch.zeros(TOKENS, TOKENS).index_fill(1, torch.tensor([5, 6]), torch.finfo(torch.float32).min)
    return F.scaled_dot_product_attention(query, key, value, mask)


def fused_bool(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, (torch.arange(TOKENS) < 5)[None])


def causal(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, is_causal=True)


def flex(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    output: Tensor = flex_attention(query, key, value)
    return output


MASKED: dict[Attend, list[int]] = {large_mask: [5, 6], fused_mask: [5, 6], fused_bool: [5, 6]}
"""Keys that an implementation masks itself."""
ATTENDS: list[Attend] = [
    ablation.fused, ablation.wide_values, ablation.eager, ablation.flat, ablation.einsum, ablation.swapped_einsum,
    log_softmax, softmin, flat_heads, sink, transposed, large_mask, fused_mask, fused_bool, causal, flex,
]  # fmt: skip


def by_hand(model: nn.Module, x: Tensor, pairs: Tensor | None) -> tuple[Tensor, Tensor]:
    """Returns the output of two layers of attention, and the weights ``[row, head, query, key]`` of the second."""
    for number, layer in enumerate(model.children()):
        assert isinstance(layer, ablation.Layer)
        attend = layer.attend
        query, key, value = (
            projection(x).unflatten(-1, (-1, SIZE)).transpose(1, 2)
            for projection in (layer.query, layer.key, layer.value)
        )
        key, value = (part.repeat_interleave(HEADS // part.shape[1], 1) for part in (key, value))
        scores = scores_of(query, key)
        if attend is ablation.wide_values:
            scores = query[..., :4] @ key[..., :4].mT * 0.5
        if attend is causal:
            scores = scores.masked_fill(torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1), -math.inf)
        scores[..., MASKED.get(attend, [])] = -math.inf
        if number == SECOND and pairs is not None:
            scores = scores.masked_fill(pairs, -math.inf)
        if attend is sink:
            weights = torch.cat([scores, torch.zeros_like(scores[..., :1])], -1).softmax(-1)[..., :-1]
        else:
            weights = scores.softmax(-1).nan_to_num(0.0)
        x = x + layer.out((weights @ value).transpose(1, 2).reshape(x.shape))
    return x, weights


def captured(model: nn.Module, x: Tensor, **options: Any) -> tuple[Tensor, CaptureResult]:
    with torch.no_grad(), mmviz.capture(model, **options) as result:
        return model(x), result


@pytest.mark.parametrize("blocked", [PAIRS, IN_HEADS], ids=["in all heads", "in some heads"])
@pytest.mark.parametrize(
    ("attend", "kv_heads"),
    [*((attend, HEADS) for attend in ATTENDS), (ablation.fused, 2)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_blocked_pairs_are_minus_infinity(attend: Attend, kv_heads: int, blocked: Tensor) -> None:
    model = layers(attend, kv_heads).eval()
    x, pairs = (X[1:2], blocked[1:2]) if attend is ablation.flat else (X, blocked)
    plain, result = captured(model, x)
    with torch.no_grad():
        torch.testing.assert_close(plain, by_hand(model, x, None)[0], atol=LIMIT, rtol=0)
        expected, weights = by_hand(model, x, pairs)
    call = result.all_attention_calls[SECOND]
    block = {call.place: BlockedPairs(pairs, spread_of(call))}
    output, cut = captured(model, x, block=block, steps=True)
    torch.testing.assert_close(output, expected, atol=LIMIT, rtol=0)
    after = cut.all_attention_calls[SECOND]
    assert after.emptied is not None
    emptied = (weights == 0).all(-1).any(1)
    assert bool(emptied.any())
    if attend is sink:  # which takes the whole row
        emptied = torch.zeros_like(emptied)
    assert torch.equal(after.emptied.expand_as(emptied), emptied)
    record = cut.record()
    maps = record.maps[SECOND].weights.reshape(weights.shape)
    np.testing.assert_allclose(maps, weights.numpy(), atol=LIMIT)
    assert not maps[np.broadcast_to(pairs.numpy(), maps.shape)].any()
    assert record.made_by["parity"] < 1e-4
    assert attend is sink or "fully-masked" not in [notice.code for notice in record.notices]
    if attend in (ablation.fused, ablation.eager, ablation.einsum, large_mask, fused_bool):
        assert attention_tensors(after, 0).mask is not None  # which compares weights, values and output
    if attend is flex:  # torch has no gradients of it on a CPU
        return
    x = x.clone().requires_grad_()
    with mmviz.capture(model, block=block):
        again = model(x)
    torch.testing.assert_close(again.detach(), expected, atol=LIMIT, rtol=0)
    gradient = torch.autograd.grad(again.square().sum(), x)[0]
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("need_weights", [True, False])
def test_torch_attention_is_cut_as_well(need_weights: bool) -> None:
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).eval()
    padding = torch.arange(TOKENS) > torch.tensor([6, 6, 4])[:, None]
    with torch.no_grad(), mmviz.capture(attention) as result:
        attention(X, X, X, need_weights=need_weights, key_padding_mask=padding)
    (call,) = result.all_attention_calls
    block = {call.place: BlockedPairs(PAIRS, spread_of(call))}
    with torch.no_grad(), mmviz.capture(attention, block=block) as result:
        output, weights = attention(X, X, X, need_weights=need_weights, key_padding_mask=padding)
    mask = (PAIRS[:, 0] | padding[:, None]).repeat_interleave(HEADS, 0)
    with torch.no_grad():
        expected, by_torch = attention(X, X, X, attn_mask=torch.zeros(mask.shape).masked_fill(mask, -math.inf))
    left = ~mask[::HEADS].all(-1)
    torch.testing.assert_close(output[left], expected[left], atol=LIMIT, rtol=0)
    torch.testing.assert_close(output[~left], attention.out_proj.bias.expand(int((~left).sum()), -1).detach())
    if need_weights:
        torch.testing.assert_close(weights[left], by_torch[left], atol=LIMIT, rtol=0)
        assert not weights[~left].any()
    record = result.record()
    np.testing.assert_allclose(record.maps[0].weights.mean(1)[left.numpy()], by_torch[left].numpy(), atol=LIMIT)


def test_the_fast_path_of_an_encoder_is_cut() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 16, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2).eval()
    _, result = captured(encoder, X)
    places = [call.place for call in result.all_attention_calls]
    output, _ = captured(encoder, X, block={place: BlockedPairs(PAIRS[:1]) for place in places})
    with torch.no_grad():
        expected = encoder(X, mask=torch.zeros(TOKENS, TOKENS).masked_fill(PAIRS[0, 0], -math.inf))
    torch.testing.assert_close(output, expected, atol=LIMIT, rtol=0)


def test_a_module_that_attends_twice_is_cut_where_it_is_meant() -> None:
    class Twice(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = x[:, None]
            x = F.scaled_dot_product_attention(x, x, x)
            return F.scaled_dot_product_attention(x, x, x)[:, 0]

    model = Twice()
    _, result = captured(model, X)
    assert [call.place for call in result.all_attention_calls] == [("Twice", 0), ("Twice", 1)]
    output, cut = captured(model, X, block={("Twice", 1): BlockedPairs(PAIRS)})
    first = F.scaled_dot_product_attention(X, X, X)
    scores = (first @ first.mT / WIDTH**0.5).masked_fill(PAIRS[:, 0], -math.inf)
    torch.testing.assert_close(output, scores.softmax(-1).nan_to_num(0.0) @ first, atol=LIMIT, rtol=0)
    assert cut.all_attention_calls[0].emptied is None


def test_what_cannot_be_cut_is_refused() -> None:
    def gumbel(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return F.gumbel_softmax(scores_of(query, key), dim=-1) @ value

    def mixed(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        weights = scores_of(query, key).softmax(-1)
        mixing = torch.eye(HEADS) + 0.1
        return torch.einsum("bhqk,hg->bgqk", weights, mixing / mixing.sum(0)) @ value

    model = layers(ablation.fused).eval()
    wrong = {("1", 0): BlockedPairs(PAIRS[:2])}
    for block, code in (({("2", 0): BlockedPairs(PAIRS)}, "cut-missing"), (wrong, "cut-shape")):
        with pytest.raises(CaptureError) as error:
            captured(model, X, block=block)
        assert error.value.code == code
    with pytest.raises(CaptureError) as error:
        captured(layers(gumbel).eval(), X, block={("1", 0): BlockedPairs(PAIRS)})
    assert error.value.code == "cut-kernel"
    _, result = captured(layers(mixed).eval(), X)
    for call in result.all_attention_calls:
        with pytest.raises(CaptureError) as error:
            spread_of(call)
        assert error.value.code == "cut-scores"
