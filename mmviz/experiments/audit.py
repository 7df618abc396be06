"""Whether a model uses its modalities, over many trios: how often each decides, is ignored, is overruled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from mmviz.experiments.modality_shapley import SMALL_SHARE, Effect, disagreements
from mmviz.types import INPUT_MODALITIES, Modality

SURE = 0.5
"""An answer of at least this probability is one that the model stands by."""
OFTEN = 1 / 3
"""What holds in this share of the trios strikes."""


@dataclass(frozen=True)
class Assessment:
    """One trio: its `Effect`, and the shares of attention (None where none was to be had)."""

    name: str
    effect: Effect
    attention: Mapping[Modality, float] | None
    is_right: bool | None = None


@dataclass(frozen=True)
class ModalityHealth:
    """One modality over the trios that have it, ``of`` of them. Means are of shares; None where there is none."""

    modality: Modality
    of: int
    decides: int
    ignored: int
    overruled: int
    effect: float | None
    attention: float | None


def decides(effect: Effect, modality: Modality) -> bool:
    """Whether the answer is another one without this modality."""
    everything = max(effect.values, key=len)
    return modality in everything and effect.answers[everything - {modality}][0] != effect.answer


def is_ignored(effect: Effect, modality: Modality) -> bool:
    """Whether it has hardly any effect: a share below `SMALL_SHARE`, and the answer is the same without it."""
    return effect.shares[modality] < SMALL_SHARE and not decides(effect, modality)


def is_overruled(effect: Effect, modality: Modality) -> bool:
    """Whether the model, with this modality and the text alone, stands by another answer than with everything.

    The text itself is judged alone. "Stands by": a probability of at least `SURE`.
    """
    everything = max(effect.values, key=len)
    kept = frozenset({modality, Modality.TEXT}) & everything
    if modality not in everything or kept == everything:
        return False
    label, probability = effect.answers[kept]
    return label != effect.answer and probability >= SURE


def modality_health(judged: Sequence[Assessment]) -> list[ModalityHealth]:
    """One row a modality, over the trios that have it."""
    rows = []
    for modality in INPUT_MODALITIES:
        there = [one for one in judged if modality in max(one.effect.values, key=len)]
        seen = [one.attention[modality] for one in there if one.attention is not None]
        rows.append(
            ModalityHealth(
                modality, len(there),
                decides=sum(decides(one.effect, modality) for one in there),
                ignored=sum(is_ignored(one.effect, modality) for one in there),
                overruled=sum(is_overruled(one.effect, modality) for one in there),
                effect=fmean(one.effect.shares[modality] for one in there) if there else None,
                attention=fmean(seen) if seen else None,
            )
        )  # fmt: skip
    return rows


@dataclass(frozen=True)
class Finding:
    """Something that strikes over many trios.

    ``ignored``, ``overruled``: ``modality`` is, in ``count`` of the ``of`` trios that have it; ``attention``: what it
    gets where it is ignored. ``only``: no other modality ever decides, this one in ``count`` of ``of``. ``none``: no
    modality ever decides. The others compare means, as `mmviz.experiments.modality_shapley.Disagreement` does for one trio: ``most``
    attention goes to ``modality`` and most of the effect is that of ``other``; ``idle``: attention without effect;
    ``silent``: effect without attention. All numbers are those of `modality_health`.
    """

    kind: Literal["ignored", "overruled", "only", "none", "most", "idle", "silent"]
    modality: Modality | None
    count: int = 0
    of: int = 0
    other: Modality | None = None
    attention: float | None = None
    effect: float | None = None


def findings(judged: Sequence[Assessment]) -> list[Finding]:
    """What strikes, the heaviest first. The bounds are `OFTEN`, and those of `mmviz.experiments.modality_shapley.disagreements`."""
    rows = [row for row in modality_health(judged) if row.of]
    deciding = [row for row in rows if row.decides]
    found = []
    if rows and not deciding:
        found.append(Finding("none", None, of=len(judged)))
    if len(rows) > 1 and len(deciding) == 1 and deciding[0].decides >= OFTEN * deciding[0].of:
        found.append(Finding("only", deciding[0].modality, deciding[0].decides, deciding[0].of))
    for row in rows:
        if row.ignored >= OFTEN * row.of:
            attention = _attention_where_ignored(judged, row.modality)
            found.append(Finding("ignored", row.modality, row.ignored, row.of, attention=attention))
    for row in rows:
        if row.overruled >= OFTEN * row.of:
            found.append(Finding("overruled", row.modality, row.overruled, row.of))
    said = {one.modality for one in found if one.kind == "ignored"}
    return found + [one for one in _apart(rows) if one.kind == "most" or one.modality not in said]


def _apart(rows: Sequence[ModalityHealth]) -> list[Finding]:
    """Where the means of attention and of effect tell different stories."""
    attention = dict.fromkeys(INPUT_MODALITIES, 0.0) | {row.modality: row.attention for row in rows if row.attention}
    effect = dict.fromkeys(INPUT_MODALITIES, 0.0) | {row.modality: row.effect for row in rows if row.effect}
    if not any(attention.values()):
        return []
    return [
        Finding("idle" if one.kind == "ignored" else one.kind, one.modality, other=one.other, attention=one.attention,
                effect=one.effect)
        for one in disagreements(attention, effect)
    ]  # fmt: skip


def _attention_where_ignored(judged: Sequence[Assessment], modality: Modality) -> float | None:
    """Mean share of attention over the trios in which it is ignored."""
    seen = [
        one.attention[modality]
        for one in judged
        if one.attention is not None
        and modality in max(one.effect.values, key=len)
        and is_ignored(one.effect, modality)
    ]
    return fmean(seen) if seen else None
