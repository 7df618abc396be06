"""Training batches, generated without end in a worker process."""

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
from mmviz.models.trio_network import TrioInput
from mmviz.training.world.examples import TrainingExample, World
from mmviz.training.world.labels import Arrays, audio_arrays, image_arrays, question_arrays
from mmviz.training.world.questions import INDEPENDENT_SPEECH, Question
from mmviz.training.world.tokenizer import answers

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Recipe:
    """The data of a stage."""

    scenes: int
    """Scenes per batch."""
    questions: int
    """Questions per scene."""
    drop: float
    """Probability that a modality is dropped."""
    many_words: float
    """Share of questions replaced by a plain list of words, each to be located in image and sound."""
    weights: tuple[float, ...] = (1.0,) * len(FAMILIES)
    """Relative frequency of the families."""


class ExampleEncoder:
    """Turns examples into arrays, with one tokenizer and one list of words."""

    def __init__(self, tokenizer: Tokenizer, concepts: Sequence[str]):
        self.tokenizer = tokenizer
        vocabulary = tokenizer.get_vocab()
        self.rows = [vocabulary[word] for word in (*concepts, "[GROUND]")]
        self.word_index = {word: index for index, word in enumerate((*concepts, "[GROUND]"))}
        self.answer_index = {answer: index for index, answer in enumerate(answers(concepts))}
        self.concept_ids = {vocabulary[word]: word for word in concepts}

    def scene(self, example: TrainingExample) -> Arrays:
        """Returns the arrays of image and sound."""
        return {**image_arrays(example, self.word_index), **audio_arrays(example, self.word_index)}

    def question(
        self, example: TrainingExample, question: Question, scene: Arrays, has: tuple[bool, bool, bool]
    ) -> Arrays:
        """Returns the arrays of one question; see `mmviz.training.world.labels.question_arrays`."""
        return question_arrays(example, question, scene, self.tokenizer, self.answer_index, self.concept_ids, has)


class BatchStream(IterableDataset[Batch]):
    """Batches without end. Batch ``n`` of worker ``w`` depends on (seed, w, n) alone."""

    def __init__(self, world: World, encoder: ExampleEncoder, recipe: Recipe, seed: int):
        self.world, self.encoder, self.recipe, self.seed = world, encoder, recipe, seed

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            yield self.batch(rng)

    def batch(self, rng: np.random.Generator) -> Batch:
        """Returns a batch: scene arrays ``[scenes, ...]``, question arrays ``[scenes * questions, ...]`` by scene."""
        recipe = self.recipe
        scenes, questions = [], []
        odds = np.array(recipe.weights) / sum(recipe.weights)
        for _ in range(recipe.scenes):
            example = self.world.example(rng, _families_of_scene(rng, recipe.questions, odds))
            arrays = self.encoder.scene(example)
            for question in example.questions:
                if rng.random() < recipe.many_words:
                    question = self._many_words(rng, example)
                has = tuple(bool(rng.random() >= recipe.drop) for _ in range(3))
                questions.append(self.encoder.question(example, question, arrays, (has[0], has[1], has[2])))
            del arrays["patch_thing"], arrays["frame_spoken"]
            scenes.append(arrays)
        joined = {
            name: np.stack([arrays[name] for arrays in group]) for group in (scenes, questions) for name in group[0]
        }
        longest = int(joined["text_lengths"].max()) if questions else 0
        for name in ("text", "word_image", "word_audio", "word_position"):
            if name in joined:
                joined[name] = joined[name][:, :longest]
        return {name: torch.from_numpy(np.asarray(array)) for name, array in joined.items()}

    def _many_words(self, rng: np.random.Generator, example: TrainingExample) -> Question:
        """Returns words that are in the image or the sound among as many that are not: many labels in one text."""
        present = [thing.word for thing in example.scene.things] + [example.sound.word]
        absent = [str(word) for word in rng.choice(self.world.questions.words, int(rng.integers(3, 9)))]
        words = list(dict.fromkeys(str(word) for word in rng.permutation(present + absent)))
        return Question("there", " ".join(words), "", words=tuple(words))


def _families_of_scene(rng: np.random.Generator, count: int, odds: NDArray[np.float64]) -> list[str]:
    """Returns the families of a scene's questions: all in `INDEPENDENT_SPEECH`, or none; on average by their odds."""
    independent = np.array([family in INDEPENDENT_SPEECH for family in FAMILIES])
    possible = np.where(independent == (rng.random() < odds[independent].sum()), odds, 0)
    return [FAMILIES[k] for k in rng.choice(len(FAMILIES), count, p=possible / possible.sum())]


def loader(stream: BatchStream, workers: int = 1) -> Iterator[Batch]:
    """Iterates over the stream, generated ahead in ``workers`` processes of low priority (0: in this process)."""
    return iter(
        DataLoader(
            stream,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_lower_priority,
        )  # fmt: skip
    )


def _lower_priority(_: int) -> None:
    torch.set_num_threads(1)
    os.nice(5)


def model_input(batch: Batch) -> tuple[Tensor, Tensor, TrioInput]:
    """Returns images ``[scenes, 3, 160, 160]``, mels ``[scenes, 64, 400]``, and the input of the model per question."""
    image = batch["image"].permute(0, 3, 1, 2).float() / 127.5 - 1
    repeats = len(batch["text"]) // len(image)
    questions = TrioInput(
        image=image, mel=batch["mel"].float(), frames=batch["frames"].repeat_interleave(repeats), text=batch["text"],
        text_lengths=batch["text_lengths"], has_image=batch["has_image"], has_audio=batch["has_audio"],
        has_text=batch["has_text"],
    )  # fmt: skip
    return image, questions.mel, questions
