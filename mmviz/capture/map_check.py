"""Checks every map before it becomes part of a record. Torch ends here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mmviz.capture.attention_call import AttentionCall, checked_rows
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.types import AttentionMap, CaptureError, Notice, PooledMap, Token, check_rows
from mmviz.types.token_bins import bin_edges

PARITY = {"float64": 1e-4, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest difference allowed between weights times values and the module's output, relative to the largest output."""
BINS = 512
"""Bins per side of the overview of a long map."""


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
        weights = LazyAttention(attention, sample).full()
        check_rows(attention.module, weights, attention.dtype)
        parities.append(_parity(attention, sample, weights))
        sample_weights.append(weights)
    weights = np.stack(sample_weights) if len(sample_weights) > 1 else sample_weights[0]
    fully_masked = int((weights.sum(-1) == 0).all(-2).sum())
    check = MapCheck(max(parities), _notices(attention, fully_masked, weights.shape[-2] * len(sample_weights)))
    return AttentionMap(attention.module, layer, queries, keys, weights, attention.dtype), check


def check_pooled_map(
    exact: LazyAttention, layer: int, queries: str, keys: str, streams: Mapping[str, Sequence[Token]]
) -> tuple[PooledMap, MapCheck]:
    """Returns the map of an attention call that is too long to hold all its weights.

    Its sums go over all weights; the rows `checked_rows` are checked in full. Raises as `check_short_map` does.
    """
    attention = exact.call
    check_shape(attention)
    query_tokens, key_tokens = streams[queries], streams[keys]
    query_edges, key_edges = bin_edges(query_tokens, BINS), bin_edges(key_tokens, BINS)
    summary = exact.summary(query_edges, key_edges, query_tokens, key_tokens)
    pooled = PooledMap(
        attention.module, layer, queries, keys, summary.overview, tuple(query_edges), tuple(key_edges),
        summary.row_modality_sums, summary.column_modality_sums, summary.largest, attention.dtype,
    )  # fmt: skip
    rows = checked_rows(exact.queries)
    weights = np.stack([exact.rows(rows, head) for head in range(exact.heads)])
    check_rows(attention.module, weights, attention.dtype)
    fully_masked = int((summary.row_modality_sums.sum(-1) == 0).all(0).sum())
    parity = _parity(attention, exact.batch, weights)
    return pooled, MapCheck(parity, _notices(attention, fully_masked, exact.queries))


def check_shape(attention: AttentionCall) -> None:
    """Raises ``CaptureError`` for weights that are not 4-D or were dropped, or another number of keys than values."""
    if attention.has_dropout:
        raise CaptureError("capture-dropout", name=attention.module)
    if attention.weights is not None and attention.weights.ndim != 4:
        raise CaptureError("map-shape", name=attention.module, shape=tuple(attention.weights.shape))
    keys, values = attention.shape[3], attention.value.shape[-2]
    if keys != values:
        raise CaptureError("map-keys", name=attention.module, keys=keys, values=values)


def _parity(attention: AttentionCall, sample: int, weights: NDArray[np.float32]) -> float:
    """Returns how far weights ``[head, row, key]`` times values are from the module's output at the checked rows.

    Raises ``CaptureError`` (``map-parity``) where that is more than `PARITY`.
    """
    value = attention.value[sample].detach().double().cpu()
    attn_output = attention.attn_output[sample].double().cpu()
    value = value.repeat_interleave(weights.shape[0] // value.shape[0], 0)
    scale = max(float(attn_output.abs().max()), 1e-30)
    parity = float((torch.matmul(torch.from_numpy(weights).double(), value) - attn_output).abs().max()) / scale
    if not parity <= PARITY[attention.dtype]:
        raise CaptureError("map-parity", name=attention.module, parity=parity)
    return parity


def _notices(attention: AttentionCall, fully_masked: int, queries: int) -> tuple[Notice, ...]:
    if not fully_masked:
        return ()
    return (Notice("fully-masked", {"name": attention.module, "count": fully_masked, "of": queries}),)
