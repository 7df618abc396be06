"""The gate: what every map must pass before it becomes part of a record. Torch ends here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mmviz.capture.call import AttentionCall, checked_rows
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.types import AttentionMap, CaptureError, Notice, PooledMap, Token, check_rows
from mmviz.types.token_bins import bins

PARITY = {"float64": 1e-4, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest difference between A.V and what the module used, relative to the largest value."""
BINS = 512
"""Bins a side of the overview of a long map."""


@dataclass(frozen=True)
class MapCheck:
    """``parity``: the largest relative difference between A.V and the module's own output; ``notices``: what a reader
    should know of the map."""

    parity: float
    notices: tuple[Notice, ...]


def check_short_map(
    heard: AttentionCall, layer: int, queries: str, keys: str, batch: int | None = None
) -> tuple[AttentionMap, MapCheck]:
    """The map of one heard attention with all its weights; of one sample of the batch, or where ``batch`` is None of
    all: ``[batch, head, query, key]``, where there are several.

    Raises ``CaptureError``: not 4-D, key count unlike the values', weights that are negative or not numbers, rows that
    do not sum to 1, or A.V that does not reproduce the module's own output.
    """
    check_shape(heard)
    samples = range(heard.shape[0]) if batch is None else [batch]
    found = []
    parities = []
    for sample in samples:
        weights = LazyAttention(heard, sample).full()
        check_rows(heard.module, weights, heard.dtype)
        parities.append(_parity(heard, sample, weights))
        found.append(weights)
    made = np.stack(found) if len(found) > 1 else found[0]
    silent = int((made.sum(-1) == 0).all(-2).sum())
    of = made.shape[-2] * len(found)
    checked = MapCheck(max(parities), _notices(heard, silent, of))
    return AttentionMap(heard.module, layer, queries, keys, made, heard.dtype), checked


def check_pooled_map(
    exact: LazyAttention, layer: int, queries: str, keys: str, streams: Mapping[str, Sequence[Token]]
) -> tuple[PooledMap, MapCheck]:
    """The map of an input too long for all its weights: sums over all of them, and some rows checked in full.

    Raises ``CaptureError`` as `check_short_map` does.
    """
    heard = exact.heard
    check_shape(heard)
    asking, asked = streams[queries], streams[keys]
    query_edges, key_edges = bins(asking, BINS), bins(asked, BINS)
    survey = exact.survey(query_edges, key_edges, asking, asked)
    made = PooledMap(
        heard.module, layer, queries, keys, survey.overview, tuple(query_edges), tuple(key_edges), survey.row_modality_sums,
        survey.column_modality_sums, survey.largest, heard.dtype,
    )  # fmt: skip
    rows = checked_rows(exact.queries)
    weights = np.stack([exact.rows(rows, head) for head in range(exact.heads)])
    check_rows(heard.module, weights, heard.dtype)
    silent = int((survey.row_modality_sums.sum(-1) == 0).all(0).sum())
    return made, MapCheck(_parity(heard, exact.batch, weights), _notices(heard, silent, exact.queries))


def check_shape(heard: AttentionCall) -> None:
    """Raises ``CaptureError`` where weights are not 4-D or were dropped, or the keys are not as many as the values."""
    if heard.has_dropout:
        raise CaptureError("capture-dropout", name=heard.module)
    if heard.weights is not None and heard.weights.ndim != 4:
        raise CaptureError("map-shape", name=heard.module, shape=tuple(heard.weights.shape))
    keys, values = heard.shape[3], heard.value.shape[-2]
    if keys != values:
        raise CaptureError("map-keys", name=heard.module, keys=keys, values=values)


def _parity(heard: AttentionCall, sample: int, weights: NDArray[np.float32]) -> float:
    """How far A.V of the rows tried is from the module's own output. Raises ``CaptureError`` where it is too far."""
    value = heard.value[sample].detach().double().cpu()
    attn_output = heard.attn_output[sample].double().cpu()
    made = torch.from_numpy(weights).double()
    value = value.repeat_interleave(made.shape[0] // value.shape[0], 0)
    scale = max(float(attn_output.abs().max()), 1e-30)
    parity = float((torch.matmul(made, value) - attn_output).abs().max()) / scale
    if not parity <= PARITY[heard.dtype]:
        raise CaptureError("map-parity", name=heard.module, parity=parity)
    return parity


def _notices(heard: AttentionCall, silent: int, of: int) -> tuple[Notice, ...]:
    return (Notice("capture-silent", {"name": heard.module, "count": silent, "of": of}),) if silent else ()
