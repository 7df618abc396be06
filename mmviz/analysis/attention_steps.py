"""One attention recomputed step by step in float64: the formula of Vaswani et al. 2017, section 3.2, on real vectors.

    scores = q K^T,   weights = softmax((scale * scores + mask) / temperature),   attn_output = weights V,
    output = attn_output of all heads side by side, times the projection, plus its bias

for one ``head`` and one ``query`` of a `mmviz.types.AttentionTensors`. The viewer's JavaScript does the same in
``viewer/js/attentionSteps.js``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.types import AttentionRecord, AttentionTensors

Array = NDArray[np.float64]


def scores(steps: AttentionTensors, head: int, query: int) -> Array:
    """Returns the dot product of the query with every key, ``[key]``."""
    return np.asarray(steps.key[head].astype(np.float64) @ steps.query[head, query].astype(np.float64))


def scale_scores(steps: AttentionTensors, raw: NDArray[np.float64]) -> Array:
    """Returns ``raw`` scores times the scale of the model, 1 / sqrt(d_k) as a rule."""
    return np.asarray(raw * steps.scale)


def mask_row(steps: AttentionTensors, head: int, query: int) -> Array | None:
    """Returns the mask of one query, ``[key]``; minus infinity for a masked key. None where there is no mask."""
    if steps.mask is None:
        return None
    return np.asarray(steps.mask[head if len(steps.mask) > 1 else 0, query], np.float64)


def softmax_weights(
    scaled: NDArray[np.float64], temperature: float = 1.0, mask: NDArray[np.float64] | None = None
) -> Array:  # fmt: skip
    """Returns ``softmax((scaled + mask) / temperature)``, ``[key]``; all 0 for a fully masked query.

    Raises ``ValueError`` where the temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature must be above 0, not {temperature}")
    logits = (scaled if mask is None else scaled + mask) / temperature
    top = logits.max(initial=-np.inf)
    if top == -np.inf:
        return np.zeros(len(logits))
    exponentials = np.exp(logits - top)  # the same weights, without overflow
    return np.asarray(exponentials / exponentials.sum())


def weighted_values(weights: NDArray[np.float64], value: NDArray[np.floating]) -> Array:
    """Returns the sum ``[d_v]`` of the values ``[key, d_v]`` by their weights ``[key]``."""
    return np.asarray(weights @ value.astype(np.float64))


def attention_weights(steps: AttentionTensors, head: int, query: int) -> Array:
    """Returns the recomputed attention weights of one query, ``[key]``."""
    return softmax_weights(scale_scores(steps, scores(steps, head, query)), mask=mask_row(steps, head, query))


def head_output(steps: AttentionTensors, head: int, query: int) -> Array:
    """Returns the recomputed ``attn_output`` of one head and query, ``[d_v]``; 0 for an ablated head."""
    if head in steps.ablated_heads:
        return np.zeros(steps.value.shape[-1])
    return weighted_values(attention_weights(steps, head, query), steps.value[head])


def projected_output(
    steps: AttentionTensors, query: int, heads: dict[int, NDArray[np.float64]] | None = None
) -> Array | None:  # fmt: skip
    """Returns the output of the attention for one query, after the heads are joined, ``[D]``.

    ``heads`` maps heads to vectors ``[d_v]`` that replace their `head_output`. Returns None where the linear map that
    joins the heads is unknown.
    """
    if steps.projection is None:
        return None
    replaced = heads or {}
    concatenated = np.concatenate(
        [replaced[head] if head in replaced else head_output(steps, head, query) for head in range(steps.heads)]
    )
    bias = 0 if steps.bias is None else steps.bias.astype(np.float64)
    return np.asarray(steps.projection.astype(np.float64) @ concatenated + bias)


@dataclass(frozen=True)
class Differences:
    """The largest absolute differences between recomputed numbers and the model's own float32 numbers."""

    weights: float
    """Of the attention weights, over all keys."""
    attn_output: float
    """Of the weighted sum of the values, over all of its features."""
    output: float | None
    """None where the output of the projection is unknown."""


def differences(steps: AttentionTensors, weights: NDArray[np.float32], head: int, query: int) -> Differences:
    """Returns how far one recomputed head and query are from the model's own numbers.

    ``weights`` ``[head, query, key]`` are those of the same map of the record.
    """
    recomputed = attention_weights(steps, head, query)
    attn_output = weighted_values(recomputed, steps.value[head])
    output = projected_output(steps, query)
    return Differences(
        float(np.abs(recomputed - weights[head, query]).max()),
        float(np.abs(attn_output - steps.attn_output[head, query]).max()),
        None if output is None or steps.output is None else float(np.abs(output - steps.output[query]).max()),
    )


def largest_difference(record: AttentionRecord) -> float:
    """Returns the largest of all `differences` of a record with steps, over every map, head and query."""
    largest = 0.0
    for attn_map, steps in zip(record.maps, record.steps, strict=True):
        for query in range(steps.shape[0]):
            heads = {}
            for head in range(steps.heads):
                weights = attention_weights(steps, head, query)
                attn_output = weighted_values(weights, steps.value[head])
                largest = max(largest, float(np.abs(weights - attn_map.weights[head, query]).max()))
                largest = max(largest, float(np.abs(attn_output - steps.attn_output[head, query]).max()))
                heads[head] = attn_output * (head not in steps.ablated_heads)
            output = projected_output(steps, query, heads)
            if output is not None and steps.output is not None:
                largest = max(largest, float(np.abs(output - steps.output[query]).max()))
    return largest
