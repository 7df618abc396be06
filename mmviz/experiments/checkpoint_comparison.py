"""Two checkpoints of one model on the same examples: which answers changed, and where attention and routes did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mmviz.analysis.comparable_attention import ComparableMap, MapPlace
from mmviz.experiments.example_averages import By, Mean, grouped, mean_of, routes_of
from mmviz.experiments.example_measurements import ExampleMeasurement
from mmviz.experiments.route_cut import LayerWindow
from mmviz.types import MODALITIES, Modality, Notice, TokenGroup

_NAMED = 5
"""Examples, modules or windows that a notice names."""


@dataclass(frozen=True)
class AnswerChange:
    """The answers of two models to one example."""

    name: str
    """`Example.id` of the example."""
    question: str
    """The text input of the example; "" for none."""
    truth: str | None
    """The expected answer, if it is known."""
    before: str
    """The most probable answer of the first model; "" for a model without answers."""
    before_probability: float | None
    """Probability of ``before``, 0 to 1; None for a model without answers."""
    after: str
    """The most probable answer of the second model; "" for a model without answers."""
    after_probability: float | None
    """Probability of ``after``, 0 to 1; None for a model without answers."""
    before_correct: bool | None
    """Whether ``before`` is correct, see `ExampleMeasurement.is_correct`; None where that is not known."""
    after_correct: bool | None
    """Whether ``after`` is correct; None where that is not known."""

    @property
    def is_changed(self) -> bool:
        """Whether the answers differ."""
        return self.before != self.after


@dataclass(frozen=True)
class AttentionChange:
    """How the attention of one head from one modality to another differs, over the examples of a group."""

    group: str
    """The group, a key of `CheckpointComparison.groups`."""
    place: MapPlace
    """The attention call that the map is of, the same in both models."""
    head: int
    """Index of the head, from 0."""
    queries: Modality
    """The modality of the queries."""
    keys: Modality
    """The modality of the keys."""
    before: float
    """Mean weights from a query to all keys of the modality, summed, in the first model."""
    after: float
    """The same in the second model, over the same examples."""
    change: Mean
    """``after - before`` of each example."""


@dataclass(frozen=True)
class RouteChange:
    """How the effect of a route differs, over the examples of a group that both models answer alike."""

    group: str
    """The group, a key of `CheckpointComparison.groups`."""
    window: LayerWindow
    """The layers in which the route is cut."""
    queries: TokenGroup
    """The tokens that attend."""
    keys: TokenGroup
    """The tokens that they attend to."""
    before: float
    """Mean change of the answer's log-probability where the route is cut in the first model, in nats."""
    after: float
    """The same in the second model."""
    change: Mean
    """``after - before`` of each example."""
    before_attention: float
    """Mean share of attention of the route in the first model."""
    after_attention: float
    """The same in the second model."""


@dataclass(frozen=True)
class CheckpointComparison:
    """What differs between two models on the same examples."""

    by: By
    """What the examples of a group have in common; where it is the answer, that of the first model."""
    groups: Mapping[str, tuple[str, ...]]
    """The names of the compared examples of each group, the largest first."""
    answers: tuple[AnswerChange, ...]
    """All compared examples, those whose answer changed first."""
    maps: tuple[AttentionChange, ...]
    """The largest change first."""
    routes: tuple[RouteChange, ...]
    """The largest change first."""
    left_out: tuple[Notice, ...]
    """What does not correspond and is therefore not compared, with the reason."""


def compare_checkpoints(
    before: Sequence[ExampleMeasurement],
    after: Sequence[ExampleMeasurement],
    names: tuple[str, str],
    by: By = "all",
) -> CheckpointComparison:
    """Returns what differs between the measurements of two models, called ``names``, on the same examples.

    Compared is only what corresponds: examples of the same name, maps of the same module, call, stack and layer with as
    many heads, and routes in the same window of layers where both models give the same answer, since an effect is that
    on an answer. Differences are taken example by example, then averaged. Groups are those of the first model.
    """
    others = {measurement.name: measurement for measurement in after}
    common = [measurement for measurement in before if measurement.name in others]
    answers = [_answers(own, others[own.name]) for own in common]
    groups = grouped(common, by)
    maps: list[AttentionChange] = []
    routes: list[RouteChange] = []
    for group, members in groups.items():
        pairs = [(own, others[own.name]) for own in members]
        maps += _attention_changes(group, pairs)
        routes += _route_changes(group, pairs)
    return CheckpointComparison(
        by,
        {group: tuple(member.name for member in members) for group, members in groups.items()},
        tuple(sorted(answers, key=lambda answer: not answer.is_changed)),
        tuple(sorted(maps, key=lambda change: -abs(change.change.mean))),
        tuple(sorted(routes, key=lambda change: -abs(change.change.mean))),
        tuple(_left_out(before, after, names, [(own, others[own.name]) for own in common])),
    )


_Pair = tuple[ExampleMeasurement, ExampleMeasurement]


def _answers(own: ExampleMeasurement, other: ExampleMeasurement) -> AnswerChange:
    return AnswerChange(
        own.name, own.question, own.truth, own.answer, own.probability, other.answer, other.probability,
        own.is_correct, other.is_correct,
    )  # fmt: skip


def _map_key(own: ComparableMap) -> tuple[MapPlace, int]:
    return own.place, len(own.sums)


def _attention_changes(group: str, pairs: Sequence[_Pair]) -> Iterator[AttentionChange]:
    matched: dict[tuple[MapPlace, int], list[tuple[ComparableMap, ComparableMap]]] = {}
    for own, other in pairs:
        by_key = {_map_key(attn_map): attn_map for attn_map in other.maps}
        for attn_map in own.maps:
            if _map_key(attn_map) in by_key:
                matched.setdefault(_map_key(attn_map), []).append((attn_map, by_key[_map_key(attn_map)]))
    for (place, heads), maps in matched.items():
        for head in range(heads):
            for row, queries in enumerate(MODALITIES):
                for column, keys in enumerate(MODALITIES):
                    values = [(own.sums[head, row, column], other.sums[head, row, column]) for own, other in maps]
                    both = [(first, second) for first, second in values if first == first and second == second]
                    change = mean_of(second - first for first, second in both)
                    if change is not None:
                        before, after = (float(sum(side) / len(both)) for side in zip(*both, strict=True))
                        yield AttentionChange(group, place, head, queries, keys, before, after, change)


def _route_changes(group: str, pairs: Sequence[_Pair]) -> Iterator[RouteChange]:
    matched: dict[tuple[LayerWindow, TokenGroup, TokenGroup], list[tuple[float, float, float, float]]] = {}
    for own, other in pairs:
        theirs = routes_of(other) if own.answer == other.answer else {}
        for key, effect in routes_of(own).items():
            if key in theirs:
                again = theirs[key]
                shares = effect.cell.attention.share, again.cell.attention.share
                matched.setdefault(key, []).append((effect.effect, again.effect, *shares))
    for (window, queries, keys), rows in matched.items():
        change = mean_of(row[1] - row[0] for row in rows)
        if change is not None:
            before, after, attention, attention_after = (sum(column) / len(rows) for column in zip(*rows, strict=True))
            yield RouteChange(group, window, queries, keys, before, after, change, attention, attention_after)


def _left_out(
    before: Sequence[ExampleMeasurement], after: Sequence[ExampleMeasurement], names: tuple[str, str],
    pairs: Sequence[_Pair],
) -> Iterator[Notice]:  # fmt: skip
    """Yields a notice for each kind of item that only one of the models has."""
    for mine, theirs, name in ((before, after, names[0]), (after, before, names[1])):
        known = {other.name for other in theirs}
        alone = [own.name for own in mine if own.name not in known]
        if alone:
            yield Notice("checkpoints-examples", {"model": name, "names": _listed(alone), "count": len(alone)})
    other_answers = [own.name for own, other in pairs if own.answer != other.answer and own.routes and other.routes]
    if other_answers:
        yield Notice("checkpoints-answers", {"names": _listed(other_answers), "count": len(other_answers)})
    heads_at = [
        {attn_map.place: len(attn_map.sums) for pair in pairs for attn_map in pair[side].maps} for side in (0, 1)
    ]
    windows_of = [{key[0] for pair in pairs for key in routes_of(pair[side])} for side in (0, 1)]
    for side, name in enumerate(names):
        maps, other_maps = heads_at[side], heads_at[1 - side]
        windows, other_windows = windows_of[side], windows_of[1 - side]
        modules = list(dict.fromkeys(place.module for place in maps if place not in other_maps))
        if modules:
            yield Notice("checkpoints-maps", {"model": name, "modules": _listed(modules), "count": len(modules)})
        alone = [_window_name(window) for window in windows - other_windows]
        if alone:
            yield Notice("checkpoints-windows", {"model": name, "windows": _listed(sorted(alone)), "count": len(alone)})
    for place, heads in heads_at[0].items():
        if heads_at[1].get(place, heads) != heads:
            numbers = {"heads": heads, "other_heads": heads_at[1][place], "model": names[0], "other": names[1]}
            yield Notice("checkpoints-heads", {"module": place.module, **numbers})


def _window_name(window: LayerWindow) -> str:
    layers = "all" if window.layers is None else " ".join(map(str, window.layers))
    return f"{window.stack}[{layers}]"


def _listed(names: Sequence[str]) -> str:
    return ", ".join([*names[:_NAMED], *(["…"] if len(names) > _NAMED else [])])
