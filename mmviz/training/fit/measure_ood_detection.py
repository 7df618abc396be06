"""Measures what is flagged as out of the world of `trio`, on sources that its detectors were not fitted to.

    python -m mmviz.training.fit.measure_ood_detection --stamps FOLDER --speech FOLDER --photos FOLDER [--weights FILE]

prints the share of flagged inputs by kind. ``--stamps`` and ``--speech`` are those of ``mmviz evaluate --real``: known
things and words are of the world, other ones are not. ``--photos`` holds pictures of other things. The world is drawn
with held-out art and spoken by held-out voices. Features are kept on disk, so new weights are measured quickly.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from mmviz.assets_path import assets_dir
from mmviz.inputs.audio import load_audio
from mmviz.models.encoders.frozen_encoders import load_encoders
from mmviz.models.input_doubts import score
from mmviz.models.out_of_distribution import detector, stored
from mmviz.training.evaluate import real_folders, real_photograph_views, real_speech_views
from mmviz.training.fit.out_of_distribution import reader_of, weights_digest
from mmviz.training.fit.unknown_inputs import Pixels, kept, picture_features, sound_features, spoken, square_part
from mmviz.training.world.compose_sound import Wave
from mmviz.training.world.examples import World
from mmviz.training.world.grounds import load_photographs
from mmviz.training.world.ood_detector_audio import coloured_noise
from mmviz.training.world.ood_detector_images import OTHER_GROUNDS, other_ground
from mmviz.training.world.speech_bank import default_cache, open_or_build
from mmviz.training.world.sprites import concepts, styles
from mmviz.training.world.synthesisers import synthesise
from mmviz.training.world.unknown_words import MEASURED_WORDS
from mmviz.training.world.voices import HELD_OUT_VOICES

SEED, RATE = 70_000, 16_000
SCENES, SPOKEN, EACH = 150, 200, 40
_LONGEST = 4 * RATE
Group = tuple[str, str, bool, Callable[[], Iterator[Pixels] | Iterator[Wave]]]
"""Name, ``image`` or ``audio``, whether it is of the world, and what makes the inputs."""


def groups(stamps: Path | None, speech: Path | None, photos: Path | None) -> Iterator[Group]:
    """Yields what is measured; a folder that is None is left out."""
    voices = open_or_build(default_cache(), "held_out", concepts())
    world = World(styles(held_out=True), voices)
    rng = np.random.default_rng([SEED, 0])
    names = list(concepts())
    yield "scenes, held-out art", "image", True, lambda: (world.scene(rng).pixels for _ in range(SCENES))
    yield (
        "words, held-out voices", "audio", True,
        lambda: (world.sound(rng, str(rng.choice(names))).wave for _ in range(SPOKEN)),
    )  # fmt: skip
    if stamps:
        known = real_folders.photographs(stamps)
        for view in real_photograph_views.VIEWS:
            yield f"photographs of known things, {view}", "image", True, lambda view=view: _views(known, view)  # type: ignore[misc]
        other = other_photographs(stamps)
        for view in ("plain ground", "photographic ground"):
            yield f"photographs of other things, {view}", "image", False, lambda view=view: _views(other, view)  # type: ignore[misc]
    recordings = [*(real_folders.spoken_captions(stamps) if stamps else ())]
    recordings += [*(real_folders.spoken_names(speech) if speech else ())]
    for view in real_speech_views.VIEWS if recordings else ():
        yield f"words spoken by people, {view}", "audio", True, lambda view=view: _spoken(recordings, view)  # type: ignore[misc]
    if stamps:
        yield "other words spoken by people", "audio", False, lambda: other_captions(stamps)
    if photos:
        yield "pictures of other things, whole", "image", False, lambda: _photos(photos)
    yield "held-out grounds", "image", False, _grounds
    yield "textures and plain colours", "image", False, _textures
    yield "pixel noise", "image", False, _pixel_noise
    yield "plots", "image", False, _plots
    yield "texts", "image", False, _texts
    yield "other words, held-out voices", "audio", False, lambda: _other_words(voices.clip, voices.voices)
    for make in (chords, drums, noise):
        yield make.__name__, "audio", False, lambda make=make: _made(make)  # type: ignore[misc]


def other_photographs(folder: Path) -> tuple[real_folders.Photograph, ...]:
    """Returns the measured half's photographs whose caption names no known word; birds are left out, as "bird" is one.

    Raises as `real_folders.photographs`.
    """
    result = []
    for name, caption, path in real_folders.measured_stamps(folder):
        if "birds" in name or _names_a_word(caption):
            continue
        if photograph := real_folders.photograph(name, caption, path):
            result.append(photograph)
    return tuple(result)


def other_captions(folder: Path) -> Iterator[Wave]:
    """Yields the measured half's spoken captions that hold no known word."""
    for _, caption, path in real_folders.measured_stamps(folder):
        sound = path.with_name(path.name + "_desc.ogg")
        if sound.is_file() and not _names_a_word(caption):
            yield load_audio(sound)[0].wave[:_LONGEST]


def _names_a_word(caption: str) -> bool:
    return any(real_folders.is_known(word) for word in re.findall(r"[^\W_]+", caption.casefold()))


def _views(photographs: Sequence[real_folders.Photograph], view: str) -> Iterator[Pixels]:
    grounds = tuple(load_photographs(held_out=True).values())
    for photograph in photographs:
        yield next(pixels for name, pixels in real_photograph_views.views(photograph, grounds) if name == view)


def _spoken(recordings: Sequence[real_folders.Recording], view: str) -> Iterator[Wave]:
    for recording in recordings:
        yield next(audio.wave[:_LONGEST] for name, audio in real_speech_views.views(recording) if name == view)


def _photos(folder: Path) -> Iterator[Pixels]:
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            yield np.asarray(image.convert("RGB"))


def _grounds() -> Iterator[Pixels]:
    rng = np.random.default_rng([SEED, 1])
    for photograph in load_photographs(held_out=True).values():
        for _ in range(6):
            yield square_part(rng, photograph, 0.5)


def _textures() -> Iterator[Pixels]:
    rng = np.random.default_rng([SEED, 2])
    return (other_ground(rng, 320, name) for name in OTHER_GROUNDS for _ in range(8))


def _pixel_noise() -> Iterator[Pixels]:
    rng = np.random.default_rng([SEED, 3])
    for _ in range(EACH // 2):
        yield rng.integers(0, 256, (160, 160, 3), np.uint8)
        yield np.repeat(rng.integers(0, 2, (200, 200, 1), np.uint8) * np.uint8(255), 3, 2)


def _plots() -> Iterator[Pixels]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rng = np.random.default_rng([SEED, 4])
    for k in range(EACH):
        figure = Figure(figsize=(4, 4))
        canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
        if k % 4 == 0:
            axes.plot(rng.standard_normal((50, 3)).cumsum(0))
        elif k % 4 == 1:
            axes.bar(range(8), rng.random(8))
        elif k % 4 == 2:
            axes.scatter(*rng.standard_normal((2, 80)))
        else:
            axes.imshow(rng.random((9, 9)))
        axes.set_title("Measured")
        canvas.draw()  # type: ignore[no-untyped-call]
        yield np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


def _texts() -> Iterator[Pixels]:
    rng = np.random.default_rng([SEED, 5])
    for _ in range(EACH):
        page = Image.new("RGB", (400, 400), tuple(int(c) for c in rng.integers(200, 256, 3)))
        size = int(rng.integers(12, 30))
        font = ImageFont.load_default(size=size)
        for y in range(20, 380, int(size * rng.uniform(1.3, 3))):
            ImageDraw.Draw(page).text((20, y), " ".join(rng.choice(MEASURED_WORDS, 4)), fill=(0, 0, 0), font=font)
        yield np.asarray(page)


def _other_words(clip: Callable[[str, str], Wave], names: Sequence[str]) -> Iterator[Wave]:
    rng, voices = np.random.default_rng([SEED, 6]), [voice for voice in HELD_OUT_VOICES if voice.name in names]
    for word in MEASURED_WORDS:
        voice = voices[int(rng.integers(len(voices)))]
        yield spoken(rng, word, synthesise(word, voice), lambda text, name=voice.name: clip(name, text))  # type: ignore[misc]


def _made(make: Callable[[np.random.Generator], Wave]) -> Iterator[Wave]:
    rng = np.random.default_rng([SEED, 7])
    return (make(rng) for _ in range(EACH))


def chords(rng: np.random.Generator) -> Wave:
    """Returns four seconds of chords with overtones, an onset and a decay each, over a bass."""
    time = np.arange(RATE // 2) / RATE
    bars = []
    for _ in range(8):
        root = 110 * 2 ** (rng.integers(0, 12) / 12)
        tones = [
            np.sin(2 * np.pi * root * ratio * k * time) / k**1.3 for ratio in (0.5, 1, 1.26, 1.5) for k in range(1, 6)
        ]
        bars.append(np.minimum(time / 0.02, 1) * np.exp(-2 * time) * np.sum(tones, axis=0))
    wave = np.concatenate(bars) + 0.01 * rng.standard_normal(4 * RATE)
    return np.asarray(wave / np.abs(wave).max() * rng.uniform(0.05, 1), np.float32)


def drums(rng: np.random.Generator) -> Wave:
    """Returns a beat of noise and low thumps at a steady pace."""
    wave, step = 1e-3 * rng.standard_normal(4 * RATE), RATE // int(rng.integers(4, 9))
    time = np.arange(RATE // 8) / RATE
    for k, start in enumerate(range(0, 4 * RATE - len(time), step)):
        hit = np.sin(2 * np.pi * 70 * time) if k % 2 else 0.4 * rng.standard_normal(len(time))
        wave[start : start + len(time)] += hit * np.exp(-30 * time)
    return np.asarray(0.5 * wave / np.abs(wave).max(), np.float32)


def noise(rng: np.random.Generator) -> Wave:
    """Returns white, pink or brown noise of any length up to 4 s, at any loudness."""
    wave = coloured_noise(rng, int(rng.uniform(0.3, 4) * RATE), float(rng.integers(3)))
    return np.asarray(wave / np.abs(wave).max() * 10 ** -rng.uniform(0, 2), np.float32)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m mmviz.training.fit.measure_ood_detection")
    parser.add_argument("--weights", type=Path, default=assets_dir() / "trio" / "weights.safetensors")
    for name in ("stamps", "speech", "photos"):
        parser.add_argument(f"--{name}", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if stored()["weights"] != weights_digest(options.weights):
        raise SystemExit("The detectors were fitted to other weights.")
    encoders, folder = load_encoders(), default_cache() / "unknown" / "measured"
    _, reader = reader_of(options.weights, encoders)
    print("| input | of its world | flagged | of |\n|---|---|---|---|")
    for name, kind, is_own, make in groups(options.stamps, options.speech, options.photos):
        file = re.sub(r"\W+", "-", name)
        if kind == "image":
            rows = kept(folder, file, lambda make=make: picture_features(encoders, make()))["features"]  # type: ignore[misc]
            evidence = map(reader.picture, rows)
        else:
            chunk = kept(folder, file, lambda make=make: sound_features(encoders, make()))  # type: ignore[misc]
            evidence = map(reader.sound, chunk["features"], chunk["frames"].tolist())
        flags = [score(detector(kind), item) > 0 for item in evidence]
        print(f"| {name} | {'yes' if is_own else 'no'} | {np.mean(flags):.3f} | {len(flags)} |", flush=True)


if __name__ == "__main__":
    main()
