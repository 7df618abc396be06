"""Blocks of several channels mixed to one, and what is measured on the channels before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.types import InputError

_CLIPPED_RUN = 4
"""Samples at the highest value in a row that count as clipped."""
_CLIPPED_LEVEL = 0.98
"""Level of full scale at least; the highest value of 8-bit and mu-law audio is 0.98 to 0.992."""
_CLIPPED_DROP = 0.13
"""How far a clipped peak falls within half a run beside it, see `_clipped_samples`."""


@dataclass(frozen=True, eq=False)
class Mix:
    """Audio mixed to mono, and what was measured on its channels before."""

    mono: NDArray[np.float32]
    """float32 ``[sample]`` at the original rate."""
    channels: int
    """Number of channels before they were mixed."""
    peak: float
    """Largest absolute value in any channel."""
    rms: float
    """Root mean square over all channels."""
    clipped: float
    """Fraction of values that are cut off at full scale."""


def mix_channels(blocks: Iterable[NDArray[np.float32]]) -> Mix:
    """Returns the mean of the channels. It works by block, since a minute of 8 channels at 192 kHz has 370 MB."""
    means, peak, energy, clipped, values, channels = [np.zeros(0, np.float32)], 0.0, 0.0, 0, 0, 1
    for block in blocks:
        if not np.isfinite(block).all():
            raise InputError("audio-not-finite")
        channels = block.shape[1]
        means.append(np.asarray(block.mean(axis=1, dtype=np.float64), dtype=np.float32))
        peak = max(peak, float(np.abs(block).max()))
        energy += float(np.square(block, dtype=np.float64).sum())
        clipped += sum(_clipped_samples(sign * block[:, channel]) for channel in range(channels) for sign in (1, -1))
        values += block.size
    values = max(values, 1)
    return Mix(np.concatenate(means), channels, peak, (energy / values) ** 0.5, clipped / values)


def join(mixes: Sequence[Mix]) -> Mix:
    """Returns the audio of several mixes of the same number of channels, one after another."""
    shares = [len(mix.mono) / max(1, sum(len(mix.mono) for mix in mixes)) for mix in mixes]
    energy = sum(share * mix.rms**2 for share, mix in zip(shares, mixes, strict=True))
    clipped = sum(share * mix.clipped for share, mix in zip(shares, mixes, strict=True))
    mono, peak = np.concatenate([mix.mono for mix in mixes]), max(mix.peak for mix in mixes)
    return Mix(mono, mixes[0].channels, peak, energy**0.5, clipped)


def _clipped_samples(wave: NDArray[np.float32]) -> int:
    """Returns the number of samples of ``wave`` ``[sample]`` that are clipped at full scale.

    They come in runs at the highest value. A smooth peak has a flat top as well where quantization is coarse or the
    frequency low, but its top is a parabola: half a run beside it, it is less than four steps lower (0.125 in mu-law).
    A peak clipped by 0.4 dB or more falls further.
    """
    highest = wave.max(initial=0)
    if highest < _CLIPPED_LEVEL:
        return 0
    edges = np.flatnonzero(np.diff(np.concatenate(([False], wave == highest, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    lengths = ends - starts
    before, after = starts - (lengths + 1) // 2, ends - 1 + (lengths + 1) // 2
    falls = np.maximum(highest - wave[np.maximum(before, 0)], highest - wave[np.minimum(after, len(wave) - 1)])
    return int(lengths[(lengths >= _CLIPPED_RUN) & (falls > _CLIPPED_DROP)].sum())
