"""Parts of training batches: the arrays of questions, and batches read ahead in a worker process."""

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

from mmviz.models.encoders.picture_encoder import PATCHES
from mmviz.models.question_templates import FAMILIES
from mmviz.models.trio_network import FRAMES
from mmviz.training.world.ground_truth_labels import Arrays, question_arrays
from mmviz.training.world.questions import INDEPENDENT_SPEECH, Question
from mmviz.training.world.scenes import Thing
from mmviz.training.world.tokenizer import answers

Batch = dict[str, Tensor]
PER_TEXT = ("text", "word_image", "word_audio", "word_position")
"""Arrays with an axis of text tokens, which a batch trims to its longest text."""


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
    patches: int = PATCHES**2
    """Patches of a picture that the fusion is given, those of things rather than ground: fewer train quicker."""
    frames: int = FRAMES
    """Frames of a sound that the fusion is given."""
    photographs: float = 0.0
    """Share of the pictures that the classifier sees as photographs, see `simulated_photograph_features`."""


class ExampleEncoder:
    """Turns examples into arrays, with one tokenizer and one list of words."""

    def __init__(self, tokenizer: Tokenizer, concepts: Sequence[str]):
        self.tokenizer = tokenizer
        self.concepts = tuple(concepts)
        vocabulary = tokenizer.get_vocab()
        self.rows = [vocabulary[word] for word in (*concepts, "[GROUND]")]
        self.word_index = {word: index for index, word in enumerate((*concepts, "[GROUND]"))}
        self.answer_index = {answer: index for index, answer in enumerate(answers(concepts))}
        self.concept_ids = {vocabulary[word]: word for word in concepts}

    def question(
        self, things: Sequence[Thing], spoken: str, question: Question, scene: Arrays, has: tuple[bool, bool, bool]
    ) -> Arrays:
        """Returns the arrays of a question; see `mmviz.training.world.ground_truth_labels.question_arrays`."""
        return question_arrays(
            things, spoken, question, scene, self.tokenizer, self.answer_index, self.concept_ids, has
        )


def joined_arrays(scenes: list[Arrays], questions: list[Arrays]) -> Batch:
    """Returns the arrays of scenes ``[scenes, ...]`` and questions ``[questions, ...]``, texts cut to the longest."""
    joined = {name: np.stack([arrays[name] for arrays in group]) for group in (scenes, questions) if group
              for name in group[0]}  # fmt: skip
    for name in PER_TEXT:
        if name in joined:
            joined[name] = joined[name][:, : int(joined["text_lengths"].max())]
    return {name: torch.from_numpy(np.asarray(array)) for name, array in joined.items()}


def many_words(rng: np.random.Generator, things: Sequence[Thing], spoken: str, concepts: Sequence[str]) -> Question:
    """Returns words that are in the image or the sound among as many that are not: many labels in one text."""
    present = [thing.word for thing in things] + [spoken]
    absent = [str(word) for word in rng.choice(list(concepts), int(rng.integers(3, 9)))]
    words = list(dict.fromkeys(str(word) for word in rng.permutation(present + absent)))
    return Question("there", " ".join(words), "", words=tuple(words))


def families_of_scene(rng: np.random.Generator, count: int, odds: NDArray[np.float64]) -> list[str]:
    """Returns the families of a scene's questions: all in `INDEPENDENT_SPEECH`, or none; on average by their odds."""
    if count == 0:
        return []
    independent = np.array([family in INDEPENDENT_SPEECH for family in FAMILIES])
    possible = np.where(independent == (rng.random() < odds[independent].sum()), odds, 0)
    return [FAMILIES[k] for k in rng.choice(len(FAMILIES), count, p=possible / possible.sum())]


def loader(stream: IterableDataset[Batch], workers: int = 1) -> Iterator[Batch]:
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
