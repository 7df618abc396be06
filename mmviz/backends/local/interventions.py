"""Changes inside one forward pass: ablated heads and uniform attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from torch import Tensor

from mmviz.capture import capture
from mmviz.models import CaptureTargets, Model
from mmviz.types import AblateHead, Change, UniformAttention

HeadIndices = tuple[tuple[int, int], ...]
"""Heads as (map, head): the position of the map as in `AttentionRecord.maps`, and the head, both from 0."""
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


@contextmanager
def intervene(model: Model, heads: Sequence[HeadIndices], hook: WeightsHook | None = None) -> Iterator[None]:
    """A context in which ``model`` runs without ``heads``, and with the weights that ``hook`` returns.

    ``heads`` has one entry for each row of the batch, or one for all rows. Nothing is captured where nothing changes.
    """
    heads, of_towers = split_heads(model, heads)
    towers = towers_of(model)
    with ExitStack() as contexts:
        if towers is not None and any(of_towers):
            contexts.enter_context(capture(model.module, ablate=of_towers, **tower_options(towers)))
        if hook is not None or any(heads):
            contexts.enter_context(capture(model.module, replace=hook, ablate=heads, **capture_options(model)))
        yield


def split_heads(
    model: Model, rows: Sequence[HeadIndices]
) -> tuple[list[HeadIndices], list[tuple[tuple[str, int], ...]]]:
    """Returns the heads of each row that are not in towers, and those that are, by the paths of their modules."""
    towers = towers_of(model)
    if model.capture_targets is None or towers is None:
        return list(rows), []
    modules = dict(enumerate(towers.modules, len(model.capture_targets.modules)))  # towers follow all others
    return (
        [tuple(ref for ref in row if ref[0] not in modules) for row in rows],
        [tuple((modules[number], head) for number, head in row if number in modules) for row in rows],
    )


def towers_of(model: Model) -> CaptureTargets | None:
    """Returns the attention of the towers that ``model`` can leave out, see `Request.towers`."""
    towers: CaptureTargets | None = getattr(model, "towers", None)
    return towers


def capture_options(model: Model) -> dict[str, Any]:
    """Returns the options of `capture` that tell which modules of ``model`` take part, towers left out.

    Where the expected modules are known, capture need not search for attention that it missed, which takes time.
    """
    if model.capture_targets:
        towers = towers_of(model)
        return {"expected": model.capture_targets.modules, "exclude": towers.modules if towers else ()}
    return {"only": getattr(model, "only", ()), "exclude": getattr(model, "exclude", ())}


def tower_options(towers: CaptureTargets) -> dict[str, Any]:
    """Returns the options of `capture` for the towers of a model, and nothing else of it."""
    return {"expected": towers.modules, "only": towers.modules}


def intervene_for(model: Model, changes: Sequence[Change]) -> AbstractContextManager[Any]:
    """Returns `intervene` for one call of ``model`` under ``changes``."""
    return intervene(model, [ablated_heads(changes)], weights_hook(changes))
