"""What an answer depends on: its log-probability with every subset of the modalities, and their Shapley values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from mmviz.backends import Backend, Progress, Stop, ignore_progress, never_stop
from mmviz.experiments.removals import Baseline, modality_removal, present_modalities
from mmviz.experiments.sweep_requests import answers_only
from mmviz.types import INPUT_MODALITIES, AttentionRecord, Modality, Request, Sample
from mmviz.types.best_answer import best_answer

Coalition = frozenset[Modality]
"""A subset of the modalities of a sample: those that are kept."""
Coalitions = frozenset[Coalition]


@dataclass(frozen=True)
class Effect:
    """The measured effect of each modality on the answer."""

    answer: str
    """The most probable answer for the whole sample."""
    values: Mapping[Coalition, float]
    """Log-probability of ``answer`` with only the modalities of each coalition kept, in nats."""
    answers: Mapping[Coalition, tuple[str, float]]
    """The most probable answer with each coalition kept, and its probability."""
    phi: Mapping[Modality, float]
    """Shapley value of image, text and audio, in nats, see `shapley`. 0 for a modality that the sample lacks, or that
    the model requires."""
    changed: Coalitions | None = None
    """The coalitions in which another answer is the most probable one; None: where its label is another."""

    @property
    def required(self) -> Coalition:
        """The modalities that are in every coalition, since the model cannot do without them. Their effect is not
        measured."""
        return frozenset.intersection(*self.values)

    @property
    def measured(self) -> dict[str, float]:
        """The Shapley value of each modality that is not required, and their ``total``, in nats."""
        nats = {str(modality): value for modality, value in self.phi.items() if modality not in self.required}
        return {**nats, "total": self.total}

    def is_changed(self, kept: Coalition) -> bool | None:
        """Returns whether another answer is the most probable one with only the modalities ``kept``; None where that
        cannot be told, see `tells_changes`."""
        if not self.tells_changes:
            return None
        return self.answers[kept][0] != self.answer if self.changed is None else kept in self.changed

    @property
    def tells_changes(self) -> bool:
        """Whether it can be told if the answer changes: it is the most probable one with all modalities.

        A text of many words that a model wrote is not, beside all other texts together. Which one it would write
        without a modality is not known.
        """
        return self.changed is None or self.everything not in self.changed

    @property
    def everything(self) -> Coalition:
        """The coalition of all modalities that the sample has."""
        return max(self.values, key=len)

    @property
    def total(self) -> float:
        """Difference between the value with all modalities and the value with none but the required ones, which is the
        sum of ``phi``."""
        return self.values[self.everything] - self.values[self.required]

    @property
    def interactions(self) -> dict[frozenset[Modality], float]:
        """The Shapley interaction index of each pair of modalities, in nats, see `shapley_interactions`."""
        return shapley_interactions(self.values)

    @property
    def shares(self) -> dict[Modality, float]:
        """``|phi| / sum of |phi|`` of each modality. All shares are 0 if no modality has an effect."""
        total = sum(abs(value) for value in self.phi.values())
        return {modality: abs(value) / total if total else 0.0 for modality, value in self.phi.items()}


def coalitions(modalities: Sequence[Modality]) -> list[Coalition]:
    """Returns every subset of ``modalities``, from the empty one to all."""
    return [frozenset(subset) for size in range(len(modalities) + 1) for subset in combinations(modalities, size)]


def effect_requests(request: Request, baseline: Baseline = "learned") -> tuple[Request, ...]:
    """Returns the requests that `read_effect` needs the records of: one, whose sweep holds every coalition.

    The changes of ``request`` hold in all coalitions.
    """
    present = present_modalities(request.sample)
    removed = [[modality for modality in present if modality not in kept] for kept in coalitions(present)]
    sweep = tuple(modality_removal(modalities, baseline) for modalities in removed)
    return (answers_only(request, sweep),)


def measure_modality_effect(
    backend: Backend,
    request: Request,
    baseline: Baseline = "learned",
    progress: Progress = ignore_progress,
    stop: Stop = never_stop,
) -> Effect | None:
    """Runs `effect_requests` for the sample of ``request`` and returns the effect, or None if it was stopped.

    A modality that the model is known to require is left in, and the others are measured beside it. Raises
    ``MmvizError`` if the model fails without a modality, or has no answers (``answer-none``).
    """
    requests = effect_requests(request, baseline)
    records = backend.run(requests, progress, stop)
    return read_effect(request.sample, records) if len(records) == len(requests) else None


def read_effect(sample: Sample, records: Sequence[AttentionRecord]) -> Effect:
    """Returns the effect that the records of `effect_requests` show.

    The answer is the most probable one for the whole sample. Its probability is compared in all coalitions. Those that
    lack a modality which the backend left in (``made_by["left_in"]``) are not told apart from those that have it.

    Raises ``MmvizError`` (``answer-none``) for a model without answers.
    """
    (record,) = records
    answer = best_answer(record).label
    assert record.sweep is not None
    left_in = {Modality(name) for name in record.made_by.get("left_in", ())}
    subsets = coalitions(present_modalities(sample))
    rows = {kept: row for kept, row in zip(subsets, record.sweep, strict=True) if left_in <= kept}
    best = {kept: int(row.argmax()) for kept, row in rows.items()}
    answers = {kept: (record.answers[best[kept]].label, math.exp(float(row[best[kept]]))) for kept, row in rows.items()}
    values = {kept: float(row[0]) for kept, row in rows.items()}
    changed = frozenset(kept for kept, row in rows.items() if row[best[kept]] > row[0])
    return Effect(answer, values, answers, shapley(values), changed)


def shapley(values: Mapping[Coalition, float]) -> dict[Modality, float]:
    """Returns the exact Shapley values of image, text and audio, for a game given by its value for every coalition.

    Formula: ``phi_m = sum over S without m of |S|! (n - |S| - 1)! / n! (v(S + m) - v(S))`` with n modalities. They sum
    to ``v(all) - v(none)``. A modality that is in no coalition has 0. One that is in all of them is no player of the
    game, n counts the others, and it has 0.
    Sources: Shapley 1953; as a measure of how much each modality is used: Parcalabescu and Frank 2023, MM-SHAP.

    Examples:
        >>> image, audio = mmviz.Modality.IMAGE, mmviz.Modality.AUDIO
        >>> game = {frozenset(): 0.0, frozenset({image}): 1.0, frozenset({audio}): 0.0, frozenset({image, audio}): 3.0}
        >>> {str(modality): value for modality, value in shapley(game).items()}
        {'image': 2.0, 'text': 0.0, 'audio': 1.0}
    """
    present, required = max(values, key=len), min(values, key=len)
    phi = dict.fromkeys(INPUT_MODALITIES, 0.0)
    for modality in present - required:
        for kept in values:
            if modality in kept:
                continue
            size, count = len(kept) - len(required), len(present) - len(required)
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            phi[modality] += weight * (values[kept | {modality}] - values[kept])
    return phi


def shapley_interactions(values: Mapping[Coalition, float]) -> dict[frozenset[Modality], float]:
    """Returns the pairwise Shapley interaction index, for a game given by its value for every coalition.

    Formula: ``I_ij = sum over S without i, j of |S|! (n - |S| - 2)! / (n - 1)! (v(S + i + j) - v(S + i) - v(S + j) +
    v(S))`` with n modalities. Above 0 where two modalities together do more than each alone (the one is of use with the
    other), below 0 where each does what the other does (they tell the same). Pairs are of modalities in some and not in
    all coalitions; with fewer than two of these there is none.
    Source: Grabisch and Roubens 1999, "An axiomatic approach to the concept of interaction".
    """
    required = min(values, key=len)
    players = sorted(max(values, key=len) - required, key=INPUT_MODALITIES.index)
    count = len(players)
    index = {}
    for first, second in combinations(players, 2):
        total = 0.0
        for kept in values:
            if first in kept or second in kept:
                continue
            size = len(kept) - len(required)
            weight = math.factorial(size) * math.factorial(count - size - 2) / math.factorial(count - 1)
            both = values[kept | {first, second}]
            total += weight * (both - values[kept | {first}] - values[kept | {second}] + values[kept])
        index[frozenset({first, second})] = total
    return index
