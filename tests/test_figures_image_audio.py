"""Image and audio under attention, tested as data and as pixels."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from made_up_tokens import ANSWER, FRAMES, PATCHES, PIXELS, RATE, patches
from PIL import Image, ImageColor

from mmviz.figures.audio import envelope, lit_mel, mel_ticks
from mmviz.figures.image import (
    READ_COLOUR,
    READER_COLOUR,
    data_uri,
    downscaled,
    outline_reading,
    spotlight,
    strongest,
)
from mmviz.types import Chars, Modality, Token

WORDS = [Token(Modality.TEXT, "word", Chars(i, i + 1)) for i in range(5)]

TOKENS = [ANSWER, *WORDS, *PATCHES, *FRAMES]
AMOUNTS = np.random.default_rng(3).dirichlet(np.ones(len(TOKENS)))


def only(index: int, tokens: list[Token], amount: float = 1.0) -> np.ndarray:
    amounts = np.zeros(len(tokens))
    amounts[index] = amount
    return amounts


# image


def test_spotlight_keeps_the_patch_and_dims_the_rest() -> None:
    result = spotlight(PIXELS, PATCHES, only(7, PATCHES), 1.0)
    # patch 7 is row 1, column 2: x 120.4 .. 180.6, y 62.33 .. 124.67; its outline is two lines of one pixel
    assert np.array_equal(result[64:123, 122:179], PIXELS[64:123, 122:179])
    assert (result[62, 120:181] == 0).all()
    assert (result[63, 121:180] == 255).all()
    outside = np.ones(PIXELS.shape[:2], bool)
    outside[62:125, 120:181] = False
    grey = 0.299 * PIXELS[..., 0] + 0.587 * PIXELS[..., 1] + 0.114 * PIXELS[..., 2]
    assert np.abs(result - (0.4 * grey + 30)[..., None])[outside].max() <= 0.5 + 1e-9
    assert result.dtype == np.uint8


def test_light_is_linear_in_the_amount() -> None:
    grey = np.full((10, 20, 3), 200, np.uint8)
    result = spotlight(grey, patches(20, 10, 1, 2), np.array([0.1, 0.0]), 0.4)
    assert result[5, 5].tolist() == [round(110 + (200 - 110) / 4)] * 3
    assert result[5, 15].tolist() == [110] * 3, "0.4 of its light and 0.6 of the grey 50"


def test_a_dark_image_stays_visible_without_its_amounts() -> None:
    dark = np.zeros((10, 20, 3), np.uint8)
    dark[2:8, 4:9] = 60  # a thing on black
    result = spotlight(dark, patches(20, 10, 1, 2), np.zeros(2), 1.0).astype(int)
    assert result.min() == 30 and result[5, 6, 0] - result[0, 0, 0] == 24


def test_boxes_are_in_pixels_of_the_original_image() -> None:
    tokens = patches(3010, 1870, 3, 5)
    small = spotlight(PIXELS, tokens, only(7, tokens, 0.4), 1.0, size=(3010, 1870))
    assert np.array_equal(small, spotlight(PIXELS, PATCHES, only(7, PATCHES, 0.4), 1.0))


def test_patches_tile_an_odd_image_without_gap_or_overlap() -> None:
    images = [spotlight(PIXELS, PATCHES, only(i, PATCHES, 0.49), 1.0) for i in range(15)]
    dark = spotlight(PIXELS, PATCHES, np.zeros(15), 1.0)
    assert (sum((image != dark).any(axis=2).astype(int) for image in images) == 1).all()


def test_only_the_strongest_patches_are_outlined() -> None:
    amounts = np.zeros(15)
    amounts[[2, 4, 6, 8]] = [0.9, 0.8, 0.7, 0.6]
    assert strongest(PATCHES, amounts, 1.0) == [2, 4, 6]
    amounts[8] = 0.7  # ties with patch 6 for the last place
    assert strongest(PATCHES, amounts, 1.0) == [2, 4]
    assert strongest(PATCHES, np.full(15, 0.9), 1.0) == []
    assert strongest(PATCHES, only(3, PATCHES, 0.49), 1.0) == []
    assert strongest(PATCHES, only(3, PATCHES, 0.5), 1.0) == [3]


def test_what_reads_is_outlined_within_what_is_read() -> None:
    read, readers = PATCHES[6:8], PATCHES[7:8]  # row 1, columns 1 and 2: x 60.2 .. 120.4 .. 180.6, y 62.33 .. 124.67
    result = outline_reading(PIXELS, read, readers)
    inside = slice(62 + 8, 125 - 8), slice(120 + 8, 181 - 8)  # two outlines of a dark, two coloured and a dark line
    assert np.array_equal(result[inside], PIXELS[inside])
    blue, red = (np.array(ImageColor.getrgb(colour)) for colour in (READ_COLOUR, READER_COLOUR))
    assert (result[90, 60] == 0).all() and (result[90, [61, 62]] == blue).all() and (result[90, 63] == 0).all()
    assert (result[90, 124] == 0).all() and (result[90, [125, 126]] == red).all() and (result[90, 127] == 0).all()
    assert np.array_equal(result[90, 64:124], PIXELS[90, 64:124]), "no line between the patches of one group"
    untouched = np.ones(PIXELS.shape[:2], bool)
    untouched[62:125, 60:181] = False
    assert np.array_equal(result[untouched], PIXELS[untouched])


def test_an_image_is_downscaled_only_if_it_is_larger() -> None:
    large = np.zeros((600, 1800, 3), np.uint8)
    assert downscaled(large).shape == (240, 720, 3)
    assert downscaled(large, 1800) is large
    data = base64.b64decode(data_uri(downscaled(large)).split(",")[1])
    assert Image.open(io.BytesIO(data)).size == (720, 240)


# audio


def test_mel_is_bright_at_the_frames() -> None:
    loud = np.ones((2, 20), np.float32)
    lit = lit_mel(loud, 0.01, FRAMES[:2], np.array([0.0, 1.0]), 1.0)
    assert lit.tolist() == [[102] * 8 + [255] * 8 + [102] * 4] * 2
    silent = lit_mel(-loud, 0.01, FRAMES[:2], np.array([0.0, 1.0]), 1.0)
    assert silent[0, [0, 8]].tolist() == [20, 51]


def test_mel_ticks_agree_with_the_filters() -> None:
    librosa = pytest.importorskip("librosa")
    centres = librosa.mel_frequencies(64 + 2, fmin=0, fmax=8000)[1:-1]
    for hertz, position in mel_ticks(64, RATE).items():
        assert np.interp(position - 0.5, np.arange(64), centres) == pytest.approx(hertz, rel=0.01)
    assert 4000 not in mel_ticks(64, 8000)


def test_envelope_keeps_every_extreme_in_few_points() -> None:
    wave = np.zeros(100_003)
    wave[77_777] = 1
    wave[100_002] = -1
    times, values = envelope(wave, RATE)
    assert len(times) == len(values) <= 1000
    assert (values.max(), values.min()) == (1, -1)
    assert times[values.argmax()] == pytest.approx(77_777 / RATE, abs=200 / RATE)
    assert np.array_equal(envelope(wave[:10], RATE)[1], wave[:10])
