"""The sound under attention: its waveform as a line, and the mel spectrogram under a spotlight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.figures.colour_scale import light
from mmviz.types import Seconds, Token

ENVELOPE_BINS = 500
TICK_HZ = (500, 1000, 2000, 4000)
_SILENCE = 0.2
"""The grey of silence in full light, so that light shows on silence too."""


def envelope(wave: NDArray[Any], rate: int, bins: int = ENVELOPE_BINS) -> tuple[NDArray[Any], NDArray[Any]]:
    """Times and values of a line through the least and largest sample of every bin; short sounds sample by sample."""
    if len(wave) <= 2 * bins:
        return np.arange(len(wave)) / rate, wave
    edges = np.linspace(0, len(wave), bins + 1).astype(int)[:-1]
    values = np.stack([np.minimum.reduceat(wave, edges), np.maximum.reduceat(wave, edges)], axis=1)
    return np.repeat(edges / rate, 2), values.ravel()


def lit_mel(
    mel: NDArray[Any], hop_seconds: float, tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float
) -> NDArray[np.uint8]:
    """The spectrogram in grey, lit by the amounts, uint8 ``[mel, hop]``, the lowest band first.

    Formula: grey is ``0.2 + 0.8 * (mel + 1) / 2`` (``mel`` in -1 .. 1), times the light of the frame,
    ``0.25 + 0.75 * min(1, amount / scale_max)``; hops outside all frames get the least.
    """
    found = np.zeros(mel.shape[1])
    middles = (np.arange(mel.shape[1]) + 0.5) * hop_seconds
    for token, amount in zip(tokens, amounts, strict=True):
        if isinstance(token.location, Seconds):
            inside = (middles >= token.location.start) & (middles < token.location.end)
            found[inside] = np.maximum(found[inside], amount)
    grey = _SILENCE + (1 - _SILENCE) * np.clip((mel + 1) / 2, 0, 1)
    return np.round(255 * grey * light(found, scale_max)).astype(np.uint8)


def mel_ticks(bands: int, rate: int) -> dict[int, float]:
    """Where `TICK_HZ` lie along ``bands`` mel bands of a sound at ``rate``, on Slaney's mel scale.

    Band ``b`` is drawn from ``b`` to ``b + 1``; its centre frequency is step ``b + 1`` of ``bands + 1`` equal steps in
    mel from 0 to ``rate / 2``.
    """
    step = _to_mel(rate / 2) / (bands + 1)
    return {hertz: _to_mel(hertz) / step - 0.5 for hertz in TICK_HZ if hertz < rate / 2}


def _to_mel(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * float(np.log(hertz / 1000)) / float(np.log(6.4))
