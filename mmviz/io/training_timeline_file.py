"""Reads how attention changed while a model was trained, as `training.release.record_training_timeline` writes it."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.io.npz import open_npz

MANTISSA_BITS = 7
"""Of the ten bits of a half-precision mantissa, those that a file keeps."""


@dataclass(frozen=True, eq=False)
class TrainingTimeline:
    """The attention and the answers of one gallery example at several steps of training."""

    sample: str
    """Id of the gallery example."""
    scenes: tuple[int, ...]
    """Number of training scenes until each step."""
    labels: tuple[str, ...]
    """Labels of the tokens."""
    weights: NDArray[np.float32]
    """float32 ``[step, layer, query, key]``, mean over the heads; rows sum to 1."""
    answers: tuple[str, ...]
    """The most probable answers at the end of training."""
    probabilities: NDArray[np.float32]
    """float32 ``[step, answer]``: probability of each of ``answers``."""


def unpack(data: bytes) -> TrainingTimeline:
    """Returns the timeline that `mmviz.training.release.record_training_timeline.pack` wrote.

    Weights are stored with few digits; their rows are scaled to sum to 1 again. Raises ``MmvizError``
    (``run-unreadable``) for a damaged file.
    """
    with open_npz(io.BytesIO(data)) as (header, arrays):
        weights = joined(arrays["exponents"], arrays["mantissas"])
        return TrainingTimeline(
            sample=header["sample"],
            scenes=tuple(header["scenes"]),
            labels=tuple(header["labels"]),
            weights=weights / weights.sum(-1, keepdims=True),
            answers=tuple(header["answers"]),
            probabilities=arrays["probabilities"],
        )


def joined(exponents: NDArray[np.uint8], mantissas: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns the weights that `mmviz.training.release.record_training_timeline.split` took apart."""
    bits = exponents.astype(np.uint16) << MANTISSA_BITS | mantissas
    return (bits << (10 - MANTISSA_BITS)).view(np.float16).astype(np.float32)
