"""An endless stream of training batches, made in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from mmviz.models.question_templates import FAMILIES
from mmviz.models.trio import TrioInput
from mmviz.training.world.examples import TrainingExample, World
from mmviz.training.world.labels import Arrays, picture_arrays, question_arrays, sound_arrays
from mmviz.training.world.questions import APART, Question
from mmviz.training.world.tokenizer import answers

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Recipe:
    """What a stage trains on. ``scenes`` a batch, ``questions`` a scene; ``drop``: chance that a modality is absent;
    ``many_words`` share of questions replaced by a plain list of words, each to be found in picture and sound."""

    scenes: int
    questions: int
    drop: float
    many_words: float
    weights: tuple[float, ...] = (1.0,) * len(FAMILIES)


class Encoder:
    """Turns trios into arrays with one tokenizer and one list of words."""

    def __init__(self, tokenizer: Tokenizer, concepts: Sequence[str]):
        self.tokenizer = tokenizer
        pieces = tokenizer.get_vocab()
        self.rows = [pieces[word] for word in (*concepts, "[GROUND]")]
        self.word_index = {word: index for index, word in enumerate((*concepts, "[GROUND]"))}
        self.answer_index = {answer: index for index, answer in enumerate(answers(concepts))}
        self.concept_ids = {pieces[word]: word for word in concepts}

    def scene(self, example: TrainingExample) -> Arrays:
        """Arrays of the picture and the sound."""
        return {**picture_arrays(example, self.word_index), **sound_arrays(example, self.word_index)}

    def question(
        self, example: TrainingExample, question: Question, scene: Arrays, has: tuple[bool, bool, bool]
    ) -> Arrays:
        """Arrays of one question; see `mmviz.training.world.labels.question_arrays`."""
        return question_arrays(example, question, scene, self.tokenizer, self.answer_index, self.concept_ids, has)


class Stream(IterableDataset[Batch]):
    """Batches without end; batch ``n`` of worker ``w`` depends on (seed, w, n) alone."""

    def __init__(self, world: World, encoder: Encoder, recipe: Recipe, seed: int):
        self.world, self.encoder, self.recipe, self.seed = world, encoder, recipe, seed

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            yield self.batch(rng)

    def batch(self, rng: np.random.Generator) -> Batch:
        """One batch: scene arrays ``[scenes, ...]``, question arrays ``[scenes * questions, ...]`` in scene order."""
        recipe = self.recipe
        scenes, questions = [], []
        odds = np.array(recipe.weights) / sum(recipe.weights)
        for _ in range(recipe.scenes):
            example = self.world.example(rng, _asked_together(rng, recipe.questions, odds))
            arrays = self.encoder.scene(example)
            for question in example.questions:
                if rng.random() < recipe.many_words:
                    question = self._many_words(rng, example)
                kept = tuple(bool(rng.random() >= recipe.drop) for _ in range(3))
                questions.append(self.encoder.question(example, question, arrays, (kept[0], kept[1], kept[2])))
            del arrays["owner"], arrays["frame_spoken"]
            scenes.append(arrays)
        joined = {
            name: np.stack([arrays[name] for arrays in group]) for group in (scenes, questions) for name in group[0]
        }
        longest = int(joined["text_lengths"].max()) if questions else 0
        for name in ("text", "word_image", "word_audio", "word_place"):
            if name in joined:
                joined[name] = joined[name][:, :longest]
        return {name: torch.from_numpy(np.asarray(array)) for name, array in joined.items()}

    def _many_words(self, rng: np.random.Generator, example: TrainingExample) -> Question:
        """Words in the picture and the sound among as many that are not: many judgements in one text."""
        present = [thing.word for thing in example.scene.things] + [example.sound.word]
        absent = [str(word) for word in rng.choice(self.world.answer_query.words, int(rng.integers(3, 9)))]
        words = list(dict.fromkeys(str(word) for word in rng.permutation(present + absent)))
        return Question("there", " ".join(words), "", words=tuple(words))


def _asked_together(rng: np.random.Generator, count: int, odds: NDArray[np.float64]) -> list[str]:
    """Families of the questions of one scene: all in `APART`, or none; over many scenes each comes by its odds."""
    apart = np.array([family in APART for family in FAMILIES])
    among = np.where(apart == (rng.random() < odds[apart].sum()), odds, 0)
    return [FAMILIES[k] for k in rng.choice(len(FAMILIES), count, p=among / among.sum())]


def loader(stream: Stream, workers: int = 1) -> Iterator[Batch]:
    """The stream, made ahead in ``workers`` processes of low priority (0: in this one)."""
    return iter(
        DataLoader(
            stream,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_be_nice,
        )  # fmt: skip
    )


def _be_nice(_: int) -> None:
    torch.set_num_threads(1)
    os.nice(5)


def model_input(batch: Batch) -> tuple[Tensor, Tensor, TrioInput]:
    """Pictures ``[scenes, 3, 160, 160]``, mels ``[scenes, 64, 400]``, and the questions' part of the model input."""
    image = batch["image"].permute(0, 3, 1, 2).float() / 127.5 - 1
    repeats = len(batch["text"]) // len(image)
    questions = TrioInput(
        image=image, mel=batch["mel"].float(), frames=batch["frames"].repeat_interleave(repeats), text=batch["text"],
        text_lengths=batch["text_lengths"], has_image=batch["has_image"], has_audio=batch["has_audio"], has_text=batch["has_text"],
    )  # fmt: skip
    return image, questions.mel, questions
