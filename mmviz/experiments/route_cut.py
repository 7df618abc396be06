"""Which route carries an answer: each is cut alone, in each window of layers, and the answer's probability is compared.

A route is what the tokens of one group read from those of another. Beside its measured effect stands the attention
that it has, so that routes with much attention and no effect are seen, and those with little and a large one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmviz.analysis.route_attention import RouteAttention, route_attention
from mmviz.backends import Backend, Progress, Stop, ignore_progress, never_stop
from mmviz.experiments import time_estimates
from mmviz.experiments.sweep_requests import sweep_effects, sweep_requests
from mmviz.types import ANSWER, INPUT_MODALITIES, MODALITIES, AttentionRecord, CutRoute, Modality, Request, TokenGroup
from mmviz.types.best_answer import best_answer

CHUNK = 54
"""Cuts in the sweep of one request: nine routes in six layers."""
WINDOWS = 6
"""Windows of layers that a stack is cut in at most."""
MUCH_ATTENTION, LITTLE_ATTENTION = 0.3, 0.05
"""Shares of attention, 0 to 1."""
LARGE_EFFECT, NO_EFFECT = 0.5, 0.05
"""Changes of the answer's log-probability, in nats."""

Route = tuple[TokenGroup, TokenGroup]
"""The queries that attend, and the keys that they attend to."""
ROUTES: tuple[Route, ...] = (
    *((queries, keys) for queries in INPUT_MODALITIES for keys in INPUT_MODALITIES),
    *((ANSWER, keys) for keys in INPUT_MODALITIES),
)
"""The nine from modality to modality, and those into the answer token."""


@dataclass(frozen=True)
class LayerWindow:
    """Some layers of one stack, or all layers of all."""

    stack: str = ""
    """The stack as in `AttentionMap.stack`; "" for all but those of towers."""
    layers: tuple[int, ...] | None = None
    """The layers within it, from 0; None for all."""


@dataclass(frozen=True)
class RouteCell:
    """A route in a window of layers."""

    window: LayerWindow
    """The layers in which the route is cut."""
    queries: TokenGroup
    """The tokens that attend."""
    keys: TokenGroup
    """The tokens that they attend to."""
    attention: RouteAttention
    """The attention that it has without a cut."""

    @property
    def cut(self) -> CutRoute:
        """The change that cuts it."""
        return CutRoute(self.queries, self.keys, self.window.stack, self.window.layers)


@dataclass(frozen=True)
class RouteEffect:
    """What changes if a route is cut in a window of layers."""

    cell: RouteCell
    """The route that is cut, and the layers in which it is."""
    effect: float
    """Change of the answer's log-probability, in nats. Below 0 if the answer needs the route."""
    answer: str
    """The most probable answer without the route."""
    probability: float
    """Probability of that answer."""
    is_changed: bool | None
    """Whether that is another answer than with the route. None where the answer is not the most probable one with the
    route, so that it cannot be told: a text of many words is less probable than all others together."""

    @property
    def disagreement(self) -> Literal["unused", "unattended"] | None:
        """``unused``: much attention and no effect. ``unattended``: little attention and a large effect.

        The thresholds are `MUCH_ATTENTION`, `NO_EFFECT`, `LITTLE_ATTENTION` and `LARGE_EFFECT`, and are ours.
        """
        share = self.cell.attention.share
        if share >= MUCH_ATTENTION and abs(self.effect) < NO_EFFECT:
            return "unused"
        return "unattended" if share < LITTLE_ATTENTION and abs(self.effect) >= LARGE_EFFECT else None


@dataclass(frozen=True)
class RouteTable:
    """The effects of routes in windows of layers."""

    answer: str
    """The most probable answer without a cut."""
    probability: float
    """Probability of that answer."""
    effects: tuple[RouteEffect, ...]
    """In the order of the cells; fewer where the experiment was stopped."""
    planned: int
    """Number of cells."""

    @property
    def disagreements(self) -> tuple[RouteEffect, ...]:
        """Where attention and effect disagree, see `RouteEffect.disagreement`."""
        return tuple(effect for effect in self.effects if effect.disagreement is not None)

    def at(self, window: LayerWindow, route: Route) -> RouteEffect | None:
        """Returns the effect of a route in a window; None where the model has no such route, or it was not reached."""
        places = ((effect, effect.cell) for effect in self.effects)
        return next(
            (effect for effect, cell in places if (cell.window, cell.queries, cell.keys) == (window, *route)), None
        )  # fmt: skip


def route_windows(
    record: AttentionRecord, most: int = WINDOWS, chosen: tuple[str, tuple[int, ...]] | None = None
) -> tuple[LayerWindow, ...]:
    """Returns windows of layers of each stack, at most ``most`` of about equal lengths, and one of all layers.

    Stacks of towers (`Request.towers`) are left out. ``chosen``: a stack, which may be a tower, and its layers, in
    which alone routes are to be cut.
    """
    if chosen is not None:
        stack, numbers = chosen
        parts = np.array_split(sorted(numbers), min(most, len(numbers)))
        own = [LayerWindow(stack, tuple(map(int, part))) for part in parts]
        return (*own, LayerWindow(stack, tuple(numbers))) if len(own) > 1 else tuple(own)
    layers: dict[str, list[int]] = {}
    for attn_map in record.maps:
        if attn_map.stack not in record.made_by.get("towers", ()):
            known = layers.setdefault(attn_map.stack, [])
            known += [attn_map.layer] if attn_map.layer not in known else []
    windows = [
        LayerWindow(stack, tuple(map(int, part)))
        for stack, numbers in layers.items()
        for part in np.array_split(sorted(numbers), min(most, len(numbers)))
    ]
    return (*windows, LayerWindow())


def route_cells(
    record: AttentionRecord, windows: Sequence[LayerWindow] | None = None, routes: Sequence[Route] = ROUTES
) -> tuple[RouteCell, ...]:
    """Returns the routes that ``record``, a run without a cut, has in each window, by default `route_windows`.

    What an input would say that is missing is no route: the model reads a token that stands in its place.
    """
    towers, absent = record.made_by.get("towers", ()), record.absent_modalities
    cells = []
    for window in route_windows(record) if windows is None else windows:
        maps = [
            number for number, attn_map in enumerate(record.maps)
            if (attn_map.stack == window.stack if window.stack else attn_map.stack not in towers)
            and (window.layers is None or attn_map.layer in window.layers)
        ]  # fmt: skip
        for queries, keys in routes:
            attention = route_attention(record, maps, queries, keys)
            if attention is not None and not {queries, keys} & absent:
                cells.append(RouteCell(window, queries, keys, attention))
    return tuple(cells)


def route_requests(request: Request, cells: Sequence[RouteCell]) -> tuple[Request, ...]:
    """Returns the requests that `read_routes` needs the records of: each cell cut alone, `CHUNK` of them in each."""
    return sweep_requests(request, [(cell.cut,) for cell in cells], CHUNK)


def measure_routes(
    backend: Backend,
    request: Request,
    record: AttentionRecord,
    cells: Sequence[RouteCell] | None = None,
    progress: Progress = ignore_progress,
    stop: Stop = never_stop,
) -> RouteTable:
    """Cuts each of ``cells``, by default `route_cells` of ``record``, which is that of ``request``.

    ``progress`` is told of requests. If it was stopped, the table holds the cells that were cut until then. Raises
    ``MmvizError`` where the model's attention cannot be cut, or it has no answers (``answer-none``).

    Examples:
        >>> cells = [cell for cell in route_cells(run.record) if cell.window.layers is None]  # cut in all layers
        >>> table = measure_routes(run.backend, run.request, run.record, cells)
        >>> strongest = min(table.effects, key=lambda effect: effect.effect)
        >>> (
        ...     [str(group) for group in (strongest.cell.queries, strongest.cell.keys)],
        ...     strongest.effect < -1,
        ...     strongest.answer,
        ... )  # nats
        (['answer', 'image'], True, 'nothing')
    """
    best_answer(record)
    cells = route_cells(record) if cells is None else cells
    return read_routes(record, cells, backend.run(route_requests(request, cells), progress, stop))


def read_routes(record: AttentionRecord, cells: Sequence[RouteCell], records: Sequence[AttentionRecord]) -> RouteTable:
    """Returns the effects that the records of `route_requests` show. There may be fewer records than requests.

    Formula: ``log p(answer | route cut) - log p(answer)``; the answer is the most probable one without a cut.
    Source: Geva et al. 2023, "Dissecting Recall of Factual Associations in Auto-Regressive Language Models" (attention
    knockout).
    """
    rows = [row for swept in records for row in sweep_effects(swept)]
    effects = [RouteEffect(cell, *row) for cell, row in zip(cells, rows, strict=False)]
    first = best_answer(record)
    return RouteTable(first.label, first.probability, tuple(effects), len(cells))


def most_seconds(record: AttentionRecord, cells: Sequence[RouteCell]) -> float | None:
    """Returns how long `measure_routes` takes at most, see `mmviz.experiments.time_estimates.most_seconds`."""
    return time_estimates.most_seconds(record, len(cells))


def ways_out(modality: Modality) -> tuple[CutRoute, ...]:
    """Returns the changes that cut every way out of a modality in all layers, that through the other tokens included.

    No token of another modality, no special token and not the answer then reads from it.
    """
    others: tuple[TokenGroup, ...] = (*(other for other in MODALITIES if other is not modality), ANSWER)
    return tuple(CutRoute(queries, modality) for queries in others)
