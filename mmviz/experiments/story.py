"""The story of an answer: the two to five routes that carry it, each confirmed by its own cut.

Routes between whole modalities are cut first. Of those that the answer needs, candidates for what is read (neighbouring
patches, consecutive moments, words) are proposed by attention and cut alone; then those that read it, and the layers in
which it is read. A step is told only with the effect of the cut at exactly its tokens and layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmviz.analysis.key_clusters import cluster_overlap, key_clusters, nearest_queries
from mmviz.backends import Backend, Progress, Stop, ignore_progress, never_stop
from mmviz.experiments.route_cut import CHUNK, LayerWindow, route_cells, route_windows, ways_out
from mmviz.experiments.sweep_requests import sweep_requests
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
"""A route is not looked into if its effect is less than this part of the largest, and a step not told."""
CANDIDATES = {Modality.IMAGE: 3, Modality.TEXT: 3, Modality.AUDIO: 1}
"""Keys from which clusters grow that are tried, for each route into a modality."""
MOST_CANDIDATES = 30
"""Clusters that are tried in all."""
READERS = 3
"""Clusters of queries that are tried for each step."""
MAIN = 0.25
"""Some keys stand for a route if their cut takes at least this part of what the cut of the whole route takes."""
KEPT = 0.6
"""Fewer queries or layers stand for all if their cut still takes this part."""
_STAGES = 4


@dataclass(frozen=True)
class Step:
    """A route that the answer needs."""

    queries: TokenGroup
    """The tokens that attend: a group, or chosen ones."""
    keys: TokenGroup
    """The tokens that they attend to; a modality where no part of it carries the route alone."""
    modality: Modality
    """That of the keys."""
    windows: tuple[LayerWindow, ...]
    """The layers of the cut, consecutive ones of each stack."""
    effect: float
    """Change of the answer's log-probability if exactly this is cut, in nats; at most ``-LEAST``."""
    answer: str
    """The most probable answer without it."""
    probability: float
    """Probability of that answer."""
    is_changed: bool
    """Whether that is another answer."""

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


@dataclass(frozen=True)
class Story:
    """The steps that carry one answer."""

    answer: str
    """The most probable answer."""
    probability: float
    """Probability of that answer."""
    steps: tuple[Step, ...]
    """At most `MOST_STEPS`, in the order of layers; empty where no single route carries the answer."""
    ways_out: tuple[tuple[Modality, float], ...] = ()
    """Where there are no steps: the change of the answer's log-probability if every way out of a modality is cut, for
    those that the answer needs all the same, in nats."""
    is_complete: bool = True
    """False where it was stopped before the last cut."""


@dataclass(frozen=True)
class _Candidate:
    """A cut that may become a step, and what it takes."""

    queries: TokenGroup
    keys: TokenGroup
    modality: Modality
    windows: tuple[LayerWindow, ...] = (LayerWindow(),)
    effect: float = 0.0
    answer: str = ""
    probability: float = 0.0
    is_changed: bool = False

    @property
    def cuts(self) -> tuple[CutRoute, ...]:
        return tuple(CutRoute(self.queries, self.keys, window.stack, window.layers) for window in self.windows)


class _Stopped(Exception):
    """The visitor has stopped the experiment."""


@dataclass
class _Cutter:
    """Cuts candidates in as few calls of the model as possible, and counts the stages."""

    backend: Backend
    request: Request
    progress: Progress
    stop: Stop
    stage: int = 0

    def measure(self, candidates: Sequence[_Candidate]) -> list[_Candidate]:
        """Returns the candidates with their effects. Raises `_Stopped`."""
        return [
            replace(candidate, effect=effect, answer=answer, probability=probability, is_changed=is_changed)
            for candidate, (effect, answer, probability, is_changed) in zip(
                candidates, self.effects([candidate.cuts for candidate in candidates]), strict=True
            )
        ]

    def effects(self, sweep: Sequence[tuple[Change, ...]]) -> list[tuple[float, str, float, bool]]:
        """Returns the change of the answer's log-probability of each variant, the answer without it, its probability,
        and whether it is another. Raises `_Stopped`."""
        requests = sweep_requests(self.request, sweep, CHUNK)
        records = self.backend.run(requests, stop=self.stop)
        if len(records) < len(requests):
            raise _Stopped
        self.stage += 1
        self.progress(min(self.stage, _STAGES), _STAGES)
        effects = []
        for record in records:
            assert record.sweep is not None
            before = math.log(max(record.answers[0].probability, 1e-300))
            for row in record.sweep:
                best = int(row.argmax())
                effects.append(
                    (float(row[0]) - before, record.answers[best].label, math.exp(float(row[best])), bool(row[best] > row[0]))
                )  # fmt: skip
        return effects


def measure_story(
    backend: Backend,
    request: Request,
    record: AttentionRecord,
    progress: Progress = ignore_progress,
    stop: Stop = never_stop,
) -> Story:
    """Returns the `Story` of the answer of ``request``, whose record, with maps, is ``record``.

    ``progress`` is told of stages, of which there are four at most. If it was stopped, the story holds what was
    confirmed until then. Of an answer that the model wrote, it is about the words of `Request.answer_part`, or the
    whole. Raises ``MmvizError`` where the model's attention cannot be cut.

    Sources: Geva et al. 2023, "Dissecting Recall of Factual Associations in Auto-Regressive Language Models"
    (attention knockout); the search for what carries a route is ours.
    """
    cutter = _Cutter(backend, request, progress, stop)
    first = record.answers[0]
    steps: Sequence[_Candidate] = ()
    others: tuple[tuple[Modality, float], ...] = ()
    is_complete = True
    try:
        routes = _needed(cutter.measure(_routes(record)))
        tried = cutter.measure(_keys_of(record, routes)) if routes else []
        chosen = _chosen_routes(routes, tried)
        if chosen:
            steps = chosen if stop() else _narrowed(cutter, record, chosen, tried)
        else:
            others = _ways_out(cutter, record)
    except _Stopped:
        is_complete = False
    told = [_step(step) for step in steps if step.effect <= -LEAST]
    progress(_STAGES, _STAGES)
    return Story(first.label, first.probability, tuple(sorted(told, key=_order(record))), others, is_complete)


def _routes(record: AttentionRecord) -> list[_Candidate]:
    """Returns the routes of a record between modalities, and into the answer, cut in all layers."""
    groups = [(queries, keys) for queries in (ANSWER, *INPUT_MODALITIES) for keys in INPUT_MODALITIES]
    cells = route_cells(record, [LayerWindow()], groups)
    return [_Candidate(cell.queries, cell.keys, Modality(cell.keys)) for cell in cells if isinstance(cell.keys, Modality)]


def _needed(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Returns the candidates that the answer needs, the largest effect first."""
    largest = min((candidate.effect for candidate in candidates), default=0.0)
    needed = (candidate for candidate in candidates if candidate.effect <= min(-LEAST, SMALL * largest))
    return sorted(needed, key=lambda candidate: candidate.effect)


def _keys_of(record: AttentionRecord, routes: Sequence[_Candidate]) -> list[_Candidate]:
    """Returns candidates for the keys that carry each of ``routes``, those of the largest effects first."""
    by_route = []
    for route in routes:
        clusters = key_clusters(record, route.queries, route.modality, CANDIDATES[route.modality])
        by_route.append([replace(route, keys=cluster) for cluster in clusters])
    ranks = range(max(map(len, by_route), default=0))
    in_turn = [tried[rank] for rank in ranks for tried in by_route if rank < len(tried)]
    return in_turn[:MOST_CANDIDATES]


def _chosen_routes(routes: Sequence[_Candidate], tried: Sequence[_Candidate]) -> list[_Candidate]:
    """Returns at most `MOST_STEPS` of what was cut: some keys where they carry enough of a route, else the whole.

    What was read once is told once, by those queries that need it most. A whole modality is told only where no part of
    it is. Modalities take turns, each with its largest effects first.
    """
    whole = {(route.queries, route.modality): route.effect for route in routes}
    parts: list[_Candidate] = []
    for part in _needed(tried):
        if part.effect <= MAIN * whole[part.queries, part.modality]:
            small = _smallest(part, tried)
            if not any(cluster_overlap(small.keys, other.keys) > 0.3 for other in parts):
                parts.append(small)
    known = {part.modality for part in parts}
    rest = [route for route in routes if route.modality not in known]
    by_modality: dict[Modality, list[_Candidate]] = {}
    for candidate in sorted((*parts, *rest), key=lambda c: c.effect):
        own = by_modality.setdefault(candidate.modality, [])
        if not (own and isinstance(candidate.keys, Modality)):  # one step tells of a whole modality
            own.append(candidate)
    ranks = range(max(map(len, by_modality.values()), default=0))
    in_turn = [own[rank] for rank in ranks for own in by_modality.values() if rank < len(own)]
    return [candidate for candidate in in_turn if candidate in _needed(in_turn)][:MOST_STEPS]


def _smallest(part: _Candidate, tried: Sequence[_Candidate]) -> _Candidate:
    """Returns the fewest of the keys of ``part`` that were tried and still take `KEPT` of what all of them take."""
    assert isinstance(part.keys, ChosenTokens)
    within = [
        other for other in tried
        if isinstance(other.keys, ChosenTokens) and other.queries == part.queries
        and other.keys.stream == part.keys.stream and set(other.keys.tokens) <= set(part.keys.tokens)
        and other.effect <= min(KEPT * part.effect, -LEAST)
    ]  # fmt: skip
    return min(within, key=lambda other: len(other.keys.tokens))  # type: ignore[union-attr]


def _places(record: AttentionRecord, tried: Sequence[_Candidate], group: TokenGroup) -> list[ChosenTokens]:
    """Returns the clusters of the modality ``group`` that were tried as keys, each once; none of any other group."""
    if not isinstance(group, Modality):
        return []
    own = [candidate.keys for candidate in tried if candidate.modality is group]
    places: list[ChosenTokens] = []
    for place in own:
        if isinstance(place, ChosenTokens) and not any(cluster_overlap(place, other) > 0.7 for other in places):
            places.append(place)
    return places


def _narrowed(
    cutter: _Cutter, record: AttentionRecord, steps: Sequence[_Candidate], all_tried: Sequence[_Candidate]
) -> list[_Candidate]:
    """Returns ``steps`` with the fewest queries and layers that still take `KEPT` of the effect, each by its own cut."""
    windows = route_windows(record)[:-1]
    fewer = [
        [
            replace(step, queries=queries)
            for queries in nearest_queries(record, _places(record, all_tried, step.queries), step.keys, READERS)
        ]
        for step in steps
    ]
    later = [[replace(step, windows=_joined(windows[first:])) for first in range(1, len(windows))] for step in steps]
    sizes = [(len(some), len(others)) for some, others in zip(fewer, later, strict=True)]
    measured = iter(cutter.measure([c for pair in zip(fewer, later, strict=True) for part in pair for c in part]))
    tried: list[list[_Candidate]] = []
    starts = []
    for step, (queries, layers) in zip(steps, sizes, strict=True):
        own = [next(measured) for _ in range(queries)]
        suffixes = [step, *(next(measured) for _ in range(layers))]
        start = max(k for k, suffix in enumerate(suffixes) if suffix.effect <= KEPT * step.effect)
        starts.append(start)
        best = min(own, key=lambda c: c.effect, default=step)
        narrow = best if best.effect <= min(KEPT * step.effect, -LEAST) else step
        ends = range(start + 1, len(windows) + 1)
        tried.append([replace(narrow, windows=_joined(windows[start:end])) for end in ends])
        if narrow is not step:  # the layers were found for all queries
            tried[-1] += [replace(step, windows=_joined(windows[start:end])) for end in (ends[-1],)]
    confirmed = iter(cutter.measure([c for some in tried for c in some]))
    result = []
    for step, some in zip(steps, tried, strict=True):
        own = [next(confirmed) for _ in some]
        enough = [c for c in own if c.effect <= min(KEPT**2 * step.effect, -LEAST)]
        result.append(enough[0] if enough else step)
    return result


def _ways_out(cutter: _Cutter, record: AttentionRecord) -> tuple[tuple[Modality, float], ...]:
    """Returns the modalities that the answer needs although no single route carries it, and their effects."""
    present = {token.modality for tokens in record.streams.values() for token in tokens}
    modalities = [modality for modality in INPUT_MODALITIES if modality in present]
    effects = cutter.effects([ways_out(modality) for modality in modalities])
    return tuple((m, effect[0]) for m, effect in zip(modalities, effects, strict=True) if effect[0] <= -LEAST)


def _joined(windows: Sequence[LayerWindow]) -> tuple[LayerWindow, ...]:
    """Returns one window for each stack of ``windows``."""
    layers: dict[str, tuple[int, ...]] = {}
    for window in windows:
        layers[window.stack] = (*layers.get(window.stack, ()), *(window.layers or ()))
    return tuple(LayerWindow(stack, numbers) for stack, numbers in layers.items())


def _step(candidate: _Candidate) -> Step:
    return Step(**vars(candidate))


def _order(record: AttentionRecord):  # type: ignore[no-untyped-def]
    """Returns the place of a step in the flow through the layers: the last layer that it may be read in."""
    stacks = list(record.stacks)

    def place(step: Step) -> tuple[int, int, int]:
        last = step.windows[-1]
        stack = stacks.index(last.stack) if last.stack in stacks else len(stacks)
        numbers = last.layers or (10**6,)
        return stack, numbers[-1], numbers[0]

    return place


def _chosen(record: AttentionRecord, group: TokenGroup) -> tuple[Token, ...]:
    if not isinstance(group, ChosenTokens):
        return ()
    tokens = record.streams[group.stream or record.flow_streams[0]]
    return tuple(tokens[k] for k in group.tokens)
