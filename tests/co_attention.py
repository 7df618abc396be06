"""Small planted models of several streams, and flows through them from full matrices by the papers' formulas.

Attention is eager, so that all of its weights are in the graph. A `Pass` is one map as the reference sees it: its
streams, and the states that both sides are read in.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SIZE, HEADS = 16, 2
Matrices = dict[tuple[str, str], NDArray[np.float64]]


class Attention(nn.Module):
    """Eager attention of one sequence to another, sharp enough that its weights differ."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.memory, self.output = nn.Linear(SIZE, SIZE), nn.Linear(SIZE, 2 * SIZE), nn.Linear(SIZE, SIZE)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        split = [part.unflatten(-1, (HEADS, -1)).transpose(1, 2)
                 for part in (self.query(x) * 3, *self.memory(memory).chunk(2, -1))]  # fmt: skip
        query, key, value = split
        weights = (query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5).softmax(-1)
        output: Tensor = self.output((weights @ value).transpose(1, 2).flatten(2))
        return output


class Layer(nn.Module):
    """Self-attention and a feed-forward layer, each with a residual connection."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.norm = Attention(), nn.LayerNorm(SIZE)
        self.mlp = nn.Sequential(nn.Linear(SIZE, SIZE), nn.GELU(), nn.Linear(SIZE, SIZE))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm(x), self.norm(x))
        result: Tensor = x + self.mlp(x)
        return result


class CrossLayer(nn.Module):
    """As a cross-modality layer of LXMERT: both sides attend to each other as they were, then to themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.words_to_patches, self.patches_to_words = Attention(), Attention()
        self.words, self.patches = Layer(), Layer()

    def forward(self, words: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        new_words = words + self.words_to_patches(words, patches)
        new_patches = patches + self.patches_to_words(patches, words)
        return self.words(new_words), self.patches(new_patches)


class CoAttention(nn.Module):
    """An encoder for words and one for patches, then layers in which they attend to each other."""

    def __init__(self, layers: int = 3) -> None:
        super().__init__()
        self.word_layers, self.patch_layers = nn.ModuleList([Layer()]), nn.ModuleList([Layer(), Layer()])
        self.cross_layers = nn.ModuleList(CrossLayer() for _ in range(layers))

    def forward(self, words: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.word_layers:
            words = layer(words)
        for layer in self.patch_layers:
            patches = layer(patches)
        for layer in self.cross_layers:
            words, patches = layer(words, patches)
        return words, patches


class DecoderLayer(nn.Module):
    """Self-attention, then attention to a memory."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.cross = Layer(), Attention()

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        x = self.attention(x)
        return x + self.cross(x, memory)


class EncoderDecoder(nn.Module):
    """A decoder whose queries attend to the final tokens of an encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.ModuleList([Layer(), Layer()]), nn.ModuleList([DecoderLayer(), DecoderLayer()])

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        for layer in self.encoder:
            memory = layer(memory)
        for layer in self.decoder:
            x = layer(x, memory)
        return x


class Pass(NamedTuple):
    """One map of the reference, from ``queries`` to ``keys``."""

    queries: str
    keys: str
    reads_old: bool = False
    """Whether its keys are as they were before the map before it."""


W, P = "words", "patches"
CROSS = [Pass(W, P), Pass(P, W, reads_old=True), Pass(W, W), Pass(P, P)]
CO_ATTENTION = [Pass(W, W), Pass(P, P), Pass(P, P), *CROSS * 3]
ENCODER_DECODER = [Pass(P, P), Pass(P, P), *[Pass(W, W), Pass(W, P)] * 2]


def layer_weights(result: Any, batch: int = 0) -> list[NDArray[np.float64]]:
    """The weights ``[head, query, key]`` of each attention."""
    return [call.weights[batch].detach().double().numpy() for call in result.all_attention_calls]


def weighted(result: Any, logit: Tensor, batch: int = 0) -> list[NDArray[np.float64]]:
    """Equation 5: the mean over heads of ``max(0, gradient * weights)`` of each attention."""
    weights = [call.weights for call in result.all_attention_calls]
    gradients = torch.autograd.grad(logit, weights, retain_graph=True, allow_unused=True)
    return [
        np.zeros(tensor.shape[2:]) if gradient is None
        else (tensor[batch] * gradient[batch]).clamp(min=0).mean(0).detach().double().numpy()
        for tensor, gradient in zip(weights, gradients, strict=True)
    ]  # fmt: skip


def dense_rollout(passes: list[Pass], weights: list[NDArray[np.float64]], counts: dict[str, int]) -> Matrices:
    """Rollout of all streams as one matrix: ``B`` of each map over all tokens, multiplied."""
    offsets = dict(zip(counts, np.cumsum([0, *counts.values()]), strict=False))
    total = sum(counts.values())
    places = {name: slice(offsets[name], offsets[name] + count) for name, count in counts.items()}
    result = before = np.eye(total)
    for attn_pass, heads in zip(passes, weights, strict=True):
        rows, source = places[attn_pass.queries], before if attn_pass.reads_old else result
        mixed = result.copy()
        mean = heads.mean(0)
        mixed[rows] = (result[rows] + mean @ source[places[attn_pass.keys]]) / (1 + mean.sum(1, keepdims=True))
        before, result = result, mixed
    return {(a, b): result[places[a], places[b]] for a in counts for b in counts}


def dense_relevance(passes: list[Pass], maps: list[NDArray[np.float64]], counts: dict[str, int]) -> Matrices:
    """Chefer, Gur and Wolf 2021, equations 6 to 11, with full matrices."""
    relevance: Matrices = {
        (a, b): np.eye(counts[a]) if a == b else np.zeros((counts[a], counts[b])) for a in counts for b in counts
    }
    before = relevance
    for (s, q, reads_old), attention in zip(passes, maps, strict=True):
        source, new = before if reads_old else relevance, dict(relevance)
        for x in counts:
            if s == q:
                new[s, x] = relevance[s, x] + attention @ relevance[s, x]  # 6 and 7
            elif x == q:
                new[s, q] = relevance[s, q] + normalized(relevance[s, s]).T @ attention @ normalized(source[q, q])  # 10
            else:
                new[s, x] = relevance[s, x] + attention @ source[q, x]  # 11
        before, relevance = relevance, new
    return {(a, b): matrix - np.eye(counts[a]) if a == b else matrix for (a, b), matrix in relevance.items()}


def normalized(relevance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Equations 8 and 9; a row without relevance stays as it is."""
    rest = relevance - np.eye(len(relevance))
    sums = rest.sum(1, keepdims=True)
    return rest / np.where(sums > 0, sums, 1) + np.eye(len(relevance))
