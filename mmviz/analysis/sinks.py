"""Attention sinks: keys that get much attention from all queries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_WEIGHT = 0.1
"""A sink has at least this mean weight."""
MIN_RATIO = 5.0
"""A sink has at least this many times the weight of uniform attention."""


def sinks(means: NDArray[np.float64]) -> list[tuple[int, float]]:
    """Returns the keys that get far more than their share from all queries, each with its mean weight, largest first.

    Formula: ``m_k = mean over queries of w[q, k]``; a sink has ``m_k >= 0.1`` and ``m_k >= 5 / keys``.
    Shapes: ``means`` ``[key]``, the m_k.
    Source: Xiao et al. 2024 (attention sinks); mean received attention as the measure after Gu et al. 2025, section 3.
    The two thresholds are ours.
    """
    threshold = max(MIN_WEIGHT, MIN_RATIO / len(means))
    return [(int(key), float(means[key])) for key in np.argsort(-means, kind="stable") if means[key] >= threshold]
