"""Extracts the vectors of one attention, so that it can be recomputed: queries, keys, values and linear maps.

Nothing is taken on trust. Steps are returned only if they reproduce the model's own weights, values and output, and
linear maps only if their numbers match.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.attention_call import SHORT_SEQUENCE, AttentionCall
from mmviz.capture.compute_attention_weights import mask_scores_, masked_softmax, positions
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.capture.map_check import PARITY
from mmviz.capture.score_trace import LinearCall, ScoreTrace
from mmviz.types import TOLERANCE, AttentionTensors, CaptureError

Array = NDArray[np.float64]
_MASK_ROUNDING = 1e-5
"""What scores may have beyond queries times keys and still be rounding, not a mask, relative to the largest score."""


def attention_tensors(call: AttentionCall, batch: int = 0) -> AttentionTensors:
    """Returns the `AttentionTensors` of an attention captured with ``capture(..., steps=True)``, for sample ``batch``.

    Raises ``CaptureError``: ``steps-long`` for more than `SHORT_SEQUENCE` tokens, ``steps-scores`` where the scores
    could not be traced (or it was captured without ``steps``), ``steps-parity`` where the steps give other weights,
    values or output than the model.
    """
    if max(call.shape[2:]) > SHORT_SEQUENCE:
        raise CaptureError("steps-long", name=call.module, limit=SHORT_SEQUENCE)
    trace = call.score_trace
    if trace is None or (call.query is None and not _has_shape_of(trace, call)):
        raise CaptureError("steps-scores", name=call.module)
    with torch.no_grad(), torch.inference_mode(False):
        return _checked_steps(call, trace, batch)


def _has_shape_of(trace: ScoreTrace, call: AttentionCall) -> bool:
    """Returns whether the traced product has the shape of the weights that were computed from it."""
    product, (batch, heads, queries, keys) = trace.product, call.shape
    if product is None or trace.scores is None or trace.scores.numel() != batch * heads * queries * keys:
        return False
    rows = batch * heads * product.query.shape[-1]
    return (product.query.numel(), product.key.numel()) == (rows * queries, rows * keys)


def _checked_steps(call: AttentionCall, trace: ScoreTrace, batch: int) -> AttentionTensors:
    attention = LazyAttention(call, batch)
    weights = attention.full()  # raises if the tensors were overwritten
    query, key, scale, mask = _score_parts(call, trace, batch)
    value = _per_query_head(call.value, batch, attention.heads)
    tolerance = TOLERANCE[call.dtype]
    query_map = _linear_map(trace, query, call, batch, tolerance)
    key_map = _linear_map(trace, key, call, batch, tolerance)
    value_map = _linear_map(trace, value, call, batch, tolerance)
    if value_map and abs(value_map.factor - 1) > tolerance:  # values are not scaled
        value_map = None
    context = key_map.tokens if key_map else value_map.tokens if value_map else None
    if context is not None and value_map and not np.array_equal(context, value_map.tokens):
        value_map = None
    arrays = {
        "query": query, "key": key, "value": value, "mask": mask, "attn_output": _float64(call.attn_output[batch]),
        "context": context, **_output_projection(trace, attention, batch),
    }  # fmt: skip
    if query_map:
        arrays |= {"query": query / query_map.factor, "state": query_map.tokens}
        arrays |= {"to_query": query_map.weight, "query_bias": query_map.bias}
        scale *= query_map.factor
    if key_map:
        arrays |= {"key": key / key_map.factor, "to_key": key_map.weight, "key_bias": key_map.bias}
        scale *= key_map.factor
    if value_map:
        arrays |= {"to_value": value_map.weight, "value_bias": value_map.bias}
    float32: dict[str, Any] = {
        name: None if array is None else np.ascontiguousarray(array, np.float32) for name, array in arrays.items()
    }
    ablated = () if call.ablated_heads is None else tuple(torch.nonzero(call.ablated_heads[batch]).flatten().tolist())
    steps = AttentionTensors(**float32, scale=_round_scale(scale, query.shape[-1]), ablated_heads=ablated)
    _check_parity(steps, weights, call)
    return steps


def _round_scale(scale: float, d_k: int) -> float:
    """Returns 1 or 1 / sqrt(d_k) for a scale that equals it up to float32 rounding, else the scale."""
    return next((usual for usual in (1.0, 1 / math.sqrt(d_k)) if abs(scale / usual - 1) < 1e-6), scale)


def _score_parts(call: AttentionCall, trace: ScoreTrace, batch: int) -> tuple[Array, Array, float, Array | None]:
    """Returns queries ``[head, query, d]``, keys ``[head, key, d]``, the factor of their products, and the mask."""
    count, heads, queries, keys = call.shape
    if call.query is not None and call.key is not None:
        query, key = _per_query_head(call.query, batch, heads), _per_query_head(call.key, batch, heads)
        return query, key, call.scale, _fused_mask(call, batch)
    assert trace.product is not None and trace.scores is not None
    product = trace.product
    query = _float64(product.query.reshape(count, heads, queries, -1)[batch])
    key = _float64(product.key.reshape(count, heads, keys, -1)[batch])
    scores = _float64(trace.scores.reshape(call.shape)[batch])
    scaled = product.factor * query @ key.swapaxes(-2, -1)
    mask = scores - scaled
    mask[np.abs(mask) <= _MASK_ROUNDING * max(1.0, float(np.abs(scaled).max()))] = 0
    return query, key, product.factor, _shared_mask(mask)


def _fused_mask(call: AttentionCall, batch: int) -> Array | None:
    """Returns what a fused kernel added to the scores, ``[head or 1, query, key]``; None for nothing."""
    zeros = torch.zeros(call.shape[1:], dtype=torch.float64)
    mask = None if call.mask is None else call.mask.expand(*call.shape)[batch].detach().cpu()
    return _shared_mask(_float64(mask_scores_(zeros, mask, future=positions(zeros) if call.causal else None)))


def _shared_mask(mask: Array) -> Array | None:
    """Returns a mask ``[head, query, key]`` once, ``[1, query, key]``, if all heads share it; None if it is all 0."""
    if not mask.any():
        return None
    return mask[:1] if (mask == mask[:1]).all() else mask


def _per_query_head(tensor: Tensor, batch: int, heads: int) -> Array:
    """Returns ``[head, token, d]`` of one sample; key-value heads are repeated for each query head."""
    vectors = _float64(tensor[batch])
    return np.repeat(vectors, heads // len(vectors), 0)


@dataclass(frozen=True, eq=False)
class _LinearMap:
    """The linear map that queries, keys or values come from: ``factor * (tokens weight^T + bias)``."""

    tokens: Array
    """``[token, width]``."""
    weight: Array
    """``[head * d, width]``."""
    bias: Array | None
    """``[head * d]``."""
    factor: float
    """Queries are often scaled."""


def _linear_map(
    trace: ScoreTrace, vectors: Array, call: AttentionCall, batch: int, tolerance: float
) -> _LinearMap | None:  # fmt: skip
    """Returns the linear map that ``vectors`` ``[head, token, d]`` come from; None where no numbers match."""
    heads, tokens, size = vectors.shape
    group = next(g for g in range(heads, 0, -1) if heads % g == 0 and _is_repeated(vectors, g))
    distinct = vectors[::group].swapaxes(0, 1).reshape(tokens, -1)
    for linear in reversed(trace.linear_calls):
        width = linear.weight.shape[0]
        if linear.output.shape[-1] != width or linear.output.numel() != call.shape[0] * tokens * width:
            continue
        layouts = (_sample_layouts(tensor, call.shape[0], tokens, batch) for tensor in (linear.output, linear.input))
        for outputs, inputs in zip(*layouts, strict=True):
            for first in range(0, width - distinct.shape[1] + 1, size):
                rows = slice(first, first + distinct.shape[1])
                factor = _factor(distinct, outputs[:, rows], tolerance)
                if factor is None or not _is_reproduced(linear, rows, inputs, outputs[:, rows], tolerance):
                    continue
                weight = _repeat_rows(_float64(linear.weight)[rows], group, size)
                bias = None if linear.bias is None else _repeat_rows(_float64(linear.bias)[rows], group, size)
                return _LinearMap(inputs, weight, bias, factor)
    return None


def _is_repeated(vectors: Array, group: int) -> bool:
    """Returns whether every ``group`` neighbouring heads of ``vectors`` ``[head, token, d]`` are the same."""
    return bool((vectors.reshape(-1, group, *vectors.shape[1:]) == vectors[::group, None]).all())


def _sample_layouts(tensor: Tensor, count: int, tokens: int, batch: int) -> Iterator[Array]:
    """Yields one sample ``[token, width]`` for both layouts: samples first, tokens first."""
    yield _float64(tensor.reshape(count, tokens, -1)[batch])
    yield _float64(tensor.reshape(tokens, count, -1)[:, batch])


def _factor(vectors: Array, outputs: Array, tolerance: float) -> float | None:
    """Returns the number by which ``outputs`` must be multiplied to give ``vectors``; None where there is none."""
    square = float((outputs * outputs).sum())
    factor = float((vectors * outputs).sum()) / square if square else 0.0
    if not factor or np.abs(vectors[0] - factor * outputs[0]).max() > tolerance * np.abs(vectors).max():
        return None
    factor = 1.0 if abs(factor - 1) <= tolerance else factor
    return factor if np.abs(vectors - factor * outputs).max() <= tolerance * np.abs(vectors).max() else None


def _is_reproduced(linear: LinearCall, rows: slice, inputs: Array, outputs: Array, tolerance: float) -> bool:
    """Returns whether ``inputs`` still give ``outputs``: either may have been overwritten since the call."""
    bias = 0 if linear.bias is None else _float64(linear.bias)[rows]
    recomputed = inputs @ _float64(linear.weight)[rows].T + bias
    return bool(np.abs(recomputed - outputs).max() <= 10 * tolerance * max(1.0, float(np.abs(outputs).max())))


def _repeat_rows(rows: Array, group: int, size: int) -> Array:
    """Returns rows of a linear map, those of each key-value head ``group`` times, once for each query head."""
    return np.repeat(rows.reshape(-1, size, *rows.shape[1:]), group, 0).reshape(-1, *rows.shape[1:])


def _output_projection(trace: ScoreTrace, attention: LazyAttention, batch: int) -> dict[str, Array | None]:
    """Returns the linear map that joins the heads, and its output; empty where there is none."""
    linear, call = trace.out_proj, attention.call
    if linear is None:
        return {}
    joined = _float64(call.joined_heads()[batch])
    layouts = (_sample_layouts(t, call.shape[0], call.shape[2], batch) for t in (linear.input, linear.output))
    output = next((outputs for inputs, outputs in zip(*layouts, strict=True) if np.array_equal(inputs, joined)), None)
    if output is None:
        return {}
    bias = None if linear.bias is None else _float64(linear.bias)
    return {"projection": _float64(linear.weight), "bias": bias, "output": output}


def _check_parity(steps: AttentionTensors, weights: NDArray[np.float32], call: AttentionCall) -> None:
    """Raises ``CaptureError`` (``steps-parity``) where the steps differ from the model's own numbers."""
    scores = steps.scale * steps.query.astype(np.float64) @ steps.key.astype(np.float64).swapaxes(-2, -1)
    if steps.mask is not None:
        scores = scores + steps.mask
    recomputed = masked_softmax(torch.from_numpy(scores)).numpy()
    attn_output = recomputed @ steps.value
    errors = [np.abs(recomputed - weights).max(), _relative_error(attn_output, steps.attn_output)]
    if steps.projection is not None and steps.output is not None:
        attn_output[list(steps.ablated_heads)] = 0
        concatenated = attn_output.swapaxes(0, 1).reshape(steps.shape[0], -1)
        output = concatenated @ steps.projection.T.astype(np.float64) + (0 if steps.bias is None else steps.bias)
        errors.append(_relative_error(output, steps.output))
    if not max(errors) <= PARITY[call.dtype]:
        raise CaptureError("steps-parity", name=call.module, worst=float(max(errors)))


def _relative_error(values: NDArray[np.floating], expected: NDArray[np.float32]) -> float:
    """Returns the largest difference, relative to the largest number where that is above 1."""
    return float(np.abs(values - expected).max()) / max(1.0, float(np.abs(expected).max()))


def _float64(tensor: Tensor) -> Array:
    return np.asarray(tensor.detach().double().cpu().numpy())
