"""What cannot be put under its tokens is left out by name: rearranged tokens, channels, caches of another order."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from eager_attention import Blocks, drawn, heads, record_of
from torch import Tensor, nn

from mmviz import CaptureError


class Own(nn.Module):
    """Tokens that attend to each other."""

    num_heads = 2

    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(heads(x), heads(x), heads(x)).transpose(1, 2).flatten(2)


class OneSided(nn.Module):
    """Keys in an order that depends on their numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(heads(x), heads(x.sort(1).values), heads(x)).transpose(1, 2).flatten(2)


class BothSorted(nn.Module):
    """Queries and keys in orders of their own, by the same functions."""

    def forward(self, x: Tensor) -> Tensor:
        query, key = heads((x * 2).sort(1).values), heads((x * -1).sort(1).values)
        return F.scaled_dot_product_attention(query, key, heads(x)).transpose(1, 2).flatten(2)


class Largest(nn.Module):
    """Queries that were chosen by their numbers."""

    def forward(self, x: Tensor) -> Tensor:
        query = heads(x.topk(2, 1).values)
        return F.scaled_dot_product_attention(query, heads(x), heads(x)).mean().expand_as(x)


class ChosenByHead(nn.Module):
    """Each head has queries of its own, those of the largest norm."""

    num_heads = 2

    def forward(self, x: Tensor) -> Tensor:
        query = heads(x).flatten(0, 1)
        best = torch.tensor([[0, 1], [2, 3]] * len(x))
        chosen = query[torch.arange(len(query))[:, None], best]
        output = F.scaled_dot_product_attention(chosen, query, query)
        return output.mean((0, 1)).repeat(2).expand_as(x)


@pytest.mark.parametrize("block", [OneSided, BothSorted, Largest, ChosenByHead], ids=lambda block: block.__name__)
def test_an_arrangement_of_one_side_that_cannot_be_followed_is_left_out_by_name(block: type[nn.Module]) -> None:
    record = record_of(Blocks(Own(), block()), drawn(1, 4, 8))
    assert [attn_map.name for attn_map in record.maps] == ["blocks.0"] and len(record.streams) == 1
    assert [(notice.code, notice.parameters["name"]) for notice in record.notices] == [("axes-tokens", "blocks.1")]
    with pytest.raises(CaptureError) as error:
        record_of(Blocks(block()), drawn(1, 4, 8))
    assert error.value.code == "axes-tokens"


class ChannelAttention(nn.Module):
    """Channels attend to each other over all tokens."""

    def __init__(self, is_fused: bool) -> None:
        super().__init__()
        self.qkv, self.is_fused = nn.Linear(8, 24), is_fused

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            self.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 4, 1)
        )  # [batch, group, channel, token]
        if self.is_fused:
            output = F.scaled_dot_product_attention(query, key, value)
        else:
            output = (query @ key.mT).softmax(-1) @ value
        return output.permute(0, 3, 1, 2).flatten(2)


@pytest.mark.parametrize("is_fused", [False, True])
def test_attention_over_channels_is_named_and_not_shown(is_fused: bool) -> None:
    record = record_of(Blocks(Own(), ChannelAttention(is_fused)), drawn(2, 5, 8), batch=0)
    assert [attn_map.name for attn_map in record.maps] == ["blocks.0"]
    assert [notice.code for notice in record.notices] == ["attention-over-features"]
    assert record.notices[0].parameters == {"module": "blocks.1"}


class Cached(nn.Module):
    """New tokens attend to those of a cache and to themselves; ``is_first``: whether they come before the others."""

    def __init__(self, is_first: bool, is_sorted: bool = False) -> None:
        super().__init__()
        self.is_first, self.is_sorted = is_first, is_sorted

    def forward(self, x: Tensor, past: Tensor) -> Tensor:
        new = x.sort(1).values if self.is_sorted else x
        key = torch.cat([new, past] if self.is_first else [past, new], 1)
        return F.scaled_dot_product_attention(heads(x), heads(key), heads(key)).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("is_first", [False, True])
def test_queries_are_those_of_the_keys_that_were_added_to_a_cache(is_first: bool) -> None:
    x, past = drawn(1, 2, 8), drawn(1, 3, 8, seed=1)
    record = record_of(Cached(is_first), x, past)
    (attn_map,) = record.maps
    queries, keys = (list(record.streams[name]) for name in (attn_map.queries, attn_map.keys))
    assert queries == (keys[:2] if is_first else keys[3:]) and len(keys) == 5


def test_keys_of_a_cache_whose_order_cannot_be_followed_are_left_out_by_name() -> None:
    with pytest.raises(CaptureError) as error:
        record_of(Cached(is_first=False, is_sorted=True), drawn(1, 4, 8), drawn(1, 3, 8, seed=1))
    assert error.value.code == "axes-tokens"
