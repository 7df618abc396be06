"""Means over examples with the same question, or the same answer: attention between modalities, places, and routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.comparable_attention import AttendedPlaces, ComparableMap, MapPlace
from mmviz.experiments.example_measurements import ExampleMeasurement
from mmviz.experiments.route_cut import LayerWindow, RouteEffect
from mmviz.types import MODALITIES, Modality, Notice, TokenGroup

By = Literal["question", "answer", "all"]
"""What the examples of a group have in common: the text of their question, the model's answer, or nothing."""
RouteKey = tuple[LayerWindow, TokenGroup, TokenGroup]
"""A window of layers, the queries and the keys."""


@dataclass(frozen=True)
class Mean:
    """A mean over examples."""

    mean: float
    """The arithmetic mean, in the unit of the values."""
    spread: float | None
    """Standard deviation over the examples, with their number less 1 as the divisor; None for one example."""
    count: int
    """The examples that have the value."""


@dataclass(frozen=True)
class MeanAttention:
    """The attention of one head from one modality to another, over the examples of a group that have both."""

    group: str
    """The group, a key of `Averages.groups`."""
    place: MapPlace
    """The attention call that the map is of."""
    head: int
    """Index of the head, from 0."""
    queries: Modality
    """The modality of the queries."""
    keys: Modality
    """The modality of the keys."""
    attention: Mean
    """Weights from a query to all keys of the modality, summed; 0 to 1."""
    ratio: Mean
    """The same relative to uniform attention, which is 1."""


@dataclass(frozen=True, eq=False)
class MeanPlaces:
    """The attention from the answer token to the places of one modality, over the examples of a group."""

    group: str
    """The group, a key of `Averages.groups`."""
    place: MapPlace
    """The attention call that the map is of."""
    modality: Modality
    """Image or audio."""
    mean: NDArray[np.float64]
    """Mean over heads and examples: ``[row, column]`` of the patches or ``[part]`` of the sound; NaN where none has a
    token."""
    spread: NDArray[np.float64]
    """Standard deviation of the mean over heads over the examples; NaN for one example."""
    over_heads: NDArray[np.float64]
    """Standard deviation over the heads, mean over the examples."""
    count: NDArray[np.int64]
    """The examples that have a token there."""


@dataclass(frozen=True)
class MeanRoute:
    """The effect of a route in a window of layers, over the examples of a group that have it."""

    group: str
    """The group, a key of `Averages.groups`."""
    window: LayerWindow
    """The layers in which the route is cut."""
    queries: TokenGroup
    """The tokens that attend."""
    keys: TokenGroup
    """The tokens that they attend to."""
    effect: Mean
    """Change of the answer's log-probability, in nats. Below 0 if the answer needs the route."""
    attention: Mean
    """Share of attention without a cut, as in `mmviz.analysis.route_attention.RouteAttention`."""
    uniform: float
    """Mean of the same share under uniform attention."""
    changed: int
    """Examples whose answer is another one without the route."""
    told: int
    """Of how many examples that can be told, see `RouteEffect.is_changed`."""


@dataclass(frozen=True)
class Averages:
    """What many examples have in common, by group."""

    by: By
    """What the examples of a group have in common."""
    groups: Mapping[str, tuple[str, ...]]
    """The names of the examples of each group, the largest group first."""
    maps: tuple[MeanAttention, ...]
    """One for each group, map, head and pair of modalities that an example has."""
    places: tuple[MeanPlaces, ...]
    """One for each group, map and modality whose places can be averaged."""
    routes: tuple[MeanRoute, ...]
    """One for each group, window and route that an example has; empty where routes were not measured."""
    left_out: tuple[Notice, ...] = ()
    """What could not be averaged, with the reason."""


def grouped(measurements: Sequence[ExampleMeasurement], by: By) -> dict[str, list[ExampleMeasurement]]:
    """Returns the examples of each group, the largest first; "" where ``by`` is "all", or there is no question.

    Questions are the same whatever their case and the white space in them; the group has the text of the first.
    """
    names: dict[str, str] = {}
    groups: dict[str, list[ExampleMeasurement]] = {}
    for measurement in measurements:
        text = {"question": measurement.question, "answer": measurement.answer, "all": ""}[by]
        words = " ".join(text.split())
        groups.setdefault(names.setdefault(words.casefold(), words), []).append(measurement)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def average(measurements: Sequence[ExampleMeasurement], by: By = "question") -> Averages:
    """Returns the means of every group.

    Averaged is only what corresponds: for each head the attention between modalities; for each map the attention from
    the answer token to the patches, where all pictures of the group have the same grid, and to each tenth of the sound.
    Single tokens of different questions are not averaged. A value that an example lacks does not count; each mean has
    the number of examples that it is over.
    """
    groups = grouped(measurements, by)
    maps: list[MeanAttention] = []
    places: list[MeanPlaces] = []
    routes: list[MeanRoute] = []
    left_out: list[Notice] = []
    for name, members in groups.items():
        for own in _by_place(members).values():
            maps += _mean_attention(name, own)
            for modality in (Modality.IMAGE, Modality.AUDIO):
                outcome = _mean_places(name, own, modality)
                if isinstance(outcome, Notice):
                    left_out += [] if outcome in left_out else [outcome]
                elif outcome is not None:
                    places.append(outcome)
        routes += _mean_routes(name, members)
    reasons = {str(m.routes_error): m.name for m in reversed(measurements) if m.routes_error is not None}
    left_out += [Notice("average-routes", {"name": name, "why": why}) for why, name in reasons.items()]
    names = {name: tuple(member.name for member in members) for name, members in groups.items()}
    return Averages(by, names, tuple(maps), tuple(places), tuple(routes), tuple(left_out))


def mean_of(values: Iterable[float]) -> Mean | None:
    """Returns the mean of those ``values`` that are not NaN; None where there is none."""
    known = np.array([value for value in values if not np.isnan(value)], np.float64)
    if not len(known):
        return None
    return Mean(float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else None, len(known))


def routes_of(measurement: ExampleMeasurement) -> dict[RouteKey, RouteEffect]:
    """Returns the effects of the routes of one example, by window, queries and keys."""
    effects = () if measurement.routes is None else measurement.routes.effects
    return {(effect.cell.window, effect.cell.queries, effect.cell.keys): effect for effect in effects}


def _by_place(members: Sequence[ExampleMeasurement]) -> dict[tuple[MapPlace, int], list[ComparableMap]]:
    maps: dict[tuple[MapPlace, int], list[ComparableMap]] = {}
    for member in members:
        for own in member.maps:
            maps.setdefault((own.place, len(own.sums)), []).append(own)
    return maps


def _mean_attention(group: str, maps: Sequence[ComparableMap]) -> Iterable[MeanAttention]:
    sums, ratios = (np.stack(matrices) for matrices in zip(*((own.sums, own.ratio) for own in maps), strict=True))
    for head in range(sums.shape[1]):
        for row, queries in enumerate(MODALITIES):
            for column, keys in enumerate(MODALITIES):
                attention, ratio = (mean_of(values[:, head, row, column]) for values in (sums, ratios))
                if attention is not None and ratio is not None:
                    yield MeanAttention(group, maps[0].place, head, queries, keys, attention, ratio)


def _mean_places(group: str, maps: Sequence[ComparableMap], modality: Modality) -> MeanPlaces | Notice | None:
    """Returns the means over the places of one modality; a notice where the pictures have different grids."""
    all_places: list[AttendedPlaces] = []
    for own in maps:
        places = own.picture if modality is Modality.IMAGE else own.sound
        all_places += [] if places is None else [places]
    if not all_places:
        return None
    shapes = sorted({places.mean.shape for places in all_places})
    if len(shapes) > 1:
        grids = ", ".join(" x ".join(map(str, shape)) for shape in shapes)
        return Notice("average-grids", {"group": group, "module": maps[0].place.module, "grids": grids})
    means, over_heads = (np.stack(parts) for parts in zip(*((p.mean, p.over_heads) for p in all_places), strict=True))
    count = (~np.isnan(means)).sum(0)
    some, several = np.maximum(count, 1), np.maximum(count - 1, 1)
    mean = np.where(count > 0, np.nansum(means, 0) / some, np.nan)
    variance = np.where(count > 1, np.nansum((means - mean) ** 2, 0) / several, np.nan)
    heads = np.where(count > 0, np.nansum(over_heads, 0) / some, np.nan)
    return MeanPlaces(group, maps[0].place, modality, mean, np.sqrt(variance), heads, count)


def _mean_routes(group: str, members: Sequence[ExampleMeasurement]) -> Iterable[MeanRoute]:
    by_route: dict[RouteKey, list[RouteEffect]] = {}
    for member in members:
        for key, effect in routes_of(member).items():
            by_route.setdefault(key, []).append(effect)
    for (window, queries, keys), effects in by_route.items():
        mean_effect = mean_of(effect.effect for effect in effects)
        attention = mean_of(effect.cell.attention.share for effect in effects)
        if mean_effect is not None and attention is not None:
            uniform = float(np.mean([effect.cell.attention.uniform for effect in effects]))
            told = [effect.is_changed for effect in effects if effect.is_changed is not None]
            yield MeanRoute(group, window, queries, keys, mean_effect, attention, uniform, sum(told), len(told))
