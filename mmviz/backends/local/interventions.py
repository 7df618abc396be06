"""Changes inside one forward pass: ablated heads and uniform attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor

from mmviz.capture import capture
from mmviz.models import Model
from mmviz.types import AblateHead, Change, UniformAttention

HeadIndices = tuple[tuple[int, int], ...]
"""Heads as (map, head): the position of the map in order of execution, and the head, both from 0."""
WeightsHook = Callable[[Tensor], Tensor]
"""Maps attention weights to those that the model uses in their place."""


def uniform_weights(weights: Tensor) -> Tensor:
    """Returns the same weight for every key whose weight was above 0."""
    allowed = (weights > 0).to(weights.dtype)
    return allowed / allowed.sum(-1, keepdim=True)


def weights_hook(changes: Sequence[Change]) -> WeightsHook | None:
    """Returns `uniform_weights` where ``changes`` ask for uniform attention, else None."""
    return uniform_weights if any(isinstance(change, UniformAttention) for change in changes) else None


def ablated_heads(changes: Sequence[Change]) -> HeadIndices:
    """Returns the heads that ``changes`` ablate."""
    return tuple((change.map, change.head) for change in changes if isinstance(change, AblateHead))


def intervene(
    model: Model, heads: Sequence[HeadIndices], hook: WeightsHook | None = None
) -> AbstractContextManager[Any]:
    """Returns a context in which ``model`` runs without ``heads``, and with the weights that ``hook`` returns.

    ``heads`` has one entry for each row of the batch, or one for all rows. Nothing is captured where nothing changes.
    """
    if hook is None and not any(heads):
        return nullcontext()
    return capture(model.module, replace=hook, ablate=heads, **capture_options(model))


def capture_options(model: Model) -> dict[str, Any]:
    """Returns the options of `capture` that tell which modules of ``model`` take part.

    Where the expected modules are known, capture need not search for attention that it missed, which takes time.
    """
    if model.capture_targets:
        return {"expected": model.capture_targets.modules}
    return {"only": getattr(model, "only", ()), "exclude": getattr(model, "exclude", ())}


def intervene_for(model: Model, changes: Sequence[Change]) -> AbstractContextManager[Any]:
    """Returns `intervene` for one call of ``model`` under ``changes``."""
    return intervene(model, [ablated_heads(changes)], weights_hook(changes))
