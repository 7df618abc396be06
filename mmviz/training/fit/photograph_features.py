"""Features of drawn things as photographs of them would have them, by the picture encoder's own classifier.

What is trained sees drawings alone, and reads them from other features than those by which the encoder tells
photographs apart. Moving a drawn thing's features along the direction in which the logit of its class grows shows the
projections where photographs of that word lie, without a photograph.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmviz.models.encoders.picture_encoder import CLASSES, LAST, PhotographClassifier

SHARE = 0.35
"""Share of the things that have classes whose features are moved."""
MOVE = (14.0, 40.0)
"""How far, in units of the last stage's features, whose norm is about 30 at a patch of a thing."""


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
