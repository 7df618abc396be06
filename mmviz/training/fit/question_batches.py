"""Batches of questions about pictures and sounds whose features are kept on disk, paired by the questions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from mmviz.models.encoders.frozen_encoders import classified_words
from mmviz.training.fit.data import Batch, ExampleEncoder, Recipe, families_of_scene, joined_arrays, many_words
from mmviz.training.fit.feature_store import Chunk, rows
from mmviz.training.fit.simulated_photograph_features import classified_as_photograph
from mmviz.training.world.ground_truth_labels import Arrays, frame_labels, patch_labels
from mmviz.training.world.questions import INDEPENDENT_SPEECH, QuestionGenerator
from mmviz.training.world.scenes import Thing


class PairStream(IterableDataset[Batch]):
    """Batches without end: pictures in random order, each with a sound in which the word is spoken that its questions
    need. Batch ``n`` of worker ``w`` depends on (seed, w, n) alone."""

    def __init__(self, pictures: list[Chunk], sounds: list[Chunk], encoder: ExampleEncoder, recipe: Recipe, seed: int):
        self.pictures, self.sounds = list(rows(pictures)), list(rows(sounds))
        self.encoder, self.recipe, self.seed = encoder, recipe, seed
        self.words = encoder.concepts
        self.questions = QuestionGenerator(self.words)
        self.columns = {word: column for column, word in enumerate(classified_words())}
        self.by_word: dict[int, list[int]] = {}
        for number, (chunk, row) in enumerate(self.sounds):
            self.by_word.setdefault(int(chunk["word"][row]), []).append(number)

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        order: list[int] = []
        while True:
            if len(order) < self.recipe.scenes:
                order += rng.permutation(len(self.pictures)).tolist()
            numbers, order = order[: self.recipe.scenes], order[self.recipe.scenes :]
            yield self.batch(rng, numbers)

    def batch(self, rng: np.random.Generator, numbers: list[int]) -> Batch:
        """Returns a batch: arrays of pairs ``[pairs, ...]``, of questions ``[pairs * questions, ...]`` by pair."""
        recipe = self.recipe
        odds = np.array(recipe.weights) / sum(recipe.weights)
        pairs: list[Arrays] = []
        questions: list[Arrays] = []
        features, words, frames = [], [], []
        for number in numbers:
            chunk, row = self.pictures[number]
            things = things_of(chunk, row, self.words)
            families = families_of_scene(rng, recipe.questions, odds)
            sound, sound_row = self.sounds[self._sound(rng, things, families)]
            spoken = self.words[int(sound["word"][sound_row])]
            start, end = (float(second) for second in sound["interval"][sound_row])
            thing_index = chunk["patch_things"][row].numpy().astype(np.int64)
            arrays = patch_labels(things, thing_index, self.encoder.word_index)
            picture, said = chunk["features"][row], chunk["words"][row]
            if rng.random() < recipe.photographs:
                columns = [self.columns.get(thing.word) for thing in things]
                picture, said, untold = classified_as_photograph(
                    rng, picture, said, thing_index, columns, self._others(rng)
                )
                arrays["patch_word"][untold] = -1
            arrays |= frame_labels(spoken, start, end, int(sound["frames"][sound_row]), self.encoder.word_index)
            for question in self.questions.several(rng, families, things, spoken):
                if rng.random() < recipe.many_words:
                    question = many_words(rng, things, spoken, self.words)
                has = tuple(bool(rng.random() >= recipe.drop) for _ in range(3))
                questions.append(self.encoder.question(things, spoken, question, arrays, (has[0], has[1], has[2])))
            pairs.append({name: array for name, array in arrays.items() if name not in ("patch_thing", "frame_spoken")})
            features.append(picture)
            words.append(said)
            frames.append(sound["features"][sound_row])
        batch = joined_arrays(pairs, questions)
        return batch | {
            "patch_features": torch.stack(features), "patch_words": torch.stack(words),
            "frame_features": torch.stack(frames),
        }  # fmt: skip

    def _others(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Returns the features of the ground and of the things of a random picture."""
        chunk, row = self.pictures[int(rng.integers(len(self.pictures)))]
        features, shown = chunk["features"][row], chunk["patch_things"][row]
        return features[shown == -1], features[shown >= 0]

    def _sound(self, rng: np.random.Generator, things: tuple[Thing, ...], families: list[str]) -> int:
        """Returns the number of a sound: half the time its word names a thing, unless the families forbid it."""
        is_independent = bool(families) and all(family in INDEPENDENT_SPEECH for family in families)
        if not is_independent and rng.random() < 0.5:
            named = self.words.index(things[int(rng.integers(len(things)))].word)
            if named in self.by_word:
                return int(rng.choice(self.by_word[named]))
        return int(rng.integers(len(self.sounds)))


def things_of(chunk: Chunk, row: int, words: tuple[str, ...]) -> tuple[Thing, ...]:
    """Returns the things in a picture of the store."""
    return tuple(
        Thing(words[int(word)], tuple(float(edge) for edge in box))  # type: ignore[arg-type]
        for word, box in zip(chunk["thing_words"][row], chunk["boxes"][row], strict=True)
        if word >= 0
    )
