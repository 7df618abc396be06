"""Attention as it is learned: what `mmviz.training.release.training_timeline` recorded of one trio along training, read back."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TrainingTimeline:
    """One trio along training. ``scenes`` ``[step]`` seen so far; ``weights`` float32 ``[step, layer, query, key]``,
    means over the heads; ``answers`` and their ``probabilities`` ``[step, answer]``; ``sample`` names the gallery
    trio, ``labels`` its tokens."""

    sample: str
    scenes: tuple[int, ...]
    labels: tuple[str, ...]
    weights: NDArray[np.float32]
    answers: tuple[str, ...]
    probabilities: NDArray[np.float32]


def unpack(data: bytes) -> TrainingTimeline:
    """What `mmviz.training.release.training_timeline.pack` wrote; rows are brought back to a sum of 1."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        header = json.loads(arrays["header"].tobytes())
        weights = arrays["weights"].astype(np.float32)
        return TrainingTimeline(
            header["sample"], tuple(header["scenes"]), tuple(header["labels"]),
            weights / weights.sum(-1, keepdims=True), tuple(header["answers"]), arrays["probabilities"],
        )  # fmt: skip
