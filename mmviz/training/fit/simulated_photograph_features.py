"""Features of drawn things as photographs of them would have them, by the picture encoder's own classifier.

What is trained sees drawings alone, and reads them from other features than those by which the encoder tells
photographs apart. Two ways show it where photographs lie, without a photograph. Moving a drawn thing's features along
the direction in which the logit of its class grows shows the projections. In training, what the classifier says patch
by patch is changed as photographs have it: sure of the word in a part of the thing, unsure or sure of another word in
the rest, and of a word here and there on the ground, beside features that tell nothing of the thing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.models.encoders.picture_encoder import CLASSES, LAST, PATCHES, PhotographClassifier

SHARE = 0.35
"""Share of the things that have classes whose features are moved."""
MOVE = (14.0, 40.0)
"""How far, in units of the last stage's features, whose norm is about 30 at a patch of a thing."""
_PART, _STRENGTH, _REST = (0.15, 1.0), (0.5, 1.0), 0.3
"""Part of a thing whose patches the classifier is sure of, how sure it is there, and at most elsewhere."""
_CONFUSED, _CONFUSED_PART = 0.5, 0.3
"""Share of things of which a part, of at most this size, is taken for another word."""
_ON_GROUND = 0.12
"""Share of the patches of the ground, at most, that are taken for a word."""
_OF_GROUND, _OF_THINGS = 0.5, 0.75
"""Share of things with the features of ground, and of ground or of a thing, of another picture; the rest keep theirs.
"""
_TOLD_FROM = 0.2
"""The probability from which a patch is taught the word."""


def class_directions(classifier: PhotographClassifier, patches: Tensor) -> Tensor:
    """Returns for each class the direction of its logit in the last stage's features, unit rows ``[1000, 320]``.

    ReLU6 is taken as it stands on average over ``patches`` ``[n, 320]``; what all logits share is left out.
    """
    with torch.no_grad():
        hidden = classifier.head(patches)
        open_share = ((hidden > 0) & (hidden < 6)).float().mean(0)
        rows = classifier.output.weight - classifier.output.weight.mean(0)
        directions = (rows * open_share) @ classifier.head.weight
        return torch.nn.functional.normalize(directions, dim=1)


def as_photographs(
    rng: np.random.Generator, features: Tensor, patch_things: Tensor, classes: list[list[int]], directions: Tensor
) -> Tensor:
    """Returns features ``[144, 768]`` of a picture, those of some of its things moved to a class of their word.

    ``patch_things``: the thing that each patch shows, negative for none, ``[144]``; ``classes``: the classes that show
    each thing's word; ``directions``: see `class_directions`.
    """
    moved = features.clone()
    for thing, choices in enumerate(classes):
        if not choices or rng.random() >= SHARE:
            continue
        direction = directions[choices[int(rng.integers(len(choices)))]]
        moved[patch_things == thing, :LAST] += float(rng.uniform(*MOVE)) * direction
    return moved


def classes_by_word(class_words: tuple[str, ...]) -> dict[str, list[int]]:
    """Returns the classes that show each word."""
    table: dict[str, list[int]] = {}
    for number in range(CLASSES):
        if class_words[number]:
            table.setdefault(class_words[number], []).append(number)
    return table


def classified_as_photograph(
    rng: np.random.Generator, features: Tensor, words: Tensor, patch_things: NDArray[np.int64],
    columns: Sequence[int | None], others: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor, NDArray[np.bool_]]:  # fmt: skip
    """Returns features ``[144, 768]`` and probabilities of words ``[144, word]`` of a picture as though its things had
    been photographed, and which patches show too little of their thing to be taught its word, ``[144]``.

    Args:
        rng: Decides.
        features: Those of the drawn picture, ``[144, 768]``.
        words: What the classifier says of it, see `FrozenEncoders.words`, ``[144, word]``.
        patch_things: The thing that each patch shows, negative for none, ``[144]``.
        columns: The column of each thing's word in ``words``; None for a word without a class, whose thing stays.
        others: Features of ground and of things of other pictures, each ``[n, 768]``.
    """
    features, words, untold = features.clone(), words.clone(), np.zeros(len(patch_things), bool)
    for thing, column in enumerate(columns):
        patches = np.flatnonzero(patch_things == thing)
        if column is None or not len(patches):
            continue
        strength = rng.uniform(0, _REST, len(patches))
        part = _blob(rng, patches, rng.uniform(*_PART))
        strength[part] = rng.uniform(*_STRENGTH) * rng.uniform(0.6, 1.0, len(part))
        _say(words, patches, column, strength)
        if rng.random() < _CONFUSED:
            part = _blob(rng, patches, rng.uniform(0, _CONFUSED_PART))
            wrong = rng.uniform(0.2, 1.0, len(part))
            _say(words, patches[part], int(rng.integers(words.shape[1])), wrong)
            strength[part] *= 1 - wrong
        kind = rng.random()
        source = others[0] if kind < _OF_GROUND else others[1]
        if kind < _OF_THINGS and len(source):
            features[patches] = source[torch.from_numpy(rng.integers(len(source), size=len(patches)))]
            untold[patches[strength < (_TOLD_FROM if kind < _OF_GROUND else 1.0)]] = True
    ground = np.flatnonzero(patch_things < 0)
    for patch in rng.permutation(ground)[: int(rng.uniform(0, _ON_GROUND) * len(ground))]:
        _say(words, np.array([patch]), int(rng.integers(words.shape[1])), rng.uniform(0.05, 0.6, 1))
        untold[patch] = True
    return features, words, untold


def _blob(rng: np.random.Generator, patches: NDArray[np.intp], share: float) -> NDArray[np.intp]:
    """Returns which of ``patches`` are nearest to a random one of them, a ``share`` of them."""
    place = np.stack(np.divmod(patches, PATCHES), 1).astype(float)
    distance = np.square(place - place[int(rng.integers(len(patches)))]).sum(1)
    return np.argsort(distance + rng.uniform(0, 1, len(patches)))[: round(share * len(patches))]


def _say(words: Tensor, patches: NDArray[np.intp], column: int, probability: NDArray[np.float64]) -> None:
    """Gives a word a probability at each of ``patches``; the others keep their ratios."""
    share = torch.from_numpy(probability).to(words)[:, None]
    words[patches] = words[patches] * (1 - share)
    words[patches, column] += share[:, 0]
