"""Kernels that take nested or masked blocks, and the backward pass of a model that was captured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from eager_attention import drawn, weights_by_hand  # first: it sets what transformers reads
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import LlamaConfig, LlamaForCausalLM

import mmviz
from mmviz.capture import flex_weights
from mmviz.capture.recorder import FLEX, NESTED
from mmviz.types import PooledMap


class Nested(nn.Module):
    """Samples of different lengths in one jagged tensor, with heads."""

    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x)


def jagged(lengths: list[int]) -> tuple[Tensor, list[Tensor]]:
    samples = [drawn(length, 2, 4, seed=length) for length in lengths]
    nested = torch.nested.nested_tensor(samples, layout=torch.jagged)
    return nested.transpose(1, 2), [sample.transpose(0, 1) for sample in samples]


def test_each_sample_of_a_nested_tensor_is_recorded() -> None:
    x, samples = jagged([5, 3, 7])
    with torch.no_grad():
        plain = Nested()(x)
        with mmviz.capture(model := Nested()) as result:
            output = model(x)
    for first, second in zip(plain.unbind(), output.unbind(), strict=True):
        assert torch.equal(first, second)
    (call,) = result.all_attention_calls
    assert call.route == NESTED and call.shape == (3, 2, 7, 7)
    for number, sample in enumerate(samples):
        weights = result.record(batch=number).maps[0].weights
        count = sample.shape[1]
        np.testing.assert_allclose(weights[:, :count, :count], weights_by_hand(sample, sample), atol=2e-6)
        assert not weights[:, count:].any() and not weights[:, :, count:].any()


def half(score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
    return score * 0.5 + head


def is_past(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
    return query >= key


class Flex(nn.Module):
    """Flex attention with a function of scores and a mask of blocks, four heads of queries and two of keys."""

    def __init__(self, compiled: bool) -> None:
        super().__init__()
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        self.attend = torch.compile(flex_attention, backend="eager") if compiled else flex_attention
        self.mask = create_block_mask(is_past, None, None, 9, 9, device="cpu")

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        output: Tensor = self.attend(query, key, key, score_mod=half, block_mask=self.mask, enable_gqa=True)
        return output


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_is_recorded_with_its_mask_and_scores(compiled: bool) -> None:
    query, key = drawn(2, 4, 9, 8), drawn(2, 2, 9, 8, seed=1)
    with torch.no_grad():
        model = Flex(compiled)
        plain = model(query, key)
        with mmviz.capture(model) as result:
            assert torch.equal(model(query, key), plain)
    record = result.record()
    scores = query.double() @ key.double().repeat_interleave(2, 1).mT / 8**0.5 * 0.5
    expected = scores.masked_fill(~torch.ones(9, 9, dtype=torch.bool).tril(), -torch.inf).softmax(-1)
    np.testing.assert_allclose(record.maps[0].weights, expected.numpy(), atol=2e-6)
    assert record.made_by["routes"] == [FLEX] and record.notices == ()
    with torch.no_grad(), mmviz.capture(model, expected=["Flex"]) as result:  # what is compiled stays compiled here
        assert torch.equal(model(query, key), plain)
    (call,) = result.all_attention_calls
    assert call.queries_from is not None and call.queries_from.base.shape == query.shape


def doubled_later(score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """Scores of the last queries are doubled."""
    return torch.where(query < 590, score, 2 * score)


def is_past_but_for_the_first(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """Queries attend to keys up to their own, the first ten in the second sample to none."""
    return (query >= key) & ((batch == 0) | (query >= 10))


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("is_masked", [False, True])
def test_long_flex_attention_is_recorded_by_its_log_sum_exp(is_masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    monkeypatch.setattr(flex_weights, "MAX_WEIGHTS", 1_000)
    monkeypatch.setattr(flex_weights, "_TILE", 200_000)  # several tiles, the last of them shorter
    query, key = drawn(2, 4, 600, 8), drawn(2, 2, 600, 8, seed=1)
    block_mask = create_block_mask(is_past_but_for_the_first, 2, None, 600, 600, device="cpu") if is_masked else None

    class Long(nn.Module):
        def forward(self, query: Tensor, key: Tensor, score_mod: Any = None) -> Tensor:
            output: Tensor = flex_attention(
                query, key, key, score_mod=score_mod, block_mask=block_mask, enable_gqa=True
            )  # fmt: skip
            return output

    with torch.no_grad(), mmviz.capture(model := Long()) as result:
        model(query, key)
    (call,) = result.all_attention_calls
    assert call.weights is None and call.lse is not None and call.route == FLEX and result.notices == ()
    allowed = torch.ones(2, 1, 600, 600, dtype=torch.bool)
    if is_masked:
        allowed = allowed.tril()
        allowed[1, :, :10] = False
    scores = query.double() @ key.double().repeat_interleave(2, 1).mT / 8**0.5
    expected = scores.masked_fill(~allowed, -torch.inf).softmax(-1).nan_to_num(0)
    for sample in (0, 1):
        (attn_map,) = result.record(batch=sample).maps
        assert isinstance(attn_map, PooledMap)
        assert np.abs(result.view(0, batch=sample).full() - expected[sample].numpy()).max() < 2e-6
    with torch.no_grad(), mmviz.capture(model) as result:
        model(query, key, doubled_later)
    with pytest.raises(mmviz.CaptureError, match="flex_attention"):
        result.record()


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_a_head_of_flex_attention_is_ablated() -> None:
    query, key = drawn(2, 4, 9, 8), drawn(2, 2, 9, 8, seed=1)
    with torch.no_grad():
        model = Flex(compiled=False)
        expected = model(query, key)
        expected[:, 2] = 0
        with mmviz.capture(model, ablate=[[(0, 2)]]) as result:
            assert torch.equal(model(query, key), expected)
    assert result.record(batch=0).maps[0].weights[2].any(), "its map stays what the model computed"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_the_compiled_flex_attention_of_transformers_is_recorded() -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, intermediate_size=64,
        vocab_size=100,
    )  # fmt: skip
    model, words = LlamaForCausalLM(config).eval(), torch.arange(5, 15)[None]
    model.set_attn_implementation("eager")
    with torch.no_grad():
        eager = model(words, output_attentions=True).attentions[0]
        model.set_attn_implementation("flex_attention")
        with mmviz.capture(model) as result:
            model(words)
    np.testing.assert_allclose(result.record().maps[0].weights, eager[0].numpy(), atol=2e-6)


class Unseen(torch.autograd.Function):
    """What no function mode sees: attention in an extension, which hands back a tensor of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        with torch._C.DisableTorchFunction():
            return x @ x.mT @ x


class UnseenAttention(nn.Module):
    """Attention by code of another kind between two linear maps."""

    def __init__(self) -> None:
        super().__init__()
        self.value, self.out = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.out(Unseen.apply(self.value(x)))
        return output


def test_attention_in_code_that_cannot_be_seen_is_named() -> None:
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), UnseenAttention()).eval()
    with torch.no_grad(), mmviz.capture(model) as result:
        model(drawn(1, 6, 8))
    (notice,) = result.record().notices
    assert notice.code == "uncaptured-module" and notice.parameters["module"] == "1"


class Layer(nn.Module):
    """Grouped queries, fused or by hand."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.fused = fused
        self.query, self.key, self.out = nn.Linear(8, 8), nn.Linear(8, 4), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        query, key = (part(x).view(1, 6, -1, 2).transpose(1, 2) for part in (self.query, self.key))
        if self.fused:
            attended = F.scaled_dot_product_attention(query, key, key, enable_gqa=True)
        else:
            key = key.repeat_interleave(2, 1)
            attended = (query @ key.mT / 2**0.5).softmax(-1) @ key
        output: Tensor = self.out(attended.transpose(1, 2).reshape(1, 6, 8))
        return output


class CheckpointedLayers(nn.Module):
    """Two layers, each of which is run again in the backward pass."""

    def __init__(self, fused: bool, reentrant: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers, self.reentrant = nn.ModuleList(Layer(fused) for _ in range(2)), reentrant

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = checkpoint(layer, x, use_reentrant=self.reentrant)
        return x


@pytest.mark.parametrize("fused", [False, True], ids=["eager", "fused"])
@pytest.mark.parametrize("is_within", [False, True], ids=["after the capture", "during the capture"])
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_layers_have_their_gradients_and_are_captured_once(
    fused: bool, is_within: bool, reentrant: bool
) -> None:
    model, x = CheckpointedLayers(fused, reentrant), drawn(1, 6, 8).requires_grad_()
    model(x).square().sum().backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    with mmviz.capture(model) as result:
        output = model(x)
        if is_within:
            output.square().sum().backward()
    if not is_within:
        output.square().sum().backward()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert torch.equal(parameter.grad, gradient)
    assert result.calls == ("CheckpointedLayers",)
    assert [attn_map.name for attn_map in result.record().maps] == ["layers.0", "layers.1"]


@pytest.mark.parametrize("fused", [False, True], ids=["eager", "fused"])
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_layers_have_the_weights_of_layers_that_run_once(fused: bool, reentrant: bool) -> None:
    model, x = CheckpointedLayers(fused, reentrant), drawn(1, 6, 8).requires_grad_()
    with mmviz.capture(model) as result:
        model(x).square().sum().backward()
    with mmviz.capture(plain := nn.Sequential(*model.layers)) as once:
        plain(x)
    states = x
    for attn_map, other, layer in zip(result.record().maps, once.record().maps, model.layers, strict=True):
        assert np.array_equal(attn_map.weights, other.weights)
        query, key = (part(states).view(1, 6, -1, 2).transpose(1, 2)[0] for part in (layer.query, layer.key))
        scores = query.double() @ key.repeat_interleave(2, 0).double().mT / 2**0.5
        assert np.abs(attn_map.weights - scores.softmax(-1).detach().numpy()).max() < 2e-6
        states = layer(states)


@pytest.mark.parametrize("kernel", ["fused", "by hand"])
def test_a_model_on_the_meta_device_is_refused_in_a_sentence(kernel: str) -> None:
    layer = Layer(kernel == "fused").to("meta")
    with mmviz.capture(layer) as result:
        assert layer(torch.empty(1, 6, 8, device="meta")).shape == (1, 6, 8)
    with pytest.raises(mmviz.CaptureError, match="meta device"):
        result.record()
