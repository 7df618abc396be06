"""Something without content in the place of a part: only there, of the right kind, and nowhere else."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mmviz.inputs import make_sample
from mmviz.inputs.baseline import replaced
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


def pixels(sample: Sample, fill: InputBaseline, *boxes: PixelBox, seed: int = 0) -> NDArray[np.uint8]:
    found = replaced(sample, ReplaceInput(IMAGE, fill, boxes), seed)
    assert sample.image is not None and found.image is not None
    assert (found.text, found.audio, found.notices) == (sample.text, sample.audio, NOTICES)
    assert (found.image.width, found.image.height) == (sample.image.width, sample.image.height)
    assert found.image.pixels.dtype == np.uint8 and found.image.pixels.shape == sample.image.pixels.shape
    return found.image.pixels


def wave(sample: Sample, fill: InputBaseline, *stretches: Seconds, seed: int = 0) -> NDArray[np.float32]:
    found = replaced(sample, ReplaceInput(AUDIO, fill, stretches), seed)
    assert sample.audio is not None and found.audio is not None
    assert (found.text, found.image, found.notices) == (sample.text, sample.image, NOTICES)
    assert (found.audio.rate, found.audio.seconds) == (RATE, 2.0)
    assert found.audio.wave.dtype == np.float32 and found.audio.wave.shape == sample.audio.wave.shape
    assert float(np.abs(found.audio.wave).max()) <= 1
    return found.audio.wave


@pytest.mark.parametrize("fill", get_args(InputBaseline))
def test_only_the_named_boxes_change(sample: Sample, fill: InputBaseline) -> None:
    assert sample.image is not None
    before = sample.image.pixels.copy()
    found = pixels(sample, fill, PixelBox(13, 9, 26, 18), PixelBox(100, 80, 130, 90))
    within = np.zeros((90, 130), bool)
    within[9:18, 13:26] = within[80:90, 100:130] = True
    assert np.array_equal(found[~within], before[~within]) and np.array_equal(sample.image.pixels, before)
    assert (found[within] != before[within]).any(-1).mean() > 0.9


@pytest.mark.parametrize("fill", get_args(InputBaseline))
def test_only_the_named_moments_change(sample: Sample, fill: InputBaseline) -> None:
    assert sample.audio is not None
    before = sample.audio.wave.copy()
    found = wave(sample, fill, Seconds(0.08, 0.16), Seconds(0.5, 0.75))
    within = np.zeros(len(before), bool)
    within[1280:2560] = within[8000:12_000] = True
    assert np.array_equal(found[~within], before[~within]) and np.array_equal(sample.audio.wave, before)
    assert (found[within] != before[within]).mean() > 0.9


def test_without_places_all_of_it_is_replaced(sample: Sample) -> None:
    assert sample.image is not None and sample.audio is not None
    for fill in get_args(InputBaseline):
        assert (pixels(sample, fill) != sample.image.pixels).any(-1).mean() > 0.9
        assert (wave(sample, fill) != sample.audio.wave).mean() > 0.9
        assert replaced(sample, ReplaceInput(TEXT, fill)).text is None


def test_the_mean_is_the_mean_colour_and_silence(sample: Sample) -> None:
    assert sample.image is not None and sample.audio is not None
    colour = np.rint(sample.image.pixels.astype(np.float64).mean((0, 1)))
    assert (pixels(sample, "mean") == colour).all()
    part = pixels(sample, "mean", PixelBox(0, 0, 10, 10))[:10, :10]
    assert (part == colour).all(), "of the whole picture, wherever it is put"
    silence = wave(sample, "mean", Seconds(0, 0.5))[: RATE // 2]
    assert (silence == silence[0]).all() and silence[0] == pytest.approx(sample.audio.wave.mean(dtype=np.float64))


def test_noise_is_of_the_same_spread_and_comes_again_with_its_seed(sample: Sample) -> None:
    assert sample.image is not None and sample.audio is not None
    found, own = pixels(sample, "noise"), sample.image.pixels
    assert np.allclose(found.mean((0, 1)), own.mean((0, 1)), atol=1)
    assert np.allclose(found.std((0, 1)), own.std((0, 1)), rtol=0.05)
    assert np.abs(np.corrcoef(found[..., 0].ravel(), own[..., 0].ravel())[0, 1]) < 0.05
    heard, said = wave(sample, "noise"), sample.audio.wave
    assert heard.std() == pytest.approx(said.std(), rel=0.05) and abs(np.corrcoef(heard, said)[0, 1]) < 0.05
    for part, fills in ((pixels, ["noise"]), (wave, ["noise", "blur"])):
        for fill in fills:
            make: Any = part
            assert np.array_equal(make(sample, fill, seed=3), make(sample, fill, seed=3))
            assert not np.array_equal(make(sample, fill, seed=3), make(sample, fill, seed=4))
    box = PixelBox(20, 20, 40, 40)
    assert np.array_equal(pixels(sample, "noise", box)[20:40, 20:40], found[20:40, 20:40])


def test_noise_is_not_darker_than_what_it_replaces() -> None:
    grey = np.tile(np.array([100, 101], np.uint8)[:, None, None], (200, 400, 3))
    found = replaced(Sample(image=ImageInput(grey, 400, 400)), ReplaceInput(IMAGE, "noise")).image
    assert found is not None and abs(float(found.pixels.mean()) - 100.5) < 0.05


def test_a_blurred_picture_keeps_what_is_coarse() -> None:
    halves = np.zeros((100, 200, 3), np.uint8)
    halves[:, 100:] = 200
    halves[::2] //= 2  # fine stripes
    found = replaced(Sample(image=ImageInput(halves, 200, 100)), ReplaceInput(IMAGE, "blur")).image
    assert found is not None
    left, right = (found.pixels[:, part].astype(float) for part in (slice(0, 40), slice(160, 200)))
    assert left.mean() < 10 and right.mean() == pytest.approx(150, abs=5)
    assert right.std() < 10 < halves[:, 160:].std(), "the stripes are gone"


def test_a_blurred_sound_keeps_its_loudness_without_its_tone(sample: Sample) -> None:
    assert sample.audio is not None
    found, own = wave(sample, "blur"), sample.audio.wave
    assert found[:RATE].std() == pytest.approx(own[:RATE].std(), rel=0.05)
    assert found[RATE:].std() == pytest.approx(2**0.5 * 0.01, rel=0.1), "where it was quiet it is quiet"
    tone, noise = (np.abs(np.fft.rfft(part[:RATE])) ** 2 for part in (own, found))
    assert tone[440] > 0.99 * tone[1:].sum() and noise[440] < 0.01 * noise.sum()


def checked(height: int, width: int) -> NDArray[np.uint8]:
    """Black and white, pixel by pixel: none of them has the mean colour."""
    odd = np.add.outer(np.arange(height), np.arange(width)) % 2
    return np.repeat(odd[..., None] * 255, 3, -1).astype(np.uint8)


def test_places_are_in_pixels_of_the_original() -> None:
    own = make_sample(image=checked(500, 2048).repeat(2, 0).repeat(2, 1)).image
    assert own is not None and own.pixels.shape == (500, 2048, 3) and (own.width, own.height) == (4096, 1000)
    found = replaced(Sample(image=own), ReplaceInput(IMAGE, "mean", (PixelBox(1024, 100, 2048, 300),))).image
    assert found is not None and (found.width, found.height) == (4096, 1000)
    within = np.zeros((500, 2048), bool)
    within[50:150, 512:1024] = True
    assert np.array_equal((found.pixels != own.pixels).any(-1), within)


def test_patches_side_by_side_leave_no_gap() -> None:
    own = checked(61, 97)
    edges = np.linspace(0, 97, 11), np.linspace(0, 61, 11)
    boxes = tuple(
        PixelBox(float(x0), float(y0), float(x1), float(y1))
        for y0, y1 in zip(edges[1], edges[1][1:], strict=False)
        for x0, x1 in zip(edges[0], edges[0][1:], strict=False)
    )
    sample = Sample(image=ImageInput(own, 97, 61))
    seen = np.zeros((61, 97), int)
    for box in boxes:
        one = replaced(sample, ReplaceInput(IMAGE, "mean", (box,))).image
        assert one is not None
        seen += (one.pixels != own).any(-1)
    assert (seen == 1).all(), "and no pixel belongs to two of them"


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
def test_what_lies_outside_the_picture_changes_nothing(box: PixelBox, count: int) -> None:
    own = checked(90, 130)
    found = replaced(Sample(image=ImageInput(own, 130, 90)), ReplaceInput(IMAGE, "mean", (box,))).image
    assert found is not None and (found.pixels != own).any(-1).sum() == count


@pytest.mark.parametrize(
    ("stretch", "count"), [(Seconds(1.9, 1e308), 1600), (Seconds(2, 3), 0), (Seconds(1e307, 1e308), 0)]
)
def test_what_lies_after_the_sound_changes_nothing(sample: Sample, stretch: Seconds, count: int) -> None:
    assert sample.audio is not None
    assert (wave(sample, "noise", stretch) != sample.audio.wave).sum() == count


@pytest.mark.parametrize(
    ("places", "left"),
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
@pytest.mark.parametrize("fill", get_args(InputBaseline))
def test_characters_of_a_text_are_left_out(
    sample: Sample, fill: InputBaseline, places: tuple[Chars, ...], left: str | None
) -> None:
    found = replaced(sample, ReplaceInput(TEXT, fill, places))
    assert found.text == left and (found.image, found.audio, found.notices) == (sample.image, sample.audio, NOTICES)


def test_a_modality_that_is_missing_stays_so(sample: Sample) -> None:
    assert sample.image is not None
    for modality, place in ((IMAGE, PixelBox(0, 0, 1, 1)), (AUDIO, Seconds(0, 1)), (TEXT, Chars(0, 1))):
        for where in ((), (place,)):
            empty = Sample(notices=NOTICES)
            assert replaced(empty, ReplaceInput(modality, "mean", where)) == empty
    only = Sample(text="a dog")
    assert replaced(only, ReplaceInput(IMAGE, "noise")) == only


def test_a_part_lies_where_its_modality_does() -> None:
    for modality, place in ((IMAGE, Seconds(0, 1)), (AUDIO, Chars(0, 1)), (TEXT, PixelBox(0, 0, 1, 1))):
        with pytest.raises(ValueError, match="cannot lie at"):
            ReplaceInput(modality, "mean", (place,))


def test_what_is_made_is_an_input_like_any_other(sample: Sample) -> None:
    for fill in get_args(InputBaseline):
        assert make_sample(image=Image.fromarray(pixels(sample, fill))).image is not None
        assert make_sample(audio=(wave(sample, fill), RATE)).audio is not None
    with pytest.raises(InputError):
        make_sample(text=replaced(sample, ReplaceInput(TEXT, "mean")).text)
