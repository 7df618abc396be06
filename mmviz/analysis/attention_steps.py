"""One attention worked out step by step, in float64: the formula of Vaswani et al. 2017, section 3.2, on real vectors.

    scores = q K^T,   weights = softmax((scale * scores + mask) / temperature),   mixed = weights V,
    output = the mixed vectors of all heads side by side, times the projection, plus its bias

for one ``head`` and one ``query`` of a `mmviz.types.Steps`. The browser does the same in ``viewer/js/steps.js``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.types import AttentionRecord, AttentionSteps

Array = NDArray[np.float64]


def scores(steps: AttentionSteps, head: int, query: int) -> Array:
    """The product of the query with every key, ``[key]``."""
    return np.asarray(steps.key[head].astype(np.float64) @ steps.query[head, query].astype(np.float64))


def scaled(steps: AttentionSteps, raw: NDArray[np.float64]) -> Array:
    """``raw`` scores times the scale of the model, 1 / sqrt(d_k) as a rule."""
    return np.asarray(raw * steps.scale)


def mask_of(steps: AttentionSteps, head: int, query: int) -> Array | None:
    """What is added to the scaled scores, ``[key]``: minus infinity for a key that takes no part; None for nothing."""
    if steps.mask is None:
        return None
    return np.asarray(steps.mask[head if len(steps.mask) > 1 else 0, query], np.float64)


def weights_of(scaled: NDArray[np.float64], temperature: float = 1.0, mask: NDArray[np.float64] | None = None) -> Array:
    """``softmax((scaled + mask) / temperature)``, ``[key]``; all 0 where no key takes part.

    Raises ``ValueError`` where the temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"a temperature is above 0, not {temperature}")
    seen = (scaled if mask is None else scaled + mask) / temperature
    top = seen.max(initial=-np.inf)
    if top == -np.inf:
        return np.zeros(len(seen))
    parts = np.exp(seen - top)  # the same weights, and no number grows too large
    return np.asarray(parts / parts.sum())


def mixed_of(weights: NDArray[np.float64], value: NDArray[np.floating]) -> Array:
    """The values ``[key, d_v]`` added up by their weights ``[key]``: ``[d_v]``."""
    return np.asarray(weights @ value.astype(np.float64))


def head_of(steps: AttentionSteps, head: int, query: int) -> Array:
    """What one head gives the query, ``[d_v]``, worked out from its vectors; 0 where it was switched off."""
    if head in steps.ablated_heads:
        return np.zeros(steps.value.shape[-1])
    weights = weights_of(scaled(steps, scores(steps, head, query)), mask=mask_of(steps, head, query))
    return mixed_of(weights, steps.value[head])


def output_of(steps: AttentionSteps, query: int, heads: dict[int, NDArray[np.float64]] | None = None) -> Array | None:
    """What the attention gives the query after the heads were joined, ``[D]``; None where their map is not known.

    ``heads``: vectors ``[d_v]`` in the place of what these heads give.
    """
    if steps.projection is None:
        return None
    given = heads or {}
    side_by_side = np.concatenate(
        [given[head] if head in given else head_of(steps, head, query) for head in range(steps.heads)]
    )
    bias = 0 if steps.bias is None else steps.bias.astype(np.float64)
    return np.asarray(steps.projection.astype(np.float64) @ side_by_side + bias)


@dataclass(frozen=True)
class Differences:
    """The largest differences between what is worked out and the model's own, float32; ``output`` None where there is
    none to compare with."""

    weights: float
    attn_output: float
    output: float | None


def differences(steps: AttentionSteps, weights: NDArray[np.float32], head: int, query: int) -> Differences:
    """How far the steps of one head and query lie from what the model made itself; ``weights`` ``[head, query, key]``
    of the same map of the record."""
    again = weights_of(scaled(steps, scores(steps, head, query)), mask=mask_of(steps, head, query))
    attn_output = mixed_of(again, steps.value[head])
    output = output_of(steps, query)
    return Differences(
        float(np.abs(again - weights[head, query]).max()),
        float(np.abs(attn_output - steps.attn_output[head, query]).max()),
        None if output is None or steps.output is None else float(np.abs(output - steps.output[query]).max()),
    )


def largest_difference(record: AttentionRecord) -> float:
    """The largest of all `differences` of a record that has its steps: every map, head and query."""
    found = 0.0
    for one, steps in zip(record.maps, record.steps, strict=True):
        for query in range(steps.shape[0]):
            heads = {}
            for head in range(steps.heads):
                again = weights_of(scaled(steps, scores(steps, head, query)), mask=mask_of(steps, head, query))
                attn_output = mixed_of(again, steps.value[head])
                found = max(found, float(np.abs(again - one.weights[head, query]).max()))
                found = max(found, float(np.abs(attn_output - steps.attn_output[head, query]).max()))
                heads[head] = attn_output * (head not in steps.ablated_heads)
            output = output_of(steps, query, heads)
            if output is not None and steps.output is not None:
                found = max(found, float(np.abs(output - steps.output[query]).max()))
    return found
