"""Fits and measures the check for inputs that are unlike the world: ``python -m mmviz.training.fit.out_of_distribution``.

    python -m mmviz.training.fit.out_of_distribution fit --photos FOLDER --music FOLDER [--noises FOLDER] [--voices FOLDER]
    python -m mmviz.training.fit.out_of_distribution measure --photos FOLDER --music FOLDER [--noises FOLDER] [--voices FOLDER]

``fit`` writes ``assets/trio/out_of_distribution.json``; ``measure`` prints the share of inputs flagged, by kind. The folders hold
photos, music and recorded noises of one's own, others for measuring than for fitting; ``--voices`` holds a folder for
each voice of a further synthesiser, with a file for each word or carrier, named by it. The world is drawn and spoken as
for training (``espeak-ng``). The check does not depend on the weights of the model, so new weights need no new fit.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from mmviz.inputs.mel import SAMPLE_RATE, fitted_log_mel
from mmviz.models.out_of_distribution import (
    MAX_DEVIATION,
    Floats,
    detectors_path,
    image_features,
    picture_notices,
    audio_features,
    sound_notices,
)
from mmviz.models.trio import FRAMES, HOPS_PER_FRAME, IMAGE_SIDE
from mmviz.training.world.examples import World
from mmviz.training.world.out_of_distribution_audio import limited, noise_sound, other_sound, sound_parts
from mmviz.training.world.out_of_distribution_images import (
    FIT_GROUNDS,
    OTHER_GROUNDS,
    Pixels,
    noise_picture,
    other_scene,
    photo_parts,
)
from mmviz.training.world.sounds import Clip, Wave, compose_sound
from mmviz.training.world.speech import CARRIERS, SpeechBank, default_cache, open_or_build
from mmviz.training.world.sprites import concepts, load_sprites, styles

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
SOUNDS = (".ogg", ".oga", ".wav", ".mp3", ".flac")
UNITS = 24
MISSED = {"picture": 0.02, "sound": 0.01}
"""Share of the foreign, as fitted on, that is let pass: what is left of the gap is a margin for the world's own."""
SEED = 60_000


def files(folder: Path | None, endings: Sequence[str]) -> list[Path]:
    """Files below ``folder`` with these endings, in a fixed order; none without a folder."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings) if folder else []


def seen(pixels: Pixels) -> Floats:
    """What the model sees of a picture ``[height, width, 3]``: ``[3, 160, 160]``, -1 .. 1."""
    small = Image.fromarray(pixels).resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.float32).transpose(2, 0, 1) / 127.5 - 1


def heard(wave: Wave) -> tuple[Floats, int]:
    """What the model hears of a sound: log-mel ``[64, 400]``, and how many hops there are in its sounding frames."""
    mel, sounding = fitted_log_mel(wave, FRAMES * HOPS_PER_FRAME)
    return mel, -(-sounding // HOPS_PER_FRAME) * HOPS_PER_FRAME


def speakers(bank: SpeechBank) -> list[Clip]:
    """The voices of a bank, as functions from a text to its clip."""
    return [lambda text, voice=voice: bank.clip(voice, text) for voice in bank.voices]  # type: ignore[misc]


def fit(options: argparse.Namespace, rng: np.random.Generator) -> None:
    """Fit both detectors and write them. Prints how many inputs of each kind took part."""
    bank = open_or_build(default_cache(), "train", concepts())
    world = World(styles(), bank)
    art = [load_sprites(style) for style in styles()]
    sprites = {word: [drawings[word] for drawings in art if word in drawings] for word in concepts()}
    photos, music, noises = _given(options)
    own = (
        world.example(rng, []).scene.pixels if k % 2 else other_scene(rng, sprites, FIT_GROUNDS) for k in range(5_000)
    )
    parts = [part for path in photos for part in photo_parts(rng, path, 9)]
    unlike = (noise_picture(rng) for _ in range(len(parts) // 4))
    pictures = [_features(map(_picture, group)) for group in (own, parts, unlike)]
    voices = [(speakers(bank), concepts()), *_further_voices(options.voices).values()]
    chosen = rng.choice(len(voices), 9_000, p=_shares(len(voices)))
    spoken = (_spoken(rng, voices[k][0], voices[k][1], bool(rng.integers(2))) for k in chosen)
    played = (part for path in music for part in sound_parts(rng, path, max(1, 3_000 // len(music))))
    noisy = (part for path in noises for part in sound_parts(rng, path, 2))
    made = chain(noisy, (noise_sound(rng) for _ in range(2_500)))
    sounds = [
        _features(_sound(limited(rng, wave) if rng.random() < 0.4 else wave) for wave in group)
        for group in (spoken, played, made)
    ]
    found = {"picture": _fitted("picture", *pictures), "sound": _fitted("sound", *sounds)}
    detectors_path().write_text(json.dumps(found) + "\n", encoding="utf-8")


def _shares(groups: int) -> list[float]:
    """Two thirds for the voices that the model trains on, the rest in equal parts for further ones, if any."""
    return [2 / 3, *[1 / 3 / (groups - 1)] * (groups - 1)] if groups > 1 else [1.0]


def _given(options: argparse.Namespace) -> tuple[list[Path], list[Path], list[Path]]:
    given = files(options.photos, PICTURES), files(options.music, SOUNDS), files(options.noises, SOUNDS)
    if not given[0] or not given[1]:
        raise SystemExit(
            f"{len(given[0])} pictures and {len(given[1])} sounds were found; give folders that hold some."
        )
    return given


def _spoken(rng: np.random.Generator, voices: Sequence[Clip], words: Sequence[str], plain: bool) -> Wave:
    clip, word = voices[int(rng.integers(len(voices)))], str(rng.choice(words))
    return other_sound(rng, word, clip) if plain else compose_sound(rng, word, clip).wave


def _picture(pixels: Pixels) -> Floats:
    return image_features((seen(pixels) + 1) * 127.5)


def _sound(wave: Wave) -> Floats:
    mel, hops = heard(wave)
    return audio_features(mel[:, :hops])


def _features(found: Iterable[Floats]) -> Floats:
    return np.stack(list(found))


def _fitted(kind: str, own: Floats, *foreign: Floats) -> dict[str, object]:
    """A detector for two classes of equal weight; its limit lets the share ``MISSED[kind]`` of ``foreign`` pass."""
    torch.manual_seed(SEED)
    inputs = np.concatenate([own, *foreign])
    mean, scale = inputs.mean(0), inputs.std(0) + 1e-3
    x = torch.from_numpy(np.clip((inputs - mean) / scale, -MAX_DEVIATION, MAX_DEVIATION))
    y = (torch.arange(len(x)) >= len(own)).float()
    weight = torch.where(y > 0, len(own) / float(y.sum()), 1.0)
    inner, outer = nn.Linear(x.shape[1], UNITS), nn.Linear(UNITS, 1)
    network = nn.Sequential(inner, nn.ReLU(), outer)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.2)
    for _ in range(40):
        order = torch.randperm(len(x))
        for start in range(0, len(x), 256):
            rows = order[start : start + 256]
            shaken = x[rows] + 0.1 * torch.randn(len(rows), x.shape[1])
            loss = nn.functional.binary_cross_entropy_with_logits(network(shaken)[:, 0], y[rows], weight[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    scores = network(x)[:, 0].detach()
    limit = float(np.quantile(scores[y > 0].numpy(), MISSED[kind]))
    flagged = float((scores[y == 0] > limit).float().mean())
    print(f"{kind}: {len(own)} of the world, {flagged:.4f} flagged; {int(y.sum())} foreign, {MISSED[kind]} missed")
    return {
        "mean": _short(mean), "scale": _short(scale), "inner": _short(inner.weight), "inner_bias": _short(inner.bias),
        "outer": _short(outer.weight[0]), "outer_bias": round(outer.bias.item() - limit, 4),
    }  # fmt: skip


def _short(values: Tensor | NDArray[np.floating]) -> list[object]:
    array = values.detach().numpy() if isinstance(values, Tensor) else values
    rounded: list[object] = np.round(array.astype(float), 4).tolist()
    return rounded


def measure(options: argparse.Namespace, rng: np.random.Generator) -> None:
    """Print the share of inputs that are flagged, by kind."""
    train, held_out = (open_or_build(default_cache(), split, concepts()) for split in ("train", "held_out"))
    (art,) = styles(held_out=True)
    sprites = {word: [sprite] for word, sprite in load_sprites(art).items()}
    photos, music, noises = _given(options)
    print("| input | flagged | of |\n|---|---|---|")
    for name, world in (("trained art", World(styles(), train)), (f"held-out art, {art}", World([art], train))):
        _row(f"scenes: {name}", _flagged_pictures(world.example(rng, []).scene.pixels for _ in range(500)))
    for ground in OTHER_GROUNDS:
        scenes = (other_scene(rng, sprites, [ground]) for _ in range(200))
        _row(f"scenes: held-out art drawn in another way, {ground}", _flagged_pictures(scenes))
    voices = {"trained voices": (speakers(train), concepts()), "held-out voices": (speakers(held_out), concepts())}
    voices |= _further_voices(options.voices)
    for name, (speaking, words) in voices.items():
        for map_ref, plain in (("", False), (", mixed in another way", True)):
            _row(f"speech: {name}{map_ref}", _flagged_sounds(_spoken(rng, speaking, words, plain) for _ in range(300)))
    _row("photos", _flagged_pictures(next(photo_parts(rng, path, 0)) for path in photos))
    parts = (part for path in photos for part in list(photo_parts(rng, path, 3))[1:])
    _row("parts of photos, some grey or coarse", _flagged_pictures(parts))
    _row("pictures of noise and of writing", _flagged_pictures(noise_picture(rng) for _ in range(300)))
    _row("music", _flagged_sounds(part for path in music for part in sound_parts(rng, path, 4)))
    if noises:
        _row("recorded noises", _flagged_sounds(part for path in noises for part in sound_parts(rng, path, 1)))
    _row("noise, tones and tunes made by rule", _flagged_sounds(noise_sound(rng) for _ in range(500)))


def _further_voices(folder: Path | None) -> dict[str, tuple[list[Clip], tuple[str, ...]]]:
    """Each voice of ``--voices`` as a list of one, with the words that it speaks."""
    found: dict[str, tuple[list[Clip], tuple[str, ...]]] = {}
    for voice in sorted(folder.iterdir()) if folder else []:
        clips = {path.stem: _clip(path) for path in files(voice, SOUNDS)}
        found[voice.name] = ([clips.__getitem__], tuple(word for word in clips if word not in CARRIERS))
    return found


def _clip(path: Path) -> Wave:
    found, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(found.mean(1), rate, SAMPLE_RATE), np.float32)


def _flagged_pictures(pictures: Iterable[Pixels]) -> Iterator[bool]:
    return (bool(picture_notices(seen(picture))) for picture in pictures)


def _flagged_sounds(waves: Iterable[Wave]) -> Iterator[bool]:
    return (bool(sound_notices(*heard(wave))) for wave in waves)


def _row(name: str, flagged: Iterator[bool]) -> None:
    found = list(flagged)
    print(f"| {name} | {np.mean(found):.3f} | {len(found)} |", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the detectors, or measure them."""
    parser = argparse.ArgumentParser(prog="python -m mmviz.training.fit.out_of_distribution")
    parser.add_argument("what", choices=("fit", "measure"))
    for name in ("photos", "music"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("noises", "voices"):
        parser.add_argument(f"--{name}", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    (fit if options.what == "fit" else measure)(options, np.random.default_rng([SEED, options.what == "measure"]))


if __name__ == "__main__":
    main()
