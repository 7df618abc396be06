"""Pictures whose features are moved as a photograph's are: to classes of known words, and to classes of other things.

Detectors must not flag photographs of known things, and there are none to fit to; see
`mmviz.training.fit.simulated_photograph_features`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from mmviz.models.encoders.frozen_encoders import FrozenEncoders, class_words
from mmviz.models.encoders.picture_encoder import CLASSES, LAST, PATCHES
from mmviz.training.fit.simulated_photograph_features import MOVE, class_directions

_SIDES = (3, 8)
"""Patches along a side of what is moved: at least, and fewer than."""
_SAMPLED = 50
"""Pictures whose patches tell the directions of the classes."""


def moved_to_classes(
    encoders: FrozenEncoders, pictures: Tensor, count: int, is_word: bool, seed: int
) -> Iterator[Tensor]:
    """Yields ``count`` of ``pictures`` ``[n, 144, 768]``, a rectangle of patches moved to one class, ``[144, 768]``.

    ``is_word``: to a class that shows a known word, or to one that shows none.
    """
    rng = np.random.default_rng([seed, is_word])
    words = class_words()
    classes = [number for number in range(CLASSES) if bool(words[number]) == is_word]
    chosen = rng.integers(len(pictures), size=_SAMPLED)
    directions = class_directions(encoders.classifier, pictures[chosen, :, :LAST].float().flatten(0, 1))
    for _ in range(count):
        picture = pictures[int(rng.integers(len(pictures)))].float().reshape(PATCHES, PATCHES, -1).clone()
        height, width = (int(side) for side in rng.integers(*_SIDES, 2))
        y, x = (int(rng.integers(PATCHES + 1 - side)) for side in (height, width))
        direction = directions[classes[int(rng.integers(len(classes)))]]
        picture[y : y + height, x : x + width, :LAST] += float(rng.uniform(*MOVE)) * direction
        yield picture.flatten(0, 1)
