"""Gradient relevance through windows and packed stretches, compared with dense matrices that autograd gives."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from eager_attention import drawn
from torch import Tensor, nn

import mmviz

COUNT, WIDTH, HEADS, WINDOW = 7, 8, 2, 4
SHIFTS = (0, 1)
STRETCHES = ((4, 3), (2, 5))


class Layer(nn.Module):
    """Attention of tokens within windows, of which the last is padded, or within stretches, one call for each."""

    def __init__(self, shift: int, stretches: tuple[int, ...]) -> None:
        super().__init__()
        self.qkv, self.out, self.shift, self.stretches = (
            nn.Linear(WIDTH, 3 * WIDTH),
            nn.Linear(WIDTH, WIDTH),
            shift,
            stretches,
        )

    def attend(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).view(*x.shape[:2], 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        output: Tensor = F.scaled_dot_product_attention(query, key, value)
        return output.transpose(1, 2).flatten(2)

    def forward(self, x: Tensor, is_windowed: bool) -> Tensor:
        if not is_windowed:
            return x + self.out(torch.cat([self.attend(part) for part in x.split(self.stretches, 1)], 1))
        padded = F.pad(x, (0, 0, 0, -COUNT % WINDOW)).roll(-self.shift, 1)
        windows = self.attend(padded.view(-1, WINDOW, WIDTH)).reshape(padded.shape)
        return x + self.out(windows.roll(self.shift, 1)[:, :COUNT])


class Model(nn.Module):
    """Two layers, whose windows overlap."""

    def __init__(self, is_windowed: bool) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.layers = nn.ModuleList(map(Layer, SHIFTS, STRETCHES))
        self.is_windowed = is_windowed

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, self.is_windowed)
        return x


def windows(layer: int, is_windowed: bool) -> Tensor:
    """Returns the window of each token, those of padding last."""
    if not is_windowed:
        return torch.arange(2).repeat_interleave(torch.tensor(STRETCHES[layer]))
    places = torch.arange(COUNT + -COUNT % WINDOW)
    return (places - SHIFTS[layer]) % len(places) // WINDOW


def relevance_by_definition(model: Any, x: Tensor, token: int) -> tuple[Tensor, list[Tensor]]:
    """Returns ``R - I`` (Chefer, Gur and Wolf 2021, equations 5 and 6) and the dense weights, in float64."""
    maps = []
    for number, layer in enumerate(model.layers):
        window = windows(number, model.is_windowed)
        padded = F.pad(x, (0, 0, 0, len(window) - COUNT))
        query, key, value = layer.qkv(padded).view(1, len(window), 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        scores = query @ key.mT / (WIDTH // HEADS) ** 0.5
        maps.append(scores.masked_fill(window[:, None] != window, -torch.inf).softmax(-1))
        x = x + layer.out((maps[-1] @ value).transpose(1, 2).flatten(2))[:, :COUNT]
    gradients = torch.autograd.grad(x[0, token].square().sum(), maps)
    relevance = torch.eye(COUNT, dtype=torch.float64)
    for attn_map, gradient in zip(maps, gradients, strict=True):
        weighted = (attn_map * gradient).clamp(min=0).mean(1)[0, :COUNT, :COUNT]
        relevance = relevance + weighted @ relevance
    return (relevance - torch.eye(COUNT)).detach(), [attn_map[0, :, :COUNT, :COUNT].detach() for attn_map in maps]


@pytest.mark.parametrize("is_windowed", [True, False])
def test_relevance_within_windows_is_that_of_the_dense_weights(is_windowed: bool) -> None:
    model, x = Model(is_windowed), drawn(1, COUNT, WIDTH)
    with mmviz.capture(model) as result:
        logit = model(x)[0, 5].square().sum()
    exact, weights = relevance_by_definition(deepcopy(model).double(), x.double(), 5)
    for attn_map, dense in zip(result.record(batch=0).maps, weights, strict=True):
        np.testing.assert_allclose(attn_map.weights, dense, atol=2e-6)
    relevance = result.relevance(logit, batch=0)
    assert np.abs(relevance - exact.numpy()).max() < 1e-5 * float(exact.max())
    within = [(window[:COUNT, None] == window[:COUNT]).double() for window in map(windows, (0, 1), 2 * [is_windowed])]
    assert not relevance[(within[1] @ within[0]).numpy() == 0].any() and relevance[5].any()
    np.testing.assert_allclose(result.relevance(logit, [5, 2], batch=0), relevance[[5, 2]], atol=1e-7)
