"""Heads stay heads, and samples stay samples, however a model arranges them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from eager_attention import drawn, labels, weights_by_hand  # first: it sets what transformers reads
from torch import Tensor, nn
from transformers import DebertaV2Config, DebertaV2Model, LlamaConfig, LlamaForCausalLM

import mmviz

PIECES = torch.tensor([[0, 0, 5, 6, 7], [8, 9, 10, 11, 12]])
REAL = (PIECES > 0).long()


def grouped_llama() -> LlamaForCausalLM:
    """Four heads of queries, two of keys."""
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, intermediate_size=64,
        vocab_size=100, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def second_step(model: LlamaForCausalLM, sample: int) -> tuple[mmviz.AttentionRecord, Tensor]:
    """The record of the second step of ``generate``, and its attention ``[head, 1, key]`` by the eager code."""
    with torch.no_grad(), mmviz.capture(model) as result:
        written = model.generate(PIECES, attention_mask=REAL, max_new_tokens=2, min_new_tokens=2, do_sample=False)
    mask = torch.cat([REAL, torch.ones(2, 1, dtype=torch.long)], 1)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        eager = model(
            written[:, :6], attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(0), output_attentions=True
        )
    return result.record(call=1, batch=sample), eager.attentions[0][sample, :, 5:]


@pytest.mark.parametrize("sample", [0, 1])
def test_a_padded_step_of_generate_with_grouped_queries_has_all_its_heads(sample: int) -> None:
    record, eager = second_step(grouped_llama(), sample)
    np.testing.assert_allclose(record.maps[0].weights, eager.numpy(), atol=2e-6)


def test_the_query_of_a_padded_step_of_generate_is_the_new_token_alone() -> None:
    record, _ = second_step(grouped_llama(), 1)
    (attn_map,) = record.maps
    assert labels(record, attn_map.keys) == list("012345") and labels(record, attn_map.queries) == ["5"]


def deberta() -> DebertaV2Model:
    torch.manual_seed(0)
    config = DebertaV2Config(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64, vocab_size=100
    )
    return DebertaV2Model(config).eval()


class Flat(nn.Module):
    """Attention by hand, batch and heads in one axis."""

    def __init__(self, heads: int, adds: bool) -> None:
        super().__init__()
        self.heads, self.adds = heads, adds

    def forward(self, x: Tensor) -> Tensor:
        batch, count, width = x.shape
        size = width // self.heads
        flat = x.view(batch, count, self.heads, size).transpose(1, 2).reshape(-1, count, size)
        if self.adds:
            scores = torch.baddbmm(flat.new_zeros(len(flat), count, count), flat, flat.mT, alpha=size**-0.5)
        else:
            scores = torch.bmm(flat, flat.mT) / size**0.5
        mixed = torch.bmm(scores.softmax(-1), flat)
        return mixed.view(batch, self.heads, count, size).transpose(1, 2).reshape(batch, count, width)


def test_deberta_has_its_samples_and_heads() -> None:
    model = deberta()
    with torch.no_grad(), mmviz.capture(model) as result:
        eager = model(torch.arange(5, 17).view(2, 6), output_attentions=True).attentions[0]
    np.testing.assert_allclose(result.record().maps[0].weights, eager.numpy(), atol=2e-6)


def test_the_second_sample_of_deberta_can_be_chosen() -> None:
    model = deberta()
    with torch.no_grad(), mmviz.capture(model) as result:
        eager = model(torch.arange(5, 17).view(2, 6), output_attentions=True).attentions[0]
    np.testing.assert_allclose(result.record(batch=1).maps[0].weights, eager[1].numpy(), atol=2e-6)


def test_the_first_sample_of_deberta_is_itself_alone() -> None:
    model = deberta()
    with torch.no_grad(), mmviz.capture(model) as result:
        eager = model(torch.arange(5, 17).view(2, 6), output_attentions=True).attentions[0]
    np.testing.assert_allclose(result.record(batch=0).maps[0].weights, eager[0].numpy(), atol=2e-6)


@pytest.mark.parametrize("adds", [False, True], ids=["bmm", "baddbmm"])
def test_heads_and_samples_in_one_axis_are_told_apart(adds: bool) -> None:
    x = drawn(2, 6, 12)
    with mmviz.capture(model := Flat(3, adds)) as result:
        model(x)
    heads = x.view(2, 6, 3, 4).transpose(1, 2)
    np.testing.assert_allclose(result.record().maps[0].weights, weights_by_hand(heads, heads), atol=2e-6)


@pytest.mark.parametrize("adds", [False, True], ids=["bmm", "baddbmm"])
def test_heads_alone_in_their_axis_are_heads(adds: bool) -> None:
    x = drawn(1, 6, 12)
    with mmviz.capture(model := Flat(3, adds)) as result:
        model(x)
    heads = x.view(6, 3, 4).transpose(0, 1)
    np.testing.assert_allclose(result.record().maps[0].weights, weights_by_hand(heads, heads), atol=2e-6)
