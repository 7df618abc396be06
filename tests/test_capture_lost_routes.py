"""Flows that end where tokens of other streams enter between layers, of other samples, or of earlier calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from co_attention import SIZE, Attention, Layer
from torch import Tensor, nn

import mmviz
from mmviz.types import CaptureError


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(4))


def captured(model: nn.Module, *inputs: Tensor) -> Any:
    torch.manual_seed(0)
    with torch.no_grad(), mmviz.capture(model) as result:
        model(*inputs)
    return result


def code_of(result: Any, **ends: Any) -> str:
    with pytest.raises(CaptureError) as error:
        result.rollout([0], **ends)
    return error.value.code


class Stacked(nn.Module):
    """A decoder to whose tokens those of a tower are added; again between its layers, where ``adds_later``."""

    def __init__(self, adds_later: bool) -> None:
        super().__init__()
        self.adds_later = adds_later
        self.tower, self.decoder = nn.ModuleList([Layer(), Layer()]), nn.ModuleList([Layer(), Layer()])

    def forward(self, patches: Tensor, words: Tensor) -> Tensor:
        states = [patches]
        for layer in self.tower:
            states.append(layer(states[-1]))
        x = torch.cat([states[-1], words], 1)
        x = self.decoder[0](x)
        if self.adds_later:
            x = torch.cat([x[:, :4] + states[1], x[:, 4:]], 1)
        output: Tensor = self.decoder[1](x)
        return output


def test_tokens_of_a_tower_that_are_added_between_layers_end_the_flow_into_it() -> None:
    inputs = drawn(1, 4, SIZE), drawn(1, 3, SIZE)
    assert captured(Stacked(False), *inputs).rollout([0], queries="decoder", keys="tower").shape == (1, 4)
    result = captured(Stacked(True), *inputs)
    assert code_of(result, queries="decoder", keys="tower") == "flow-lost"
    assert result.rollout([0], queries="decoder").shape == (1, 7)


class Reduced(nn.Module):
    """Layers whose keys are pairs of tokens, joined anew in each layer, as in a pyramid of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([ReducedLayer(), ReducedLayer()])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class ReducedLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attention(x, F.avg_pool1d(x.mT, 2).mT)


def test_keys_that_are_made_anew_in_each_layer_end_the_flow_through_them() -> None:
    result = captured(Reduced(), drawn(1, 8, SIZE))
    queries, keys = result.record().maps[-1].queries, result.record().maps[-1].keys
    assert queries != keys
    assert code_of(result, queries=keys, keys=queries) == "flow-lost"
    assert code_of(result, queries=queries, keys=queries) == "flow-lost", "what flows through the keys is missing"


class Tiled(nn.Module):
    """A tower over two pictures as a batch, whose tokens are of one text."""

    def __init__(self) -> None:
        super().__init__()
        self.tower, self.decoder = nn.ModuleList([Layer()]), nn.ModuleList([Layer()])

    def forward(self, tiles: Tensor, words: Tensor) -> Tensor:
        tiles = self.tower[0](tiles).flatten(0, 1)[None]
        output: Tensor = self.decoder[0](torch.cat([tiles, words], 1))
        return output


def test_pictures_of_a_batch_that_one_text_is_made_of_are_stretches_of_one_sample() -> None:
    result = captured(Tiled(), drawn(2, 4, SIZE), drawn(1, 3, SIZE))
    assert result.record().maps[0].windows == (0, 0, 0, 0, 1, 1, 1, 1)
    tower, decoder = (result.view(number).full().mean(0, np.float64) for number in range(2))
    assert tower.shape == (8, 8) and not tower[:4, 4:].any() and not tower[4:, :4].any()
    expected = (np.eye(11) + decoder)[:, :8] / 2 @ (np.eye(8) + tower) / 2
    rows = result.rollout(list(range(11)), queries="decoder", keys="tower")
    np.testing.assert_allclose(rows, expected, atol=1e-6)


class UnevenlyTiled(Tiled):
    """The first of two texts is made of two pictures, the second of one."""

    def forward(self, tiles: Tensor, words: Tensor) -> Tensor:
        tiles = self.tower[0](tiles)
        padded = torch.cat([tiles, torch.zeros_like(tiles[:1])]).reshape(2, -1, SIZE)
        output: Tensor = self.decoder[0](torch.cat([padded, words], 1))
        return output


def test_pictures_of_a_batch_that_are_unequally_many_for_each_text_are_samples() -> None:
    result = captured(UnevenlyTiled(), drawn(3, 4, SIZE), drawn(2, 3, SIZE))
    assert code_of(result, queries="decoder", keys="tower", batch=0) == "flow-samples"
    assert result.rollout([0], queries="decoder", batch=0).shape == (1, 11)


class Perceiver(nn.Module):
    """Latents that attend to patches and to themselves, joined as keys."""

    def __init__(self) -> None:
        super().__init__()
        self.latents = nn.Parameter(drawn(1, 3, SIZE))
        self.tower, self.layers = nn.ModuleList([Layer()]), nn.ModuleList([Attention(), Attention()])

    def forward(self, patches: Tensor) -> Tensor:
        patches = self.tower[0](patches)
        latents = self.latents.expand(len(patches), -1, -1)
        for layer in self.layers:
            latents = latents + layer(latents, torch.cat([patches, latents], 1))
        return latents


def test_latents_of_a_resampler_lead_to_the_patches_that_they_attend_to() -> None:
    result = captured(Perceiver(), drawn(1, 5, SIZE))
    tower, first, second = (result.view(number).full().mean(0, np.float64) for number in range(3))
    patches, latents = (np.eye(5) + tower) / 2, np.zeros((3, 5))
    for weights in (first, second):
        latents = (latents + weights @ np.concatenate([patches, latents])) / 2
    names = result.record().maps
    rows = result.rollout([5, 6, 7], queries=_whole(result), keys=names[0].queries)
    np.testing.assert_allclose(rows, latents, atol=1e-6)


def _whole(result: Any) -> str:
    """The name of the stream of patches and latents, which the keys are."""
    keys: str = result.record().maps[-1].keys
    return keys


class Cached(nn.Module):
    """Attention whose keys begin with those of the call before."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.cache: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        keys = x if self.cache is None else torch.cat([self.cache, x], 1)
        self.cache = keys
        output: Tensor = self.attention(x, keys)
        return output


def test_tokens_of_earlier_calls_end_the_flow() -> None:
    model = Cached()
    with torch.no_grad(), mmviz.capture(model) as result:
        model(drawn(1, 4, SIZE))
        model(drawn(1, 1, SIZE))
    assert result.rollout([0], call=0).shape == (1, 4)
    assert code_of(result, call=1) == "flow-cache"
