"""The examples of one family of questions that a model is measured on, and their runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from mmviz.backends import Backend
from mmviz.models.question_templates import FAMILIES
from mmviz.training.world.examples import TrainingExample, World
from mmviz.training.world.questions import BUSY_SCENES, Question
from mmviz.types import AttentionRecord, AudioInput, ImageInput, Request, Sample

OWN_SCENES = {"name": 1, "mask": 2}
"""Families whose pointing is measured in scenes of their own, with one and two things."""
TOGETHER = 16
"""Examples whose requests are sent at once."""


@dataclass(frozen=True)
class Case:
    """One example with one question, and the sample that goes into the model."""

    example: TrainingExample
    """The scene and the sound, with where each thing and the word are."""
    question: Question
    """The question of the example, with the true answer."""
    sample: Sample
    """What goes into the model."""


def cases(world: World, seed: int, family: str, count: int, busy: bool) -> Iterator[Case]:
    """Yields ``count`` examples of one family.

    ``busy``: three to five things (one or two where the family needs that) and a phrase or a second sound; otherwise
    as in training.
    """
    rng = np.random.default_rng([seed, FAMILIES.index(family), int(busy)])
    done = 0
    while done < count:
        things = int(rng.integers(3, 6)) if busy and family in BUSY_SCENES else None
        things = OWN_SCENES.get(family, 1 if family == "odd" else things)
        example = world.example(rng, [family], things, busy=True if busy else None)
        if example.questions[0].family != family:
            continue
        done += 1
        audio = AudioInput(example.sound.wave, 16_000, len(example.sound.wave) / 16_000)
        side = example.scene.pixels.shape[0]
        sample = Sample(ImageInput(example.scene.pixels, side, side), example.questions[0].text, audio)
        yield Case(example, example.questions[0], sample)


def runs(
    backend: Backend, examples: Iterable[Case], request_of: Callable[[Case], Request]
) -> Iterator[tuple[Case, AttentionRecord]]:  # fmt: skip
    """Yields each example with the record of its request. `TOGETHER` are sent at once, to share calls of the model."""
    waiting = iter(examples)
    while some := list(islice(waiting, TOGETHER)):
        yield from zip(some, backend.run([request_of(case) for case in some]), strict=True)
