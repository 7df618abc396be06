"""Variants that cut routes of one prepared sample, each of which joins a call of the model where it first differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmviz.backends.local.interventions import intervene
from mmviz.backends.local.route_cuts import BlockedRoutes, Cuts, RouteFinder, blocked_routes
from mmviz.capture.blocked_pairs import BlockedPairs
from mmviz.models import Prepared


def joined_variants(model: Any, prepared: Prepared, cuts: Sequence[Cuts], finder: RouteFinder) -> Tensor:
    """Returns logits ``[row, answer]`` of ``prepared`` under each of ``cuts``, see `SupportsVariants.batch_from`.

    A row of the call has no cut, and stands for all whose cuts block nothing. Raises as `blocked_routes` does.
    """
    rows = len(cuts)
    routes = blocked_routes(model, [prepared] * rows, cuts, finder)
    if routes is None:
        logits: Tensor = model(prepared.tensors)
        return logits.expand(rows, -1)
    order = [site.place for site in routes.sites.sites]
    first = _first_layers(routes, order, rows)
    joining = sorted((row for row in range(rows) if first[row] < len(order)), key=lambda row: first[row])
    block = {
        place: BlockedPairs(_of_rows(pairs, [row for row in joining if first[row] <= order.index(place)]))
        for place, pairs in routes.block.items()
    }
    with intervene(model, [()], None, BlockedRoutes(routes.sites, block, {})):
        joined: Tensor = model.batch_from(prepared.tensors, [first[row] for row in joining])
    numbers = [joining.index(row) + 1 if row in joining else 0 for row in range(rows)]
    return joined[numbers]


def _first_layers(routes: BlockedRoutes, order: Sequence[tuple[str, int]], rows: int) -> list[int]:
    """Returns the first attention in which a row has blocked pairs, for each row; their number where it has none."""
    first = [len(order)] * rows
    for layer in reversed(range(len(order))):
        pairs = routes.block.get(order[layer])
        if pairs is not None:
            for row in pairs.pairs.expand(rows, -1, -1, -1).any((1, 2, 3)).nonzero()[:, 0].tolist():
                first[row] = layer
    return first


def _of_rows(pairs: BlockedPairs, rows: Sequence[int]) -> Tensor:
    """Returns the pairs of ``rows`` behind a row without any, ``[1 + row, head or 1, query, key]``."""
    nothing = torch.zeros(1, *pairs.pairs.shape[1:], dtype=torch.bool)
    if len(pairs.pairs) == 1:
        return torch.cat([nothing, pairs.pairs.expand(len(rows), -1, -1, -1)])
    return torch.cat([nothing, pairs.pairs[list(rows)]])
