"""Rows that a model cuts samples into, such as tiles, are windows of these samples: answers known on paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from eager_attention import drawn, heads, weights_by_hand
from numpy.typing import NDArray
from torch import Tensor, nn

import mmviz


class Own(nn.Module):
    """Attention of tokens ``[row, token, width]`` to each other, or to ``key``, with two heads."""

    num_heads = 2

    def forward(self, x: Tensor, key: Tensor | None = None) -> Tensor:
        key = x if key is None else key
        return F.scaled_dot_product_attention(heads(x), heads(key), heads(key)).transpose(1, 2).flatten(2)


class Text(nn.Module):
    """Words that attend to each other, so that the model has two samples."""

    def __init__(self) -> None:
        super().__init__()
        self.text = Own()

    def forward(self, pixels: Tensor, words: Tensor) -> Tensor:
        return self.text(words).mean() + self.picture(pixels).mean()

    def picture(self, pixels: Tensor) -> Tensor:
        raise NotImplementedError


def in_windows(rows: Sequence[Tensor]) -> NDArray[np.float32]:
    """The attention within rows ``[token, width]`` of one sample, one after another on the diagonal."""
    blocks = [weights_by_hand(heads(row[None]), heads(row[None]))[0] for row in rows]
    whole = np.zeros((2, *2 * (sum(block.shape[-1] for block in blocks),)), np.float32)
    place = 0
    for block in blocks:
        end = place + block.shape[-1]
        whole[:, place:end, place:end] = block
        place = end
    return whole


def map_of(model: nn.Module, module: str, sample: int, *inputs: Tensor) -> mmviz.AttentionMap:
    with torch.no_grad(), mmviz.capture(model) as result:
        model(*inputs)
    record = result.record(batch=sample)
    (attn_map,) = (attn_map for attn_map in record.maps if attn_map.name == module)
    assert isinstance(attn_map, mmviz.AttentionMap)
    assert not {notice.code for notice in record.notices} - {"flow-parts"}
    return attn_map


class Tiled(Text):
    """Each sample has two pictures, which are rows of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = Own()

    def picture(self, pixels: Tensor) -> Tensor:
        return self.tower(pixels.flatten(0, 1))


class Gathered(Tiled):
    """Pictures that are taken from the samples and joined, one after another."""

    def picture(self, pixels: Tensor) -> Tensor:
        return self.tower(torch.cat([sample[:2] for sample in pixels], 0))


@pytest.mark.parametrize("sample", [0, 1])
@pytest.mark.parametrize("model", [Tiled, Gathered])
def test_tiles_are_windows_of_their_sample(model: type[nn.Module], sample: int) -> None:
    pixels, words = drawn(2, 2, 3, 8), drawn(2, 5, 8, seed=1)
    attn_map = map_of(model(), "tower", sample, pixels, words)
    np.testing.assert_allclose(attn_map.weights, in_windows(pixels[sample]), atol=2e-6)
    assert attn_map.windows == (0, 0, 0, 1, 1, 1)


def test_tiles_that_were_cut_before_the_call_are_windows_of_their_sample() -> None:
    """As in ``generate``, where the tower is called by itself."""
    pixels, tower = drawn(2, 2, 3, 8), Own()
    with torch.no_grad(), mmviz.capture(tower) as result:
        tower(torch.cat([sample[:2] for sample in pixels], 0))
    (attn_map,) = result.record(batch=1).maps
    np.testing.assert_allclose(attn_map.weights, in_windows(pixels[1]), atol=2e-6)


def test_copies_of_a_sample_are_samples() -> None:
    class Copied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower = Own()

        def forward(self, x: Tensor) -> Tensor:
            output: Tensor = self.tower(torch.cat([x, x, x]) + torch.arange(3.0)[:, None, None])
            return output

    with torch.no_grad(), mmviz.capture(model := Copied()) as result:
        model(drawn(1, 4, 8))
    assert result.samples() == 3


class Frames(nn.Module):
    """Blocks of a video: frames attend within themselves, each with a copy of the token of the whole video."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Own()

    def forward(self, x: Tensor) -> Tensor:
        whole, frames = x[:, :1], x[:, 1:].unflatten(1, (2, 3))
        rows = torch.cat([whole.repeat(1, 2, 1).flatten(0, 1)[:, None], frames.flatten(0, 1)], 1)
        output = self.attention(rows)
        whole = output[:, 0].unflatten(0, (len(x), 2)).mean(1, keepdim=True)
        return torch.cat([whole, output[:, 1:].unflatten(0, (len(x), 2)).flatten(1, 2)], 1)


class Video(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Frames(), Frames()])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + block(x)
        return x


@pytest.mark.parametrize("sample", [0, 1])
def test_a_token_that_is_copied_into_each_frame_is_a_token_of_each(sample: int) -> None:
    x = drawn(2, 7, 8)
    with torch.no_grad(), mmviz.capture(model := Video()) as result:
        model(x)
    record = result.record(batch=sample)
    expected = in_windows([torch.cat([x[sample, :1], x[sample, k : k + 3]]) for k in (1, 4)])
    np.testing.assert_allclose(record.maps[0].weights, expected, atol=2e-6)
    assert len(record.streams) == 1 and [attn_map.layer for attn_map in record.maps] == [0, 1]


@pytest.mark.parametrize("sample", [0, 1])
def test_a_token_of_each_row_is_one_of_its_sample(sample: int) -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.message, self.frame = Own(), Own()

        def forward(self, frames: Tensor) -> Tensor:
            first = self.message(frames[:, 0].unflatten(0, (2, -1)))
            return self.frame(frames) + first.flatten(0, 1)[:, None]

    class Tower(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([Block()])

        def forward(self, video: Tensor) -> Tensor:
            output: Tensor = self.blocks[0](video.flatten(0, 1))
            return output

    video = drawn(2, 3, 4, 8)  # [sample, frame, token, width]
    attn_map = map_of(Tower(), "blocks.0.message", sample, video)
    first = video[:, :, 0]
    np.testing.assert_allclose(attn_map.weights, weights_by_hand(heads(first), heads(first))[sample], atol=2e-6)


class Resampler(nn.Module):
    """A tower over all moments of a sound, then one query for each stretch of two moments."""

    def __init__(self, is_learned: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tower, self.resampler, self.is_learned = Own(), Own(), is_learned
        self.query = nn.Parameter(torch.randn(1, 1, 8))

    def forward(self, sound: Tensor) -> Tensor:
        rows = self.tower(sound).unflatten(1, (-1, 2)).flatten(0, 1)
        output: Tensor = self.resampler(self.query if self.is_learned else rows.mean(1, keepdim=True), rows)
        return output


@pytest.mark.parametrize("sample", [0, 1])
def test_stretches_of_a_stream_keep_its_tokens(sample: int) -> None:
    model, sound = Resampler(is_learned=False), drawn(2, 6, 8)
    with torch.no_grad(), mmviz.capture(model) as result:
        model(sound)
        rows = model.tower(sound)[sample].unflatten(0, (3, 2))
    tower, resampled = result.record(call=0, batch=sample).maps
    expected = np.zeros((2, 3, 6), np.float32)
    for number, row in enumerate(rows):
        weights = weights_by_hand(heads(row.mean(0)[None, None]), heads(row[None]))[0]
        expected[:, number : number + 1, 2 * number : 2 * number + 2] = weights
    np.testing.assert_allclose(resampled.weights, expected, atol=2e-6)
    assert resampled.keys == tower.keys != resampled.queries


def test_a_query_that_stands_in_several_windows_of_a_sample_is_left_out_by_name() -> None:
    with torch.no_grad(), mmviz.capture(model := Resampler(is_learned=True)) as result:
        model(drawn(2, 6, 8))
    record = result.record(batch=0)
    assert [attn_map.name for attn_map in record.maps] == ["tower"]
    assert [(notice.code, notice.parameters["name"]) for notice in record.notices] == [("axes-tokens", "resampler")]


def test_the_number_of_samples_is_that_of_an_input_of_the_model() -> None:
    """Also where the last attention runs over other rows, of which nothing tells the sample."""

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = Own(), Own()

        def forward(self, x: Tensor) -> Tensor:
            rows = self.first(x).sort(0).values.cumsum(0).unflatten(1, (2, 2)).transpose(0, 2).flatten(0, 1)
            output: Tensor = self.second(rows)
            return output

    with torch.no_grad(), mmviz.capture(model := Mixed()) as result:
        model(drawn(2, 4, 8))
    record = result.record(batch=0)
    assert result.samples() == 2 and [attn_map.name for attn_map in record.maps] == ["first"]
    assert [notice.code for notice in record.notices] == ["axes-samples"]
