"""Baselines replace the named parts of an input, as their kind says, and nothing else."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mmviz.inputs import make_sample
from mmviz.inputs.baseline import replace_input
from mmviz.types import (
    AudioInput,
    Chars,
    ImageInput,
    InputBaseline,
    InputError,
    Modality,
    Notice,
    PixelBox,
    ReplaceInput,
    Sample,
    Seconds,
)

IMAGE, TEXT, AUDIO = Modality.IMAGE, Modality.TEXT, Modality.AUDIO
RATE = 16_000
NOTICES = (Notice("text-cut", {"limit": 24}),)


@pytest.fixture(scope="module")
def sample() -> Sample:
    rng = np.random.default_rng(50)
    colours = rng.normal((60, 120, 190), (10, 20, 30), (90, 130, 3)).clip(0, 255).astype(np.uint8)
    seconds = np.arange(2 * RATE) / RATE
    tone = 0.3 * np.sin(2 * np.pi * 440 * seconds) * (seconds < 1)
    wave = (tone + rng.normal(0.01, 0.01, 2 * RATE)).astype(np.float32)
    return Sample(ImageInput(colours, 130, 90), "is there a dog?", AudioInput(wave, RATE, 2.0), NOTICES)


def pixels(sample: Sample, baseline: InputBaseline, *boxes: PixelBox, seed: int = 0) -> NDArray[np.uint8]:
    changed = replace_input(sample, ReplaceInput(IMAGE, baseline, boxes), seed)
    assert sample.image is not None and changed.image is not None
    assert (changed.text, changed.audio, changed.notices) == (sample.text, sample.audio, NOTICES)
    assert (changed.image.width, changed.image.height) == (sample.image.width, sample.image.height)
    assert changed.image.pixels.dtype == np.uint8 and changed.image.pixels.shape == sample.image.pixels.shape
    return changed.image.pixels


def wave(sample: Sample, baseline: InputBaseline, *intervals: Seconds, seed: int = 0) -> NDArray[np.float32]:
    changed = replace_input(sample, ReplaceInput(AUDIO, baseline, intervals), seed)
    assert sample.audio is not None and changed.audio is not None
    assert (changed.text, changed.image, changed.notices) == (sample.text, sample.image, NOTICES)
    assert (changed.audio.rate, changed.audio.seconds) == (RATE, 2.0)
    assert changed.audio.wave.dtype == np.float32 and changed.audio.wave.shape == sample.audio.wave.shape
    assert float(np.abs(changed.audio.wave).max()) <= 1
    return changed.audio.wave


@pytest.mark.parametrize("baseline", get_args(InputBaseline))
def test_only_the_named_boxes_change(sample: Sample, baseline: InputBaseline) -> None:
    assert sample.image is not None
    before = sample.image.pixels.copy()
    replaced = pixels(sample, baseline, PixelBox(13, 9, 26, 18), PixelBox(100, 80, 130, 90))
    mask = np.zeros((90, 130), bool)
    mask[9:18, 13:26] = mask[80:90, 100:130] = True
    assert np.array_equal(replaced[~mask], before[~mask]) and np.array_equal(sample.image.pixels, before)
    assert (replaced[mask] != before[mask]).any(-1).mean() > 0.9


@pytest.mark.parametrize("baseline", get_args(InputBaseline))
def test_only_the_named_intervals_change(sample: Sample, baseline: InputBaseline) -> None:
    assert sample.audio is not None
    before = sample.audio.wave.copy()
    replaced = wave(sample, baseline, Seconds(0.08, 0.16), Seconds(0.5, 0.75))
    mask = np.zeros(len(before), bool)
    mask[1280:2560] = mask[8000:12_000] = True
    assert np.array_equal(replaced[~mask], before[~mask]) and np.array_equal(sample.audio.wave, before)
    assert (replaced[mask] != before[mask]).mean() > 0.9


def test_without_locations_the_whole_input_is_replaced(sample: Sample) -> None:
    assert sample.image is not None and sample.audio is not None
    for baseline in get_args(InputBaseline):
        assert (pixels(sample, baseline) != sample.image.pixels).any(-1).mean() > 0.9
        assert (wave(sample, baseline) != sample.audio.wave).mean() > 0.9
        assert replace_input(sample, ReplaceInput(TEXT, baseline)).text is None


def test_the_mean_is_the_mean_colour_and_silence(sample: Sample) -> None:
    assert sample.image is not None and sample.audio is not None
    colour = np.rint(sample.image.pixels.astype(np.float64).mean((0, 1)))
    assert (pixels(sample, "mean") == colour).all()
    part = pixels(sample, "mean", PixelBox(0, 0, 10, 10))[:10, :10]
    assert (part == colour).all(), "of the whole image, wherever the box is"
    silence = wave(sample, "mean", Seconds(0, 0.5))[: RATE // 2]
    assert (silence == silence[0]).all() and silence[0] == pytest.approx(sample.audio.wave.mean(dtype=np.float64))


def test_noise_has_the_same_spread_and_depends_on_the_seed(sample: Sample) -> None:
    assert sample.image is not None and sample.audio is not None
    replaced, own = pixels(sample, "noise"), sample.image.pixels
    assert np.allclose(replaced.mean((0, 1)), own.mean((0, 1)), atol=1)
    assert np.allclose(replaced.std((0, 1)), own.std((0, 1)), rtol=0.05)
    assert np.abs(np.corrcoef(replaced[..., 0].ravel(), own[..., 0].ravel())[0, 1]) < 0.05
    noise, original = wave(sample, "noise"), sample.audio.wave
    assert noise.std() == pytest.approx(original.std(), rel=0.05)
    assert abs(np.corrcoef(noise, original)[0, 1]) < 0.05
    for function, baselines in ((pixels, ["noise"]), (wave, ["noise", "blur"])):
        for baseline in baselines:
            replace_part: Any = function
            assert np.array_equal(replace_part(sample, baseline, seed=3), replace_part(sample, baseline, seed=3))
            assert not np.array_equal(replace_part(sample, baseline, seed=3), replace_part(sample, baseline, seed=4))
    box = PixelBox(20, 20, 40, 40)
    assert np.array_equal(pixels(sample, "noise", box)[20:40, 20:40], replaced[20:40, 20:40])


def test_noise_is_not_darker_than_the_image() -> None:
    grey = np.tile(np.array([100, 101], np.uint8)[:, None, None], (200, 400, 3))
    replaced = replace_input(Sample(image=ImageInput(grey, 400, 400)), ReplaceInput(IMAGE, "noise")).image
    assert replaced is not None and abs(float(replaced.pixels.mean()) - 100.5) < 0.05


def test_a_blurred_image_keeps_its_coarse_structure() -> None:
    halves = np.zeros((100, 200, 3), np.uint8)
    halves[:, 100:] = 200
    halves[::2] //= 2  # fine stripes
    replaced = replace_input(Sample(image=ImageInput(halves, 200, 100)), ReplaceInput(IMAGE, "blur")).image
    assert replaced is not None
    left, right = (replaced.pixels[:, part].astype(float) for part in (slice(0, 40), slice(160, 200)))
    assert left.mean() < 10 and right.mean() == pytest.approx(150, abs=5)
    assert right.std() < 10 < halves[:, 160:].std(), "the stripes are gone"


def test_blurred_audio_keeps_its_loudness_without_its_tone(sample: Sample) -> None:
    assert sample.audio is not None
    replaced, own = wave(sample, "blur"), sample.audio.wave
    assert replaced[:RATE].std() == pytest.approx(own[:RATE].std(), rel=0.05)
    assert replaced[RATE:].std() == pytest.approx(2**0.5 * 0.01, rel=0.1), "quiet parts stay quiet"
    tone, noise = (np.abs(np.fft.rfft(part[:RATE])) ** 2 for part in (own, replaced))
    assert tone[440] > 0.99 * tone[1:].sum() and noise[440] < 0.01 * noise.sum()


def chessboard(height: int, width: int) -> NDArray[np.uint8]:
    """Black and white pixels, none of which has the mean colour."""
    odd = np.add.outer(np.arange(height), np.arange(width)) % 2
    return np.repeat(odd[..., None] * 255, 3, -1).astype(np.uint8)


def test_boxes_are_in_pixels_of_the_original() -> None:
    own = make_sample(image=chessboard(500, 2048).repeat(2, 0).repeat(2, 1)).image
    assert own is not None and own.pixels.shape == (500, 2048, 3) and (own.width, own.height) == (4096, 1000)
    replaced = replace_input(Sample(image=own), ReplaceInput(IMAGE, "mean", (PixelBox(1024, 100, 2048, 300),))).image
    assert replaced is not None and (replaced.width, replaced.height) == (4096, 1000)
    mask = np.zeros((500, 2048), bool)
    mask[50:150, 512:1024] = True
    assert np.array_equal((replaced.pixels != own.pixels).any(-1), mask)


def test_adjacent_patches_leave_no_gap_and_do_not_overlap() -> None:
    own = chessboard(61, 97)
    edges = np.linspace(0, 97, 11), np.linspace(0, 61, 11)
    boxes = tuple(
        PixelBox(float(x0), float(y0), float(x1), float(y1))
        for y0, y1 in zip(edges[1], edges[1][1:], strict=False)
        for x0, x1 in zip(edges[0], edges[0][1:], strict=False)
    )
    sample = Sample(image=ImageInput(own, 97, 61))
    counts = np.zeros((61, 97), int)
    for box in boxes:
        image = replace_input(sample, ReplaceInput(IMAGE, "mean", (box,))).image
        assert image is not None
        counts += (image.pixels != own).any(-1)
    assert (counts == 1).all()


@pytest.mark.parametrize(
    ("box", "count"),
    [
        (PixelBox(-20, -20, -5, -5), 0),
        (PixelBox(130, 90, 200, 200), 0),
        (PixelBox(-20, -20, 5, 4), 20),
        (PixelBox(120, 80, 1e300, 1e300), 100),
        (PixelBox(-1e308, -1e308, 1e308, 1e308), 130 * 90),
    ],
)
def test_a_box_outside_the_image_changes_nothing(box: PixelBox, count: int) -> None:
    own = chessboard(90, 130)
    replaced = replace_input(Sample(image=ImageInput(own, 130, 90)), ReplaceInput(IMAGE, "mean", (box,))).image
    assert replaced is not None and (replaced.pixels != own).any(-1).sum() == count


@pytest.mark.parametrize(
    ("interval", "count"), [(Seconds(1.9, 1e308), 1600), (Seconds(2, 3), 0), (Seconds(1e307, 1e308), 0)]
)
def test_an_interval_after_the_audio_changes_nothing(sample: Sample, interval: Seconds, count: int) -> None:
    assert sample.audio is not None
    assert (wave(sample, "noise", interval) != sample.audio.wave).sum() == count


@pytest.mark.parametrize(
    ("spans", "rest"),
    [
        ((Chars(0, 2),), "there a dog?"),
        ((Chars(11, 14),), "is there a ?"),
        ((Chars(3, 8), Chars(9, 10)), "is dog?"),
        ((Chars(9, 12),), "is there og?"),
        ((Chars(0, 15),), None),
        ((Chars(0, 2), Chars(3, 8), Chars(9, 10), Chars(11, 15)), None),
        ((Chars(14, 10**15),), "is there a dog"),
        ((Chars(100, 200),), "is there a dog?"),
        ((), None),
    ],
)
@pytest.mark.parametrize("baseline", get_args(InputBaseline))
def test_characters_of_a_text_are_removed(
    sample: Sample, baseline: InputBaseline, spans: tuple[Chars, ...], rest: str | None
) -> None:
    replaced = replace_input(sample, ReplaceInput(TEXT, baseline, spans))
    assert replaced.text == rest and (replaced.image, replaced.audio, replaced.notices) == (
        sample.image,
        sample.audio,
        NOTICES,
    )


def test_a_missing_modality_stays_missing(sample: Sample) -> None:
    assert sample.image is not None
    for modality, location in ((IMAGE, PixelBox(0, 0, 1, 1)), (AUDIO, Seconds(0, 1)), (TEXT, Chars(0, 1))):
        for locations in ((), (location,)):
            empty = Sample(notices=NOTICES)
            assert replace_input(empty, ReplaceInput(modality, "mean", locations)) == empty
    only = Sample(text="a dog")
    assert replace_input(only, ReplaceInput(IMAGE, "noise")) == only


def test_a_location_of_another_modality_is_refused() -> None:
    for modality, location in ((IMAGE, Seconds(0, 1)), (AUDIO, Chars(0, 1)), (TEXT, PixelBox(0, 0, 1, 1))):
        with pytest.raises(ValueError, match="cannot have the location"):
            ReplaceInput(modality, "mean", (location,))


def test_a_replaced_input_is_a_valid_input(sample: Sample) -> None:
    for baseline in get_args(InputBaseline):
        assert make_sample(image=Image.fromarray(pixels(sample, baseline))).image is not None
        assert make_sample(audio=(wave(sample, baseline), RATE)).audio is not None
    with pytest.raises(InputError):
        make_sample(text=replace_input(sample, ReplaceInput(TEXT, "mean")).text)
