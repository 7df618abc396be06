"""The search for the routes that carry an answer: what is read, by which tokens and in which layers, by cutting it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from mmviz.analysis.key_clusters import (
    cluster_overlap,
    key_clusters,
    largest_cluster,
    wider_clusters,
)
from mmviz.backends import Backend, Progress, Stop
from mmviz.experiments.route_cut import CHUNK, LayerWindow, Route, route_cells, route_windows
from mmviz.experiments.sweep_requests import sweep_effects, sweep_requests
from mmviz.types import (
    ANSWER,
    INPUT_MODALITIES,
    AttentionRecord,
    Change,
    ChosenTokens,
    CutRoute,
    Modality,
    Request,
    Token,
    TokenGroup,
)

LEAST = 0.1
"""A step is told only if its cut takes at least this from the answer's log-probability, in nats."""
MOST_STEPS = 5
SMALL = 0.1
"""A step is not told if its effect is less than this part of the largest."""
CANDIDATES = {Modality.IMAGE: 4, Modality.TEXT: 3, Modality.AUDIO: 1}
"""Keys from which clusters grow that are tried, for each route into a modality."""
MOST_CANDIDATES = 32
"""Clusters that are tried in all."""
MOST_WIDER = 24
"""Clusters with the tokens around them that are tried in all, see `wider_keys_of`."""
READERS = 2
"""Clusters of queries that are tried for each step."""
MAIN = 0.25
"""Some keys stand for a route if their cut takes at least this part of what the cut of the whole route takes."""
KEPT = 0.6
"""Fewer queries or layers stand for all if their cut still takes this part."""
CORES = 2
"""Smaller ones that are tried in its place, at most."""
STAGES = 7
"""Rounds of cuts, each in as few calls of the model as possible."""


@dataclass(frozen=True)
class Step:
    """A route, or a part of it, and what its cut takes from the answer."""

    queries: TokenGroup
    """The tokens that attend: a group, or chosen ones."""
    keys: TokenGroup
    """The tokens that they attend to; a modality where no part of it carries the route alone."""
    modality: Modality
    """That of the keys."""
    windows: tuple[LayerWindow, ...] = (LayerWindow(),)
    """The layers of the cut, consecutive ones of each stack."""
    effect: float = 0.0
    """Change of the answer's log-probability if exactly this is cut, in nats; 0 before it was."""
    answer: str = ""
    """The most probable answer without it."""
    probability: float = 0.0
    """Probability of that answer."""
    is_changed: bool | None = False
    """Whether that is another answer, see `RouteEffect.is_changed`."""

    @property
    def cuts(self) -> tuple[CutRoute, ...]:
        """The changes that cut it, as they were measured."""
        return tuple(CutRoute(self.queries, self.keys, window.stack, window.layers) for window in self.windows)

    def key_tokens(self, record: AttentionRecord) -> tuple[Token, ...]:
        """Returns the chosen keys; none where they are a whole modality."""
        return _chosen(record, self.keys)

    def query_tokens(self, record: AttentionRecord) -> tuple[Token, ...]:
        """Returns the chosen queries; none where they are a group."""
        return _chosen(record, self.queries)


class Stopped(Exception):
    """The visitor has stopped the experiment."""


@dataclass
class Cutter:
    """Cuts candidates in as few calls of the model as possible, and counts the stages."""

    backend: Backend
    """Where the model runs."""
    request: Request
    """The run whose answer is measured; cuts are added to its changes."""
    progress: Progress
    """Receives the number of stages that are done, and `STAGES`."""
    stop: Stop
    """Ends the search early where it returns True."""
    stage: int = 0
    """Number of stages that are done."""

    def measure(self, candidates: Sequence[Step]) -> list[Step]:
        """Returns the candidates with their effects. Raises `Stopped`."""
        return [
            replace(candidate, effect=effect, answer=answer, probability=probability, is_changed=is_changed)
            for candidate, (effect, answer, probability, is_changed) in zip(
                candidates, self.effects([candidate.cuts for candidate in candidates]), strict=True
            )
        ]

    def effects(self, sweep: Sequence[tuple[Change, ...]]) -> list[tuple[float, str, float, bool | None]]:
        """Returns the change of the answer's log-probability of each variant, the answer without it, its probability,
        and whether it is another. Raises `Stopped`."""
        requests = sweep_requests(self.request, sweep, CHUNK)
        records = self.backend.run(requests, stop=self.stop)
        if len(records) < len(requests):
            raise Stopped
        self.stage += 1
        self.progress(min(self.stage, STAGES), STAGES)
        return [row for record in records for row in sweep_effects(record)]


def most_cuts(record: AttentionRecord) -> int:
    """Returns how many variants of the run of ``record`` a story needs at most."""
    windows = len(route_windows(record)) - 1
    narrowing = 2 * READERS + 1 + CORES + 2 * windows  # with the ends of the layers, and all that is known
    counts = [sum(t.modality is m for t in tokens) for tokens in record.streams.values() for m in INPUT_MODALITIES]
    confirming = 2 * max(map(largest_cluster, counts), default=0) + 1  # each query and key, and what is left
    return len(routes_of(record)) + MOST_CANDIDATES + MOST_WIDER + MOST_STEPS * (narrowing + confirming)


def routes_of(record: AttentionRecord) -> list[Step]:
    """Returns the routes of a record between modalities, and into the answer, cut in all layers."""
    readers: tuple[TokenGroup, ...] = (ANSWER, *INPUT_MODALITIES)
    groups: list[Route] = [(queries, keys) for queries in readers for keys in INPUT_MODALITIES]
    cells = route_cells(record, [LayerWindow()], groups)
    return [Step(cell.queries, cell.keys, Modality(cell.keys)) for cell in cells if isinstance(cell.keys, Modality)]


def looked_into(routes: Sequence[Step]) -> list[Step]:
    """Returns the routes that the answer needs at all, the largest effect first.

    A part may take far more than the whole does: what reads of nothing is taken otherwise than what reads of the rest.
    """
    return sorted((route for route in routes if route.effect <= -LEAST), key=lambda route: route.effect)


def needed(candidates: Sequence[Step]) -> list[Step]:
    """Returns the candidates that the answer needs most, the largest effect first."""
    largest = min((candidate.effect for candidate in candidates), default=0.0)
    needed = (candidate for candidate in candidates if candidate.effect <= min(-LEAST, SMALL * largest))
    return sorted(needed, key=lambda candidate: candidate.effect)


def keys_of(record: AttentionRecord, routes: Sequence[Step]) -> list[Step]:
    """Returns candidates for the keys that carry each of ``routes``, those of the largest effects first.

    They are what all queries of a route read most, and what those read that the answer token itself reads most.
    """
    by_route = []
    for route in routes:
        most = CANDIDATES[route.modality]
        clusters = key_clusters(record, route.queries, route.modality, most)
        for place in _answered(record, route.queries):
            others = key_clusters(record, place, route.modality, most)
            others = [keys for keys in others if cluster_overlap(keys, place) == 0]
            clusters = [keys for pair in zip_longest(clusters, others) for keys in pair if keys is not None]
        by_route.append([replace(route, keys=keys) for keys in dict.fromkeys(clusters)])
    ranks = range(max(map(len, by_route), default=0))
    in_turn = [tried[rank] for rank in ranks for tried in by_route if rank < len(tried)]
    return in_turn[:MOST_CANDIDATES]


def wider_keys_of(record: AttentionRecord, routes: Sequence[Step], tried: Sequence[Step]) -> list[Step]:
    """Returns candidates for the keys of those ``routes`` that no keys ``tried`` carry: larger ones, layer by layer.

    What is tried first is read most in any layer, and may be read in a layer that carries nothing. And patches and
    moments hold more than lies within their edges, since an encoder has mixed them: what touches a thing stands in for
    it, so that to cut the thing alone changes little.
    """
    carried = {(part.queries, part.modality) for part in tried if _carries(part, routes)}
    lacking = [route for route in routes if (route.queries, route.modality) not in carried]
    clusters = [
        [replace(route, keys=keys) for keys in wider_clusters(record, route.queries, route.modality)]
        for route in lacking if route.modality is not Modality.TEXT  # a word ends where it ends
    ]  # fmt: skip
    in_turn = [candidate for rank in zip_longest(*clusters) for candidate in rank if candidate is not None]
    return in_turn[:MOST_WIDER]


def _carries(part: Step, routes: Sequence[Step]) -> bool:
    """Returns whether the cut of ``part`` takes `MAIN` of what the cut of its whole route takes, and `LEAST`."""
    whole = next(r.effect for r in routes if (r.queries, r.modality) == (part.queries, part.modality))
    return part.effect <= min(MAIN * whole, -LEAST)


def _answered(record: AttentionRecord, queries: TokenGroup) -> list[ChosenTokens]:
    """Returns the tokens of the modality ``queries`` that the answer token reads most; none of any other group."""
    return key_clusters(record, ANSWER, queries, 1)[:1] if isinstance(queries, Modality) else []


def chosen_routes(routes: Sequence[Step], tried: Sequence[Step]) -> list[Step]:
    """Returns at most `MOST_STEPS` of what was cut: some keys where they carry enough of a route, else the whole.

    What was read once is told once, by those queries that need it most, and once more where the answer token reads it:
    every path ends with that. A whole modality is told only where no part of
    it is. What the answer token itself reads most comes first; then modalities take turns, each with its largest
    effects first.
    """
    parts: list[Step] = []
    for part in needed(tried):
        if _carries(part, routes):
            small = _smallest(part, tried)
            same = [other for other in parts if (other.queries == ANSWER) == (small.queries == ANSWER)]
            if not any(cluster_overlap(small.keys, other.keys) > 0.3 for other in same):
                parts.append(small)
    known = {part.modality for part in parts}
    rest = [route for route in routes if route.modality not in known]
    by_modality: dict[Modality, list[Step]] = {}
    into_answer = min((part for part in parts if part.queries == ANSWER), key=lambda c: c.effect, default=None)
    for candidate in sorted((*parts, *rest), key=lambda c: (c is not into_answer, c.effect)):
        own = by_modality.setdefault(candidate.modality, [])
        if not (own and isinstance(candidate.keys, Modality)):  # one step tells of a whole modality
            own.append(candidate)
    ranks = range(max(map(len, by_modality.values()), default=0))
    in_turn = [own[rank] for rank in ranks for own in by_modality.values() if rank < len(own)]
    return [candidate for candidate in in_turn if candidate in needed(in_turn)][:MOST_STEPS]


def _smallest(part: Step, tried: Sequence[Step]) -> Step:
    """Returns the fewest of the keys of ``part`` that were tried and still take `KEPT` of what all of them take."""
    assert isinstance(part.keys, ChosenTokens)
    within = [
        other for other in tried
        if isinstance(other.keys, ChosenTokens) and other.queries == part.queries
        and other.keys.stream == part.keys.stream and set(other.keys.tokens) <= set(part.keys.tokens)
        and other.effect <= min(KEPT * part.effect, -LEAST)
    ]  # fmt: skip
    return min(within, key=lambda other: len(other.keys.tokens))  # type: ignore[union-attr]


def _chosen(record: AttentionRecord, group: TokenGroup) -> tuple[Token, ...]:
    if not isinstance(group, ChosenTokens):
        return ()
    tokens = record.streams[group.stream or record.flow_streams[0]]
    return tuple(tokens[k] for k in group.tokens)
