"""Tokens that draw attention whatever asks: sinks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST_SHARE = 0.1
TIMES_UNIFORM = 5.0


def sinks(means: NDArray[np.float64]) -> list[tuple[int, float]]:
    """Keys that get far more than their share from all queries together, with what they get, largest first.

    Formula: ``m_k = mean over queries of w[q, k]``; a sink has ``m_k >= 0.1`` and ``m_k >= 5 / keys``.
    Shapes: ``means`` ``[key]``, the m_k. Source: Xiao et al. 2024 (attention sinks); mean received attention as the
    measure after Gu et al. 2025, section 3. The two bounds are ours.
    """
    bound = max(LEAST_SHARE, TIMES_UNIFORM / len(means))
    return [(int(key), float(means[key])) for key in np.argsort(-means, kind="stable") if means[key] >= bound]
