"""Tells an input that is unlike the world of the bundled model, on which its answer would mean little.

Pictures and sounds: plain statistics of what the model sees and hears, and a small network over them, fitted by
`mmviz.training.fit.out_of_distribution` to the world on one side and to photos, music and noise on the other. Nothing here depends on
the weights of the model. Questions are compared with the wordings of the world.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmviz.assets_path import assets_dir
from mmviz.models.question_templates import known_words, nearest, read, unknown_word
from mmviz.types import Notice

Floats = NDArray[np.float32]

FARTHEST = 6.0
"""Standard deviations at which a feature is cut off, so that one odd value alone decides nothing."""
_LOUD = -2.0
"""Decades of power below the loudest moment from which a moment counts as sounding."""
_SILENT = 0.85
"""Loudest cell of a log-mel up to which there is nothing to judge: the log-mel has 1 unless it lacks power."""
_FEWEST_HOPS = 48
"""Shorter sounds are filled up with silence."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Detector:
    """A network with one inner layer over standardised features; a score above 0 is foreign.

    ``mean`` and ``scale`` ``[feature]``, ``inner`` ``[unit, feature]``, ``inner_bias`` and ``outer`` ``[unit]``.
    """

    mean: Floats
    scale: Floats
    inner: Floats
    inner_bias: Floats
    outer: Floats
    outer_bias: float

    def score(self, features: Floats) -> float:
        """How foreign an input with these features ``[feature]`` is."""
        apart = np.clip((features - self.mean) / self.scale, -FARTHEST, FARTHEST)
        return float(self.outer @ np.maximum(self.inner @ apart + self.inner_bias, 0) + self.outer_bias)


def detectors_path() -> Path:
    """Where the fitted detectors lie."""
    return assets_dir() / "trio" / "foreign.json"


@cache
def detector(kind: str) -> Detector:
    """The fitted detector for ``picture`` or ``sound``."""
    stored = json.loads(detectors_path().read_text(encoding="utf-8"))[kind]
    arrays = {name: np.array(value, np.float32) for name, value in stored.items() if name != "outer_bias"}
    return Detector(**arrays, outer_bias=float(stored["outer_bias"]))


def picture_notices(pixels: Floats) -> list[Notice]:
    """A notice if ``pixels`` (float32 ``[3, 160, 160]``, -1 .. 1) are unlike the drawn scenes of the world."""
    foreign = detector("picture").score(picture_features((pixels + 1) * 127.5)) > 0
    return [Notice("picture-foreign")] if foreign else []


def sound_notices(mel: Floats, hops: int) -> list[Notice]:
    """A notice if a log-mel ``[64, hop]``, of which ``hops`` sound, is unlike the spoken words of the world.

    A sound that is all but silent is not judged."""
    heard = mel[:, :hops]
    foreign = float(heard.max()) > _SILENT and detector("sound").score(sound_features(heard)) > 0
    return [Notice("sound-foreign")] if foreign else []


def question_notices(text: str) -> list[Notice]:
    """A notice if ``text`` is none of the world's questions, with one that is; or if it names an unknown word."""
    if read(text) is not None:
        return []
    word, example = unknown_word(text), nearest(text)
    if word is None:
        return [Notice("question-foreign", {"example": example})]
    return [Notice("question-word", {"word": word, "count": len(known_words()), "example": example})]


def picture_features(pixels: Floats) -> Floats:
    """Statistics of a picture ``[3, 160, 160]``, 0 .. 255: ``[feature]``.

    At a half, a quarter and an eighth of the size: how steep and how bent the colours are (quantiles: a drawing on a
    ground has still places and sharp edges, a photo something everywhere). How far the commonest colours lie from a
    line in colour space (a ground mixes two colours). How many colours there are. How uneven blocks are. Saturation.
    """
    half = _halved(pixels)
    quarter = _halved(half)
    eighth = _halved(quarter)
    found: list[NDArray[np.floating]] = []
    for scale in (half, quarter, eighth):
        across, down = np.abs(np.diff(scale, axis=2))[:, :-1], np.abs(np.diff(scale, axis=1))[:, :, :-1]
        found.append(np.log1p(_quantiles(np.maximum(across, down).max(0), 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.97)))
        around = scale[:, :-2, 1:-1] + scale[:, 2:, 1:-1] + scale[:, 1:-1, :-2] + scale[:, 1:-1, 2:]
        bend = np.abs(4 * scale[:, 1:-1, 1:-1] - around).max(0)
        found.append(np.log1p(_quantiles(bend, 0.1, 0.25, 0.5, 0.75, 0.9)))
    found.append(_colour_line(quarter.reshape(3, -1).T))
    sixteenths = (half.reshape(3, -1) // 16).clip(0, 15).astype(np.intp)
    shares = np.sort(np.bincount(sixteenths[0] * 256 + sixteenths[1] * 16 + sixteenths[2], minlength=64))[::-1]
    shares = shares / sixteenths.shape[1]
    used = shares[shares > 0]
    found.append(np.array([-(used * np.log(used)).sum(), shares[0], shares[:4].sum(), shares[:16].sum()]))
    blocks = np.tensordot(_LUMA, pixels, 1).reshape(20, 8, 20, 8)
    spread = np.log1p(blocks.std((1, 3)))
    found.append(_quantiles(spread, 0.1, 0.25, 0.5, 0.75, 0.9))
    found.append(np.array([spread.std(), blocks.mean((1, 3)).std() / 64]))
    most = half.max(0)
    saturation = (most - half.min(0)) / np.maximum(most, 1)
    found.append(np.array([saturation.mean(), saturation.std(), *_quantiles(saturation, 0.9)]))
    return np.concatenate(found).astype(np.float32)


def sound_features(heard: Floats) -> Floats:
    """Statistics of a log-mel ``[64, hop]`` as `mmviz.inputs.mel.log_mel` gives it: ``[feature]``.

    How loud moments are and how long they last (a word is short, and quiet surrounds it). The spectrum of the quiet
    and of the loud. How the spectrum changes over 10 to 160 ms (speech moves, a chord stays, noise has no memory). The
    rhythm of eight bands (modulation spectrum). How peaked the spectrum is, and how long its peaks stay (pitch).
    """
    if heard.shape[1] < _FEWEST_HOPS:
        heard = np.pad(heard, ((0, 0), (0, _FEWEST_HOPS - heard.shape[1])), constant_values=-1)
    hops = heard.shape[1]
    power = np.log10((10 ** (4 * (heard - 1))).mean(0) + 1e-8)
    below = power - power.max()
    first, last = (loud := np.flatnonzero(below > _LOUD))[0], loud[-1]
    lasting = np.array([last - first + 1, len(loud), 100 * len(loud) / (last - first + 1)]) / 100
    found: list[NDArray[np.floating]] = [np.log([hops / 100]), _quantiles(below, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)]
    found += [np.array([(below > -depth).mean() for depth in (0.5, 1, 2, 3)]), lasting]
    start = max(0, min(int(first), hops - _FEWEST_HOPS // 2))
    speaking = np.arange(start, max(int(last) + 1, start + _FEWEST_HOPS // 2))
    chosen = heard[:, loud if len(loud) >= _FEWEST_HOPS // 3 else speaking]
    mean = chosen.mean(1)
    quiet = np.sort(heard, axis=1)[:, hops // 10]
    found += [_bands(quiet), _bands(mean - mean.mean()), mean.mean(keepdims=True), _bands(chosen.std(1))]
    uneven = chosen.std(0)
    found += [uneven.mean(keepdims=True), _quantiles(uneven, 0.1, 0.9)]
    peaks = np.abs(chosen[1:-1] - (chosen[:-2] + chosen[2:]) / 2).mean(1)
    found.append(np.array([part.mean() for part in np.split(peaks, (10, 25, 45))]))
    stretch = heard[:, speaking]
    shape = stretch - stretch.mean(0)
    for lag in (1, 2, 4, 8, 16):
        change = np.abs(stretch[:, lag:] - stretch[:, :-lag]).mean()
        found.append(np.array([change, _alike(shape, lag, 1e-3)]))
    bands = heard.reshape(8, 8, hops).mean(1)
    swing = np.abs(np.fft.rfft(bands - bands.mean(1, keepdims=True), 400, axis=1)) ** 2
    rhythm = (swing / (swing.sum(1, keepdims=True) + 1e-3)).mean(0)
    found.append(np.array([part.sum() for part in np.split(rhythm, (6, 16, 32, 64))]))  # 1.5, 4, 8 and 16 Hz
    around = (chosen[:-4] + chosen[1:-3] + chosen[2:-2] + chosen[3:-1] + chosen[4:]) / 5
    fine = chosen[2:-2] - around
    found.append(np.array([_alike(fine, lag, 1e-2) for lag in (1, 3, 10)]))
    found.append(np.array([np.abs(fine[:20]).mean(), np.abs(fine[20:]).mean()]))
    return np.concatenate(found).astype(np.float32)


def _halved(pixels: NDArray[np.floating]) -> NDArray[np.floating]:
    """Half the size, each pixel the mean of four."""
    rows = pixels[:, ::2] + pixels[:, 1::2]
    halved: NDArray[np.floating] = (rows[:, :, ::2] + rows[:, :, 1::2]) / 4
    return halved


def _quantiles(values: NDArray[np.floating], *shares: float) -> NDArray[np.floating]:
    """Values below which these shares of all lie (the nearest value: `np.quantile` would take five times as long)."""
    ordered = np.sort(values, axis=None)
    return ordered[[round(share * (len(ordered) - 1)) for share in shares]]


def _colour_line(colours: NDArray[np.floating]) -> NDArray[np.floating]:
    """Distances of ``colours`` ``[n, 3]`` from the line through the densest 60 % (log quantiles), and its length."""
    kept = np.ones(len(colours), bool)
    for _ in range(4):
        some = colours[kept]
        centre = some.mean(0)
        axis = np.linalg.eigh(np.cov(some.T) + np.eye(3) * 1e-3)[1][:, -1]
        apart = colours - centre
        along = apart @ axis
        off = np.sqrt(np.maximum((apart**2).sum(1) - along**2, 0))
        kept = off <= _quantiles(off, 0.6)
    return np.log1p([*_quantiles(off, 0.3, 0.5, 0.6, 0.75, 0.9), along[kept].std()])


def _bands(values: Floats) -> NDArray[np.floating]:
    """Means of eight bands of the 64 mels."""
    means: NDArray[np.floating] = values.reshape(8, 8).mean(1)
    return means


def _alike(spectra: NDArray[np.floating], lag: int, least: float) -> float:
    """Mean cosine between spectra ``[mel, hop]`` that are ``lag`` hops apart; ``least`` is added to their lengths."""
    lengths = np.sqrt((spectra**2).sum(0)) + least
    return float(((spectra[:, lag:] * spectra[:, :-lag]).sum(0) / (lengths[lag:] * lengths[:-lag])).mean())
