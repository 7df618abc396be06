"""The vectors of one attention, so that it can be worked out again: queries, keys, values, and what follows.

Nothing is taken on trust: what is told is what gives the model's own weights, values and output when it is worked out
anew, and linear maps are those whose numbers fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.call import SHORT_SEQUENCE, AttentionCall
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.capture.map_check import PARITY
from mmviz.capture.score_trace import LinearCall, ScoreTrace
from mmviz.types import TOLERANCE, AttentionSteps, CaptureError

Array = NDArray[np.float64]
_NOTHING = 1e-5
"""What is left of scores beyond queries times keys, in parts of the largest score, if it is rounding and no mask."""


def steps(heard: AttentionCall, batch: int = 0) -> AttentionSteps:
    """The `AttentionSteps` of an attention that was heard with ``capture(..., steps=True)``, for sample ``batch``.

    Raises ``CaptureError``: ``steps-long`` where it has more than `SHORT_SEQUENCE` tokens, ``steps-scores`` where it was not
    seen how its scores came about (or it was heard without ``steps``), ``steps-parity`` where they give other weights,
    values or output than the model had.
    """
    if max(heard.shape[2:]) > SHORT_SEQUENCE:
        raise CaptureError("steps-long", name=heard.module, limit=SHORT_SEQUENCE)
    making = heard.making
    if making is None or (heard.query is None and not _fits(making, heard)):
        raise CaptureError("steps-scores", name=heard.module)
    with torch.no_grad(), torch.inference_mode(False):
        return _checked(heard, making, batch)


def _fits(making: ScoreTrace, heard: AttentionCall) -> bool:
    """Whether the product that was followed has the shape of the weights that were made of it."""
    product, (batch, heads, queries, keys) = making.product, heard.shape
    if product is None or making.scores is None or making.scores.numel() != batch * heads * queries * keys:
        return False
    rows = batch * heads * product.query.shape[-1]
    return (product.query.numel(), product.key.numel()) == (rows * queries, rows * keys)


def _checked(heard: AttentionCall, making: ScoreTrace, batch: int) -> AttentionSteps:
    exact = LazyAttention(heard, batch)
    weights = exact.full()  # which raises where the tensors were written over
    query, key, scale, mask = _parts(heard, making, batch)
    value = _of_heads(heard.value, batch, exact.heads)
    attn_output = _float64(heard.attn_output[batch])
    tolerance = TOLERANCE[heard.dtype]
    state, to_query, query_bias, by_query = _line(making, query, heard, batch, heard.shape[2], tolerance)
    context, to_key, key_bias, by_key = _line(making, key, heard, batch, heard.shape[3], tolerance)
    asked, to_value, value_bias, by_value = _line(making, value, heard, batch, heard.shape[3], tolerance)
    if asked is not None and abs(by_value - 1) > tolerance:  # values are not scaled
        asked = to_value = value_bias = None
    if context is None:
        context = asked
    elif asked is not None and not np.array_equal(context, asked):
        to_value = value_bias = None
    found = {
        "query": query / by_query, "key": key / by_key, "value": value, "mask": mask, "mixed": attn_output, "state": state,
        "to_query": to_query, "query_bias": query_bias, "context": context, "to_key": to_key, "key_bias": key_bias,
        "to_value": to_value, "value_bias": value_bias, **_after(making, exact, batch),
    }  # fmt: skip
    ablated_heads = (
        () if heard.ablated_heads is None else tuple(torch.nonzero(heard.ablated_heads[batch]).flatten().tolist())
    )
    arrays: dict[str, Any] = {
        name: None if one is None else np.ascontiguousarray(one, np.float32) for name, one in found.items()
    }
    made = AttentionSteps(
        **arrays, scale=_usual(scale * by_query * by_key, query.shape[-1]), ablated_heads=ablated_heads
    )
    _check(made, weights, heard)
    return made


def _usual(scale: float, size: int) -> float:
    """A scale that was found by comparing float32 numbers: what it is usually, where it can be that."""
    usual = [one for one in (1.0, 1 / math.sqrt(size)) if abs(scale / one - 1) < 1e-6]
    return usual[0] if usual else scale


def _parts(heard: AttentionCall, making: ScoreTrace, batch: int) -> tuple[Array, Array, float, Array | None]:
    """Queries ``[head, query, d]``, keys ``[head, key, d]``, what their products are multiplied by, and what is added
    to these."""
    count, heads, queries, keys = heard.shape
    if heard.query is not None and heard.key is not None:
        query, key = _of_heads(heard.query, batch, heads), _of_heads(heard.key, batch, heads)
        return query, key, heard.scale, _mask(heard, batch)
    assert making.product is not None and making.scores is not None
    product = making.product
    query = _float64(product.query.reshape(count, heads, queries, -1)[batch])
    key = _float64(product.key.reshape(count, heads, keys, -1)[batch])
    scores = _float64(making.scores.reshape(heard.shape)[batch])
    scaled = product.factor * query @ key.swapaxes(-2, -1)
    rest = scores - scaled
    rest[np.abs(rest) <= _NOTHING * max(1.0, float(np.abs(scaled).max()))] = 0
    return query, key, product.factor, _shared(rest)


def _mask(heard: AttentionCall, batch: int) -> Array | None:
    """What a fused kernel added to the scores."""
    found = np.zeros(heard.shape[1:])
    if heard.mask is not None:
        given = heard.mask.expand(*heard.shape)[batch].detach().cpu()
        found = np.where(given.numpy(), 0, -np.inf) if given.dtype is torch.bool else _float64(given).copy()
    if heard.causal:
        found[:, np.triu(np.ones(heard.shape[2:], bool), 1)] = -np.inf
    return _shared(found)


def _shared(mask: Array) -> Array | None:
    """A mask ``[head, query, key]`` once, where all heads have the same; None where it does nothing."""
    if not mask.any():
        return None
    return mask[:1] if (mask == mask[:1]).all() else mask


def _of_heads(tensor: Tensor, batch: int, heads: int) -> Array:
    """``[head, token, d]``, of fewer heads of keys and values one for each head that asks."""
    found = _float64(tensor[batch])
    return np.repeat(found, heads // len(found), 0)


def _line(
    making: ScoreTrace, wanted: Array, heard: AttentionCall, batch: int, tokens: int, tolerance: float
) -> tuple[Array | None, Array | None, Array | None, float]:
    """The linear map that ``wanted`` ``[head, token, d]`` came from, where there was one: what it took
    ``[token, width]``, its rows for each head ``[head * d, width]``, their bias, and how many times what it made
    ``wanted`` is (queries are often scaled)."""
    heads, _, size = wanted.shape
    group = next(g for g in range(heads, 0, -1) if heads % g == 0 and _in_groups(wanted, g))
    few = wanted[::group].swapaxes(0, 1).reshape(tokens, -1)
    for line in reversed(making.before):
        width = line.matrix.shape[0]
        if line.made.shape[-1] != width or line.made.numel() != heard.shape[0] * tokens * width:
            continue
        both = (_samples(part, heard.shape[0], tokens, batch) for part in (line.made, line.taken))
        for made, taken in zip(*both, strict=True):
            for first in range(0, width - few.shape[1] + 1, size):
                rows = slice(first, first + few.shape[1])
                times = _times(few, made[:, rows], tolerance)
                if times is None or not _gives(line, rows, taken, made[:, rows], tolerance):
                    continue
                matrix = _repeated(_float64(line.matrix)[rows], group, size)
                bias = None if line.bias is None else _repeated(_float64(line.bias)[rows], group, size)
                return taken, matrix, bias, times
    return None, None, None, 1.0


def _in_groups(wanted: Array, group: int) -> bool:
    """Whether so many heads in a row are the same."""
    return bool((wanted.reshape(-1, group, *wanted.shape[1:]) == wanted[::group, None]).all())


def _samples(tensor: Tensor, count: int, tokens: int, batch: int) -> Iterator[Array]:
    """``[token, width]`` of one sample, if samples come first, or tokens."""
    yield _float64(tensor.reshape(count, tokens, -1)[batch])
    yield _float64(tensor.reshape(tokens, count, -1)[:, batch])


def _times(wanted: Array, made: Array, tolerance: float) -> float | None:
    """How many times ``made`` ``wanted`` is; None where it is not."""
    square = float((made * made).sum())
    times = float((wanted * made).sum()) / square if square else 0.0
    if not times or np.abs(wanted[0] - times * made[0]).max() > tolerance * np.abs(wanted).max():
        return None
    times = 1.0 if abs(times - 1) <= tolerance else times
    return times if np.abs(wanted - times * made).max() <= tolerance * np.abs(wanted).max() else None


def _gives(line: LinearCall, rows: slice, taken: Array, made: Array, tolerance: float) -> bool:
    """Whether what the map took still gives what it made: either may have been written over since."""
    again = taken @ _float64(line.matrix)[rows].T + (0 if line.bias is None else _float64(line.bias)[rows])
    return bool(np.abs(again - made).max() <= 10 * tolerance * max(1.0, float(np.abs(made).max())))


def _repeated(rows: Array, group: int, size: int) -> Array:
    """Rows of a map for each head that asks, of fewer heads of keys and values."""
    return np.repeat(rows.reshape(-1, size, *rows.shape[1:]), group, 0).reshape(-1, *rows.shape[1:])


def _after(making: ScoreTrace, exact: LazyAttention, batch: int) -> dict[str, Array | None]:
    """The linear map that joins the heads and what it gave; nothing where none was seen."""
    line, (count, _, queries, _) = making.after, exact.heard.shape
    if line is None:
        return {}
    brought = exact.heard.attn_output.transpose(1, 2).flatten(2)[batch]
    if exact.heard.ablated_heads is not None:
        brought = (
            exact.heard.attn_output.masked_fill(exact.heard.ablated_heads[:, :, None, None], 0)
            .transpose(1, 2)
            .flatten(2)[batch]
        )
    pairs = zip(*(_samples(t, count, queries, batch) for t in (line.taken, line.made)), strict=True)
    output = next((made for taken, made in pairs if np.array_equal(taken, _float64(brought))), None)
    if output is None:
        return {}
    bias = None if line.bias is None else _float64(line.bias)
    return {"projection": _float64(line.matrix), "bias": bias, "output": output}


def _check(made: AttentionSteps, weights: NDArray[np.float32], heard: AttentionCall) -> None:
    """Raises ``CaptureError`` (``steps-parity``) where the steps lead elsewhere than the model went."""
    scores = made.scale * made.query.astype(np.float64) @ made.key.astype(np.float64).swapaxes(-2, -1)
    if made.mask is not None:
        scores = scores + made.mask
    top = scores.max(-1, keepdims=True)
    parts = np.exp(scores - np.where(np.isfinite(top), top, 0))
    again = parts / np.maximum(parts.sum(-1, keepdims=True), np.finfo(np.float64).tiny)
    attn_output = again @ made.value
    worst = [np.abs(again - weights).max(), _apart(attn_output, made.attn_output)]
    if made.projection is not None and made.output is not None:
        attn_output[list(made.ablated_heads)] = 0
        joined = attn_output.swapaxes(0, 1).reshape(made.shape[0], -1) @ made.projection.T.astype(np.float64)
        worst.append(_apart(joined + (0 if made.bias is None else made.bias), made.output))
    if not max(worst) <= PARITY[heard.dtype]:
        raise CaptureError("steps-parity", name=heard.module, worst=float(max(worst)))


def _apart(found: Array, expected: NDArray[np.float32]) -> float:
    """The largest difference, in parts of the largest number where that is above 1."""
    return float(np.abs(found - expected).max()) / max(1.0, float(np.abs(expected).max()))


def _float64(tensor: Tensor) -> Array:
    return np.asarray(tensor.detach().double().cpu().numpy())
