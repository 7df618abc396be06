"""The gate: what every map must pass before it becomes part of a record. Torch ends here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mmviz.bins import bins
from mmviz.capture.exact import Exact
from mmviz.capture.heard import Heard, rows_tried
from mmviz.types import AttentionMap, CaptureError, LongMap, Notice, Token, check_rows

PARITY = {"float64": 1e-4, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest difference between A.V and what the module used, relative to the largest value."""
BINS = 512
"""Bins a side of the overview of a long map."""


@dataclass(frozen=True)
class Checked:
    """``parity``: the largest relative difference between A.V and the module's own output; ``notices``: what a reader
    should know of the map."""

    parity: float
    notices: tuple[Notice, ...]


def gate_short(
    heard: Heard, layer: int, queries: str, keys: str, batch: int | None = None
) -> tuple[AttentionMap, Checked]:
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
        weights = Exact(heard, sample).full()
        check_rows(heard.module, weights, heard.dtype)
        parities.append(_parity(heard, sample, weights))
        found.append(weights)
    made = np.stack(found) if len(found) > 1 else found[0]
    silent = int((made.sum(-1) == 0).all(-2).sum())
    of = made.shape[-2] * len(found)
    checked = Checked(max(parities), _notices(heard, silent, of))
    return AttentionMap(heard.module, layer, queries, keys, made, heard.dtype), checked


def gate_long(
    exact: Exact, layer: int, queries: str, keys: str, streams: Mapping[str, Sequence[Token]]
) -> tuple[LongMap, Checked]:
    """The map of an input too long for all its weights: sums over all of them, and some rows checked in full.

    Raises ``CaptureError`` as `gate_short` does.
    """
    heard = exact.heard
    check_shape(heard)
    asking, asked = streams[queries], streams[keys]
    query_edges, key_edges = bins(asking, BINS), bins(asked, BINS)
    survey = exact.survey(query_edges, key_edges, asking, asked)
    made = LongMap(
        heard.module, layer, queries, keys, survey.overview, tuple(query_edges), tuple(key_edges), survey.given,
        survey.got, survey.largest, heard.dtype,
    )  # fmt: skip
    rows = rows_tried(exact.queries)
    weights = np.stack([exact.rows(rows, head) for head in range(exact.heads)])
    check_rows(heard.module, weights, heard.dtype)
    silent = int((survey.given.sum(-1) == 0).all(0).sum())
    return made, Checked(_parity(heard, exact.batch, weights), _notices(heard, silent, exact.queries))


def check_shape(heard: Heard) -> None:
    """Raises ``CaptureError`` where weights are not 4-D or were dropped, or the keys are not as many as the values."""
    if heard.has_dropout:
        raise CaptureError("capture-dropout", name=heard.module)
    if heard.weights is not None and heard.weights.ndim != 4:
        raise CaptureError("map-shape", name=heard.module, shape=tuple(heard.weights.shape))
    keys, values = heard.shape[3], heard.value.shape[-2]
    if keys != values:
        raise CaptureError("map-keys", name=heard.module, keys=keys, values=values)


def _parity(heard: Heard, sample: int, weights: NDArray[np.float32]) -> float:
    """How far A.V of the rows tried is from the module's own output. Raises ``CaptureError`` where it is too far."""
    value = heard.value[sample].detach().double().cpu()
    mixed = heard.mixed[sample].double().cpu()
    made = torch.from_numpy(weights).double()
    value = value.repeat_interleave(made.shape[0] // value.shape[0], 0)
    scale = max(float(mixed.abs().max()), 1e-30)
    parity = float((torch.matmul(made, value) - mixed).abs().max()) / scale
    if not parity <= PARITY[heard.dtype]:
        raise CaptureError("map-parity", name=heard.module, parity=parity)
    return parity


def _notices(heard: Heard, silent: int, of: int) -> tuple[Notice, ...]:
    return (Notice("capture-silent", {"name": heard.module, "count": silent, "of": of}),) if silent else ()
