"""What each head does: where it looks, and what changes when it is switched off."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.modality_matrix import modality_matrix
from mmviz.analysis.sinks import sinks
from mmviz.types import (
    INPUT_MODALITIES,
    AblateHead,
    AttentionMap,
    AttentionRecord,
    Change,
    Chars,
    Modality,
    PixelBox,
    Request,
    Sample,
    Seconds,
    Token,
)

CHUNK = 32
DEAD = 0.01
"""A head whose absence moves the answer's log-probability by less, and no other answer's probability by as much, does
nothing for this input."""
REDUNDANT = 0.1
"""Two heads whose maps lie nearer than this (0: the same, 1: nothing in common) are twins."""


@dataclass(frozen=True)
class HeadEffect:
    """``effect``: change of the answer's log-probability when the head is switched off; below 0 it was needed.

    ``answer`` and ``probability``: the likeliest answer then. ``moved``: the largest change of any answer's
    probability.
    """

    map: int
    head: int
    effect: float
    answer: str
    probability: float
    moved: float

    @property
    def is_dead(self) -> bool:
        """Whether the head does nothing for this input."""
        return abs(self.effect) < DEAD and self.moved < DEAD


@dataclass(frozen=True)
class HeadProfile:
    """Where a head looks, on the average over all queries.

    ``entropy``: 0 all on one token, 1 even over all. ``distance``: how far from the query, within its own modality, as
    a multiple of what even attention gives; None where no query looks at its own modality. ``given``: what the asking
    token gives to each modality. ``sinks``: keys that draw attention whatever asks, with their mean share;
    ``registers``: those of them that lie in the picture or the sound.
    """

    map: int
    head: int
    entropy: float
    distance: float | None
    given: Mapping[Modality, float]
    sinks: tuple[tuple[int, float], ...]
    registers: tuple[int, ...]


def every_head(record: AttentionRecord) -> list[tuple[int, int]]:
    """All heads, by map and head."""
    return [(number, head) for number, found in enumerate(record.maps) for head in range(found.heads)]


def head_requests(
    model: str, sample: Sample, heads: Sequence[tuple[int, int]], changes: tuple[Change, ...] = (), seed: int = 0
) -> tuple[Request, ...]:
    """What has to be run for `read_heads`: each head switched off alone, `CHUNK` heads in a batch.

    Source: Michel, Levy and Neubig 2019, "Are Sixteen Heads Really Better than One?", section 3.2 (ablating one head).
    """
    sweep = [(AblateHead(number, head),) for number, head in heads]
    return tuple(
        Request(model, sample, changes, seed, maps=False, sweep=tuple(sweep[first : first + CHUNK]))
        for first in range(0, len(sweep), CHUNK)
    )


def read_heads(heads: Sequence[tuple[int, int]], records: Sequence[AttentionRecord]) -> list[HeadEffect]:
    """The effect of every head, of what `head_requests` asked for (maybe fewer records, where it was stopped).

    Formula: ``log p(answer | head off) - log p(answer)``, the answer being the likeliest with all heads on.
    """
    found = []
    rows = [(record, row) for record in records if record.sweep is not None for row in record.sweep]
    for (number, head), (record, row) in zip(heads, rows, strict=False):
        base = np.array([answer.probability for answer in record.answers])
        now = np.exp(row)
        best = int(now.argmax())
        effect = float(row[0]) - math.log(max(base[0], 1e-300))
        label, moved = record.answers[best].label, float(np.abs(now - base).max())
        found.append(HeadEffect(number, head, effect, label, float(now[best]), moved))
    return found


def head_profiles(record: AttentionRecord, answer_query: int) -> list[HeadProfile]:
    """Where every head looks; of maps that have all their weights.

    Formulas: entropy ``- sum over k of w[q, k] log w[q, k] / log(keys)``, mean over queries; distance: mean over the
    queries of ``sum over k of w[q, k] d(q, k) / sum over k of w[q, k]``, k of the modality of q, divided by the same
    under even weights; d: between the middles of patches in widths of the picture, in seconds, in words. Sources:
    entropy and distance as in Clark et al. 2019 and Dosovitskiy et al. 2021, appendix D.7; registers after Darcet et
    al. 2024, whose norms a record does not hold: here they are sinks that have a place.
    """
    found = []
    for number, one in enumerate(record.maps):
        if not isinstance(one, AttentionMap):
            continue
        queries, keys = record.streams[one.queries], record.streams[one.keys]
        apart = _distances(queries, keys)
        for head in range(one.heads):
            weights = one.weights[head].astype(np.float64)
            row = modality_matrix(weights[[answer_query if answer_query < len(queries) else 0]], [queries[0]], keys)
            drawn = tuple(sinks(weights.mean(0)))
            registers = tuple(k for k, _ in drawn if isinstance(keys[k].location, PixelBox | Seconds))
            given = dict(zip(row.keys, row.sums[0].tolist(), strict=True))
            found.append(
                HeadProfile(number, head, _entropy(weights), _distance(weights, apart), given, drawn, registers)
            )
    return found


def redundant_heads(record: AttentionRecord) -> list[tuple[tuple[int, int], tuple[int, int], float]]:
    """Pairs of heads that look at the same, nearest first: ``((map, head), (map, head), distance)``.

    Formula: root of the mean over queries of the Jensen-Shannon divergence of their rows, to the base 2; pairs below
    `REDUNDANT`. Compared are heads of maps with the same queries and keys. Source: Lin 1991 (the divergence); as a measure
    of how alike heads are: Clark et al. 2019, section 6.
    """
    rows = [
        ((number, head), (one.queries, one.keys), one.weights[head].astype(np.float64))
        for number, one in enumerate(record.maps)
        if isinstance(one, AttentionMap)
        for head in range(one.heads)
    ]
    own = [_plain_entropy(weights) for _, _, weights in rows]
    found = []
    for k, (place, streams, weights) in enumerate(rows):
        for j in range(k):
            other, others, more = rows[j]
            if streams != others:
                continue
            distance = _apart(weights, more, own[k], own[j])
            if distance < REDUNDANT:
                found.append((other, place, distance))
    return sorted(found, key=lambda one: one[2])


def js_distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """How far two heads' maps ``[query, key]`` of the same tokens lie apart, as `redundant_heads` has it: 0 the same, 1 nothing
    in common."""
    first, second = one.astype(np.float64), other.astype(np.float64)
    return _apart(first, second, _plain_entropy(first), _plain_entropy(second))


def _apart(
    one: NDArray[np.float64], other: NDArray[np.float64], own: NDArray[np.float64], others: NDArray[np.float64]
) -> float:
    between = _plain_entropy((one + other) / 2) - (own + others) / 2
    return math.sqrt(max(0.0, float(between.mean()) / math.log(2)))


def _entropy(weights: NDArray[np.float64]) -> float:
    keys = weights.shape[1]
    return float(_plain_entropy(weights).mean() / math.log(keys)) if keys > 1 else 0.0


def _plain_entropy(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-(weights * np.log(np.where(weights > 0, weights, 1))).sum(-1))


def _distance(weights: NDArray[np.float64], apart: NDArray[np.float64]) -> float | None:
    known = np.isfinite(apart)
    far = np.where(known, apart, 0)
    own, even = (weights * known).sum(1), known.sum(1)
    asks = (own > 0) & (even > 1)
    if not asks.any():
        return None
    seen = (weights * far).sum(1)[asks] / own[asks]
    return float(seen.mean() / (far.sum(1)[asks] / even[asks]).mean())


def _distances(queries: Sequence[Token], keys: Sequence[Token]) -> NDArray[np.float64]:
    """``[query, key]``: how far apart two tokens of one modality are; not a number for others."""
    found = np.full((len(queries), len(keys)), np.nan)
    for modality in INPUT_MODALITIES:
        rows = [k for k, token in enumerate(queries) if token.modality is modality and token.location is not None]
        columns = [k for k, token in enumerate(keys) if token.modality is modality and token.location is not None]
        if not rows or not columns:
            continue
        here, there = (np.array([_middle(tokens[k], n) for n, k in enumerate(some)])
                       for tokens, some in ((queries, rows), (keys, columns)))  # fmt: skip
        found[np.ix_(rows, columns)] = np.linalg.norm(here[:, None] - there[None], axis=-1)
    return found


def _middle(token: Token, number: int) -> tuple[float, float]:
    where = token.location
    if isinstance(where, PixelBox):
        return (where.x0 + where.x1) / 2, (where.y0 + where.y1) / 2
    if isinstance(where, Seconds):
        return (where.start + where.end) / 2, 0.0
    assert isinstance(where, Chars)
    return float(number), 0.0
