"""Changes inside one forward pass: ablated heads, cut routes and uniform attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

from torch import Tensor

from mmviz.backends.local.capture_scope import HeadIndices, capture_options, split_heads, tower_capture, towers_of
from mmviz.backends.local.route_cuts import BlockedRoutes, RouteFinder, blocked_routes, cut_routes
from mmviz.capture import CaptureResult, capture
from mmviz.models import Model, Prepared
from mmviz.types import AblateHead, Change, Request, UniformAttention

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
def intervene(
    model: Model, heads: Sequence[HeadIndices], hook: WeightsHook | None = None, routes: BlockedRoutes | None = None
) -> Iterator[list[CaptureResult]]:
    """A context in which ``model`` runs without ``heads``, with the weights that ``hook`` returns, and without the
    pairs that ``routes`` block. It gives the captures that this takes: none where nothing changes.

    ``heads`` has one entry for each row of the batch, or one for all rows.
    """
    captures: list[CaptureResult] = []
    block, in_towers = (routes.block, routes.in_towers) if routes else ({}, {})
    heads, of_towers = split_heads(model, heads)
    towers = towers_of(model)
    with ExitStack() as contexts:
        if towers is not None and (any(of_towers) or in_towers):
            captures.append(contexts.enter_context(tower_capture(model, towers, ablate=of_towers, block=in_towers)))
        if hook is not None or any(heads) or block:
            options = {"replace": hook, "ablate": heads, "block": block, **capture_options(model)}
            captures.append(contexts.enter_context(capture(model.module, **options)))
        yield captures


def intervene_for(
    model: Model, changes: Sequence[Change], routes: BlockedRoutes | None = None
) -> AbstractContextManager[list[CaptureResult]]:
    """Returns `intervene` for one call of ``model`` under ``changes``, whose cuts block ``routes``."""
    return intervene(model, [ablated_heads(changes)], weights_hook(changes), routes)


def routes_of(model: Model, prepared: Prepared, request: Request) -> BlockedRoutes | None:
    """Returns what the changes of a request cut in one call of ``model``; None for nothing. Raises as `blocked_routes`
    does."""
    return blocked_routes(model, [prepared], [cut_routes(request.changes)], RouteFinder(request.pairs))
