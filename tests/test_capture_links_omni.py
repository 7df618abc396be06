"""A dot in the picture and a beep in the sound of Qwen2.5-Omni, and the language tokens made of their places."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hf_factories import omni

import mmviz
from mmviz import PixelBox, Seconds

PATCH, ROWS, COLUMNS = 14, 4, 6
MOMENT = 0.02
"""Seconds of a token of the sound: two frames of 10 ms."""
RATE = 16_000
GREY = np.full((ROWS * PATCH, COLUMNS * PATCH, 3), 128, np.uint8)
HUSH = (np.random.default_rng(0).normal(size=RATE) / 1000).astype(np.float32)


@cache
def links() -> tuple[dict[int, set[int]], dict[int, set[int]], Any]:
    """For each token of the language model the patches and the moments that it is made of, and its tokens."""
    model = omni()
    tensors, tokens = model.prepare(mmviz.make_sample(image=GREY, text="so", audio=(HUSH, RATE)))
    with torch.no_grad(), mmviz.capture(model.module) as result:
        model.module(**tensors)
    record = result.record({"all": tokens})
    sets: dict[str, dict[int, set[int]]] = {}
    for link in record.links or ():
        assert link.stream == "all" and np.allclose(link.shares, 1 / np.bincount(link.tokens)[link.tokens])
        for token, source in zip(link.tokens.tolist(), link.source_tokens.tolist(), strict=True):
            sets.setdefault(link.source, {}).setdefault(token, set()).add(source)
    return sets["visual"], sets["audio_tower"], record.streams["all"]


def entering(image: Any, wave: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens that enter the first layer of the tower for pictures and of that for sounds."""
    model = omni()
    inputs: list[torch.Tensor] = []
    for path in ("model.visual.blocks.0", "model.audio_tower.layers.0"):
        block = model.module.get_submodule(path)
        block.register_forward_pre_hook(lambda _, args, kwargs: inputs.append([*args, *kwargs.values()][0].clone()), with_kwargs=True)  # fmt: skip  # noqa: E501
    tensors, _ = model.prepare(mmviz.make_sample(image=image, text="so", audio=(wave, RATE)))
    with torch.no_grad():
        model.module(**tensors)
    sound, picture = sorted((tensor.reshape(-1, tensor.shape[-1]) for tensor in inputs), key=len, reverse=True)
    return picture, sound


@cache
def quiet() -> tuple[torch.Tensor, torch.Tensor]:
    return entering(GREY, HUSH)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 4), (2, 1), (3, 5), (3, 2)])
def test_a_dot_changes_the_patch_that_the_language_token_of_its_place_is_made_of(row: int, column: int) -> None:
    dotted = GREY.copy()
    y, x = row * PATCH + 5, column * PATCH + 6
    dotted[y : y + 3, x : x + 3] = 255
    changes = (entering(dotted, HUSH)[0] - quiet()[0]).norm(dim=1)
    patch = int(changes.argmax())
    assert (changes > 1e-4 * changes.max()).sum() == 1, "no other patch changes"
    patches, _, tokens = links()
    (token,) = (token for token, sources in patches.items() if patch in sources)
    box = tokens[token].location
    assert isinstance(box, PixelBox) and box.x0 <= x < box.x1 and box.y0 <= y < box.y1
    assert len(patches[token]) == 4


@pytest.mark.parametrize("second", [0.1, 0.41, 0.8])
def test_a_beep_changes_the_moment_that_the_language_token_of_its_time_is_made_of(second: float) -> None:
    wave = HUSH.copy()
    place = slice(int(second * RATE), int((second + MOMENT / 2) * RATE))
    wave[place] += 0.5 * np.sin(np.arange(place.stop - place.start) * 2 * np.pi * 800 / RATE).astype(np.float32)
    changes = (entering(GREY, wave)[1] - quiet()[1]).norm(dim=1)
    moment = int(changes.argmax())
    _, moments, tokens = links()
    (token,) = (token for token, sources in moments.items() if moment in sources)
    location = tokens[token].location
    assert isinstance(location, Seconds) and location.start <= second + MOMENT / 4 < location.end
    assert moments[token] == {2 * (token - min(moments)), 2 * (token - min(moments)) + 1}


def test_every_patch_and_moment_belongs_to_one_language_token_of_its_modality() -> None:
    patches, moments, tokens = links()
    for sources, count in ((patches, ROWS * COLUMNS), (moments, 50)):
        assert sorted(source for some in sources.values() for source in some) == list(range(count))
    assert {tokens[token].modality for token in patches} == {mmviz.Modality.IMAGE}
    assert {tokens[token].modality for token in moments} == {mmviz.Modality.AUDIO}
    assert not any(tokens[token].modality is mmviz.Modality.TEXT for token in (*patches, *moments))
