"""From a head to its edge: the pairs of a query and a key that carry the effect of a head, measured by masking them.

First each query of the head is masked alone, which is the head ablated at that query, and each key alone for all
queries. Then the pairs of the queries that matter are masked, those of the largest weights, each alone and together
with the keys beside it. Last they are masked together, one more each time: the strongest pairs; where these do not
carry the effect, the strongest groups; then the pairs of the largest weights, which may stand in for each other; then
the strongest keys for all queries, as where many tokens read one word. What is left of a row attends to the other keys,
so that effects of several edges need not add up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from mmviz.analysis.adjacent_tokens import neighbours
from mmviz.analysis.answer_shares import answer_log_probability
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
from mmviz.types.best_answer import best_answer
from mmviz.types.readout_tokens import answer_tokens

CHUNK = 64
"""Variants in the sweep of one request at most."""
MASK_SIZE = 1 << 28
"""Pairs of all heads in the masks of one request at most."""
QUERIES = 128
"""Queries that are masked: those of the answer, then those of the largest weights."""
KEYS = 48
"""Keys that are masked for all queries: those that get the most attention."""
PAIRS = 32
"""Pairs that are masked: those of the largest weight times effect of their query."""
GROUPS = 16
"""Pairs that are masked with the keys beside theirs."""
FEW = 8
"""Edges that are masked together at most."""
CARRIED = 0.5
"""Share of the head's effect that its edges must carry together, for it to be said that they carry it."""
SLIGHT = 0.003
"""Share of the head's effect that an edge must carry alone to be masked with others for its effect: little, since
several can stand in for each other."""

Sides = tuple[tuple[int, ...], tuple[int, ...]]
"""The queries and the keys of an edge."""


@dataclass(frozen=True)
class HeadEdge:
    """Queries of a head, and the keys that they are not to attend to."""

    queries: tuple[int, ...]
    """Indices of the tokens in the stream of the map's queries, ascending: one, or all."""
    keys: tuple[int, ...]
    """Indices of the tokens in the stream of its keys, ascending: one, some beside each other, or all."""
    weight: float
    """What a query's weights on these keys sum to, from 0 to 1; mean over the queries."""
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
    queries: tuple[HeadEdge, ...] = ()
    """Single queries with all their keys, those that carry most of the effect first."""
    keys: tuple[HeadEdge, ...] = ()
    """Single keys with all their queries, those that carry most of the effect first."""
    edges: tuple[HeadEdge, ...] = ()
    """The edges that were masked, in the order in which the first of them were masked together."""
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
    def together(self) -> tuple[HeadEdge, ...]:
        """The edges that were masked together: the first few."""
        return tuple(edge for edge in self.edges if edge.together is not None)

    @property
    def strongest(self) -> HeadEdge | None:
        """The first edge that carries the effect; where none does, the query or key that carries the most of it, with
        all that it attends to or that attends to it; None where that is no more than an idle head, see `DEAD`."""
        if self.carrying:
            return self.carrying[0]
        strongest = self.by_effect([*self.queries[:1], *self.keys[:1]])[:1]
        return next((edge for edge in strongest if edge.effect * self.effect > 0 and abs(edge.effect) >= DEAD), None)

    def share(self, effect: float) -> float:
        """Returns ``effect`` as a share of that of the head, which may lie below 0 or above 1."""
        return effect / self.effect if self.effect else 0.0

    def by_effect(self, edges: Sequence[HeadEdge]) -> tuple[HeadEdge, ...]:
        """Returns ``edges``, those that carry most of the effect first."""
        return tuple(sorted(edges, key=lambda edge: -self.share(edge.effect)))


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
    its weights; ``answer-none`` for a model without answers; and where the model's attention cannot be cut.
    """
    best_answer(record)
    attn_map = record.maps[number]
    if not isinstance(attn_map, AttentionMap):
        raise MmvizError("edges-long")
    chunk = max(1, min(CHUNK, MASK_SIZE // (attn_map.heads * math.prod(attn_map.shape))))
    rows, columns = _rows(record, attn_map, head), _columns(attn_map, head)
    stages = list(accumulate((math.ceil(count / chunk) for count in _planned(len(rows), len(columns))), initial=0))

    def effects(stage: int, variants: Sequence[tuple[Change, ...]]) -> list[float]:
        """Returns the effect of each variant, of fewer after a stop."""
        requests = sweep_requests(request, variants, chunk)
        return _effects(backend.run(requests, lambda done, _: progress(stages[stage] + done, stages[-1]), stop))

    def masked(stage: int, sides: Sequence[Sides]) -> tuple[HeadEdge, ...]:
        """Returns the edges of these sides, each masked alone; fewer after a stop."""
        values = effects(stage, [(edge_cut(attn_map, head, *own),) for own in sides])
        return tuple(HeadEdge(*own, _weight(attn_map, head, *own), e) for own, e in zip(sides, values, strict=False))

    ablated = effects(0, [(AblateHead(number, head),)])
    result = HeadEdges(number, head, sum(ablated), is_complete=bool(ablated))
    if result.is_idle:
        return result

    edges = masked(1, [*rows, *columns])
    by_column = result.by_effect(edges[len(rows) :])
    result = replace(result, queries=result.by_effect(edges[: len(rows)]), keys=by_column)
    if len(edges) < len(rows) + len(columns):
        return replace(result, edges=by_column, is_complete=False)

    pairs = _pairs(result, attn_map)
    groups = _groups(pairs, record.streams[attn_map.keys])
    edges = masked(2, [*pairs, *groups])
    by_weight = edges[: len(pairs)]
    if len(edges) < len(pairs) + len(groups):
        return replace(result, edges=result.by_effect(by_weight), is_complete=False)

    orders = (result.by_effect(by_weight), result.by_effect(edges[len(pairs) :]), by_weight, by_column)
    counts = [
        sum(order is by_weight or result.share(edge.effect) >= SLIGHT for edge in order[:FEW]) for order in orders
    ]
    sets = [order[:count] for order, most in zip(orders, counts, strict=True) for count in range(1, most + 1)]
    values = effects(3, [tuple(edge_cut(attn_map, head, e.queries, e.keys) for e in own) for own in sets])
    ends = list(accumulate(counts, initial=0))
    measured = [
        replace(result, edges=_with_together(order, values[start:end]), is_complete=len(values) == len(sets))
        for order, start, end in zip(orders, ends, ends[1:], strict=False)
    ]
    carrying = [some for some in measured if some.carrying]
    several = [some for some in measured if some.together]
    several.sort(key=lambda some: -result.share(some.together[-1].together or 0.0))
    return (*carrying, *several, measured[0])[0]


def most_variants(record: AttentionRecord, number: int) -> int:
    """Returns how many variants of the run `measure_head_edges` makes at most for a head of map ``number``."""
    queries, keys = record.maps[number].shape
    return sum(_planned(min(queries, QUERIES), min(keys, KEYS)))


def _planned(queries: int, keys: int) -> tuple[int, int, int, int]:
    """Returns the numbers of variants of each stage at most: the head, single tokens, pairs and groups, and sets."""
    return 1, queries + keys, PAIRS + GROUPS, 4 * FEW


def edge_cut(attn_map: AttentionMap, head: int, queries: Sequence[int], keys: Sequence[int]) -> CutRoute:
    """Returns the change that keeps ``queries`` of one head from attending to ``keys``."""
    return CutRoute(
        ChosenTokens(tuple(queries), attn_map.queries), ChosenTokens(tuple(keys), attn_map.keys), attn_map.stack,
        (attn_map.layer,), (head,),
    )  # fmt: skip


def _effects(records: Sequence[AttentionRecord]) -> list[float]:
    """Returns ``log p(answer | change) - log p(answer)`` of each variant; the answer is that without a change."""
    return [
        float(row[0]) - answer_log_probability(record)
        for record in records if record.sweep is not None
        for row in record.sweep
    ]  # fmt: skip


def _weight(attn_map: AttentionMap, head: int, queries: Sequence[int], keys: Sequence[int]) -> float:
    return float(attn_map.weights[head][np.ix_(queries, keys)].sum(-1, dtype=np.float64).mean())


def _with_together(edges: Sequence[HeadEdge], effects: Sequence[float]) -> tuple[HeadEdge, ...]:
    """Returns ``edges``, of which the first one, the first two and so on have ``effects`` together."""
    first = (replace(edge, together=effect) for edge, effect in zip(edges, effects, strict=False))
    return (*first, *edges[len(effects) :])


def _rows(record: AttentionRecord, attn_map: AttentionMap, head: int) -> list[Sides]:
    """Returns at most `QUERIES` queries that attend to anything: those of the answer first, then by largest weight."""
    largest, keys = attn_map.weights[head].max(-1), tuple(range(attn_map.shape[1]))
    answer = answer_tokens(record).get(attn_map.queries, ())
    order = sorted(np.flatnonzero(largest).tolist(), key=lambda query: (query not in answer, -largest[query]))
    return [((query,), keys) for query in order[:QUERIES]]


def _columns(attn_map: AttentionMap, head: int) -> list[Sides]:
    """Returns the `KEYS` that get the most attention, each with all queries; none where there is a single query."""
    total, queries = attn_map.weights[head].sum(0), tuple(range(attn_map.shape[0]))
    order = np.argsort(-total, kind="stable")[: KEYS if len(queries) > 1 else 0]
    return [(queries, (int(key),)) for key in order if total[key] > 0]


def _pairs(result: HeadEdges, attn_map: AttentionMap) -> list[Sides]:
    """Returns the `PAIRS` of a query and a key with the largest weight times effect of the query."""
    scores: dict[Sides, float] = {}
    for row in result.queries:
        weights = attn_map.weights[result.head, row.queries[0]]
        if result.share(row.effect) > 0:
            scores |= {
                (row.queries, (int(key),)): result.share(row.effect) * float(weights[key])
                for key in np.argsort(-weights, kind="stable")[:PAIRS] if weights[key] > 0
            }  # fmt: skip
    return sorted(scores, key=lambda pair: -scores[pair])[:PAIRS]


def _groups(pairs: Sequence[Sides], keys: Sequence[Token]) -> list[Sides]:
    """Returns ``pairs`` with the keys beside theirs, `GROUPS` at most."""
    groups = dict.fromkeys((query, tuple(sorted((key, *neighbours(keys, key))))) for query, (key,) in pairs)
    return [(query, own) for query, own in groups if len(own) > 1][:GROUPS]
