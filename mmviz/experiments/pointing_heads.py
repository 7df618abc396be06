"""Heads that point: whose largest weight from the token that answers lies where a person says the answer is.

Half of the examples choose the heads, the other half judges them, so that a head which was lucky is not believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

import numpy as np

from mmviz.analysis.answer_token import answer_token
from mmviz.inputs.place_annotations import Place
from mmviz.types import AttentionMap, AttentionRecord, Location, Modality, PixelBox, Seconds, Token

CHOSEN = 5
"""Heads of each modality that are chosen, and then judged."""
LEVEL = 0.05
"""A chosen head points where chance would do as well, on the half that judges, with a probability of at most this,
divided by the number of heads that are judged (Bonferroni)."""
HeadKey = tuple[str, int, int]
"""Module path, call and head, which are the same in every example."""


@dataclass(frozen=True)
class PlaceHits:
    """Which heads have their largest weight in the places of one modality of an example."""

    modality: Modality
    """Image or audio."""
    hits: Mapping[HeadKey, tuple[bool, float]]
    """Whether the head does, and the share of tokens of the modality that lie in the places: what chance would do."""
    refs: Mapping[HeadKey, str]
    """What each head is called in the record, as `MapRef` writes it."""


@dataclass(frozen=True)
class PointingHead:
    """How often one head points to the places of a modality."""

    head: str
    """The head, as `MapRef` writes it."""
    module: str
    """Path of its attention module."""
    modality: Modality
    """The modality of the places: image or audio."""
    chosen_hits: int
    """Hits among ``chosen_of`` examples of the half that chooses."""
    chosen_of: int
    """Examples of the half that chooses in which the head could hit."""
    held_out_hits: int
    """Hits among ``held_out_of`` examples of the half that judges."""
    held_out_of: int
    """Examples of the half that judges in which the head could hit."""
    chance: float
    """Mean share of tokens that lie in the places, over both halves."""
    p_value: float
    """Probability that heads which point anywhere have at least as many hits in the half that judges."""
    is_chosen: bool = False
    """Whether it is one of the `CHOSEN` heads that the first half prefers."""
    points: bool = False
    """Whether it is chosen, and the half that judges agrees, see `LEVEL`."""

    @property
    def lift(self) -> float:
        """Rate of hits in the half that chooses, less chance."""
        return self.chosen_hits / self.chosen_of - self.chance if self.chosen_of else -1.0


def lies_in(location: Location, place: Place) -> bool:
    """Returns whether the centre of a token's location lies in ``place``, or that of ``place`` in the location."""
    if isinstance(location, PixelBox) and isinstance(place, PixelBox):
        pairs = [((location.x0, location.x1), (place.x0, place.x1)), ((location.y0, location.y1), (place.y0, place.y1))]
    elif isinstance(location, Seconds) and isinstance(place, Seconds):
        pairs = [((location.start, location.end), (place.start, place.end))]
    else:
        return False
    is_inside = all(b0 <= (a0 + a1) / 2 <= b1 for (a0, a1), (b0, b1) in pairs)
    return is_inside or all(a0 <= (b0 + b1) / 2 <= a1 for (a0, a1), (b0, b1) in pairs)


def place_hits(record: AttentionRecord, places: Sequence[Place]) -> tuple[PlaceHits, ...]:
    """Returns the hits of every head of a record, for each modality that has places.

    A head hits where its largest weight from the token that answers to tokens of the modality is one in a place, and no
    token elsewhere has as much. Left out are maps without all their weights, maps in which no token answers, heads that
    do not attend to the modality, and maps in which all of its tokens lie in the places, or none.
    Source: the pointing game, Zhang et al. 2018, "Top-down Neural Attention by Excitation Backprop", section 4.
    """
    kinds: dict[Modality, type[PixelBox] | type[Seconds]] = {Modality.IMAGE: PixelBox, Modality.AUDIO: Seconds}
    own = {modality: [place for place in places if isinstance(place, kind)] for modality, kind in kinds.items()}
    return tuple(_hits(record, modality, wanted) for modality, wanted in own.items() if wanted)


def _hits(record: AttentionRecord, modality: Modality, places: Sequence[Place]) -> PlaceHits:
    hits: dict[HeadKey, tuple[bool, float]] = {}
    refs: dict[HeadKey, str] = {}
    for number, attn_map in enumerate(record.maps):
        query = _answering_query(record, attn_map.queries)
        if not isinstance(attn_map, AttentionMap) or query is None:
            continue
        tokens = record.streams[attn_map.keys]
        numbers = [k for k, token in enumerate(tokens) if token.modality is modality and token.location is not None]
        inside = np.array([any(lies_in(tokens[k].location, place) for place in places) for k in numbers], bool)
        if not len(inside) or inside.all() or not inside.any():
            continue
        for head, weights in enumerate(attn_map.weights[:, query][:, numbers]):
            if weights.any():
                key = (attn_map.name, attn_map.call, head)
                hits[key] = (bool(weights[inside].max() > weights[~inside].max()), float(inside.mean()))
                refs[key] = str(record.map_ref(number, head))
    return PlaceHits(modality, hits, refs)


def _answering_query(record: AttentionRecord, stream: str) -> int | None:
    """Returns the token of a stream that answers; None where the stream only reads an input, as in a vision tower."""
    tokens: Sequence[Token] = record.streams[stream]
    query = answer_token(record, stream)
    named = (record.made_by.get("answer_token") or [None])[0]
    is_answer = stream in (named, record.flow_streams[0]) or tokens[query].modality is Modality.SPECIAL
    return query if is_answer else None


def pointing_heads(examples: Iterable[Sequence[PlaceHits]]) -> list[PointingHead]:
    """Returns every head by modality, those that point first, then the chosen heads, then the rest.

    Of the examples with places in a modality, in their order, the first, third and so on choose: the `CHOSEN` heads
    whose rate of hits exceeds chance most. The others judge: the p-value is the exact probability of at least as many
    hits where each example is hit by its own chance. Sources: localization heads, Kang et al. 2025, "Your Large
    Vision-Language Model Only Needs A Few Attention Heads For Visual Grounding" (arXiv 2503.06287); the alignment heads
    of Whisper, Radford et al. 2022.
    """
    by_modality: dict[Modality, list[PlaceHits]] = {}
    for example in examples:
        for hits in example:
            if hits.hits:
                by_modality.setdefault(hits.modality, []).append(hits)
    return [head for modality, hits in by_modality.items() for head in _judged(modality, hits)]


def _judged(modality: Modality, examples: Sequence[PlaceHits]) -> list[PointingHead]:
    refs = {key: ref for example in reversed(examples) for key, ref in example.refs.items()}
    heads = [_counted(modality, key, ref, examples) for key, ref in refs.items()]
    heads.sort(key=lambda head: -head.lift)
    chosen = [head for head in heads[:CHOSEN] if head.lift > 0]
    judged = [
        PointingHead(**{**vars(head), "is_chosen": True, "points": head.p_value <= LEVEL / len(chosen)})
        for head in chosen
    ]
    judged.sort(key=lambda head: not head.points)
    return [*judged, *heads[len(chosen) :]]


def _counted(modality: Modality, key: HeadKey, ref: str, examples: Sequence[PlaceHits]) -> PointingHead:
    halves = [[example.hits[key] for example in examples[start::2] if key in example.hits] for start in (0, 1)]
    counts = [sum(is_hit for is_hit, _ in half) for half in halves]
    chances = [tuple(chance for _, chance in half) for half in halves]
    return PointingHead(
        ref, key[0], modality, counts[0], len(halves[0]), counts[1], len(halves[1]),
        chance=fmean(chances[0] + chances[1]), p_value=_tail(chances[1])[counts[1]],
    )  # fmt: skip


@lru_cache(maxsize=64)
def _tail(chances: tuple[float, ...]) -> tuple[float, ...]:
    """Returns the probability of at least 0, 1, 2 ... hits, where each example is hit with a chance of its own."""
    exactly = np.ones(1)
    for chance in chances:
        exactly = np.convolve(exactly, [1 - chance, chance])
    return tuple(np.minimum(exactly[::-1].cumsum()[::-1], 1.0).tolist())
