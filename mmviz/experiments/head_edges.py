"""From a head to its edge: the pairs of a query and a key that carry the effect of one head, found by masking them.

First every query of the head is masked alone, which is the head ablated at that query. Then the pairs of the queries
that matter are masked, those of the largest weights, each alone and, where it is a patch, a word or a moment among
others, together with its neighbours. Last they are masked together, one more each time: the strongest pairs; where
these do not carry the effect, the strongest groups; then the pairs of the largest weights, which may stand in for each
other. What is left of a row attends to the other keys, so that effects of several pairs need not add up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from mmviz.analysis.neighbours import neighbours
from mmviz.backends import Backend, Progress, Stop, ignore_progress, never_stop
from mmviz.experiments.head_ablation import DEAD
from mmviz.experiments.sweep_requests import sweep_requests
from mmviz.types import (
    AblateHead,
    AttentionMap,
    AttentionRecord,
    Change,
    ChosenTokens,
    CutRoute,
    MmvizError,
    Request,
    Token,
)
from mmviz.types.answer_tokens import answer_tokens

CHUNK = 64
"""Variants in the sweep of one request at most."""
MASK_SIZE = 1 << 28
"""Pairs of all heads in the masks of one request at most."""
QUERIES = 256
"""Queries that are masked: those of the answer, then those of the largest weights."""
PAIRS = 48
"""Pairs that are masked alone: those of the largest weight times effect of their query."""
GROUPS = 16
"""Groups of neighbouring keys that are masked."""
FEW = 8
"""Edges that are masked together at most."""
CARRIED = 0.5
"""Share of the head's effect that its edges must carry together, for it to be said that they carry it."""
SMALL = 0.05
"""Share of the head's effect below which a query or an edge counts as nothing."""


@dataclass(frozen=True)
class QueryEffect:
    """What changes if one query of a head attends to nothing, that is, the head is ablated there alone."""

    query: int
    """Index of the token in the stream of the map's queries."""
    effect: float
    """Change of the answer's log-probability, in nats. Below 0 if the answer needs it."""


@dataclass(frozen=True)
class HeadEdge:
    """A query of a head, and the key or the neighbouring keys that it is not to attend to."""

    query: int
    """Index of the token in the stream of the map's queries."""
    keys: tuple[int, ...]
    """Indices of the tokens in the stream of its keys, ascending."""
    weight: float
    """What the query's weights on these keys sum to, from 0 to 1."""
    effect: float
    """Change of the answer's log-probability if this alone is masked, in nats. Below 0 if the answer needs it."""
    together: float | None = None
    """The same if this and all edges before it are masked; None beyond the first `FEW`, and after a stop."""


@dataclass(frozen=True)
class HeadEdges:
    """What carries the effect of one head."""

    map: int
    """Position of the head's map in ``record.maps``."""
    head: int
    """Number of the head within its map, from 0."""
    effect: float
    """Change of the answer's log-probability if the head is ablated, in nats."""
    queries: tuple[QueryEffect, ...] = ()
    """Those that were masked, those that carry most of the effect first."""
    edges: tuple[HeadEdge, ...] = ()
    """Those that were masked, in the order in which the first of them were masked together."""
    is_complete: bool = True
    """False where the experiment was stopped."""

    @property
    def is_idle(self) -> bool:
        """Whether the head does nothing for this answer, see `mmviz.experiments.head_ablation.DEAD`: then nothing of it
        is masked."""
        return abs(self.effect) < DEAD

    @property
    def carrying(self) -> tuple[HeadEdge, ...]:
        """The first edges that carry at least `CARRIED` of the effect together; none where no few edges do."""
        for count, edge in enumerate(self.edges, 1):
            if edge.together is not None and self.share(edge.together) >= CARRIED:
                return self.edges[:count]
        return ()

    @property
    def query(self) -> int | None:
        """The query that carries the most: of the first edge, or of the strongest query where no edges carry the
        effect. None where no query carries anything."""
        if self.carrying:
            return self.carrying[0].query
        strongest = self.queries[0] if self.queries else None
        return strongest.query if strongest and self.share(strongest.effect) >= SMALL else None

    @property
    def together(self) -> tuple[HeadEdge, ...]:
        """The edges that were masked together: the first few."""
        return tuple(edge for edge in self.edges if edge.together is not None)

    def share(self, effect: float) -> float:
        """Returns ``effect`` as a share of that of the head, which may lie below 0 or above 1."""
        return effect / self.effect if self.effect else 0.0

    def by_effect(self) -> HeadEdges:
        """Returns these edges, those that carry most of the effect first."""
        return replace(self, edges=tuple(sorted(self.edges, key=lambda edge: -self.share(edge.effect))))

    def with_together(self, effects: Sequence[float]) -> HeadEdges:
        """Returns these edges, of which the first one, the first two and so on have ``effects`` together."""
        first = (replace(edge, together=effect) for edge, effect in zip(self.edges, effects, strict=False))
        return replace(self, edges=(*first, *self.edges[len(effects) :]))


def measure_head_edges(
    backend: Backend,
    request: Request,
    record: AttentionRecord,
    number: int,
    head: int,
    progress: Progress = ignore_progress,
    stop: Stop = never_stop,
) -> HeadEdges:
    """Masks queries and pairs of a head of ``record``, the record of ``request``, and returns what carries its effect.

    ``number``: the position of the head's map in ``record.maps``. Where a layer attends several times in one run, each
    is masked. If it was stopped, what was measured until then is returned.

    Source of masking single connections: Geva et al. 2023, "Dissecting Recall of Factual Associations in
    Auto-Regressive Language Models" (attention knockout). Raises ``MmvizError``: ``edges-long`` for a map without all
    its weights, and where the model's attention cannot be cut.
    """
    attn_map = record.maps[number]
    if not isinstance(attn_map, AttentionMap):
        raise MmvizError("edges-long")
    queries, keys = _first_queries(record, attn_map, head), range(attn_map.shape[1])
    chunk = max(1, min(CHUNK, MASK_SIZE // (attn_map.heads * math.prod(attn_map.shape))))
    stages = list(accumulate((math.ceil(n / chunk) for n in (1, len(queries), PAIRS + GROUPS, 3 * FEW)), initial=0))

    def effects(stage: int, variants: Sequence[tuple[Change, ...]]) -> list[float]:
        """Returns the effect of each variant, of fewer after a stop."""
        requests = sweep_requests(request, variants, chunk)
        return _effects(backend.run(requests, lambda done, _: progress(stages[stage] + done, stages[-1]), stop))

    ablated = effects(0, [(AblateHead(number, head),)])
    result = HeadEdges(number, head, sum(ablated), is_complete=bool(ablated))
    if result.is_idle:
        return result

    values = effects(1, [(pair_cut(attn_map, head, [query], keys),) for query in queries])
    rows = sorted(map(QueryEffect, queries, values), key=lambda row: -result.share(row.effect))
    result = replace(result, queries=tuple(rows), is_complete=len(values) == len(queries))
    if not result.is_complete:
        return result

    pairs = _pairs(result, attn_map)
    groups = _groups(pairs, record.streams[attn_map.keys])
    values = effects(2, [(pair_cut(attn_map, head, [query], own),) for query, own in (*pairs, *groups)])
    edges = [
        HeadEdge(query, own, float(attn_map.weights[head, query, list(own)].sum(dtype=float)), effect)
        for (query, own), effect in zip((*pairs, *groups), values, strict=False)
    ]
    by_weight = replace(result, edges=tuple(edges[: len(pairs)]))
    orders = [by_weight.by_effect(), replace(result, edges=tuple(edges[len(pairs) :])).by_effect(), by_weight]
    if len(values) < len(pairs) + len(groups):
        return replace(orders[0], is_complete=False)

    sets = [
        (order, count)
        for order, edges in enumerate(orders)
        for count in range(1, len(edges.edges[:FEW]) + 1)
        if edges is by_weight or edges.share(edges.edges[count - 1].effect) >= SMALL
    ]
    values = effects(
        3,
        [
            tuple(pair_cut(attn_map, head, [edge.query], edge.keys) for edge in orders[order].edges[:count])
            for order, count in sets
        ],
    )
    orders = [
        edges.with_together([value for (own, _), value in zip(sets, values, strict=False) if own == order])
        for order, edges in enumerate(orders)
    ]
    chosen = next((edges for edges in orders if edges.carrying), orders[0] if orders[0].together else orders[2])
    return replace(chosen, is_complete=len(values) == len(sets))


def pair_cut(attn_map: AttentionMap, head: int, queries: Sequence[int], keys: Sequence[int]) -> CutRoute:
    """Returns the change that keeps ``queries`` of one head from attending to ``keys``."""
    return CutRoute(
        ChosenTokens(tuple(queries), attn_map.queries), ChosenTokens(tuple(keys), attn_map.keys), attn_map.stack,
        (attn_map.layer,), (head,),
    )  # fmt: skip


def _effects(records: Sequence[AttentionRecord]) -> list[float]:
    """Returns ``log p(answer | change) - log p(answer)`` of each variant; the answer is that without a change."""
    return [
        float(row[0]) - math.log(max(record.answers[0].probability, 1e-300))
        for record in records if record.sweep is not None
        for row in record.sweep
    ]  # fmt: skip


def _first_queries(record: AttentionRecord, attn_map: AttentionMap, head: int) -> list[int]:
    """Returns at most `QUERIES` queries that attend to anything: those of the answer first, then by largest weight."""
    largest = attn_map.weights[head].max(-1)
    answer = answer_tokens(record).get(attn_map.queries, ())
    order = sorted(np.flatnonzero(largest).tolist(), key=lambda query: (query not in answer, -largest[query]))
    return order[:QUERIES]


def _pairs(result: HeadEdges, attn_map: AttentionMap) -> list[tuple[int, tuple[int, ...]]]:
    """Returns the `PAIRS` of a query and a key with the largest weight times effect of the query."""
    scores = {
        (row.query, (int(key),)): result.share(row.effect) * float(weights[key])
        for row in result.queries if result.share(row.effect) >= SMALL
        for weights in (attn_map.weights[result.head, row.query],)
        for key in np.flatnonzero(weights)
    }  # fmt: skip
    return sorted(scores, key=lambda pair: -scores[pair])[:PAIRS]


def _groups(
    pairs: Sequence[tuple[int, tuple[int, ...]]], keys: Sequence[Token]
) -> list[tuple[int, tuple[int, ...]]]:  # fmt: skip
    """Returns the keys of ``pairs`` with their neighbours, `GROUPS` at most."""
    groups = dict.fromkeys((query, tuple(sorted((key, *neighbours(keys, key))))) for query, (key,) in pairs)
    return [(query, own) for query, own in groups if len(own) > 1][:GROUPS]
