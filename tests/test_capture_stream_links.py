"""Which tokens of other streams a token is made of, compared with what it depends on, and flows through such links."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from co_attention import HEADS, SIZE, Attention, Layer, Pass, dense_rollout, layer_weights, normalized, weighted
from numpy.typing import NDArray
from torch import Tensor, nn

import mmviz
from mmviz.capture.call_rollout_relevance import CallFlows
from mmviz.types import CaptureError

SIDE, WORDS = 4, 6
PATCHES = SIDE * SIDE
Project = Callable[[Tensor, "Reader"], Tensor]
Place = Callable[[Tensor, Tensor], Tensor]


class Reader(nn.Module):
    """A tower for patches, whose tokens are projected and placed among words that a decoder then reads."""

    def __init__(self, project: Project, place: Place, features: int = SIZE, skipped: int = 0) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.project, self.place, self.skipped = project, place, skipped
        self.tower, self.decoder = nn.ModuleList(Layer() for _ in range(2)), nn.ModuleList(Layer() for _ in range(2))
        self.merger = nn.Linear(features, SIZE)
        self.conv = nn.Conv2d(SIZE, SIZE, 2, stride=2)
        self.norm = nn.LayerNorm(SIZE)

    def forward(self, patches: Tensor, words: Tensor) -> Tensor:
        states = [patches]
        for layer in self.tower:
            states.append(layer(states[-1]))
        self.tower_states = states[len(states) - 1 - self.skipped]
        x = self.joined = self.place(words, self.project(self.norm(self.tower_states), self))
        for layer in self.decoder:
            x = layer(x)
        return x


def grid(x: Tensor) -> Tensor:
    """Patches as a picture, ``[sample, channel, row, column]``."""
    return x.transpose(1, 2).unflatten(2, (SIDE, SIDE))


def merged(x: Tensor, reader: Reader) -> Tensor:
    """Squares of four patches, side by side as features of one token, as Qwen-VL does."""
    squares = x.view(len(x), 2, 2, 2, 2, SIZE).permute(0, 1, 3, 2, 4, 5).reshape(len(x), 4, 4 * SIZE)
    return F.gelu(reader.merger(squares))


def mixed(x: Tensor, reader: Reader) -> Tensor:
    """Two vectors of each token, mixed by coefficients that come from the token itself, as Gemma 3n's AltUp does."""
    x = x[:, 3:7]
    vectors = torch.stack([x, F.gelu(reader.merger(x))], -1)
    return torch.matmul(vectors, reader.norm(x)[..., :4].unflatten(-1, (2, 2)))[..., 0]


PROJECTIONS: dict[str, tuple[Project, int]] = {
    "linear": (lambda x, reader: F.gelu(reader.merger(x[:, :4])), SIZE),
    "mixed": (mixed, SIZE),
    "merged": (merged, 4 * SIZE),
    "pixel unshuffle": (lambda x, reader: reader.merger(F.pixel_unshuffle(grid(x), 2).flatten(2).mT), 4 * SIZE),
    "average pool": (lambda x, reader: reader.merger(F.avg_pool2d(grid(x), 2).flatten(2).mT), SIZE),
    "adaptive pool": (lambda x, reader: reader.merger(F.adaptive_avg_pool1d(x.mT, 3).mT), SIZE),
    "convolution": (lambda x, reader: reader.conv(grid(x)).flatten(2).transpose(1, 2), SIZE),
    "overlapping pool": (lambda x, reader: F.avg_pool1d(x.mT, 3, stride=5, padding=1).mT, SIZE),
    "mean": (lambda x, reader: reader.merger(x.mean(1, keepdim=True)), SIZE),
    "two halves": (lambda x, reader: torch.cat([x[:, :4], x[:, 8:12]], -1) @ reader.merger.weight.T, 2 * SIZE),
    "sum": (lambda x, reader: x[:, :4] + x[:, [15, 14, 1, 0]], SIZE),
    "einsum": (lambda x, reader: torch.einsum("bnd,ed->bne", x[:, 4:8].flip(1), reader.merger.weight), SIZE),
    "gathered": (lambda x, reader: x.gather(1, torch.tensor([3, 9, 2])[None, :, None].expand(len(x), 3, SIZE)), SIZE),
}  # fmt: skip


def scattered(words: Tensor, states: Tensor) -> Tensor:
    mask = torch.zeros(words.shape[:2], dtype=torch.bool)
    mask[:, 1 : 1 + states.shape[1]] = True
    return words.masked_scatter(mask[..., None].expand_as(words), states)


def assigned(words: Tensor, states: Tensor) -> Tensor:
    mask = torch.zeros(words.shape[:2], dtype=torch.bool)
    mask[:, WORDS - states.shape[1] :] = True
    words = words.clone()
    words[mask] = states.flatten(0, 1)
    return words


def indexed(words: Tensor, states: Tensor) -> Tensor:
    places = torch.tensor([4, 0, 3, 5])[: states.shape[1]]
    return words.index_put((torch.arange(len(words))[:, None], places), states)


def chosen(words: Tensor, states: Tensor) -> Tensor:
    count = states.shape[1]
    padded = F.pad(states, (0, 0, 0, WORDS - count))
    return torch.where((torch.arange(WORDS) < count)[None, :, None], padded, words)


PLACES: dict[str, Place] = {
    "masked_scatter": scattered,
    "assignment": assigned,
    "index_put": indexed,
    "where": chosen,
    "cat": lambda words, states: torch.cat([words[:, :2], states, words[:, 2:]], 1),
}


def run(reader: Reader, samples: int = 2) -> tuple[Any, Tensor]:
    """The capture of a reader, and a logit of its last sample."""
    generator = torch.Generator().manual_seed(5)
    patches, words = (torch.randn(samples, count, SIZE, generator=generator) for count in (PATCHES, WORDS))
    with mmviz.capture(reader) as result:
        output = reader(patches, words)
    return result, output[-1, -1].square().sum()


def flows(result: Any, sample: int) -> CallFlows:
    maps, graph = result._maps(None)
    return CallFlows(maps, graph.streams, sample)


def shares(result: Any, sample: int, stream: int, source: int) -> NDArray[np.float64]:
    """The links of a stream as a matrix ``[token, token of the source]``, and the states that they read."""
    system = flows(result, sample).system
    matrix = np.zeros((system.counts[stream], system.counts[source]))
    for link in system.links_of(stream):
        assert link.source == source
        np.add.at(matrix, (link.tokens.numpy(), link.source_tokens.numpy()), link.shares.numpy())
    return matrix


def dependence(reader: Reader, sample: int) -> NDArray[np.bool_]:
    """Whether a token that enters the decoder changes with a token that leaves the tower, by their gradients."""
    rows = []
    for token in range(reader.joined.shape[1]):
        (gradient,) = torch.autograd.grad(
            reader.joined[sample, token].square().sum(), reader.tower_states, retain_graph=True, allow_unused=True
        )
        rows.append((gradient[sample] != 0).any(-1).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("project", ["merged", "linear"])
def test_a_token_is_made_of_what_it_depends_on_wherever_it_is_placed(project: str, place: str) -> None:
    function, features = PROJECTIONS[project]
    result, _ = run(reader := Reader(function, PLACES[place], features))
    check_links(result, reader)


@pytest.mark.parametrize("project", PROJECTIONS)
def test_a_token_is_made_of_what_it_depends_on_however_it_is_projected(project: str) -> None:
    function, features = PROJECTIONS[project]
    result, _ = run(reader := Reader(function, PLACES["masked_scatter"], features))
    check_links(result, reader)


def check_links(result: Any, reader: Reader) -> None:
    """The links are equal shares of exactly the tokens that gradients reach."""
    for sample in range(2):
        expected = dependence(reader, sample).astype(float)
        assert 0 < expected.sum() < expected.size
        expected /= np.maximum(expected.sum(1, keepdims=True), 1)
        np.testing.assert_allclose(shares(result, sample, 1, 0), expected, atol=1e-6)


class BlockAttention(Attention):
    """Attention within blocks of tokens, as Gemma 3n's to sounds: heads stand before blocks in the queries, not in the
    weights."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.blocks = blocks

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        query, key, value = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2).unflatten(2, (self.blocks, -1))
            for part in (self.query(x) * 3, *self.memory(memory).chunk(2, -1))
        )
        weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
        joined = [part.permute(0, 2, 1, 3, 4).flatten(0, 2) for part in (weights, value)]
        mixed = torch.bmm(*joined).unflatten(0, (len(x), self.blocks, HEADS)).transpose(2, 3)
        output: Tensor = self.output(mixed.flatten(3).flatten(1, 2))
        return output


@pytest.mark.parametrize("blocks", [HEADS, 4])
def test_tokens_are_followed_through_attention_whose_queries_are_arranged_in_blocks(blocks: int) -> None:
    reader = Reader(merged, PLACES["cat"], PROJECTIONS["merged"][1])
    for layer in reader.tower:
        layer.attention = BlockAttention(blocks)
    result, _ = run(reader)
    check_links(result, reader)


@pytest.mark.parametrize("skipped", [0, 1])
def test_flows_go_on_from_a_decoder_into_the_tower_at_the_layer_that_is_read(skipped: int) -> None:
    function, features = PROJECTIONS["merged"]
    result, logit = run(Reader(function, PLACES["masked_scatter"], features, skipped))
    link = shares(result, 1, 1, 0)
    weights, attention = layer_weights(result, 1), weighted(result, logit, 1)
    inner = dense_rollout([Pass("p", "p")] * (2 - skipped), weights[: 2 - skipped], {"p": PATCHES})["p", "p"]
    outer = dense_rollout([Pass("w", "w")] * 2, weights[2:], {"w": WORDS})["w", "w"]
    streams = {"queries": "decoder", "keys": "tower", "batch": 1}
    np.testing.assert_allclose(result.rollout(range(WORDS), **streams), outer @ link @ inner, atol=1e-6)
    np.testing.assert_allclose(result.rollout([0, 7], "to", **streams), (outer @ link @ inner)[:, [0, 7]], atol=1e-6)
    np.testing.assert_allclose(result.rollout(range(WORDS), batch=1), outer, atol=1e-6)
    eye = np.eye(PATCHES), np.eye(WORDS)
    relevance = [eye[0], eye[1]]
    for number, matrix in enumerate(attention):
        if number < 2 - skipped or number >= 2:
            side = int(number >= 2)
            relevance[side] = relevance[side] + matrix @ relevance[side]
    exact = relevance[1] @ link @ relevance[0] - link
    rows = result.relevance(logit, **streams)
    assert exact.max() > 0 and np.abs(rows - exact).max() < 1e-5 * np.abs(exact).max()


class Resampled(nn.Module):
    """Words that attend to the means of pairs of patches."""

    def __init__(self) -> None:
        super().__init__()
        self.tower, self.words = nn.ModuleList([Layer(), Layer()]), nn.ModuleList([Layer()])
        self.cross, self.last = Attention(), Layer()

    def forward(self, patches: Tensor, words: Tensor) -> Tensor:
        for layer in self.tower:
            patches = layer(patches)
        for layer in self.words:
            words = layer(words)
        memory = F.avg_pool1d(patches.mT, 2).mT
        output: Tensor = self.last(words + self.cross(words, memory))
        return output


def test_relevance_of_a_memory_is_that_of_the_tokens_it_is_made_of() -> None:
    torch.manual_seed(0)
    result, logit = run(Resampled())
    first, second, words, cross, last = weighted(result, logit, 1)
    link = np.kron(np.eye(8), [[0.5, 0.5]])
    of_patches = (np.eye(PATCHES) + second) @ (np.eye(PATCHES) + first)
    rest = link @ of_patches - link
    of_memory = rest / rest.sum(1, keepdims=True) + link
    of_words = np.eye(WORDS) + words
    exact = (np.eye(WORDS) + last) @ (normalized(of_words).T @ cross @ of_memory)
    rows = result.relevance(logit, queries="words", keys="tower", batch=1)
    assert np.abs(rows - exact).max() < 1e-5 * exact.max()


def test_a_function_that_cannot_be_followed_is_named() -> None:
    result, logit = run(Reader(lambda x, reader: x[:, :4].cumsum(1), PLACES["cat"]))
    for flow in (lambda **ends: result.rollout([0], **ends), lambda **ends: result.relevance(logit, [0], **ends)):
        with pytest.raises(CaptureError) as error:
            flow(queries="decoder", keys="tower", batch=1)
        assert error.value.code == "flow-lost"
        assert all(part in str(error.value) for part in ("tower", "decoder", "cumsum"))
        assert flow(queries="decoder", batch=1).shape == (1, WORDS + 4)
        assert flow(queries="tower", batch=1).shape == (1, PATCHES)
