"""Windows of one picture, and pictures packed into one sequence: neither are samples, nor layers, of a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from eager_attention import drawn, weights_by_hand
from torch import Tensor, nn
from transformers import SwinConfig, SwinModel

import mmviz
from mmviz import CaptureError

WORDS = drawn(2, 2, 6, 4, seed=1)
PATCHES = drawn(1, 2, 8, 4)


def swin() -> mmviz.capture.CaptureResult:
    """Returns the capture of a Swin on one image: 64 patches in four windows, then 16 in one."""
    torch.manual_seed(0)
    config = SwinConfig(image_size=32, patch_size=4, embed_dim=16, depths=[1, 1], num_heads=[2, 4], window_size=4)
    with torch.no_grad(), mmviz.capture(model := SwinModel(config).eval()) as result:
        model(drawn(1, 3, 32, 32))
    return result


def test_windows_of_one_picture_are_not_samples() -> None:
    assert swin().record().batch is None


def test_one_picture_in_windows_has_no_fourth_sample() -> None:
    with pytest.raises(CaptureError):
        swin().view(0, batch=3).rows([0])


def test_a_window_is_not_labelled_as_what_has_as_many_tokens() -> None:
    first, second = swin().record(batch=0).maps
    assert first.keys != second.keys


def test_rollout_through_windows_goes_on_from_merged_patches_to_all_of_the_first_stage() -> None:
    result = swin()
    first, second = (result.view(number).full().mean(0, np.float64) for number in range(2))
    row, column = np.divmod(np.arange(64), 8)
    merged = (row // 2 * 4 + column // 2 == np.arange(16)[:, None]) / 4
    expected = (np.eye(16) + second) / 2 @ merged @ (np.eye(64) + first) / 2
    rolled = result.rollout([0, 9], queries="layers.1", keys="layers.0")
    np.testing.assert_allclose(rolled, expected[[0, 9]], atol=1e-6)
    np.testing.assert_allclose(result.rollout([0]), ((np.eye(16) + second) / 2)[[0]], atol=1e-6)


class Tower(nn.Module):
    """Attention within each stretch of a sequence, one call of the kernel after the other."""

    def forward(self, x: Tensor, lengths: list[int]) -> Tensor:
        return torch.cat([F.scaled_dot_product_attention(part, part, part) for part in x.split(lengths, 2)], 2)


class Packed(nn.Module):
    """Two pictures of a batch in one sequence, and their texts as a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.visual, self.llm = Tower(), Tower()

    def forward(self, pictures: Tensor, words: Tensor) -> Tensor:
        mixed: Tensor = self.visual(pictures, [4, 4]).mean() + self.llm(words, [6])
        return mixed


def packed() -> mmviz.capture.CaptureResult:
    with mmviz.capture(model := Packed()) as result:
        model(PATCHES, WORDS)
    return result


def test_the_second_text_beside_packed_pictures_can_be_had() -> None:
    (words,) = (attn_map for attn_map in packed().record(batch=1).maps if attn_map.name == "llm")
    np.testing.assert_allclose(words.weights, weights_by_hand(WORDS, WORDS)[1], atol=2e-6)


def test_the_first_text_beside_packed_pictures_can_be_had() -> None:
    (words,) = (attn_map for attn_map in packed().record(batch=0).maps if attn_map.name == "llm")
    np.testing.assert_allclose(words.weights, weights_by_hand(WORDS, WORDS)[0], atol=2e-6)


def test_the_first_sample_has_its_own_picture_alone_or_a_notice() -> None:
    record = packed().record(batch=0)
    assert len([attn_map for attn_map in record.maps if attn_map.name == "visual"]) == 1 or record.notices


def test_stretches_of_one_module_are_not_layers() -> None:
    assert {attn_map.layer for attn_map in packed().record(batch=0).maps if attn_map.name == "visual"} == {0}
