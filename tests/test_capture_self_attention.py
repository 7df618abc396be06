"""Self-attention is one stream, however its queries and keys were made of the tokens; else it is left out by name."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from eager_attention import Blocks, drawn, heads, record_of, weights_by_hand
from torch import Tensor, nn

import mmviz


def attended(weights: Tensor, x: Tensor) -> Tensor:
    return (weights @ heads(x)).transpose(1, 2).flatten(2)


def scores_of(query: Tensor, key: Tensor) -> Tensor:
    return query @ key.mT / query.shape[-1] ** 0.5


class FilledByWhere(nn.Module):
    """Scores of later keys are replaced by ``torch.where``, whose condition comes first."""

    def forward(self, x: Tensor) -> Tensor:
        scores = scores_of(heads(x), heads(x))
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()[None, None]
        return attended(torch.where(mask, scores, torch.tensor(-1e9)).softmax(-1), x)


class AddedByKeyword(nn.Module):
    """A bias to which the product is added, with the factors as keywords, batch and heads in one axis."""

    num_heads = 2

    def forward(self, x: Tensor) -> Tensor:
        query, key = heads(x).flatten(0, 1), heads(x).flatten(0, 1)
        bias = torch.zeros(len(query), 1, x.shape[1])
        scores = bias.baddbmm(batch1=query, batch2=key.mT, alpha=query.shape[-1] ** -0.5)
        weights = scores.view(len(x), 2, *scores.shape[1:]).softmax(-1)
        return torch.bmm(weights.flatten(0, 1), key).unflatten(0, (len(x), 2)).transpose(1, 2).flatten(2)


class WrittenBySlices(nn.Module):
    """Keys whose features are copied into new memory, half by half."""

    def forward(self, x: Tensor) -> Tensor:
        query, half = heads(x), x.shape[-1] // 4
        key = query.new_empty(query.shape)
        key[..., :half].copy_(query[..., :half])
        key[..., half:].copy_(query[..., half:])
        return F.scaled_dot_product_attention(query, key, query).transpose(1, 2).flatten(2)


class FirstTokenApart(nn.Module):
    """All tokens but the first are changed, and joined with it again, for queries and keys by themselves."""

    def forward(self, x: Tensor) -> Tensor:
        query, key = (torch.cat([part[:, :, :1], part[:, :, 1:] * 1.0], 2) for part in (heads(x), heads(x)))
        return F.scaled_dot_product_attention(query, key, heads(x)).transpose(1, 2).flatten(2)


class ChannelsFirst(nn.Module):
    """Tokens in the last axes and features in the second, which a convolution of one place projects."""

    def __init__(self, axes: int) -> None:
        super().__init__()
        convolution = nn.Conv1d if axes == 1 else nn.Conv2d
        self.query, self.key = (convolution(8, 8, 1, bias=False) for _ in range(2))
        for part in (self.query, self.key):
            part.weight.data = torch.eye(8).view(8, 8, *[1] * axes)

    def forward(self, x: Tensor) -> Tensor:
        query, key = (part(x).flatten(2).unflatten(1, (2, -1)).mT for part in (self.query, self.key))
        return F.scaled_dot_product_attention(query, key, key).mT.flatten(1, 2).view(x.shape)


@pytest.mark.parametrize(
    "block", [FilledByWhere, AddedByKeyword, WrittenBySlices, FirstTokenApart], ids=lambda block: block.__name__
)
def test_tokens_that_attend_to_each_other_are_one_stream(block: type[nn.Module]) -> None:
    x = drawn(2, 5, 8)
    record = record_of(Blocks(block(), block()), x, batch=1)
    mask = torch.full((5, 5), -math.inf).triu(1) if block is FilledByWhere else None
    np.testing.assert_allclose(record.maps[0].weights, weights_by_hand(heads(x), heads(x), mask)[1], atol=2e-6)
    assert len(record.streams) == 1 and [attn_map.layer for attn_map in record.maps] == [0, 1]


@pytest.mark.parametrize("axes", [1, 2])
def test_features_in_the_second_axis_are_no_tokens(axes: int) -> None:
    x = drawn(2, 6, 8)
    channels_first = x.mT if axes == 1 else x.mT.unflatten(2, (2, 3))
    record = record_of(Blocks(ChannelsFirst(axes), ChannelsFirst(axes)), channels_first, batch=1)
    np.testing.assert_allclose(record.maps[0].weights, weights_by_hand(heads(x), heads(x))[1], atol=2e-6)
    assert [len(tokens) for tokens in record.streams.values()] == [6]


@pytest.mark.parametrize(("padding", "streams"), [((1, 1), 1), ((2, 0), 2)])
def test_a_convolution_keeps_the_token_in_the_middle_of_its_kernel(padding: tuple[int, int], streams: int) -> None:
    """One that looks back alone moves the middle: what it makes are other tokens."""

    class Smoothed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = Blocks(FirstTokenApart()), Blocks(FirstTokenApart())
            self.smooth = nn.Conv1d(8, 8, 3)

        def forward(self, x: Tensor) -> Tensor:
            output: Tensor = self.second(self.smooth(F.pad(self.first(x).mT, padding)).mT)
            return output

    record = record_of(Smoothed(), drawn(1, 5, 8))
    assert len({attn_map.queries for attn_map in record.maps}) == streams


class Chunk(nn.Module):
    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(heads(query), heads(key), heads(key)).transpose(1, 2).flatten(2)


class InChunks(nn.Module):
    """A module that runs once for each chunk of three tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Chunk()

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.inner(x[:, k : k + 3], x[:, k : k + 3]) for k in range(0, x.shape[1], 3)], 1)


def test_chunks_that_one_module_attends_over_in_turn_are_one_map_in_windows() -> None:
    x = drawn(1, 6, 8)
    chunked, whole = record_of(Blocks(InChunks(), FirstTokenApart()), x).maps
    assert isinstance(chunked, mmviz.AttentionMap) and chunked.windows == (0, 0, 0, 1, 1, 1)
    for window in (slice(0, 3), slice(3, 6)):
        expected = weights_by_hand(heads(x[:, window]), heads(x[:, window]))[0]
        np.testing.assert_allclose(chunked.weights[:, window, window], expected, atol=2e-6)
    assert chunked.queries == chunked.keys == whole.keys


class Landmarks(nn.Module):
    """Means of pairs of tokens attend to each other, made for queries and keys by themselves."""

    def forward(self, x: Tensor) -> Tensor:
        query, key = (part.unflatten(2, (-1, 2)).mean(3) for part in (heads(x), heads(x)))
        return F.scaled_dot_product_attention(query, key, key).mean().expand_as(x)


def test_tokens_that_are_made_of_the_same_ones_alike_are_one_stream() -> None:
    record = record_of(Blocks(Landmarks()), drawn(1, 6, 8))
    (attn_map,) = record.maps
    assert attn_map.queries == attn_map.keys and len(record.streams[attn_map.keys]) == 3


class Decoder(nn.Module):
    """Learned queries attend to each other, then to the tokens, in two layers whose weights are larger than they."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.queries = nn.Parameter(torch.randn(3, 1, 16))
        self.layers = nn.ModuleList(
            nn.ModuleDict({"own": nn.MultiheadAttention(16, 2), "cross": nn.MultiheadAttention(16, 2)})
            for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        queries = self.queries.repeat(1, x.shape[1], 1)
        for layer in self.layers:
            queries = queries + layer["cross"](queries, x, x)[0]
            queries = queries + layer["own"](queries, queries, queries)[0]
        return queries


def test_learned_queries_are_one_stream_in_all_layers() -> None:
    record = record_of(Decoder(), drawn(5, 2, 16), batch=0)
    assert len(record.maps) == 4 and len(record.streams) == 2
    assert len({attn_map.queries for attn_map in record.maps}) == 1


class OfLearnedTokens(nn.Module):
    """Tokens that are parameters attend to each other, as in the first layer of a decoder."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tokens = nn.Parameter(torch.randn(1, 3, 8))
        self.query, self.key = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.tokens.expand(len(x), -1, -1)
        query, key = heads(self.query(tokens)), heads(self.key(tokens))
        return attended(scores_of(query, key).softmax(-1), tokens).mean(1, keepdim=True) + x


def test_learned_tokens_that_attend_to_each_other_are_recorded() -> None:
    model = OfLearnedTokens()
    with torch.no_grad():
        tokens = model.tokens.data
        expected = weights_by_hand(heads(model.query(tokens)), heads(model.key(tokens)))[0]
    (attn_map,) = record_of(model, drawn(2, 4, 8), batch=0).maps
    np.testing.assert_allclose(attn_map.weights, expected, atol=2e-6)


def test_a_single_head_is_none_of_those_that_a_model_around_its_block_names() -> None:
    class OneHead(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.bmm(torch.bmm(x, x.mT).softmax(-1), x)

    model = Blocks(OneHead())
    model.num_heads = 2  # type: ignore[assignment]
    x = drawn(2, 4, 8)
    (attn_map,) = record_of(model, x, batch=1).maps
    np.testing.assert_allclose(attn_map.weights[0], (x @ x.mT).softmax(-1)[1].numpy(), atol=2e-6)


class WithNeighbours(nn.Module):
    """Blocks of two tokens, whose keys are those of the blocks beside them, too."""

    num_heads = 2

    def forward(self, x: Tensor) -> Tensor:
        query = heads(x).unflatten(2, (-1, 2)).transpose(1, 2)  # [batch, block, head, token, d]
        padded = F.pad(query, (0, 0, 0, 0, 0, 0, 1, 1))
        key = torch.cat([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], 3)
        output = F.scaled_dot_product_attention(query, key, key)
        return output.transpose(1, 2).flatten(2, 3).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("sample", [0, 1])
def test_keys_of_the_blocks_beside_stand_under_their_tokens(sample: int) -> None:
    x = drawn(2, 6, 8)
    attn_map, _ = record_of(Blocks(WithNeighbours(), FirstTokenApart()), x, batch=sample).maps
    padded = torch.cat([torch.zeros(2, 8), x[sample], torch.zeros(2, 8)])[None]
    expected = np.zeros((2, 6, 10), np.float32)
    for first in (0, 2, 4):
        query, key = heads(x[sample : sample + 1, first : first + 2]), heads(padded[:, first : first + 6])
        expected[:, first : first + 2, first : first + 6] = weights_by_hand(query, key)[0]
    assert isinstance(attn_map, mmviz.AttentionMap) and attn_map.absorbed_by == "padding"
    np.testing.assert_allclose(attn_map.weights, expected[:, :, 2:8], atol=2e-6)
    assert attn_map.queries == attn_map.keys and attn_map.windows == (), "no block keeps to itself"
