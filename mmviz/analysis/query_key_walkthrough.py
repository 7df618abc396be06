"""The path from one query and one key to the output, in numbers: query, key, score, weight, value, output."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.attention_steps import (
    attention_weights,
    head_output,
    mask_row,
    scale_scores,
    scores,
)
from mmviz.types import AttentionTensors

PATH_STEPS = ("query", "key", "score", "weight", "value", "output")
"""The steps of the path, in order."""


@dataclass(frozen=True, eq=False)
class AttentionPath:
    """What one head computes for one query token, followed through one key token. In float64."""

    query: NDArray[np.float64]
    """Query of the query token, ``[d_k]``."""
    key: NDArray[np.float64]
    """Key of the key token, ``[d_k]``."""
    products: NDArray[np.float64]
    """``query`` times ``key``, entry by entry, ``[d_k]``; their sum is ``score``."""
    score: float
    """Dot product of ``query`` and ``key``."""
    scale: float
    """Factor of the score, 1 / sqrt(d_k) as a rule."""
    scaled: float
    """``score`` times ``scale``, plus the mask; minus infinity for a masked key."""
    is_masked: bool
    """Whether a mask was added to the score."""
    weights: NDArray[np.float64]
    """Attention weights of the query token over all keys, ``[key]``."""
    key_index: int
    """Index of the key token."""
    value: NDArray[np.float64]
    """Value of the key token, ``[d_v]``."""
    contribution: NDArray[np.float64]
    """``value`` times the weight of the key token, ``[d_v]``."""
    output: NDArray[np.float64]
    """Sum of the values of all key tokens by their weights, ``[d_v]``; 0 for an ablated head."""

    @property
    def weight(self) -> float:
        """The weight of the key token."""
        return float(self.weights[self.key_index])


def attention_path(steps: AttentionTensors, head: int, query: int, key: int) -> AttentionPath:
    """Returns the path through one head from the token ``query`` to the token ``key`` and to the output."""
    query_vector, key_vector = (part.astype(np.float64) for part in (steps.query[head, query], steps.key[head, key]))
    raw, mask = scores(steps, head, query), mask_row(steps, head, query)
    added = 0.0 if mask is None else float(mask[key])
    weights = attention_weights(steps, head, query)
    value = steps.value[head, key].astype(np.float64)
    return AttentionPath(
        query=query_vector, key=key_vector, products=query_vector * key_vector, score=float(raw[key]),
        scale=steps.scale, scaled=float(scale_scores(steps, raw)[key] + added), is_masked=added != 0,
        weights=weights, key_index=key, value=value, contribution=weights[key] * value,
        output=head_output(steps, head, query),
    )  # fmt: skip
