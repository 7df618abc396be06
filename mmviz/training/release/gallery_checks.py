"""Claims about an example of the gallery, and what they are measured by: answers and exact effects, not impressions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from mmviz.backends import Backend
from mmviz.experiments.modality_shapley import Effect, measure_modality_effect
from mmviz.experiments.removals import present_modalities
from mmviz.models.cards import COMPARED
from mmviz.training.world.scenes import Thing
from mmviz.types import AttentionRecord, Modality, Request, Sample

IDLE_SHARE = 0.15
"""Share of the effect below which a modality counts as a distraction."""
NEEDED_RATIO = 2 / 3
"""A modality is needed where the answer's probability without it is at most this part of that with it."""


class MeasuredExample:
    """One example, and what the models do with it. Each measurement is made when it is first needed."""

    def __init__(self, backend: Backend, sample: Sample, truth: str, things: Sequence[Thing] = ()):
        self._backend = backend
        self.sample, self.truth, self.things = sample, truth, tuple(things)

    @cached_property
    def record(self) -> AttentionRecord:
        """The run of `trio`, with the steps of every layer."""
        (record,) = self._backend.run([Request("trio", self.sample, steps=True)])
        return record

    @cached_property
    def effect(self) -> Effect:
        """The exact Shapley values of the modalities, with the learned baseline."""
        effect = measure_modality_effect(self._backend, Request("trio", self.sample))
        assert effect is not None  # nothing stops it
        return effect

    @cached_property
    def kinds(self) -> dict[str, str]:
        """The answer of each compared kind of fusion, by its id."""
        records = self._backend.run([Request(kind, self.sample, maps=False) for kind in COMPARED])
        return {kind: record.answers[0].label for kind, record in zip(COMPARED, records, strict=True)}

    @property
    def answer(self) -> str:
        """The most probable answer of `trio`."""
        return self.record.answers[0].label


@dataclass(frozen=True)
class Verdict:
    """Whether a claim holds, and the figure that shows it."""

    holds: bool
    """Whether the claim is true of the example."""
    figure: str
    """What was measured, in words."""


class Claim(Protocol):
    """What is said of an example."""

    def verdict(self, example: MeasuredExample) -> Verdict:
        """Measures what the claim is about."""
        ...


@dataclass(frozen=True)
class Answers:
    """`trio` gives the expected answer."""

    def verdict(self, example: MeasuredExample) -> Verdict:
        """Compares the most probable answer with the expected one."""
        return Verdict(example.answer == example.truth, _answer(example))


@dataclass(frozen=True)
class Fails:
    """`trio` gives another answer than the expected one: the word of another thing in the image."""

    def verdict(self, example: MeasuredExample) -> Verdict:
        """Looks for the most probable answer among the words of the other things."""
        others = {thing.word for thing in example.things} - {example.truth}
        return Verdict(example.answer in others, _answer(example))


@dataclass(frozen=True)
class Needs:
    """The answer depends on a modality: its share is not that of a distraction, and without it the answer is lost."""

    modality: Modality
    """The modality that is needed."""

    def verdict(self, example: MeasuredExample) -> Verdict:
        """Holds from `IDLE_SHARE` of the effect on, if at most `NEEDED_RATIO` of the probability is left without it."""
        effect = example.effect
        share, ratio = effect.shares[self.modality], _kept_probability(effect, self.modality)
        figure = f"{self.modality} has {share:.2f} of the effect; without it {ratio:.2f} of the probability is left"
        return Verdict(share >= IDLE_SHARE and ratio <= NEEDED_RATIO, figure)


@dataclass(frozen=True)
class Idle:
    """A modality is a distraction: it is there, has the smallest share of the effect, and the answer stays without it.

    The share is below `IDLE_SHARE`.
    """

    modality: Modality
    """The modality that is a distraction."""

    def verdict(self, example: MeasuredExample) -> Verdict:
        """Compares its share of the effect with those of the others, and the answers with it and without it."""
        effect = example.effect
        share = effect.shares[self.modality]
        if self.modality not in effect.everything:
            return Verdict(False, f"{self.modality} is missing")
        stays = not effect.is_changed(effect.everything - {self.modality})
        is_smallest = all(share <= effect.shares[other] for other in effect.everything)
        figure = (
            f"{self.modality} has {share:.2f} of the effect; without it the answer {'stays' if stays else 'changes'}"
        )
        return Verdict(share < IDLE_SHARE and is_smallest and stays, figure)


@dataclass(frozen=True)
class Lacks:
    """The example has no input of a modality."""

    modality: Modality
    """The modality that is missing."""

    def verdict(self, example: MeasuredExample) -> Verdict:
        """Looks at the inputs alone; no model runs."""
        is_there = self.modality in present_modalities(example.sample)
        return Verdict(not is_there, f"{self.modality} is {'there' if is_there else 'missing'}")


@dataclass(frozen=True)
class OnlyKindFails:
    """Of the compared kinds of fusion, one gives another answer than the expected one, and all others give that."""

    kind: str
    """Id of the kind that gives the other answer, one of `COMPARED`."""

    def verdict(self, example: MeasuredExample) -> Verdict:
        """Compares the answer of every kind in `COMPARED` with the expected one."""
        wrong = [kind for kind, answer in example.kinds.items() if answer != example.truth]
        answers = ", ".join(f"{kind} {answer}" for kind, answer in example.kinds.items())
        return Verdict(wrong == [self.kind], f"{answers}; expected {example.truth}")


def check(example: MeasuredExample, claims: Sequence[Claim]) -> list[Verdict]:
    """Returns the verdicts of ``claims`` in order, up to the first that does not hold."""
    verdicts: list[Verdict] = []
    for claim in claims:
        verdicts.append(claim.verdict(example))
        if not verdicts[-1].holds:
            break
    return verdicts


def _answer(example: MeasuredExample) -> str:
    answer = example.record.answers[0]
    return f"the answer is {answer.label} with {answer.probability:.2f}; expected {example.truth}"


def _kept_probability(effect: Effect, modality: Modality) -> float:
    """Returns the probability of the answer without ``modality`` as a part of that with all inputs."""
    return math.exp(effect.values[effect.everything - {modality}] - effect.values[effect.everything])
