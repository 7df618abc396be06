"""Variants that cut routes of one prepared sample, each of which joins a call of the model where it first differs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from mmviz.backends.local.interventions import intervene
from mmviz.backends.local.route_cuts import BlockedRoutes, Cuts, RouteFinder, blocked_routes
from mmviz.capture.blocked_pairs import BlockedPairs
from mmviz.models import Prepared
from mmviz.models.shared_early_layers import joining_blocks


def joined_variants(model: Any, prepared: Prepared, cuts: Sequence[Cuts], finder: RouteFinder) -> Tensor | None:
    """Returns logits ``[row, answer]`` of ``prepared`` under each of ``cuts``, see `SupportsVariants.batch_from`.

    A row of the call has no cut, and stands for all whose cuts block nothing. A model without ``batch_from`` is called
    as it is, and rows are added to what enters its layers; None where its attention lies in no numbered layers, or it
    does not return a row for each. Raises as `blocked_routes` does, and whatever a model does that takes no more rows.
    """
    rows = len(cuts)
    routes = blocked_routes(model, [prepared] * rows, cuts, finder)
    if routes is None:
        logits: Tensor = model(prepared.tensors)
        return logits.expand(rows, -1)
    order = [site.place for site in routes.sites.sites]
    paths = [path for path, _ in order] if hasattr(model, "batch_from") else [_layer_of(path) for path, _ in order]
    if len(set(order)) < len(order) or not all(paths):
        return None
    layers = list(dict.fromkeys(paths))
    depths = [layers.index(path) for path in paths]
    first = [depths[number] if number < len(order) else len(layers) for number in _first_places(routes, order, rows)]
    joining = sorted((row for row in range(rows) if first[row] < len(layers)), key=lambda row: first[row])
    block = {
        place: BlockedPairs(_of_rows(pairs, [row for row in joining if first[row] <= depths[order.index(place)]]))
        for place, pairs in routes.block.items()
    }
    numbers = [first[row] for row in joining]
    joined: Tensor | None
    with ExitStack() as contexts:
        if not hasattr(model, "batch_from"):  # before a capture, which then sees all rows
            modules = [model.module.get_submodule(path) for path in layers]
            contexts.enter_context(joining_blocks(modules, numbers))
        contexts.enter_context(intervene(model, [()], None, BlockedRoutes(routes.sites, block, {})))
        if hasattr(model, "batch_from"):
            joined = model.batch_from(prepared.tensors, numbers)
        else:
            joined = model.batch(prepared.tensors, 1 + len(numbers))
    places = [joining.index(row) + 1 if row in joining else 0 for row in range(rows)]
    return None if joined is None else joined[places]


def _layer_of(path: str) -> str:
    """Returns the path of the innermost module of a numbered list that holds the one at ``path``; "" for none."""
    names = path.split(".")
    return next((".".join(names[: k + 1]) for k in reversed(range(len(names))) if names[k].isdigit()), "")


def _first_places(routes: BlockedRoutes, order: Sequence[tuple[str, int]], rows: int) -> list[int]:
    """Returns the first attention in which a row has blocked pairs, for each row; their number where it has none."""
    first = [len(order)] * rows
    for number in reversed(range(len(order))):
        pairs = routes.block.get(order[number])
        if pairs is not None:
            for row in pairs.pairs.expand(rows, -1, -1, -1).any((1, 2, 3)).nonzero()[:, 0].tolist():
                first[row] = number
    return first


def _of_rows(pairs: BlockedPairs, rows: Sequence[int]) -> Tensor:
    """Returns the pairs of ``rows`` behind a row without any, ``[1 + row, head or 1, query, key]``."""
    nothing = torch.zeros(1, *pairs.pairs.shape[1:], dtype=torch.bool)
    if len(pairs.pairs) == 1:
        return torch.cat([nothing, pairs.pairs.expand(len(rows), -1, -1, -1)])
    return torch.cat([nothing, pairs.pairs[list(rows)]])
