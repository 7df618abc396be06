"""Audio under attention: its waveform as a line, and the mel spectrogram with attention as brightness."""

from __future__ import annotations

import base64
import io
import wave as wav
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.figures.colour_scale import brightness
from mmviz.types import Seconds, Token

ENVELOPE_BINS = 500
TICK_HZ = (500, 1000, 2000, 4000)
_SILENCE_GREY = 0.2
"""The grey of silence at full brightness, above black, so that brightness shows on silence too."""


def envelope(wave: NDArray[Any], rate: int, bins: int = ENVELOPE_BINS) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns times (s) and values of a line through the minimum and maximum of every bin of ``wave``.

    If ``wave`` has at most two samples a bin, the line goes through every sample.
    """
    if len(wave) <= 2 * bins:
        return np.arange(len(wave)) / rate, wave
    edges = np.linspace(0, len(wave), bins + 1).astype(int)[:-1]
    values = np.stack([np.minimum.reduceat(wave, edges), np.maximum.reduceat(wave, edges)], axis=1)
    return np.repeat(edges / rate, 2), values.ravel()


def lit_mel(
    mel: NDArray[Any], hop_seconds: float, tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float
) -> NDArray[np.uint8]:
    """Returns the spectrogram in grey, with amounts as brightness, uint8 ``[mel, hop]``, the lowest band first.

    Formula: grey is ``0.2 + 0.8 * (mel + 1) / 2`` (``mel`` in -1 .. 1), times the brightness of the frame,
    ``0.4 + 0.6 * min(1, amount / scale_max)``. Hops outside all frames have the amount 0.
    """
    hop_amounts = np.zeros(mel.shape[1])
    centres = (np.arange(mel.shape[1]) + 0.5) * hop_seconds
    for token, amount in zip(tokens, amounts, strict=True):
        if isinstance(token.location, Seconds):
            is_inside = (centres >= token.location.start) & (centres < token.location.end)
            hop_amounts[is_inside] = np.maximum(hop_amounts[is_inside], amount)
    grey = _SILENCE_GREY + (1 - _SILENCE_GREY) * np.clip((mel + 1) / 2, 0, 1)
    return np.round(255 * grey * brightness(hop_amounts, scale_max)).astype(np.uint8)


def wav_data_uri(samples: NDArray[Any], rate: int) -> str:
    """Returns mono audio as a data URI of a WAV with 16 bits a sample; ``samples`` from -32,767 to 32,767, cut to whole
    numbers."""
    file = io.BytesIO()
    with wav.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(samples.astype("<i2").tobytes())
    return "data:audio/wav;base64," + base64.b64encode(file.getvalue()).decode()


def mel_ticks(bands: int, rate: int) -> dict[int, float]:
    """Returns the positions of `TICK_HZ` along ``bands`` mel bands of audio at ``rate``, on Slaney's mel scale.

    Band ``b`` is drawn from ``b`` to ``b + 1``. Its centre frequency is step ``b + 1`` of ``bands + 1`` equal steps in
    mel from 0 to ``rate / 2``.
    """
    step = _hz_to_mel(rate / 2) / (bands + 1)
    return {hertz: _hz_to_mel(hertz) / step - 0.5 for hertz in TICK_HZ if hertz < rate / 2}


def _hz_to_mel(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * float(np.log(hertz / 1000)) / float(np.log(6.4))
