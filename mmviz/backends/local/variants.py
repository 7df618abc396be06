"""Many variants of one run in as few calls of the model as possible. Only their answers are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.backends import Stop
from mmviz.backends.local.interventions import HeadIndices, WeightsHook, ablated_heads, intervene, weights_hook
from mmviz.backends.local.prepare import prepare_variants
from mmviz.models import Model, Prepared
from mmviz.types import CaptureError, Change, MmvizError, Sample, ShuffleWeights, UniformAttention

ROWS = 32
"""Variants in one call of the model."""
TOLERANCE = 1e-3
"""How far a log-probability in a batch may lie from that of a run by itself, for a custom model to run in batches."""
Row = tuple[Prepared, HeadIndices]
"""One variant: the prepared sample, and the heads to ablate."""


def sweep(
    model_for: Callable[[Sequence[Change]], Model], sample: Sample, variants: Sequence[tuple[Change, ...]], seed: int,
    stop: Stop,
) -> NDArray[np.float64] | None:  # fmt: skip
    """Returns log-probabilities ``[variant, answer]``, answers in the order of the card; None where ``stop`` ended it.

    ``model_for`` returns the model for the changes of a variant, which may shuffle its weights. Raises ``MmvizError``.
    """
    blocks: list[Tensor] = []
    for _, group in groupby(variants, _batch_key):
        members = list(group)
        model, hook = model_for(members[0]), weights_hook(members[0])
        prepared = prepare_variants(model, sample, members, seed)
        for start in range(0, len(members), ROWS):
            if stop():
                return None
            rows = [(next(prepared), ablated_heads(changes)) for changes in members[start : start + ROWS]]
            blocks.append(_log_probabilities(model, rows, hook, seed))
    return torch.cat(blocks).cpu().numpy()


def _batch_key(changes: Sequence[Change]) -> tuple[Any, ...]:
    """Returns what all rows of a batch must share: the seed of shuffled weights, and uniform attention or not."""
    seeds = [change.seed for change in changes if isinstance(change, ShuffleWeights)]
    return (seeds[-1] if seeds else None, any(isinstance(change, UniformAttention) for change in changes))


def _log_probabilities(model: Model, rows: Sequence[Row], hook: WeightsHook | None, seed: int) -> Tensor:
    """Returns log-probabilities ``[row, answer]``, in one call where the model can, else in one call a row."""
    with torch.no_grad():
        block = _run_batch(model, rows, hook, seed) if len(rows) > 1 else None
        if block is None:
            block = torch.stack([_run_row(model, row, hook, seed) for row in rows])
    return block


def _run_batch(model: Any, rows: Sequence[Row], hook: WeightsHook | None, seed: int) -> Tensor | None:
    """Returns log-probabilities ``[row, answer]`` from one call; None where the model cannot run these rows at once."""
    if not hasattr(model, "join"):
        return None
    tensors = model.join([prepared for prepared, _ in rows])
    if tensors is None:
        return None
    is_custom = not hasattr(model, "vary")  # then its results in a batch must be compared
    try:
        with intervene(model, [heads for _, heads in rows], hook):
            logits = model.batch(tensors, len(rows))
    except MmvizError as error:
        if is_custom or (isinstance(error, CaptureError) and error.code == "head-batch"):
            return None
        raise
    if logits is None:
        return None
    block: Tensor = logits.double().log_softmax(-1)
    if is_custom and not torch.allclose(block[-1], _run_row(model, rows[-1], hook, seed), atol=TOLERANCE):
        return None
    return block


def _run_row(model: Model, row: Row, hook: WeightsHook | None, seed: int) -> Tensor:
    prepared, heads = row
    torch.manual_seed(seed)  # as in a run by itself
    with intervene(model, [heads], hook):
        return model(prepared.tensors).double().log_softmax(-1)
