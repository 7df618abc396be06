"""Detects inputs unlike the training world of the bundled model, for which its answer means little.

Images and sounds: plain statistics of what the model reads, and a small network over them, fitted by
`mmviz.training.fit.out_of_distribution` to the world on one side and to photos, music and noise on the other. Nothing
here depends on the weights of the model. Questions are compared with the question templates of the world.
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

MAX_DEVIATION = 6.0
"""Standard deviations at which a feature is clipped, so that one outlier alone decides nothing."""
_LOUD = -2.0
"""Decades of power below the loudest hop down to which a hop counts as sounding."""
_SILENT = 0.85
"""A log-mel whose loudest cell is below this is not judged: the log-mel reaches 1 unless it lacks power."""
_MIN_HOPS = 48
"""Shorter sounds are padded with silence."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, eq=False)
class Detector:
    """A network with one hidden layer over standardised features. A score above 0 is out of distribution."""

    mean: Floats
    """``[feature]``."""
    scale: Floats
    """``[feature]``."""
    inner: Floats
    """``[unit, feature]``."""
    inner_bias: Floats
    """``[unit]``."""
    outer: Floats
    """``[unit]``."""
    outer_bias: float

    def score(self, features: Floats) -> float:
        """Returns how far an input with these features ``[feature]`` is from the world."""
        deviations = np.clip((features - self.mean) / self.scale, -MAX_DEVIATION, MAX_DEVIATION)
        return float(self.outer @ np.maximum(self.inner @ deviations + self.inner_bias, 0) + self.outer_bias)


def detectors_path() -> Path:
    """Returns the path of the fitted detectors."""
    return assets_dir() / "trio" / "out_of_distribution.json"


@cache
def detector(kind: str) -> Detector:
    """Returns the fitted detector for ``image`` or ``audio``."""
    stored = json.loads(detectors_path().read_text(encoding="utf-8"))[kind]
    arrays = {name: np.array(value, np.float32) for name, value in stored.items() if name != "outer_bias"}
    return Detector(**arrays, outer_bias=float(stored["outer_bias"]))


def image_notices(pixels: Floats) -> list[Notice]:
    """Returns a notice if ``pixels`` (float32 ``[3, 160, 160]``, -1 .. 1) are unlike the drawn scenes of the world."""
    is_outside = detector("image").score(image_features((pixels + 1) * 127.5)) > 0
    return [Notice("image-out-of-distribution")] if is_outside else []


def audio_notices(mel: Floats, hops: int) -> list[Notice]:
    """Returns a notice if a log-mel ``[64, hop]``, of which ``hops`` sound, is unlike the spoken words of the world.

    A sound that is all but silent is not judged.
    """
    sounding = mel[:, :hops]
    is_outside = float(sounding.max()) > _SILENT and detector("audio").score(audio_features(sounding)) > 0
    return [Notice("audio-out-of-distribution")] if is_outside else []


def question_notices(text: str) -> list[Notice]:
    """Returns a notice if ``text`` fits no question template, with a question that does, or names an unknown word."""
    if read(text) is not None:
        return []
    word, example = unknown_word(text), nearest(text)
    if word is None:
        return [Notice("question-out-of-distribution", {"example": example})]
    return [Notice("question-word", {"word": word, "count": len(known_words()), "example": example})]


def image_features(pixels: Floats) -> Floats:
    """Returns statistics of an image ``[3, 160, 160]``, 0 .. 255: ``[feature]``.

    At a half, a quarter and an eighth of the size: quantiles of the gradient and of the curvature of the colours (a
    drawing on a ground has flat areas and sharp edges, a photo has texture everywhere). Distance of the commonest
    colours from a line in colour space (a ground mixes two colours). Number of colours. Contrast of blocks. Saturation.
    """
    half = _halved(pixels)
    quarter = _halved(half)
    eighth = _halved(quarter)
    features: list[NDArray[np.floating]] = []
    for scale in (half, quarter, eighth):
        dx, dy = np.abs(np.diff(scale, axis=2))[:, :-1], np.abs(np.diff(scale, axis=1))[:, :, :-1]
        features.append(np.log1p(_quantiles(np.maximum(dx, dy).max(0), 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.97)))
        neighbours = scale[:, :-2, 1:-1] + scale[:, 2:, 1:-1] + scale[:, 1:-1, :-2] + scale[:, 1:-1, 2:]
        curvature = np.abs(4 * scale[:, 1:-1, 1:-1] - neighbours).max(0)
        features.append(np.log1p(_quantiles(curvature, 0.1, 0.25, 0.5, 0.75, 0.9)))
    features.append(_colour_line(quarter.reshape(3, -1).T))
    levels = (half.reshape(3, -1) // 16).clip(0, 15).astype(np.intp)
    shares = np.sort(np.bincount(levels[0] * 256 + levels[1] * 16 + levels[2], minlength=64))[::-1]
    shares = shares / levels.shape[1]
    used = shares[shares > 0]
    features.append(np.array([-(used * np.log(used)).sum(), shares[0], shares[:4].sum(), shares[:16].sum()]))
    blocks = np.tensordot(_LUMA, pixels, 1).reshape(20, 8, 20, 8)
    spread = np.log1p(blocks.std((1, 3)))
    features.append(_quantiles(spread, 0.1, 0.25, 0.5, 0.75, 0.9))
    features.append(np.array([spread.std(), blocks.mean((1, 3)).std() / 64]))
    brightest = half.max(0)
    saturation = (brightest - half.min(0)) / np.maximum(brightest, 1)
    features.append(np.array([saturation.mean(), saturation.std(), *_quantiles(saturation, 0.9)]))
    return np.concatenate(features).astype(np.float32)


def audio_features(mel: Floats) -> Floats:
    """Returns statistics of a log-mel ``[64, hop]`` of `mmviz.inputs.mel.log_mel`: ``[feature]``.

    Loudness and duration (a word is short, with quiet around it). Spectra of the quiet and of the loud hops. Change of
    the spectrum over 10 to 160 ms (speech moves, a chord stays, noise has no memory). Modulation spectrum of eight
    bands. Peaks of the spectrum, and how long they last (pitch).
    """
    if mel.shape[1] < _MIN_HOPS:
        mel = np.pad(mel, ((0, 0), (0, _MIN_HOPS - mel.shape[1])), constant_values=-1)
    hops = mel.shape[1]
    power = np.log10((10 ** (4 * (mel - 1))).mean(0) + 1e-8)
    level = power - power.max()
    first, last = (loud := np.flatnonzero(level > _LOUD))[0], loud[-1]
    durations = np.array([last - first + 1, len(loud), 100 * len(loud) / (last - first + 1)]) / 100
    features: list[NDArray[np.floating]] = [np.log([hops / 100]), _quantiles(level, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)]
    features += [np.array([(level > -depth).mean() for depth in (0.5, 1, 2, 3)]), durations]
    start = max(0, min(int(first), hops - _MIN_HOPS // 2))
    speech = np.arange(start, max(int(last) + 1, start + _MIN_HOPS // 2))
    chosen = mel[:, loud if len(loud) >= _MIN_HOPS // 3 else speech]
    mean = chosen.mean(1)
    quiet = np.sort(mel, axis=1)[:, hops // 10]
    features += [_bands(quiet), _bands(mean - mean.mean()), mean.mean(keepdims=True), _bands(chosen.std(1))]
    contrast = chosen.std(0)
    features += [contrast.mean(keepdims=True), _quantiles(contrast, 0.1, 0.9)]
    peaks = np.abs(chosen[1:-1] - (chosen[:-2] + chosen[2:]) / 2).mean(1)
    features.append(np.array([part.mean() for part in np.split(peaks, (10, 25, 45))]))
    segment = mel[:, speech]
    shape = segment - segment.mean(0)
    for lag in (1, 2, 4, 8, 16):
        change = np.abs(segment[:, lag:] - segment[:, :-lag]).mean()
        features.append(np.array([change, _lagged_cosine(shape, lag, 1e-3)]))
    bands = mel.reshape(8, 8, hops).mean(1)
    modulation = np.abs(np.fft.rfft(bands - bands.mean(1, keepdims=True), 400, axis=1)) ** 2
    rhythm = (modulation / (modulation.sum(1, keepdims=True) + 1e-3)).mean(0)
    features.append(np.array([part.sum() for part in np.split(rhythm, (6, 16, 32, 64))]))  # 1.5, 4, 8 and 16 Hz
    smoothed = (chosen[:-4] + chosen[1:-3] + chosen[2:-2] + chosen[3:-1] + chosen[4:]) / 5
    fine = chosen[2:-2] - smoothed
    features.append(np.array([_lagged_cosine(fine, lag, 1e-2) for lag in (1, 3, 10)]))
    features.append(np.array([np.abs(fine[:20]).mean(), np.abs(fine[20:]).mean()]))
    return np.concatenate(features).astype(np.float32)


def _halved(pixels: NDArray[np.floating]) -> NDArray[np.floating]:
    """Returns the image at half the size, each pixel the mean of four."""
    rows = pixels[:, ::2] + pixels[:, 1::2]
    halved: NDArray[np.floating] = (rows[:, :, ::2] + rows[:, :, 1::2]) / 4
    return halved


def _quantiles(values: NDArray[np.floating], *shares: float) -> NDArray[np.floating]:
    """Returns quantiles, by the nearest value: `np.quantile` would take five times as long."""
    ordered = np.sort(values, axis=None)
    return ordered[[round(share * (len(ordered) - 1)) for share in shares]]


def _colour_line(colours: NDArray[np.floating]) -> NDArray[np.floating]:
    """Returns log quantiles of the distance of ``colours`` ``[n, 3]`` from the line through the densest 60 %, and the
    spread along it."""
    is_inlier = np.ones(len(colours), bool)
    for _ in range(4):
        inliers = colours[is_inlier]
        centre = inliers.mean(0)
        axis = np.linalg.eigh(np.cov(inliers.T) + np.eye(3) * 1e-3)[1][:, -1]
        offsets = colours - centre
        along = offsets @ axis
        distances = np.sqrt(np.maximum((offsets**2).sum(1) - along**2, 0))
        is_inlier = distances <= _quantiles(distances, 0.6)
    return np.log1p([*_quantiles(distances, 0.3, 0.5, 0.6, 0.75, 0.9), along[is_inlier].std()])


def _bands(values: Floats) -> NDArray[np.floating]:
    """Returns the means of eight bands of the 64 mels."""
    means: NDArray[np.floating] = values.reshape(8, 8).mean(1)
    return means


def _lagged_cosine(spectra: NDArray[np.floating], lag: int, epsilon: float) -> float:
    """Returns the mean cosine similarity of spectra ``[mel, hop]`` that are ``lag`` hops apart; ``epsilon`` is added to
    their norms."""
    norms = np.sqrt((spectra**2).sum(0)) + epsilon
    return float(((spectra[:, lag:] * spectra[:, :-lag]).sum(0) / (norms[lag:] * norms[:-lag])).mean())
