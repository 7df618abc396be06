"""Accuracy by family, pointing and effect of a model, on examples that it was not trained on.

Pointing: whether the patch, or frame, with the most attention lies in the region that the answer rests on. A token lies
in a region if its centre does, with a tolerance of one token (a patch, a frame).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.answer_maps import method_row
from mmviz.backends import Backend
from mmviz.backends.local.method_requirements import FIELDS
from mmviz.experiments.modality_shapley import effect_requests, read_effect
from mmviz.models.question_templates import FAMILIES, NEEDS
from mmviz.models.trio_network import SECONDS_PER_FRAME
from mmviz.training.evaluate.evaluation_cases import OWN_SCENES, Case, cases, runs
from mmviz.training.world.examples import World
from mmviz.types import (
    AttentionRecord,
    Change,
    MapRef,
    Modality,
    PixelBox,
    Request,
    Seconds,
    Token,
)

UNNEEDED_SHARE = 0.15
"""Largest share of the effect for a modality that the question does not need."""
SLOW_METHODS = ("value", "integrated")
"""Norms of the last layer and integrated gradients, which are measured on fewer examples."""
POINTING = ("answered", "image", "audio")
"""Pointing in the image to the object answered and to all objects of the question, and in the audio to the word."""
SPEECH_FAMILIES = ("heard", "said", "seen", "relheard")


@dataclass
class Score:
    """Hits out of trials."""

    hits: float = 0.0
    """Trials with the right answer, or with the largest amount in the right place."""
    trials: int = 0
    """Number of examples that were tried."""
    chance: float = 0.0
    """The expected hits of a random guess, added up."""

    @property
    def rate(self) -> float:
        """Hits by trials, 0 to 1; NaN without trials."""
        return self.hits / self.trials if self.trials else float("nan")

    @property
    def chance_rate(self) -> float:
        """The rate that random guesses are expected to have, 0 to 1; NaN without trials."""
        return self.chance / self.trials if self.trials else float("nan")

    def add(self, hit: bool, chance: float) -> None:
        """Counts a trial; ``chance`` is the probability that a random guess hits, 0 to 1."""
        self.hits, self.trials, self.chance = self.hits + hit, self.trials + 1, self.chance + chance


@dataclass(frozen=True)
class EffectScore:
    """How often the modality that a question does not need has little effect."""

    unneeded: str
    """The modality that is not needed."""
    rate: float
    """Share of examples in which it has the smallest share of the effect, and less than `UNNEEDED_SHARE`."""
    shares: dict[str, float]
    """Mean share of the effect by modality."""


@dataclass
class Pointing:
    """Pointing of one method, by family."""

    answered: dict[str, Score] = field(default_factory=dict)
    """In the image, to the object answered."""
    image: dict[str, Score] = field(default_factory=dict)
    """In the image, to any object of the question."""
    audio: dict[str, Score] = field(default_factory=dict)
    """In the audio, to the spoken word."""

    def total(self, target: str) -> Score:
        """Returns the score of one of `POINTING` over all families, in the image only those in scenes of three or more
        things."""
        scores: dict[str, Score] = getattr(self, target)
        kept = [score for family, score in scores.items() if target == "audio" or family not in OWN_SCENES]
        return Score(sum(s.hits for s in kept), sum(s.trials for s in kept), sum(s.chance for s in kept))


def accuracy(
    backend: Backend, model: str, world: World, seed: int, count: int, families: Sequence[str] = FAMILIES,
    changes: tuple[Change, ...] = (), tick: Callable[[], None] = lambda: None,
    each: Callable[[AttentionRecord, str], None] = lambda record, truth: None,
) -> dict[str, tuple[Score, float]]:  # fmt: skip
    """Returns accuracy by family: the score, and the majority baseline, the share of the commonest true answer.

    ``each`` is called with every record and its right answer.
    """
    by_family: dict[str, tuple[Score, float]] = {}
    for family in families:
        score, truths = Score(), Counter[str]()
        examples = cases(world, seed, family, count, busy=False)
        for case, record in runs(backend, examples, lambda case: Request(model, case.sample, changes, maps=False)):
            score.add(record.answers[0].label == case.question.answer, 0.0)
            truths[case.question.answer] += 1
            each(record, case.question.answer)
            tick()
        by_family[family] = (score, truths.most_common(1)[0][1] / count)
    return by_family


def pointing(
    backend: Backend, model: str, world: World, seed: int, count: int, methods: Sequence[str] | None = None,
    changes: tuple[Change, ...] = (), tick: Callable[[], None] = lambda: None,
) -> dict[str, Pointing]:  # fmt: skip
    """Returns pointing from the answer token, by method and family.

    ``methods``: those of `mmviz.analysis.answer_maps.AnswerMap` to measure (None: the mean over heads of every layer,
    every head, rollout, relevance). The entry ``loudest frame`` is a baseline without a model.
    """
    fields = fields_of(methods or ("relevance",))

    def request_of(case: Case) -> Request:
        return Request(model, case.sample, changes, **fields)

    table: dict[str, Pointing] = {"loudest frame": Pointing()}
    for family in FAMILIES:
        for case, record in runs(backend, cases(world, seed, family, count, busy=True), request_of):
            tokens = record.streams[record.maps[-1].keys]
            if rests_on_speech(case):
                table["loudest frame"].audio.setdefault(family, Score()).add(*_loudest(case))
            for method in methods or map(str, all_map_refs(record)):
                entry = table.setdefault(method, Pointing())
                for target, hit, chance in pointing_hits(case, tokens, method_row(record, method)[1]):
                    getattr(entry, target).setdefault(family, Score()).add(hit, chance)
            tick()
    return table


def pointing_hits(
    case: Case, tokens: Sequence[Token], amounts: NDArray[np.float64]
) -> Iterator[tuple[str, bool, float]]:  # fmt: skip
    """Yields for each of `POINTING` whether the token with the largest amount is a hit, and the chance of that.

    A modality that the question does not rest on, or that has no tokens, is left out.
    """
    patches = [k for k, token in enumerate(tokens) if isinstance(token.location, PixelBox)]
    for target in ("answered", "image"):
        boxes, other_things = targets(case, only_answered=target == "answered")
        if boxes and patches:
            best = tokens[patches[int(np.argmax(amounts[patches]))]].location
            assert isinstance(best, PixelBox)
            side = case.example.scene.pixels.shape[0]
            yield target, any(is_in_box(best, box, side) for box in boxes), len(boxes) / (len(boxes) + other_things)
    frames = [k for k, token in enumerate(tokens) if isinstance(token.location, Seconds)]
    if rests_on_speech(case) and frames:
        frame = tokens[frames[int(np.argmax(amounts[frames]))]].location
        assert isinstance(frame, Seconds)
        yield "audio", is_in_word(frame, case), _time_share(case)


def fields_of(methods: Sequence[str]) -> dict[str, Any]:
    """Returns the fields of a `Request` that records what ``methods`` need."""
    return {FIELDS[method]: True for method in methods if method in FIELDS}


def effects(
    backend: Backend, model: str, world: World, seed: int, count: int, tick: Callable[[], None] = lambda: None
) -> dict[str, EffectScore]:
    """Returns the effect of the modalities for the families that need one modality beside the text.

    See `mmviz.experiments.modality_shapley`; the examples are as in training.
    """
    by_family: dict[str, EffectScore] = {}
    for family in (family for family in FAMILIES if len(NEEDS[family]) == 1):
        (needed,) = NEEDS[family]
        unneeded = Modality.AUDIO if needed == Modality.IMAGE else Modality.IMAGE
        shares = []
        examples = cases(world, seed, family, count, busy=False)
        for case, record in runs(backend, examples, lambda case: effect_requests(Request(model, case.sample))[0]):
            shares.append(read_effect(case.sample, [record]).shares)
            tick()
        hits = sum(share[unneeded] == min(share.values()) and share[unneeded] < UNNEEDED_SHARE for share in shares)
        means = {str(modality): float(np.mean([share[modality] for share in shares])) for modality in shares[0]}
        by_family[family] = EffectScore(str(unneeded), hits / count, means)
    return by_family


def all_map_refs(record: AttentionRecord) -> list[MapRef]:
    """Returns the mean over heads of every map, every head, rollout and relevance."""
    numbers = range(len(record.maps))
    heads = [record.map_ref(number, head) for number in numbers for head in range(record.maps[number].heads)]
    return [*map(record.map_ref, numbers), *heads, MapRef("rollout"), MapRef("relevance")]


def targets(case: Case, only_answered: bool = False) -> tuple[list[tuple[float, float, float, float]], int]:
    """Returns the boxes in which the patch with the most attention is a hit, and the number of other things.

    They are of all things of the question: those that the answer rests on, and in a relation the one that it starts
    from, but with ``only_answered``. There are no boxes where the question does not rest on things in the image.
    """
    question, things = case.question, case.example.scene.things
    rests_on_image = {
        "name": True, "mask": True, "count": True, "caption": True, "there": question.answer == "yes",
        "seen": question.answer == "yes", "rel": bool(question.things), "relheard": bool(question.things),
    }  # fmt: skip
    if not rests_on_image.get(question.family):
        return [], 0
    chosen = list(question.things)
    if only_answered:
        return [things[k].box for k in chosen], len(things) - len(chosen)
    if question.family == "rel":
        chosen += [k for k, thing in enumerate(things) if thing.word in question.words]
    if question.family == "relheard":
        chosen += [k for k, thing in enumerate(things) if thing.word == case.example.sound.word]
    return [things[k].box for k in chosen], len(things) - len(chosen)


def rests_on_speech(case: Case) -> bool:
    """Returns whether the answer rests on the spoken word."""
    family = case.question.family
    return family in SPEECH_FAMILIES and not (family == "said" and case.question.answer == "no")


def is_in_box(patch: PixelBox, box: tuple[float, float, float, float], side: int) -> bool:
    """Returns whether a patch lies in a box, given as parts of the ``side``, with a tolerance of one patch."""
    width, height = patch.x1 - patch.x0, patch.y1 - patch.y0
    x, y = (patch.x0 + patch.x1) / 2, (patch.y0 + patch.y1) / 2
    x0, y0, x1, y1 = (edge * side for edge in box)
    return x0 - width <= x <= x1 + width and y0 - height <= y <= y1 + height


def is_in_word(frame: Seconds, case: Case) -> bool:
    """Returns whether a moment lies in the spoken word, with a tolerance of one frame."""
    middle = (frame.start + frame.end) / 2
    return case.example.sound.start - SECONDS_PER_FRAME <= middle <= case.example.sound.end + SECONDS_PER_FRAME


def _time_share(case: Case) -> float:
    sound = case.example.sound
    return min(1.0, (sound.end - sound.start + 2 * SECONDS_PER_FRAME) / (len(sound.wave) / 16_000))


def _loudest(case: Case) -> tuple[bool, float]:
    wave = case.example.sound.wave
    size = int(SECONDS_PER_FRAME * 16_000)
    energy = [float((wave[start : start + size] ** 2).sum()) for start in range(0, len(wave), size)]
    start = int(np.argmax(energy)) * SECONDS_PER_FRAME
    return is_in_word(Seconds(start, start + SECONDS_PER_FRAME), case), _time_share(case)
