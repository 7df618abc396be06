"""Capture, with nothing but the installed package and torch: the weights equal those of the definition."""

from __future__ import annotations

import numpy as np
import pytest

import mmviz

torch = pytest.importorskip("torch", reason="torch is not installed")


def test_the_weights_of_multihead_attention_are_its_own() -> None:
    torch.manual_seed(0)
    module = torch.nn.MultiheadAttention(16, 4, batch_first=True).eval()
    states = torch.randn(1, 7, 16)
    with torch.no_grad():
        _, expected = module(states, states, states, need_weights=True, average_attn_weights=False)
        with mmviz.capture(module) as result:
            module(states, states, states, need_weights=False)
    record = result.record()
    assert len(record.maps) == 1
    assert np.abs(record.maps[0].weights - expected[0].numpy()).max() < 1e-6


def test_the_weights_of_fused_attention_are_those_of_the_definition() -> None:
    class SdpaModule(torch.nn.Module):
        def forward(self, query, key, value):  # type: ignore[no-untyped-def]
            return torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)

    torch.manual_seed(1)
    query, key, value = torch.randn(3, 1, 2, 9, 8)
    model = SdpaModule()
    with torch.no_grad(), mmviz.capture(model) as result:
        attn_output = model(query, key, value)
    scores = query.double() @ key.double().transpose(-1, -2) / 8**0.5
    scores = scores.masked_fill(~torch.ones(9, 9).tril().bool(), float("-inf"))
    expected = scores.softmax(-1)[0]
    weights = torch.from_numpy(np.array(result.record().maps[0].weights)).double()
    assert (weights - expected).abs().max() < 1e-6
    assert (weights @ value[0].double() - attn_output[0].double()).abs().max() < 1e-5


def test_heads_can_be_ablated() -> None:
    torch.manual_seed(2)
    layer = torch.nn.TransformerEncoderLayer(16, 4, batch_first=True).eval()
    states = torch.randn(1, 5, 16)
    with torch.no_grad():
        plain = layer(states)
        with mmviz.capture(layer, ablate=[[("self_attn", 0)]]):
            ablated = layer(states)
        assert torch.equal(layer(states), plain), "nothing stays behind"
    assert not torch.allclose(plain, ablated)
