"""What each head does for an answer, as a table and in words: what ``mmviz heads`` and the section Heads show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmviz.analysis.head_profiles import HeadProfile, all_heads
from mmviz.analysis.similarity import MAX_COMPARED, REDUNDANT, HeadPair
from mmviz.analysis.stack_words import stack_words
from mmviz.experiments.head_ablation import DEAD, HeadEffect
from mmviz.figures.token_labels import names
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.page import say
from mmviz.report.map_id_columns import PLACE_COLUMNS, map_place
from mmviz.report.result_table import ExperimentTable
from mmviz.report.run_facts import run_facts
from mmviz.types import MODALITIES, AttentionRecord, Request

MAX_PAIRS = 6
"""Redundant pairs that are named, nearest first."""
_EFFECT_COLUMNS = ("effect", "answer_probability", "other_answer", "other_probability", "largest_change", "no_effect")
_PROFILE_COLUMNS = ("entropy", "distance", *(f"attention_{modality}" for modality in MODALITIES), "sinks", "registers")


def heads_table(
    request: Request, record: AttentionRecord, effects: Sequence[HeadEffect], profiles: Sequence[HeadProfile] | None,
    command: str, planned: int | None = None,
) -> ExperimentTable:  # fmt: skip
    """Returns a row for each head that was ablated, those that the answer needs most first, named ``heads``.

    A row holds ``map`` (the head as `MapRef` writes it), the columns of `mmviz.report.map_id_columns` (layers and heads
    from 0), ``effect`` (change of the answer's log-probability in nats), ``answer_probability`` (that of the run's
    answer without the head), ``other_answer`` and ``other_probability`` (the most probable answer without it), the
    ``largest_change`` of any probability, ``no_effect``; and what the head attends to where ``profiles`` are given, see
    `mmviz.analysis.head_profiles.HeadProfile`, ``attention_image`` and so on being sums of the answer token's weights.
    ``sinks`` and ``registers`` name key tokens. The facts hold how many heads were ``planned`` (None: all), and the
    ``verdict``.
    """
    profile_of = {(profile.map, profile.head): profile for profile in profiles or ()}
    rows = [
        _row(record, effect, profile_of.get((effect.map, effect.head)))
        for effect in sorted(effects, key=lambda effect: effect.effect)
    ]
    columns = ("map", *PLACE_COLUMNS, *_EFFECT_COLUMNS, *(_PROFILE_COLUMNS if profiles else ()))
    facts = {
        **run_facts(request, record),
        "planned": len(all_heads(record)) if planned is None else planned,
        "verdict": [heads_summary(record, effects)] if effects else [],
    }
    return ExperimentTable("heads", columns, rows, facts, command)


def redundant_table(
    request: Request, record: AttentionRecord, pairs: Sequence[HeadPair] | None, command: str
) -> ExperimentTable:
    """Returns a row for each of ``pairs``, those of `mmviz.analysis.similarity.redundant_heads`, named ``redundant``.

    A row holds ``map`` and ``other_map`` (the heads as `MapRef` writes them), the columns of
    `mmviz.report.map_id_columns` of both, and their ``distance`` (Jensen-Shannon, from 0, the same, to 1). The facts
    hold the distance that pairs are ``below``, and the ``verdict``. None: there were too many heads to compare.
    """
    columns = ("map", *PLACE_COLUMNS)
    rows = [
        {
            **{"map": str(record.map_ref(*first)), **map_place(record, *first)},
            **{f"other_{column}": value for column, value in
               {"map": str(record.map_ref(*second)), **map_place(record, *second)}.items()},
            "distance": distance,
        }
        for first, second, distance in pairs or ()
    ]  # fmt: skip
    facts = {**run_facts(request, record), "below": REDUNDANT, "verdict": [redundant_summary(record, pairs)]}
    all_columns = (*columns, *(f"other_{column}" for column in columns), "distance")
    return ExperimentTable("redundant", all_columns, rows, facts, command)


def redundant_summary(record: AttentionRecord, pairs: Sequence[HeadPair] | None) -> str:
    """Returns a sentence that names the pairs of heads that attend almost alike, nearest first, at most `MAX_PAIRS`."""
    if pairs is None:
        return say("heads-too-many", most=MAX_COMPARED)
    text = "; ".join(
        say("heads-pair", head=head_name(record, *first), other=head_name(record, *second), distance=distance)
        for first, second, distance in pairs[:MAX_PAIRS]
    )
    return say("heads-redundant", pairs=text) if pairs else say("heads-none-redundant")


def heads_summary(record: AttentionRecord, effects: Sequence[HeadEffect]) -> str:
    """Returns a sentence on how many heads move the answer, and which moves it most."""
    answer = record.answers[0].label
    needed = [effect for effect in effects if abs(effect.effect) > DEAD]
    if not needed:
        is_whole = len(effects) == len(all_heads(record))
        return say("heads-summary-none" if is_whole else "heads-summary-none-of", answer=answer, of=len(effects))
    strongest = max(needed, key=lambda effect: abs(effect.effect))
    return say(
        "heads-summary", of=len(effects), needed=len(needed), answer=answer, effect=strongest.effect,
        strongest=head_name(record, strongest.map, strongest.head), dead=sum(effect.is_dead for effect in effects),
    )  # fmt: skip


def head_name(record: AttentionRecord, number: int, head: int) -> str:
    """Returns what people call a head; they count layers and heads from 1."""
    return say("heads-head", layer=layer_name(record, number), head=head + 1)


def layer_name(record: AttentionRecord, number: int) -> str:
    """Returns the layer of a map, from 1, with its stack where the record has several."""
    layer = layer_in_stack(record, number)
    if len(record.stacks) == 1:
        return layer
    return sentence("map-of-stack", stack=stack_words(record, record.maps[number].stack), map=layer)


def layer_in_stack(record: AttentionRecord, number: int) -> str:
    """Returns the layer of a map, from 1, with the streams it runs between where they differ."""
    attn_map = record.maps[number]
    layer = say("heads-layer", layer=attn_map.layer + 1)
    if attn_map.queries == attn_map.keys:
        return layer
    return say("heads-streams", layer=layer, queries=attn_map.queries, keys=attn_map.keys)


def answer_probability(record: AttentionRecord, effect: HeadEffect) -> float:
    """Returns the probability of the run's answer when the head is ablated."""
    return record.answers[0].probability * float(np.exp(effect.effect))


def _row(record: AttentionRecord, effect: HeadEffect, profile: HeadProfile | None) -> dict[str, Any]:
    row = {
        "map": str(record.map_ref(effect.map, effect.head)),
        **map_place(record, effect.map, effect.head),
        "effect": effect.effect,
        "answer_probability": answer_probability(record, effect),
        "other_answer": effect.answer,
        "other_probability": effect.probability,
        "largest_change": effect.largest_change,
        "no_effect": effect.is_dead,
    }
    if profile is None:
        return row | dict.fromkeys(_PROFILE_COLUMNS)
    labels = names(record.streams[record.maps[effect.map].keys])
    return {
        **row,
        "entropy": profile.entropy,
        "distance": profile.distance,
        **{f"attention_{modality}": profile.modality_sums.get(modality) for modality in MODALITIES},
        "sinks": [labels[key] for key, _ in profile.sinks],
        "registers": [labels[key] for key in profile.registers],
    }
