"""Attention rollout: attention multiplied through the layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def rollout(maps: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Returns the attention rollout: how much of each input token may reach each token of the last layer.

    Formula: ``A_l`` is the mean over the heads of layer ``l``; ``B_l = (A_l + I) / 2``, with rows divided by their sum
    (``I`` stands for the residual connection); the rollout is ``B_L @ ... @ B_2 @ B_1``.
    Shapes: ``maps`` from the first layer to the last, each ``[head, token, token]``; the result is float64
    ``[query, key]``, and its rows sum to 1.
    Source: Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3.
    Raises ``ValueError`` without maps, and where queries and keys are not the same tokens.

    Examples:
        >>> first_to_second = np.array([[[0.0, 1.0], [0.0, 1.0]]])  # [head, query, key]: both tokens read the second
        >>> rollout([first_to_second, first_to_second])
        array([[0.25, 0.75],
               [0.  , 1.  ]])
    """
    if len(maps) == 0:
        raise ValueError("rollout needs the attention of at least one layer")
    tokens = maps[0].shape[-1]
    result = np.eye(tokens)
    for weights in maps:
        if weights.ndim != 3 or weights.shape[1:] != (tokens, tokens):
            raise ValueError(
                f"rollout needs self-attention [head, {tokens}, {tokens}] in every layer, not {list(weights.shape)}"
            )
        with_residual = (weights.mean(axis=0, dtype=np.float64) + np.eye(tokens)) / 2
        result = (with_residual / with_residual.sum(axis=1, keepdims=True)) @ result
    return result
