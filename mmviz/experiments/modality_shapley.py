"""What an answer depends on, measured: modalities are taken away, and the answer's probability is looked at again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from mmviz.types import (
    INPUT_MODALITIES,
    AttentionRecord,
    Change,
    DropModality,
    InputBaseline,
    Modality,
    ReplaceInput,
    Request,
    Sample,
)

Baseline = Literal["learned", "mean", "blur", "noise"]
"""What taking away means: the model's own way to be without, or something without content in its place."""
Coalition = frozenset[Modality]

LARGE_SHARE, SMALL_SHARE = 0.3, 0.05
"""Shares that lie so far apart disagree; a share below the second is called hardly any."""


@dataclass(frozen=True)
class Effect:
    """``values``: log-probability of ``answer`` with only some modalities there, for every coalition of those that were
    given; ``answers``: what the model says then, and how probable it finds it. ``phi``: see `shapley`."""

    answer: str
    values: Mapping[Coalition, float]
    answers: Mapping[Coalition, tuple[str, float]]
    phi: Mapping[Modality, float]

    @property
    def total(self) -> float:
        """From nothing to everything; what the values of ``phi`` add up to."""
        return self.values[max(self.values, key=len)] - self.values[frozenset()]

    @property
    def shares(self) -> dict[Modality, float]:
        """``|phi| / sum of |phi|``; all 0 where nothing depends on anything."""
        whole = sum(abs(value) for value in self.phi.values())
        return {modality: abs(value) / whole if whole else 0.0 for modality, value in self.phi.items()}


def given(sample: Sample) -> tuple[Modality, ...]:
    """The modalities that a sample has."""
    parts = (sample.image, sample.text, sample.audio)
    return tuple(modality for modality, part in zip(INPUT_MODALITIES, parts, strict=True) if part is not None)


def coalitions(there: Sequence[Modality]) -> list[Coalition]:
    """Every subset, from none to all."""
    return [frozenset(some) for size in range(len(there) + 1) for some in combinations(there, size)]


def without(gone: Sequence[Modality], baseline: Baseline) -> tuple[Change, ...]:
    """The changes that take whole modalities away."""
    if baseline == "learned":
        return tuple(DropModality(modality) for modality in gone)
    fill: InputBaseline = baseline
    return tuple(ReplaceInput(modality, fill) for modality in gone)


def effect_requests(
    model: str, sample: Sample, baseline: Baseline = "learned", changes: tuple[Change, ...] = (), seed: int = 0
) -> tuple[Request, ...]:
    """What has to be run for `read_effect`: the eight subsets of three modalities, in one batch."""
    there = given(sample)
    gone = [[modality for modality in there if modality not in kept] for kept in coalitions(there)]
    sweep = tuple(without(some, baseline) for some in gone)
    return (Request(model, sample, changes, seed, maps=False, sweep=sweep),)


def read_effect(sample: Sample, records: Sequence[AttentionRecord]) -> Effect:
    """The `Effect` that the records of `effect_requests` show.

    The answer is the likeliest one for the whole sample; its probability is judged in all coalitions.
    """
    (record,) = records
    assert record.sweep is not None
    best = record.sweep.argmax(1)
    every = coalitions(given(sample))
    answers = {
        kept: (record.answers[int(k)].label, math.exp(float(row[int(k)])))
        for kept, k, row in zip(every, best, record.sweep, strict=True)
    }
    values = {kept: float(row[0]) for kept, row in zip(every, record.sweep, strict=True)}
    return Effect(record.answers[0].label, values, answers, shapley(values))


def shapley(values: Mapping[Coalition, float]) -> dict[Modality, float]:
    """Exact Shapley values of the modalities, for a game given by its value for every coalition.

    Formula: ``phi_m = sum over S without m of |S|! (n - |S| - 1)! / n! (v(S + m) - v(S))`` with n modalities; they add
    up to ``v(all) - v(none)``. A modality that was not given has 0. Source: Shapley 1953; as a measure of how much
    each modality is used: Parcalabescu and Frank 2023, MM-SHAP.
    """
    there = max(values, key=len)
    found = dict.fromkeys(INPUT_MODALITIES, 0.0)
    for modality in there:
        for kept in values:
            if modality in kept:
                continue
            size, count = len(kept), len(there)
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            found[modality] += weight * (values[kept | {modality}] - values[kept])
    return found


def attention_shares(sums: Mapping[Modality, float]) -> dict[Modality, float]:
    """What the answer token gives to each modality, as shares of what it gives to all three; special tokens, which have
    no effect to be compared with, are left out."""
    whole = sum(sums.get(modality, 0.0) for modality in INPUT_MODALITIES)
    return {modality: sums.get(modality, 0.0) / whole if whole else 0.0 for modality in INPUT_MODALITIES}


@dataclass(frozen=True)
class Disagreement:
    """``kind``: ``most`` where attention goes mostly to ``modality`` and the answer depends mostly on ``other``;
    ``ignored`` where ``modality`` gets attention and has hardly any effect; ``silent`` where it is the other way."""

    kind: Literal["most", "ignored", "silent"]
    modality: Modality
    other: Modality | None
    attention: float
    effect: float


def disagreements(attention: Mapping[Modality, float], effect: Mapping[Modality, float]) -> list[Disagreement]:
    """Where shares of attention and shares of effect tell different stories. The bounds are `LARGE_SHARE` and `SMALL_SHARE`."""
    found = []
    for modality in INPUT_MODALITIES:
        seen, acts = attention[modality], effect[modality]
        if acts < SMALL_SHARE and seen >= acts + LARGE_SHARE:
            found.append(Disagreement("ignored", modality, None, seen, acts))
        elif seen < SMALL_SHARE and acts >= seen + LARGE_SHARE:
            found.append(Disagreement("silent", modality, None, seen, acts))
    looked, decides = (max(INPUT_MODALITIES, key=lambda one: shares[one]) for shares in (attention, effect))
    apart = attention[looked] - attention[decides] >= SMALL_SHARE and effect[decides] - effect[looked] >= SMALL_SHARE
    if looked != decides and apart and not any(one.kind == "ignored" and one.modality is looked for one in found):
        found.append(Disagreement("most", looked, decides, attention[looked], effect[decides]))
    return found
