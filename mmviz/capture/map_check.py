"""Checks every map before it becomes part of a record. Torch ends here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.attention_call import SHORT_SEQUENCE, AttentionCall, checked_rows
from mmviz.capture.head_weights_by_row_tile import LARGE, ROUNDING, RecomputedWeights, row_magnitude
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.types import AttentionMap, CaptureError, Notice, PooledMap, Token, check_rows
from mmviz.types.maps import TOLERANCE
from mmviz.types.token_bins import bin_edges

PARITY = {"float64": 1e-4, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest difference allowed between weights times values and the module's output, relative to the largest output."""
BINS = 512
"""Bins per side of the overview of a long map."""
_SWALLOWED = 0.01
"""Rounding of a row's scores from which its weights are chance, so that they cannot be compared."""


@dataclass(frozen=True)
class MapCheck:
    """The outcome of checking a map."""

    parity: float
    """Largest relative difference between weights times values and the module's output."""
    notices: tuple[Notice, ...]
    """What a reader should know of the map."""


def check_short_map(
    attention: AttentionCall, layer: int, queries: str, keys: str, batch: int | None = None
) -> tuple[AttentionMap, MapCheck]:
    """Returns the map of an attention call with all its weights.

    The weights are ``[head, query, key]`` of sample ``batch``, or where ``batch`` is None and there are several samples
    ``[batch, head, query, key]``. ``queries`` and ``keys`` name the token streams.

    Raises ``CaptureError`` for weights that are not 4-D, another number of keys than of values, weights that are
    negative or not finite, rows that do not sum to 1 (or to 0 where fully masked), and weights whose product with the
    values is not the module's output.
    """
    check_shape(attention)
    samples = range(attention.shape[0]) if batch is None else [batch]
    sample_weights = []
    parities = []
    for sample in samples:
        exact = LazyAttention(attention, sample)
        weights = exact.full()
        check_rows(attention.module, weights, attention.dtype, attention.absorbed_by)
        parities.append(_parity(exact, weights))
        sample_weights.append(weights)
    weights = np.stack(sample_weights) if len(sample_weights) > 1 else sample_weights[0]
    fully_masked = int((weights.sum(-1) == 0).all(-2).sum())
    check = MapCheck(max(parities), _notices(attention, fully_masked, weights.shape[-2] * len(sample_weights)))
    absorbed_by = attention.absorbed_by if takes_share(weights.sum(-1, dtype=np.float64), attention.dtype) else ""
    return AttentionMap(
        attention.module, layer, queries, keys, weights, attention.dtype, absorbed_by=absorbed_by
    ), check


def check_pooled_map(
    exact: LazyAttention, layer: int, queries: str, keys: str, streams: Mapping[str, Sequence[Token]]
) -> tuple[PooledMap, MapCheck]:
    """Returns the map of an attention call that is too long to hold all its weights.

    Its sums go over all weights; the rows `checked_rows` are checked in full. Raises as `check_short_map` does.
    """
    attention = exact.call
    check_shape(attention)
    pooled = pooled_map(exact, layer, queries, keys, streams, attention.absorbed_by)
    if not takes_share(pooled.row_modality_sums.sum(-1, dtype=np.float64), attention.dtype):
        pooled = replace(pooled, absorbed_by="")
    rows = checked_rows(exact.queries)
    weights = np.stack([exact.rows(rows, head) for head in range(exact.heads)])
    check_rows(attention.module, weights, attention.dtype, attention.absorbed_by)
    fully_masked = int((pooled.row_modality_sums.sum(-1) == 0).all(0).sum())
    parity = _parity(exact, weights)
    return pooled, MapCheck(parity, _notices(attention, fully_masked, exact.queries))


def check_call_row(attention: AttentionCall, row: int) -> tuple[str, float]:
    """Checks one row of a call, of a long one the rows `checked_rows` of its weights.

    Returns what takes a share of the weights, "" for nothing, and the parity, see `MapCheck`. Raises as
    `check_short_map` does.
    """
    check_shape(attention)
    exact = LazyAttention(attention, row)
    if max(attention.shape[2:]) > SHORT_SEQUENCE:
        rows = checked_rows(exact.queries)
        weights = np.stack([exact.rows(rows, head) for head in range(exact.heads)])
    else:
        weights = exact.full()
    check_rows(attention.module, weights, attention.dtype, attention.absorbed_by)
    is_absorbed = takes_share(weights.sum(-1, dtype=np.float64), attention.dtype)
    return attention.absorbed_by if is_absorbed else "", _parity(exact, weights)


def pooled_map(
    exact: LazyAttention,
    layer: int,
    queries: str,
    keys: str,
    streams: Mapping[str, Sequence[Token]],
    absorbed_by: str = "",
) -> PooledMap:
    """Returns means and sums of all weights of an attention call; only the sums of rows are checked."""
    attention = exact.call
    query_tokens, key_tokens = streams[queries], streams[keys]
    query_edges, key_edges = bin_edges(query_tokens, BINS), bin_edges(key_tokens, BINS)
    summary = exact.summary(query_edges, key_edges, query_tokens, key_tokens)
    return PooledMap(
        attention.module, layer, queries, keys, summary.overview, tuple(query_edges), tuple(key_edges),
        summary.row_modality_sums, summary.column_modality_sums, summary.largest, attention.dtype,
        absorbed_by=absorbed_by,
    )  # fmt: skip


def check_shape(attention: AttentionCall) -> None:
    """Raises ``CaptureError`` for weights that are not 4-D or were dropped, another number of keys than values, and
    tensors of the meta device, which hold no numbers."""
    if attention.value.is_meta:
        raise CaptureError("capture-meta", name=attention.module)
    if attention.has_dropout:
        raise CaptureError("capture-dropout", name=attention.module)
    if attention.weights is not None and attention.weights.ndim != 4:
        raise CaptureError("map-shape", name=attention.module, shape=tuple(attention.weights.shape))
    keys, values = attention.shape[3], attention.value.shape[-2]
    if keys != values:
        raise CaptureError("map-keys", name=attention.module, keys=keys, values=values)


def _parity(exact: LazyAttention, weights: NDArray[np.float32]) -> float:
    """Returns how far weights ``[head, row, key]`` times values are from the module's output at the checked rows.

    Raises ``CaptureError``: ``map-parity`` where that is more than `PARITY` and the rounding of large scores,
    ``map-lse`` where the kernel's log-sum-exp is not that of its queries, keys and mask.
    """
    attention = exact.call
    rows = torch.tensor(checked_rows(exact.queries), device="cpu")
    rounding = torch.zeros(exact.heads, len(rows), dtype=torch.float64, device="cpu")
    if attention.weights is None:
        lse = [exact.lse(head).cpu()[rows] for head in range(exact.heads)]
        rounding = torch.stack([row_magnitude(head).double() for head in lse]) * ROUNDING
        _check_lse(exact, rows, lse)
    value = attention.value[exact.batch].detach().double().cpu()
    attn_output = attention.attn_output[exact.batch].double().cpu()
    value = value.repeat_interleave(weights.shape[0] // value.shape[0], 0)
    scale = max(float(attn_output.abs().max()), 1e-30)
    difference = (torch.matmul(torch.from_numpy(weights).double(), value) - attn_output).abs().amax(-1) / scale
    is_compared = rounding < _SWALLOWED
    parity = float(torch.where(is_compared, difference, 0.0).max())
    excess = torch.where(is_compared, difference - rounding, 0.0)
    if not float(excess.max()) <= PARITY[attention.dtype] or not np.isfinite(parity):
        raise CaptureError("map-parity", name=attention.module, parity=parity)
    return parity


def _check_lse(exact: LazyAttention, rows: Tensor, lse: Sequence[Tensor]) -> None:
    """Compares the kernel's log-sum-exp with one in float64, in rows of large scores; the weights do not rest on it."""
    attention = exact.call
    if attention.lse is None:
        return
    for head, row_lse in enumerate(lse):
        rounding = row_magnitude(row_lse) * ROUNDING
        is_large = (rounding > LARGE * ROUNDING) & (rounding < _SWALLOWED)
        if not bool(is_large.any()):
            continue
        recomputed = exact.head(head)
        assert isinstance(recomputed, RecomputedWeights)
        own = recomputed.exact_rows(rows[is_large].to(attention.value.device))[1].cpu()
        precision = rounding[is_large].double() + PARITY[attention.dtype]
        difference = (own - row_lse[is_large].double()).abs()
        if not bool((difference <= precision * 4).all()):
            raise CaptureError("map-lse", name=attention.module, worst=float(difference.max()))


def takes_share(sums: NDArray[np.float64], dtype: str) -> bool:
    """Returns whether any row sums to neither 1 nor 0, by the sums of rows."""
    return bool((np.abs(np.where(sums == 0, 1, sums) - 1) > TOLERANCE[dtype]).any())


def _notices(attention: AttentionCall, fully_masked: int, queries: int) -> tuple[Notice, ...]:
    if not fully_masked:
        return ()
    if attention.emptied is not None and bool(attention.emptied.any()):
        return ()  # by what was blocked, which whoever blocked it tells
    return (Notice("fully-masked", {"name": attention.module, "count": fully_masked, "of": queries}),)
