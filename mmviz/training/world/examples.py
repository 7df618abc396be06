"""Training examples: an image, a sound and questions about them, from one random generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.training.world.compose_sound import Sound, compose_sound
from mmviz.training.world.grounds import Photographs, load_photographs
from mmviz.training.world.questions import INDEPENDENT_SPEECH, Question, QuestionGenerator
from mmviz.training.world.scenes import Scene, compose
from mmviz.training.world.speech_bank import SpeechBank
from mmviz.training.world.sprites import INK, concepts, load_line_drawings, load_sprites

MAX_THINGS = 5
"""Things in an image."""


@dataclass(frozen=True)
class TrainingExample:
    """One image, one sound, and the questions about them."""

    scene: Scene
    """The image, with what it shows where."""
    sound: Sound
    """The sound, with the spoken word and its time."""
    questions: tuple[Question, ...]
    """The questions, with their true answers."""


class World:
    """Generates examples. ``styles`` are art sets, ``bank`` holds the voices, ``photographs`` are further grounds.

    Without ``photographs`` the grounds are those for training.
    """

    def __init__(self, styles: Sequence[str], bank: SpeechBank, photographs: Photographs | None = None):
        self.bank, self.art = bank, tuple(styles)
        self.photographs = tuple(load_photographs().values()) if photographs is None else tuple(photographs)
        drawings: dict[str, list[NDArray[np.uint8]]] = {}
        for style in styles:
            by_word = load_line_drawings(style) if style in INK else load_sprites(style)
            for word, drawing in by_word.items():
                drawings.setdefault(word, []).append(drawing)
        self.sprites: Mapping[str, list[NDArray[np.uint8]]] = drawings
        self.words = tuple(word for word in concepts() if word in drawings)
        self.questions = QuestionGenerator(concepts())

    def scene(self, rng: np.random.Generator, count: int | None = None, strength: float = 1.0) -> Scene:
        """Returns an image of ``count`` things (None: one to five)."""
        count = count or int(rng.integers(1, MAX_THINGS + 1))
        names = [str(word) for word in rng.choice(self.words, count, replace=False)]
        return compose(rng, names, self.sprites, strength=strength, photographs=self.photographs)

    def sound(self, rng: np.random.Generator, word: str, busy: bool | None = None, strength: float = 1.0) -> Sound:
        """Returns a sound in which ``word`` is spoken by any voice; see `compose_sound`."""
        voice, other = self.bank.choose_voice(rng), self.bank.choose_voice(rng)
        rest = [other_word for other_word in self.questions.words if other_word != word]

        def say_another() -> NDArray[np.float32]:
            return self.bank.clip(other, str(rng.choice(rest)))

        return compose_sound(rng, word, lambda text: self.bank.clip(voice, text), busy, strength, say_another)

    def example(
        self, rng: np.random.Generator, families: Sequence[str], count: int | None = None, strength: float = 1.0,
        busy: bool | None = None,
    ) -> TrainingExample:  # fmt: skip
        """Returns an image of ``count`` things (None: one to five), a sound, and one question of each of ``families``.

        A family that does not apply to this image is replaced by another, in `INDEPENDENT_SPEECH` if it is itself.
        Where all are in `INDEPENDENT_SPEECH`, the spoken word is drawn independently of the image.
        """
        count = count or int(rng.integers(1, MAX_THINGS + 1))
        names = [str(word) for word in rng.choice(self.words, count, replace=False)]
        is_independent = bool(families) and all(family in INDEPENDENT_SPEECH for family in families)
        is_named = not is_independent and rng.random() < 0.5
        spoken = str(rng.choice(names if is_named else self.questions.words))
        scene = compose(rng, names, self.sprites, strength=strength, photographs=self.photographs)
        sound = self.sound(rng, spoken, busy, strength)
        return TrainingExample(scene, sound, self.questions.several(rng, families, scene.things, spoken))
