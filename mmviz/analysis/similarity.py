"""How alike vectors and rows of weights are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmviz.types import AttentionSteps


def cosine_similarity(steps: AttentionSteps, token: int) -> NDArray[np.float64]:
    """Cosine between the vector of ``token`` and of every token that is asked, float64 ``[key]``.

    Vectors are those that the attention takes in (``context``); where these are not known, the keys of all heads side
    by side. A vector of length 0 is like nothing.
    """
    vectors = steps.context if steps.context is not None else np.concatenate(list(steps.key), axis=-1)
    found = vectors.astype(np.float64)
    lengths = np.linalg.norm(found, axis=1)
    product = found @ found[token] / np.where(lengths > 0, lengths, 1) / (lengths[token] or 1.0)
    return np.asarray(np.clip(product, -1, 1))


def width(steps: AttentionSteps) -> int:
    """Numbers in the vector of a token as `cosine_similarity` compares it."""
    return int(steps.key.shape[0] * steps.key.shape[2]) if steps.context is None else int(steps.context.shape[1])


def effective_number_of_keys(weights: NDArray[np.float64]) -> float:
    """Over how many keys a row of weights is spread: exp of its entropy, from 1 (one key has all) to the number of keys
    (all the same). Source: Jost 2006, "Entropy and diversity"."""
    there = weights[weights > 0]
    return float(np.exp(-(there * np.log(there)).sum()))
