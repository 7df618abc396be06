"""What the model can do on trios it never trained on: answers by family, and whether attention points at the truth.

A token lies in a place if its centre does, tolerance one token (a patch, a frame).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.map_weights import attention_row
from mmviz.backends import Backend
from mmviz.experiments.runs import attributions, measure_modality_effect
from mmviz.models.question_templates import FAMILIES, NEEDS
from mmviz.models.trio import SECONDS_PER_FRAME
from mmviz.training.world.examples import TrainingExample, World
from mmviz.training.world.questions import BUSY_SCENES, Question
from mmviz.types import (
    AttentionRecord,
    AudioInput,
    Change,
    ImageInput,
    MapRef,
    Modality,
    PixelBox,
    Request,
    Sample,
    Seconds,
    Token,
)

OWN_SCENES = {"name": 1, "mask": 2}
"""Families whose pointing is measured in their own scenes of one and two things."""
SPARE = 0.15
DEAR = ("value", "integrated")
SPEECH_FAMILIES = ("heard", "said", "seen", "relheard")


@dataclass(frozen=True)
class Case:
    """One trio with one question, and what goes into the model."""

    example: TrainingExample
    question: Question
    sample: Sample


@dataclass
class Score:
    """Hits out of trials. ``chance``: the expected hits of a blind guess, added up."""

    hits: float = 0.0
    of: int = 0
    chance: float = 0.0

    @property
    def rate(self) -> float:
        return self.hits / self.of if self.of else float("nan")

    @property
    def blind(self) -> float:
        return self.chance / self.of if self.of else float("nan")

    def add(self, hit: bool, chance: float) -> None:
        self.hits, self.of, self.chance = self.hits + hit, self.of + 1, self.chance + chance


@dataclass(frozen=True)
class EffectScore:
    """``rate`` of trios in which the modality that is not needed has the smallest share of the effect, and less than
    `SPARE`; mean ``shares`` by modality."""

    spare: str
    rate: float
    shares: dict[str, float]


@dataclass
class Pointing:
    """Pointing of one way of looking, by family."""

    image: dict[str, Score] = field(default_factory=dict)
    audio: dict[str, Score] = field(default_factory=dict)

    def total(self, modality: str) -> Score:
        """All families in scenes of three or more things (picture), or in busy sounds."""
        scores = self.image if modality == "image" else self.audio
        kept = [score for family, score in scores.items() if modality == "audio" or family not in OWN_SCENES]
        return Score(sum(s.hits for s in kept), sum(s.of for s in kept), sum(s.chance for s in kept))


def cases(world: World, seed: int, family: str, count: int, busy: bool) -> Iterator[Case]:
    """``count`` trios of one family. ``busy``: three to five things (one or two where the family asks that) and a
    phrase or a second sound; otherwise as in training."""
    rng = np.random.default_rng([seed, FAMILIES.index(family), int(busy)])
    made = 0
    while made < count:
        things = int(rng.integers(3, 6)) if busy and family in BUSY_SCENES else None
        things = OWN_SCENES.get(family, 1 if family == "odd" else things)
        example = world.example(rng, [family], things, busy=True if busy else None)
        if example.questions[0].family != family:
            continue
        made += 1
        sound = AudioInput(example.sound.wave, 16_000, len(example.sound.wave) / 16_000)
        side = example.scene.pixels.shape[0]
        sample = Sample(ImageInput(example.scene.pixels, side, side), example.questions[0].text, sound)
        yield Case(example, example.questions[0], sample)


def accuracy(
    backend: Backend, model: str, world: World, seed: int, count: int, families: Sequence[str] = FAMILIES,
    changes: tuple[Change, ...] = (), tick: Callable[[], None] = lambda: None,
) -> dict[str, tuple[Score, float]]:  # fmt: skip
    """Answers by family: the score, and the share that the commonest right answer would get."""
    found: dict[str, tuple[Score, float]] = {}
    for family in families:
        score, truths = Score(), Counter[str]()
        for case in cases(world, seed, family, count, busy=False):
            (record,) = backend.run([Request(model, case.sample, changes, maps=False)])
            score.add(record.answers[0].label == case.question.answer, 0.0)
            truths[case.question.answer] += 1
            tick()
        found[family] = (score, truths.most_common(1)[0][1] / count)
    return found


def pointing(
    backend: Backend, model: str, world: World, seed: int, count: int, ways: Sequence[MapRef] | None = None,
    changes: tuple[Change, ...] = (), tick: Callable[[], None] = lambda: None, is_dear: bool = False,
) -> dict[str, Pointing]:  # fmt: skip
    """Pointing from the answer token, by way of looking (None: every layer's mean, every head, rollout, relevance)
    and family; under ``energy`` the loudest frame instead. ``is_dear``: of the ways that take long instead, ``value``
    (norms of the last layer) and ``integrated`` gradients."""
    table: dict[str, Pointing] = {"energy": Pointing()}
    for family in FAMILIES:
        for case in cases(world, seed, family, count, busy=True):
            asked = Request(model, case.sample, changes, relevance=not is_dear, norms=is_dear, integrated=is_dear)
            (record,) = backend.run([asked])
            tokens = record.streams[record.maps[-1].keys]
            if speaks(case):
                table["energy"].audio.setdefault(family, Score()).add(*_loudest(case))
            for map_ref, amounts in _amounts(record, ways, is_dear).items():
                entry = table.setdefault(map_ref, Pointing())
                for side, hit, chance in pointed(case, tokens, amounts):
                    scores = entry.image if side == "image" else entry.audio
                    scores.setdefault(family, Score()).add(hit, chance)
            tick()
    return table


def pointed(
    case: Case, tokens: Sequence[Token], amounts: NDArray[np.float64]
) -> Iterator[tuple[str, bool, float]]:  # fmt: skip
    """Whether the strongest patch, and the strongest frame, lie where the answer rests: ``image`` or ``audio``, hit,
    and the chance of a blind guess. Nothing of a side that is not judged, or has no ``amounts`` ``[token]``."""
    boxes, others = targets(case)
    patches = [k for k, token in enumerate(tokens) if isinstance(token.location, PixelBox)]
    if boxes and patches:
        best = tokens[patches[int(np.argmax(amounts[patches]))]].location
        assert isinstance(best, PixelBox)
        side = case.example.scene.pixels.shape[0]
        yield "image", any(_in_box(best, box, side) for box in boxes), len(boxes) / (len(boxes) + others)
    frames = [k for k, token in enumerate(tokens) if isinstance(token.location, Seconds)]
    if speaks(case) and frames:
        moment = tokens[frames[int(np.argmax(amounts[frames]))]].location
        assert isinstance(moment, Seconds)
        yield "audio", _in_time(moment, case), _time_share(case)


def _amounts(record: AttentionRecord, ways: Sequence[MapRef] | None, is_dear: bool) -> dict[str, NDArray[np.float64]]:
    """What the answer token gives to every token, by way of looking."""
    if is_dear:
        found = attributions(record)
        return {map_ref: found[map_ref] for map_ref in DEAR}
    return {
        str(map_ref): attention_row(record, map_ref, 0, "from", record.relevance)
        for map_ref in ways or all_ways(record)
    }


def effects(
    backend: Backend, model: str, world: World, seed: int, count: int, tick: Callable[[], None] = lambda: None
) -> dict[str, EffectScore]:
    """The effect of the modalities by family, see `mmviz.experiments.modality_shapley`, on trios as in training; of those families
    that need one modality beside the text."""
    found: dict[str, EffectScore] = {}
    for family in (family for family in FAMILIES if len(NEEDS[family]) == 1):
        (needed,) = NEEDS[family]
        spare = Modality.AUDIO if needed == Modality.IMAGE else Modality.IMAGE
        shares = []
        for case in cases(world, seed, family, count, busy=False):
            effect = measure_modality_effect(backend, Request(model, case.sample))
            assert effect is not None
            shares.append(effect.shares)
            tick()
        hits = sum(one[spare] == min(one.values()) and one[spare] < SPARE for one in shares)
        means = {str(modality): float(np.mean([one[modality] for one in shares])) for modality in shares[0]}
        found[family] = EffectScore(str(spare), hits / count, means)
    return found


def all_ways(record: AttentionRecord) -> list[MapRef]:
    """Every layer's mean, every head, rollout and relevance."""
    layers = range(len(record.maps))
    heads = [MapRef("attention", layer, head) for layer in layers for head in range(record.maps[layer].heads)]
    return [*(MapRef("attention", layer) for layer in layers), *heads, MapRef("rollout"), MapRef("relevance")]


def targets(case: Case) -> tuple[list[tuple[float, float, float, float]], int]:
    """Boxes on which the strongest patch may lie, and how many other things there are; none: not judged."""
    question, things = case.question, case.example.scene.things
    judged = {
        "name": True, "mask": True, "count": True, "caption": True, "there": question.answer == "yes",
        "seen": question.answer == "yes", "rel": bool(question.things), "relheard": bool(question.things),
    }  # fmt: skip
    if not judged.get(question.family):
        return [], 0
    chosen = list(question.things)
    if question.family == "rel":
        chosen += [k for k, thing in enumerate(things) if thing.word in question.words]
    if question.family == "relheard":
        chosen += [k for k, thing in enumerate(things) if thing.word == case.example.sound.word]
    return [things[k].box for k in chosen], len(things) - len(chosen)


def speaks(case: Case) -> bool:
    """Whether the spoken word is what the strongest frame must lie in."""
    family = case.question.family
    return family in SPEECH_FAMILIES and not (family == "said" and case.question.answer == "no")


def _in_box(patch: PixelBox, box: tuple[float, float, float, float], side: int) -> bool:
    width, height = patch.x1 - patch.x0, patch.y1 - patch.y0
    x, y = (patch.x0 + patch.x1) / 2, (patch.y0 + patch.y1) / 2
    x0, y0, x1, y1 = (edge * side for edge in box)
    return x0 - width <= x <= x1 + width and y0 - height <= y <= y1 + height


def _in_time(frame: Seconds, case: Case) -> bool:
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
    return _in_time(Seconds(start, start + SECONDS_PER_FRAME), case), _time_share(case)
