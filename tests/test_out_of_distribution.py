"""Out-of-distribution inputs are flagged, and inputs of the world are not; here on generated inputs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from made_up_tokens import Voices
from numpy.typing import NDArray
from PIL import Image

from mmviz.assets_path import assets_dir
from mmviz.inputs import make_sample
from mmviz.models import load_model
from mmviz.models.out_of_distribution import Detector, audio_features, detector, image_features
from mmviz.models.trio_model import BundledTrio
from mmviz.training.fit.out_of_distribution import MISS_RATE, _fit_detector, model_mel
from mmviz.training.world.compose_sound import compose_sound
from mmviz.training.world.examples import World
from mmviz.training.world.ood_detector_audio import coloured_noise, other_sound
from mmviz.training.world.ood_detector_images import OTHER_GROUNDS, noise_image, other_scene
from mmviz.training.world.sprites import load_sprites
from mmviz.training.world.synthesisers import synthesise
from mmviz.training.world.voices import HELD_OUT_VOICES

pytestmark = [pytest.mark.slow, pytest.mark.long]

RATE = 16_000
Wave = NDArray[np.float32]


@pytest.fixture(scope="module")
def trio() -> BundledTrio:
    return BundledTrio("cpu")


def flags(trio: BundledTrio, **inputs: object) -> set[str]:
    """Returns the codes of the notices about out-of-distribution inputs."""
    codes = {notice.code for notice in trio.prepare(make_sample(**inputs)).notices}  # type: ignore[arg-type]
    return codes & {*(f"{kind}-out-of-distribution" for kind in ("image", "audio", "question")), "question-word"}


def share(trio: BundledTrio, name: str, inputs: list[object]) -> float:
    """Returns the share of images or sounds that are flagged."""
    return float(np.mean([bool(flags(trio, **{name: value})) for value in inputs]))


def test_scenes_of_the_world_are_not_flagged(trio: BundledTrio) -> None:
    world = World(("noto", "twemoji"), Voices())  # type: ignore[arg-type]
    rng = np.random.default_rng(3)
    assert share(trio, "image", [world.example(rng, []).scene.pixels for _ in range(120)]) <= 0.05


@pytest.mark.parametrize("ground", OTHER_GROUNDS)
def test_held_out_art_on_unseen_grounds_is_not_flagged(trio: BundledTrio, ground: str) -> None:
    sprites = {word: [sprite] for word, sprite in load_sprites("fxemoji").items()}
    rng = np.random.default_rng(5)
    scenes: list[object] = [other_scene(rng, sprites, [ground]) for _ in range(40)]
    assert share(trio, "image", scenes) <= (0.1 if ground in ("bricks", "marble") else 0.05)


def test_a_photo_is_flagged_at_any_size_in_grey_and_in_parts(trio: BundledTrio) -> None:
    photo = Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    width, height = photo.size
    parts = [photo.crop((x, y, x + 300, y + 300)) for x in (0, width - 300) for y in (0, height - 300)]
    whole = [photo, photo.resize((160, 160)), photo.resize((1200, 900)), photo.convert("L")]
    assert share(trio, "image", list(whole)) == 1
    assert share(trio, "image", list(parts)) >= 0.75


def natural(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Noise whose amplitude falls as 1 / f, as that of photos does."""
    frequency = np.hypot(np.fft.fftfreq(320)[:, None], np.fft.rfftfreq(320)[None])
    spectrum = np.fft.rfft2(rng.standard_normal((3, 320, 320))) / np.maximum(frequency, 1 / 320)
    layers = np.fft.irfft2(spectrum, (320, 320))
    layers = 128 + 45 * (layers[:1] + 0.4 * layers) / layers.std()
    return np.clip(layers, 0, 255).astype(np.uint8).transpose(1, 2, 0)


@pytest.mark.parametrize("generate", [
    natural, lambda rng: rng.integers(0, 256, (160, 160, 3), np.uint8),
    lambda rng: rng.integers(0, 2, (200, 300), np.uint8) * np.uint8(255), noise_image,
])  # fmt: skip
def test_images_of_noise_are_flagged(trio: BundledTrio, generate: Callable[[np.random.Generator], object]) -> None:
    rng = np.random.default_rng(7)
    assert share(trio, "image", [generate(rng) for _ in range(30)]) >= 0.9


def chords(rng: np.random.Generator) -> Wave:
    """Four seconds of chords with overtones, an onset and a decay each, over a bass."""
    time = np.arange(RATE // 2) / RATE
    bars = []
    for _ in range(8):
        root = 110 * 2 ** (rng.integers(0, 12) / 12)
        tones = [
            np.sin(2 * np.pi * root * ratio * k * time) / k**1.3 for ratio in (0.5, 1, 1.26, 1.5) for k in range(1, 6)
        ]
        bars.append(np.minimum(time / 0.02, 1) * np.exp(-2 * time) * np.sum(tones, axis=0))
    wave = np.concatenate(bars) + 0.01 * rng.standard_normal(4 * RATE)
    return (wave / np.abs(wave).max() * rng.uniform(0.05, 1)).astype(np.float32)


def drums(rng: np.random.Generator) -> Wave:
    """A beat of noise and low thumps at a steady pace."""
    wave, step = 1e-3 * rng.standard_normal(4 * RATE), RATE // int(rng.integers(4, 9))
    time = np.arange(RATE // 8) / RATE
    for k, start in enumerate(range(0, 4 * RATE - len(time), step)):
        hit = np.sin(2 * np.pi * 70 * time) if k % 2 else 0.4 * rng.standard_normal(len(time))
        wave[start : start + len(time)] += hit * np.exp(-30 * time)
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)


def steady(slope: float) -> Callable[[np.random.Generator], Wave]:
    def noise(rng: np.random.Generator) -> Wave:
        wave = coloured_noise(rng, int(rng.uniform(0.3, 4) * RATE), slope)
        return (wave / np.abs(wave).max() * 10 ** -rng.uniform(0, 2)).astype(np.float32)

    return noise


@pytest.mark.parametrize("generate", [chords, drums, steady(0), steady(1), steady(2)])
def test_music_and_noise_are_flagged(trio: BundledTrio, generate: Callable[[np.random.Generator], Wave]) -> None:
    rng = np.random.default_rng(11)
    assert share(trio, "audio", [(generate(rng), RATE) for _ in range(30)]) >= 0.9


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
@pytest.mark.parametrize("mixed", [compose_sound, other_sound])
def test_held_out_voices_are_not_flagged(trio: BundledTrio, mixed: Callable[..., object]) -> None:
    rng, sounds = np.random.default_rng(13), []
    for k in range(60):
        word = ("cat", "umbrella", "ring", "hedgehog", "bus", "pineapple")[k % 6]
        sound = mixed(rng, word, lambda text, voice=HELD_OUT_VOICES[k % 3]: synthesise(text, voice))
        sounds.append((getattr(sound, "wave", sound), RATE))
    assert share(trio, "audio", list(sounds)) <= 0.05


def test_no_gallery_example_is_flagged(trio: BundledTrio) -> None:
    folder = assets_dir() / "gallery"
    entries = json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
    for entry in entries:
        files = {kind: folder / entry[kind] for kind in ("image", "audio") if entry.get(kind)}
        assert not flags(trio, text=entry["question"], **files), entry["id"]
    assert len(entries) >= 12


def test_a_question_is_flagged_with_one_that_can_be_asked(trio: BundledTrio) -> None:
    assert not flags(trio, text="Is there an owl in the picture?")
    assert flags(trio, text="what colour is the dog") == {"question-out-of-distribution"}
    (notice,) = trio.prepare(make_sample(text="is there a helicopterz in the picture")).notices
    assert notice.code == "question-word" and notice.parameters["word"] == "helicopterz"
    assert "helicopterz" in str(notice) and "Is there a helicopter in the picture?" in str(notice)


def test_missing_and_silent_inputs_are_not_flagged(trio: BundledTrio) -> None:
    assert not flags(trio, text="what was said")
    assert not flags(trio, audio=(np.zeros(RATE, np.float32), RATE))
    white = np.full((160, 160, 3), 255, np.uint8)
    assert not {"audio-out-of-distribution", "question-out-of-distribution"} & flags(trio, image=white)


def test_another_model_flags_nothing() -> None:
    notices = load_model("toy", "cpu").prepare(make_sample(text="what colour is the dog")).notices
    assert not notices


def test_audio_features_do_not_depend_on_loudness() -> None:
    noise = np.random.default_rng(1).standard_normal(4 * RATE).astype(np.float32) * 0.1
    loud, soft = (audio_features(model_mel(noise * gain)[0]) for gain in (1, 0.01))
    assert np.allclose(loud, soft, atol=1e-3)
    for samples in (1_000, 1_600, 5_000, 64_000):
        mel, hops = model_mel(noise[:samples])
        assert np.isfinite(audio_features(mel[:, :hops])).all()


def test_the_score_by_hand() -> None:
    inner = np.eye(2, dtype=np.float32)
    zeros, ones = np.zeros(2, np.float32), np.ones(2, np.float32)
    by_hand = Detector(zeros, ones, inner, zeros, inner[0] - inner[1], 0.5)
    assert by_hand.score(np.array([2, 1], np.float32)) == 1.5
    assert by_hand.score(np.array([100, -3], np.float32)) == 6.5, "clipped at six standard deviations"


def test_a_fit_separates_two_clouds(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(2)
    inside, outside = (rng.normal(at, 1, (300, 5)).astype(np.float32) for at in (0, 4))
    stored = _fit_detector("image", inside, outside)
    arrays = {name: np.array(value, np.float32) for name, value in stored.items() if name != "outer_bias"}
    fitted = Detector(**arrays, outer_bias=float(stored["outer_bias"]))  # type: ignore[arg-type]
    assert np.mean([fitted.score(features) > 0 for features in inside]) < 0.02
    assert np.mean([fitted.score(features) > 0 for features in outside]) == pytest.approx(
        1 - MISS_RATE["image"], abs=0.01
    )
    assert "300 of the world" in capsys.readouterr().out


def test_the_stored_detectors_fit_the_features() -> None:
    assert detector("image").mean.shape == image_features(np.zeros((3, 160, 160), np.float32)).shape
    assert detector("audio").mean.shape == audio_features(np.zeros((64, 400), np.float32)).shape
