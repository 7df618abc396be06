"""Fits and measures the out-of-distribution detectors of `trio`.

    python -m mmviz.training.fit.out_of_distribution fit --photos FOLDER --music FOLDER
    python -m mmviz.training.fit.out_of_distribution measure --photos FOLDER --music FOLDER

Both take ``--noises FOLDER`` and ``--voices FOLDER`` as well. ``fit`` writes ``assets/trio/out_of_distribution.json``;
``measure`` prints the share of flagged inputs by kind. The folders hold your photos, music and recorded noises, other
ones for measuring than for fitting; ``--voices`` has a folder for each voice of another synthesiser, with one file per
word or carrier, named by it. The world is drawn and spoken as for training (``espeak-ng``). The detectors do not depend
on the weights of the model, so new weights need no new fit.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from mmviz.inputs.mel import SAMPLE_RATE, padded_log_mel
from mmviz.inputs.resample import resample
from mmviz.models.out_of_distribution import (
    MAX_DEVIATION,
    Floats,
    audio_features,
    audio_notices,
    detectors_path,
    image_features,
    image_notices,
)
from mmviz.models.trio_network import FRAMES, HOPS_PER_FRAME, IMAGE_SIDE
from mmviz.training.world.compose_sound import Clip, Wave, compose_sound
from mmviz.training.world.examples import World
from mmviz.training.world.ood_detector_audio import audio_parts, noise_sound, other_sound, through_speaker
from mmviz.training.world.ood_detector_images import (
    FIT_GROUNDS,
    OTHER_GROUNDS,
    Pixels,
    noise_image,
    other_scene,
    photo_parts,
)
from mmviz.training.world.speech_bank import CARRIERS, SpeechBank, default_cache, open_or_build
from mmviz.training.world.sprites import concepts, load_sprites, styles

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
AUDIO_SUFFIXES = (".ogg", ".oga", ".wav", ".mp3", ".flac")
HIDDEN_UNITS = 24
MISS_RATE = {"image": 0.02, "audio": 0.01}
"""Share of the out-of-distribution inputs of the fit that may pass; the rest of the gap is a margin for the world."""
SEED = 60_000


def files(folder: Path | None, suffixes: Sequence[str]) -> list[Path]:
    """Returns the files below ``folder`` with these suffixes, in a fixed order; none without a folder."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes) if folder else []


def model_pixels(pixels: Pixels) -> Floats:
    """Returns an image ``[height, width, 3]`` as the model reads it: ``[3, 160, 160]``, -1 .. 1."""
    resized = Image.fromarray(pixels).resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BOX)
    return np.asarray(resized, np.float32).transpose(2, 0, 1) / 127.5 - 1


def model_mel(wave: Wave) -> tuple[Floats, int]:
    """Returns a sound as the model reads it, log-mel ``[64, 400]``, and the number of hops in its sounding frames."""
    mel, sounding = padded_log_mel(wave, FRAMES * HOPS_PER_FRAME)
    return mel, -(-sounding // HOPS_PER_FRAME) * HOPS_PER_FRAME


def speakers(bank: SpeechBank) -> list[Clip]:
    """Returns the voices of a bank, as functions from a text to its clip."""
    return [lambda text, voice=voice: bank.clip(voice, text) for voice in bank.voices]  # type: ignore[misc]


def fit(options: argparse.Namespace, rng: np.random.Generator) -> None:
    """Fits both detectors and writes them. Prints the number of inputs of each kind."""
    bank = open_or_build(default_cache(), "train", concepts())
    world = World(styles(), bank)
    art = [load_sprites(style) for style in styles()]
    sprites = {word: [drawings[word] for drawings in art if word in drawings] for word in concepts()}
    photos, music, noises = _folders(options)
    scenes = (
        world.example(rng, []).scene.pixels if k % 2 else other_scene(rng, sprites, FIT_GROUNDS) for k in range(5_000)
    )
    parts = [part for path in photos for part in photo_parts(rng, path, 9)]
    noise_images = (noise_image(rng) for _ in range(len(parts) // 4))
    image_groups = [_stack(map(_image_features, group)) for group in (scenes, parts, noise_images)]
    voices = [(speakers(bank), concepts()), *_further_voices(options.voices).values()]
    chosen = rng.choice(len(voices), 9_000, p=_voice_odds(len(voices)))
    spoken = (_spoken(rng, voices[k][0], voices[k][1], bool(rng.integers(2))) for k in chosen)
    music_parts = (part for path in music for part in audio_parts(rng, path, max(1, 3_000 // len(music))))
    recorded = (part for path in noises for part in audio_parts(rng, path, 2))
    noise_sounds = chain(recorded, (noise_sound(rng) for _ in range(2_500)))
    audio_groups = [
        _stack(_audio_features(through_speaker(rng, wave) if rng.random() < 0.4 else wave) for wave in group)
        for group in (spoken, music_parts, noise_sounds)
    ]
    detectors = {"image": _fit_detector("image", *image_groups), "audio": _fit_detector("audio", *audio_groups)}
    detectors_path().write_text(json.dumps(detectors) + "\n", encoding="utf-8")


def _voice_odds(groups: int) -> list[float]:
    """Returns two thirds for the voices that the model trains on, the rest in equal parts for further voices."""
    return [2 / 3, *[1 / 3 / (groups - 1)] * (groups - 1)] if groups > 1 else [1.0]


def _folders(options: argparse.Namespace) -> tuple[list[Path], list[Path], list[Path]]:
    paths = (
        files(options.photos, IMAGE_SUFFIXES),
        files(options.music, AUDIO_SUFFIXES),
        files(options.noises, AUDIO_SUFFIXES),
    )
    if not paths[0] or not paths[1]:
        raise SystemExit(
            f"The folders hold {len(paths[0])} images and {len(paths[1])} sounds. Name folders that hold some of both."
        )
    return paths


def _spoken(rng: np.random.Generator, voices: Sequence[Clip], words: Sequence[str], plain: bool) -> Wave:
    clip, word = voices[int(rng.integers(len(voices)))], str(rng.choice(words))
    return other_sound(rng, word, clip) if plain else compose_sound(rng, word, clip).wave


def _image_features(pixels: Pixels) -> Floats:
    return image_features((model_pixels(pixels) + 1) * 127.5)


def _audio_features(wave: Wave) -> Floats:
    mel, hops = model_mel(wave)
    return audio_features(mel[:, :hops])


def _stack(features: Iterable[Floats]) -> Floats:
    return np.stack(list(features))


def _fit_detector(kind: str, inside: Floats, *outside: Floats) -> dict[str, object]:
    """Returns a detector for two classes of equal weight; it lets the share ``MISS_RATE[kind]`` of ``outside`` pass."""
    torch.manual_seed(SEED)
    inputs = np.concatenate([inside, *outside])
    mean, scale = inputs.mean(0), inputs.std(0) + 1e-3
    x = torch.from_numpy(np.clip((inputs - mean) / scale, -MAX_DEVIATION, MAX_DEVIATION))
    y = (torch.arange(len(x)) >= len(inside)).float()
    weight = torch.where(y > 0, len(inside) / float(y.sum()), 1.0)
    inner, outer = nn.Linear(x.shape[1], HIDDEN_UNITS), nn.Linear(HIDDEN_UNITS, 1)
    network = nn.Sequential(inner, nn.ReLU(), outer)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.2)
    for _ in range(40):
        order = torch.randperm(len(x))
        for start in range(0, len(x), 256):
            rows = order[start : start + 256]
            noisy = x[rows] + 0.1 * torch.randn(len(rows), x.shape[1])
            loss = nn.functional.binary_cross_entropy_with_logits(network(noisy)[:, 0], y[rows], weight[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    scores = network(x)[:, 0].detach()
    threshold = float(np.quantile(scores[y > 0].numpy(), MISS_RATE[kind]))
    flagged = float((scores[y == 0] > threshold).float().mean())
    print(f"{kind}: {len(inside)} of the world, {flagged:.4f} flagged; {int(y.sum())} others, {MISS_RATE[kind]} missed")
    return {
        "mean": _rounded(mean), "scale": _rounded(scale), "inner": _rounded(inner.weight),
        "inner_bias": _rounded(inner.bias),
        "outer": _rounded(outer.weight[0]), "outer_bias": round(outer.bias.item() - threshold, 4),
    }  # fmt: skip


def _rounded(values: Tensor | NDArray[np.floating]) -> list[object]:
    array = values.detach().numpy() if isinstance(values, Tensor) else values
    rounded: list[object] = np.round(array.astype(float), 4).tolist()
    return rounded


def measure(options: argparse.Namespace, rng: np.random.Generator) -> None:
    """Prints the share of flagged inputs, by kind."""
    train, held_out = (open_or_build(default_cache(), split, concepts()) for split in ("train", "held_out"))
    (art,) = styles(held_out=True)
    sprites = {word: [sprite] for word, sprite in load_sprites(art).items()}
    photos, music, noises = _folders(options)
    print("| input | flagged | of |\n|---|---|---|")
    for name, world in (("trained art", World(styles(), train)), (f"held-out art, {art}", World([art], train))):
        _row(f"scenes: {name}", _flagged_images(world.example(rng, []).scene.pixels for _ in range(500)))
    for ground in OTHER_GROUNDS:
        scenes = (other_scene(rng, sprites, [ground]) for _ in range(200))
        _row(f"scenes: held-out art drawn in another way, {ground}", _flagged_images(scenes))
    voices = {"trained voices": (speakers(train), concepts()), "held-out voices": (speakers(held_out), concepts())}
    voices |= _further_voices(options.voices)
    for name, (clips, words) in voices.items():
        for variant, plain in (("", False), (", mixed in another way", True)):
            _row(f"speech: {name}{variant}", _flagged_audio(_spoken(rng, clips, words, plain) for _ in range(300)))
    _row("photos", _flagged_images(next(photo_parts(rng, path, 0)) for path in photos))
    parts = (part for path in photos for part in list(photo_parts(rng, path, 3))[1:])
    _row("parts of photos, some grey or coarse", _flagged_images(parts))
    _row("pictures of noise and of writing", _flagged_images(noise_image(rng) for _ in range(300)))
    _row("music", _flagged_audio(part for path in music for part in audio_parts(rng, path, 4)))
    if noises:
        _row("recorded noises", _flagged_audio(part for path in noises for part in audio_parts(rng, path, 1)))
    _row("noise, tones and tunes made by rule", _flagged_audio(noise_sound(rng) for _ in range(500)))


def _further_voices(folder: Path | None) -> dict[str, tuple[list[Clip], tuple[str, ...]]]:
    """Returns each voice of ``--voices`` as a list of one, with the words that it speaks."""
    voices: dict[str, tuple[list[Clip], tuple[str, ...]]] = {}
    for voice in sorted(folder.iterdir()) if folder else []:
        clips = {path.stem: _clip(path) for path in files(voice, AUDIO_SUFFIXES)}
        voices[voice.name] = ([clips.__getitem__], tuple(word for word in clips if word not in CARRIERS))
    return voices


def _clip(path: Path) -> Wave:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return resample(samples.mean(1), rate, SAMPLE_RATE)


def _flagged_images(images: Iterable[Pixels]) -> Iterator[bool]:
    return (bool(image_notices(model_pixels(image))) for image in images)


def _flagged_audio(waves: Iterable[Wave]) -> Iterator[bool]:
    return (bool(audio_notices(*model_mel(wave))) for wave in waves)


def _row(name: str, flagged: Iterator[bool]) -> None:
    flags = list(flagged)
    print(f"| {name} | {np.mean(flags):.3f} | {len(flags)} |", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fits the detectors, or measures them."""
    parser = argparse.ArgumentParser(prog="python -m mmviz.training.fit.out_of_distribution")
    parser.add_argument("action", choices=("fit", "measure"))
    for name in ("photos", "music"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("noises", "voices"):
        parser.add_argument(f"--{name}", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    (fit if options.action == "fit" else measure)(options, np.random.default_rng([SEED, options.action == "measure"]))


if __name__ == "__main__":
    main()
