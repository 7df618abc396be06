"""Whether a model uses its modalities, over many examples: how often each decides, is ignored or is overruled."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from mmviz.analysis.attention_vs_effect import SMALL_SHARE, disagreements
from mmviz.analysis.attributions import modality_shares
from mmviz.analysis.available_maps import default_map_ref
from mmviz.backends import Backend, Progress, Stop, ignore_progress, never_stop
from mmviz.experiments.example_runs import (
    ExampleRecord,
    Outcomes,
    example_records,
    is_correct,
    measured_in_groups,
    possible_answers,
)
from mmviz.experiments.modality_shapley import Effect, effect_requests, read_effect
from mmviz.experiments.pointing_heads import PlaceHits, place_hits
from mmviz.experiments.removals import Baseline
from mmviz.inputs.examples import Example
from mmviz.types import INPUT_MODALITIES, AttentionRecord, MmvizError, Modality, Request, Sample

SURE = 0.5
"""The model is sure of an answer with at least this probability."""
OFTEN = 1 / 3
"""What is true of at least this fraction of the examples is a finding."""


@dataclass(frozen=True)
class Assessment:
    """What was measured on one example."""

    name: str
    """`Example.id` of the example."""
    effect: Effect
    """What its answer depends on: Shapley values of its modalities in nats, and the answers without them."""
    attention: Mapping[Modality, float] | None
    """Shares of the answer token's attention. None if the record lacks the method chosen for the model."""
    is_correct: bool | None = None
    """Whether the answer is correct. None if the expected answer is not known or is not one of the model's answers."""
    hits: tuple[PlaceHits, ...] = ()
    """The heads that point to the places of the example; empty where it has none."""


@dataclass(frozen=True)
class ModalityUse:
    """How one modality is used over the examples that have it."""

    modality: Modality
    """Image, text or audio."""
    present: int
    """Examples that have the modality, and whose effect is measured."""
    told: int
    """Of these the examples of which it can be told if the answer changes, see `Effect.tells_changes`. The next three
    fields count among them."""
    decides: int
    """Examples whose answer changes without the modality, see `decides`."""
    ignored: int
    """Examples in which it has hardly any effect, see `is_ignored`."""
    overruled: int
    """Examples in which the model prefers another answer with it alone, see `is_overruled`."""
    effect: float | None
    """Mean share of the effect. None if no example has the modality."""
    attention: float | None
    """Mean share of attention. None if it is known of no example."""


def decides(effect: Effect, modality: Modality) -> bool:
    """Returns whether the answer changes without this modality; False where the model requires it, and where that
    cannot be told."""
    everything = effect.everything
    return modality in everything - effect.required and bool(effect.is_changed(everything - {modality}))


def is_ignored(effect: Effect, modality: Modality) -> bool:
    """Returns whether its share of the effect is below `SMALL_SHARE` and the answer is the same without it."""
    is_measured = effect.tells_changes and modality not in effect.required
    return is_measured and effect.shares[modality] < SMALL_SHARE and not decides(effect, modality)


def is_overruled(effect: Effect, modality: Modality) -> bool:
    """Returns whether the model, with this modality and the text alone, is sure of another answer than with everything.

    Text is judged alone, but for what the model requires. Sure means a probability of at least `SURE`.
    """
    kept = frozenset({modality, Modality.TEXT}) & effect.everything | effect.required
    if modality not in effect.everything - effect.required or kept == effect.everything:
        return False
    return bool(effect.is_changed(kept)) and effect.answers[kept][1] >= SURE


def evaluate_examples(
    backend: Backend,
    model: str,
    examples: Sequence[Example],
    baseline: Baseline = "learned",
    progress: Progress = ignore_progress,
    stop: Stop = never_stop,
    options: Sequence[tuple[str, str | int]] = (),
) -> tuple[list[Assessment], list[tuple[str, MmvizError]]]:
    """Measures effect and attention on every example; ``options`` as in `mmviz.types.Request`.

    Returns the assessments, and the examples that were skipped, each as its id and the error. ``progress`` counts both.
    If ``stop`` ends it early, there are fewer of both together than examples.
    """

    def measured(members: Sequence[Example]) -> Outcomes[Assessment]:
        for example, run in example_records(backend, members, request_of, stop):
            yield (
                example,
                _assessment(example, run, possible) if isinstance(run, ExampleRecord) else run,
            )

    def request_of(sample: Sample) -> Request:
        return replace(effect_requests(Request(model, sample, options=tuple(options)), baseline)[0], maps=True)

    possible = possible_answers(backend, model)
    return measured_in_groups(examples, measured, progress)


def _assessment(example: Example, run: ExampleRecord, possible: Collection[str]) -> Assessment | MmvizError:
    """Returns the assessment of an example, or the error that it is skipped for."""
    record = run.record
    try:
        effect = read_effect(run.request.sample, [record])
    except MmvizError as error:
        return error
    if not all(map(math.isfinite, effect.values.values())):
        return MmvizError("effect-infinite")
    correct, hits = is_correct(example, record, possible), place_hits(record, example.places)
    return Assessment(example.id, effect, _attention(record), correct, hits)


def _attention(record: AttentionRecord) -> dict[Modality, float] | None:
    """Returns shares of attention by the method chosen for the model, or None if the record does not have them."""
    try:
        return None if record.is_long else modality_shares(record, default_map_ref(record))
    except (LookupError, ValueError):
        return None


def modality_use(assessments: Sequence[Assessment]) -> list[ModalityUse]:
    """Returns one row each for image, text and audio, over the examples that have the modality."""
    rows = []
    for modality in INPUT_MODALITIES:
        present = [
            assessment
            for assessment in assessments
            if modality in assessment.effect.everything - assessment.effect.required
        ]
        effects = [assessment.effect for assessment in present]
        attention = [assessment.attention[modality] for assessment in present if assessment.attention is not None]
        rows.append(
            ModalityUse(
                modality=modality,
                present=len(present),
                told=sum(effect.tells_changes for effect in effects),
                decides=sum(decides(effect, modality) for effect in effects),
                ignored=sum(is_ignored(effect, modality) for effect in effects),
                overruled=sum(is_overruled(effect, modality) for effect in effects),
                effect=fmean(effect.shares[modality] for effect in effects) if effects else None,
                attention=fmean(attention) if attention else None,
            )
        )
    return rows


@dataclass(frozen=True)
class Finding:
    """Something that is true of many examples. All numbers are those of `modality_use`."""

    kind: Literal["ignored", "overruled", "only", "none", "most", "unused", "unattended"]
    """``ignored``, ``overruled``: true of ``modality`` in ``count`` of the ``of`` examples that have it and tell, see
    `ModalityUse.told`. ``only``: no other modality ever decides, this one in ``count`` of ``of``. ``none``: no modality
    ever decides. ``most``, ``unused``, ``unattended``: the mean shares disagree, as in
    `mmviz.analysis.attention_vs_effect.Disagreement`.
    """
    modality: Modality | None
    """None for ``none``."""
    count: int = 0
    """Examples of which it is true, for ``ignored``, ``overruled`` and ``only``; else 0."""
    of: int = 0
    """Examples of which it can be told, for these and ``none``; else 0."""
    other: Modality | None = None
    """The modality with the largest mean effect, for ``most``."""
    attention: float | None = None
    """Mean share of attention; for ``ignored`` over the examples in which the modality is ignored."""
    effect: float | None = None
    """Mean share of the effect, for kinds that compare it with attention."""


def findings(assessments: Sequence[Assessment]) -> list[Finding]:
    """Returns what is true of many examples, most important first.

    The thresholds are `OFTEN` and those of `mmviz.analysis.attention_vs_effect.disagreements`.
    """
    rows = [row for row in modality_use(assessments) if row.present]
    deciding = [row for row in rows if row.decides]
    results = []
    told = [row for row in rows if row.told]
    if told and not deciding:
        results.append(Finding("none", None, of=sum(entry.effect.tells_changes for entry in assessments)))
    if len(told) > 1 and len(deciding) == 1 and deciding[0].decides >= OFTEN * deciding[0].told:
        results.append(Finding("only", deciding[0].modality, deciding[0].decides, deciding[0].told))
    for row in told:
        if row.ignored >= OFTEN * row.told:
            attention = _attention_where_ignored(assessments, row.modality)
            results.append(Finding("ignored", row.modality, row.ignored, row.told, attention=attention))
    for row in told:
        if row.overruled >= OFTEN * row.told:
            results.append(Finding("overruled", row.modality, row.overruled, row.told))
    ignored = {finding.modality for finding in results if finding.kind == "ignored"}
    return results + [
        finding
        for finding in _mean_disagreements(rows)
        if finding.kind == "most" or finding.modality not in ignored  # which is said already
    ]


def _mean_disagreements(rows: Sequence[ModalityUse]) -> list[Finding]:
    """Returns where the mean shares of attention and of the effect disagree."""
    attention = dict.fromkeys(INPUT_MODALITIES, 0.0) | {row.modality: row.attention for row in rows if row.attention}
    effect = dict.fromkeys(INPUT_MODALITIES, 0.0) | {row.modality: row.effect for row in rows if row.effect}
    if not any(attention.values()):
        return []
    return [
        Finding(result.kind, result.modality, other=result.other, attention=result.attention, effect=result.effect)
        for result in disagreements(attention, effect)
    ]


def _attention_where_ignored(assessments: Sequence[Assessment], modality: Modality) -> float | None:
    """Returns the mean share of attention over the examples in which ``modality`` is ignored, None if not known."""
    shares = [
        assessment.attention[modality]
        for assessment in assessments
        if assessment.attention is not None
        and modality in assessment.effect.everything
        and is_ignored(assessment.effect, modality)
    ]
    return fmean(shares) if shares else None
