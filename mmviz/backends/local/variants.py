"""Many variants of one run, as few calls of the model as they fit in: only their answers are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.backends import Stop
from mmviz.capture import capture
from mmviz.inputs.baseline import replaced
from mmviz.models import Model, Prepared
from mmviz.types import (
    AblateHead,
    CaptureError,
    Change,
    DropModality,
    DropTokens,
    MmvizError,
    Modality,
    ReplaceInput,
    Sample,
    ShuffleWeights,
    UniformAttention,
)

ROWS = 32
"""Variants in one call of the model."""
ALIKE = 1e-3
"""How far an answer's log-probability may lie from that of a lone run, for a model of one's own to run in batches."""
Places = tuple[tuple[int, int], ...]


def uniform(weights: Tensor) -> Tensor:
    """The same weight for every key that had any."""
    allowed = (weights > 0).to(weights.dtype)
    return allowed / allowed.sum(-1, keepdim=True)


def reduced(sample: Sample, changes: Sequence[Change], seed: int) -> Sample:
    """``sample`` with what ``changes`` replace in it, and without what they drop."""
    for change in changes:
        if isinstance(change, ReplaceInput):
            sample = replaced(sample, change, seed)
    dropped = {change.modality for change in changes if isinstance(change, DropModality)}
    return replace(
        sample,
        image=None if Modality.IMAGE in dropped else sample.image,
        text=None if Modality.TEXT in dropped else sample.text,
        audio=None if Modality.AUDIO in dropped else sample.audio,
    )


def prepared(model: Model, sample: Sample, changes: Sequence[Change], seed: int) -> Prepared:
    """``sample`` under ``changes``, ready for ``model``. Raises ``MmvizError`` (``hide-model``) for tokens to be hidden
    from a model that cannot do without them."""
    if not any(isinstance(change, DropTokens) for change in changes):
        return model.prepare(reduced(sample, changes, seed))
    return next(_all_prepared(model, sample, [tuple(changes)], seed))


def places(changes: Sequence[Change]) -> Places:
    """The heads that are off."""
    return tuple((change.map, change.head) for change in changes if isinstance(change, AblateHead))


def altered(model: Model, changes: Sequence[Change]) -> AbstractContextManager[Any]:
    """For one call of ``model``: heads are off, and attention is even, as ``changes`` say."""
    is_even = any(isinstance(change, UniformAttention) for change in changes)
    return _watched(model, [places(changes)], uniform if is_even else None)


def sweep(
    model_of: Callable[[Sequence[Change]], Model], sample: Sample, variants: Sequence[tuple[Change, ...]], seed: int,
    stop: Stop,
) -> NDArray[np.float64] | None:  # fmt: skip
    """Log-probabilities ``[variant, answer]`` in the order of the card; None where ``stop`` said so.

    ``model_of`` gives the model for the changes of a variant, which may shuffle its weights. Raises ``MmvizError``.
    """
    found: list[Tensor] = []
    for key, group in groupby(variants, _kind):
        some = list(group)
        model, replace_weights = model_of(some[0]), uniform if key[1] else None
        ready = _all_prepared(model, sample, some, seed)
        for first in range(0, len(some), ROWS):
            if stop():
                return None
            rows = [(next(ready), places(changes)) for changes in some[first : first + ROWS]]
            found.append(_answers(model, rows, replace_weights, seed))
    return torch.cat(found).cpu().numpy()


def _kind(changes: Sequence[Change]) -> tuple[Any, ...]:
    """What all rows of a batch must share: the weights, and whether attention is made even."""
    seeds = [change.seed for change in changes if isinstance(change, ShuffleWeights)]
    return (seeds[-1] if seeds else None, any(isinstance(change, UniformAttention) for change in changes))


def _all_prepared(
    model: Model, sample: Sample, variants: Sequence[tuple[Change, ...]], seed: int
) -> Iterator[Prepared]:
    """One after the other, what the model reads in each variant; a sample that comes again is read once."""
    read: dict[tuple[Change, ...], Prepared] = {}
    for changes in variants:
        # a model that can do without a modality by itself has the whole sample read once for all subsets
        kinds = (ReplaceInput,) if hasattr(model, "vary") else (ReplaceInput, DropModality)
        own = tuple(change for change in changes if isinstance(change, kinds))
        if own not in read:
            torch.manual_seed(seed)  # as in a run of one alone, so that variants differ by their changes only
            read[own] = model.prepare(reduced(sample, own, seed))
        found = read[own]
        for change in changes:  # in their order: a token that is hidden is one of those that are left
            if isinstance(change, DropModality) and change not in own:
                found = _varied(model, found, frozenset({change.modality}), ())
            elif isinstance(change, DropTokens):
                found = _varied(model, found, frozenset(), change.tokens)
        yield found


def _varied(model: Model, found: Prepared, dropped: frozenset[Modality], hidden: Sequence[int]) -> Prepared:
    vary = getattr(model, "vary", None)
    if vary is None:
        raise MmvizError("hide-model", model=model.card.id)
    made: Prepared = vary(found, dropped, hidden)
    return made


def _answers(
    model: Model, rows: Sequence[tuple[Prepared, Places]], replace_weights: Callable[[Tensor], Tensor] | None, seed: int
) -> Tensor:
    """Log-probabilities ``[row, answer]``: of all rows at once where the model can, else one by one."""
    with torch.no_grad():
        found = _together(model, rows, replace_weights, seed) if len(rows) > 1 else None
        if found is None:
            found = torch.stack([_alone(model, row, replace_weights, seed) for row in rows])
    return found


def _together(
    model: Any, rows: Sequence[tuple[Prepared, Places]], replace_weights: Callable[[Tensor], Tensor] | None, seed: int
) -> Tensor | None:
    if not hasattr(model, "join"):
        return None
    tensors = model.join([ready for ready, _ in rows])
    if tensors is None:
        return None
    is_own = not hasattr(model, "vary")  # then nothing is known of what it makes of a batch
    try:
        with _watched(model, [ablate for _, ablate in rows], replace_weights):
            logits = model.batch(tensors, len(rows))
    except MmvizError as refusal:
        if is_own or (isinstance(refusal, CaptureError) and refusal.code == "head-batch"):
            return None
        raise
    if logits is None:
        return None
    found: Tensor = logits.double().log_softmax(-1)
    if is_own and not torch.allclose(found[-1], _alone(model, rows[-1], replace_weights, seed), atol=ALIKE):
        return None
    return found


def _alone(
    model: Model, row: tuple[Prepared, Places], replace_weights: Callable[[Tensor], Tensor] | None, seed: int
) -> Tensor:
    ready, ablate = row
    torch.manual_seed(seed)  # as in a run of one alone
    with _watched(model, [ablate], replace_weights):
        return model(ready.tensors).double().log_softmax(-1)


def _watched(
    model: Model, ablate: Sequence[Places], replace_weights: Callable[[Tensor], Tensor] | None
) -> AbstractContextManager[Any]:
    """The model is watched only where something in it is changed."""
    if replace_weights is None and not any(ablate):
        return nullcontext()
    known = (
        model.capture_targets.modules if model.capture_targets else ()
    )  # else whatever is missed is looked for, which takes its time
    return capture(model.module, expected=known, replace=replace_weights, ablate=ablate)
