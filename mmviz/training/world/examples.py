"""Trios of the world: a picture, a sound and questions about them, from one random generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.models.question_templates import FAMILIES
from mmviz.training.world.questions import APART, Asker, Question
from mmviz.training.world.scenes import Scene, compose
from mmviz.training.world.sounds import Sound, compose_sound
from mmviz.training.world.speech import SpeechBank
from mmviz.training.world.sprites import INK, concepts, load_line_drawings, load_sprites


@dataclass(frozen=True)
class TrainingExample:
    """One picture, one sound, and the questions asked of them."""

    scene: Scene
    sound: Sound
    questions: tuple[Question, ...]


class World:
    """Draws, speaks and asks. ``styles`` are art sets, ``bank`` the voices."""

    def __init__(self, styles: Sequence[str], bank: SpeechBank):
        self.bank = bank
        drawings: dict[str, list[NDArray[np.uint8]]] = {}
        for style in styles:
            found = load_line_drawings(style) if style in INK else load_sprites(style)
            for word, drawing in found.items():
                drawings.setdefault(word, []).append(drawing)
        self.sprites: Mapping[str, list[NDArray[np.uint8]]] = drawings
        self.words = tuple(word for word in concepts() if word in drawings)
        self.answer_query = Asker(concepts())

    def example(
        self, rng: np.random.Generator, families: Sequence[str], count: int | None = None, strength: float = 1.0,
        busy: bool | None = None,
    ) -> TrainingExample:  # fmt: skip
        """A picture of ``count`` things (None: one to five), a sound, and one question of each of ``families``.

        A family that this picture cannot be asked is replaced by one that it can, of those in `APART` or of the others
        as it is itself. Where all are in `APART`, the spoken word is drawn without a look at the picture.
        """
        count = count or int(rng.integers(1, 6))
        names = [str(word) for word in rng.choice(self.words, count, replace=False)]
        is_apart = bool(families) and all(family in APART for family in families)
        is_named = not is_apart and rng.random() < 0.5
        spoken = str(rng.choice(names if is_named else self.answer_query.words))
        scene = compose(rng, names, self.sprites, strength=strength)
        voice = str(rng.choice(self.bank.voices))
        sound = compose_sound(rng, spoken, lambda text: self.bank.clip(voice, text), busy, strength)
        possible = [family for family in FAMILIES if self.answer_query.can_ask(family, scene.things, spoken)]
        asked = [
            family
            if family in possible
            else str(rng.choice([other for other in possible if (other in APART) == (family in APART)]))
            for family in families
        ]
        return TrainingExample(
            scene, sound, tuple(self.answer_query.ask(rng, family, scene.things, spoken) for family in asked)
        )
