"""Detects inputs out of the world of the bundled model, for which its answer means little.

Pictures and sounds: a small network over the evidence of `mmviz.models.word_recognition_statistics`, fitted by
`mmviz.training.fit.out_of_distribution`. Questions are compared with the question templates of the world.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.assets_path import assets_dir
from mmviz.models.question_templates import known_words, nearest, read, unknown_word
from mmviz.types import Notice

Floats = NDArray[np.float32]

MAX_DEVIATION = 6.0
"""Standard deviations at which an input of the network is clipped, so that one outlier alone decides nothing."""
_EPSILON = 1e-3


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """Where the pooled features of the world lie: directions in which they are spread by one, and centres."""

    mean: Floats
    """``[feature]``."""
    axes: Floats
    """``[axis, feature]``."""
    centres: Floats
    """``[centre, axis]``: one for each word, or one for all."""

    def distances(self, features: Floats) -> Floats:
        """Returns how far ``features`` ``[feature]`` are from the nearest centre and from the mean, as log: ``[2]``."""
        at = self.axes @ (features - self.mean)
        nearest_centre = ((self.centres - at) ** 2).mean(1).min()
        return np.asarray(np.log(np.array([nearest_centre, (at**2).mean()]) + _EPSILON), np.float32)


@dataclass(frozen=True, eq=False)
class Network:
    """A network with one hidden layer over standardised inputs."""

    mean: Floats
    """``[input]``."""
    scale: Floats
    """``[input]``."""
    inner: Floats
    """``[unit, input]``."""
    inner_bias: Floats
    """``[unit]``."""
    outer: Floats
    """``[unit]``."""
    outer_bias: float
    """Is added to the sum over the units."""

    def score(self, inputs: Floats) -> float:
        """Returns the score of ``inputs`` ``[input]``."""
        deviations = np.clip((inputs - self.mean) / self.scale, -MAX_DEVIATION, MAX_DEVIATION)
        return float(self.outer @ np.maximum(self.inner @ deviations + self.inner_bias, 0) + self.outer_bias)


@dataclass(frozen=True, eq=False)
class Detector:
    """Networks, each for one kind of what is out of the world."""

    space: FeatureSpace
    """Gives the last two inputs of every network, see `FeatureSpace.distances`."""
    networks: tuple[Network, ...]
    """At least one; the highest score counts."""

    def score(self, statistics: Floats, features: Floats) -> float:
        """Returns how far an input with this evidence, ``[statistic]`` and ``[feature]``, is from the world.

        The highest score of the networks; above 0 it is out of distribution.
        """
        inputs = np.concatenate([statistics, self.space.distances(features)])
        return max(network.score(inputs) for network in self.networks)


def detectors_path() -> Path:
    """Returns the path of the fitted detectors."""
    return assets_dir() / "trio" / "out_of_distribution.json"


@cache
def stored() -> Mapping[str, Any]:
    """Returns what `mmviz.training.fit.out_of_distribution` wrote."""
    content: dict[str, Any] = json.loads(detectors_path().read_text(encoding="utf-8"))
    return content


def detector(kind: str) -> Detector:
    """Returns the fitted detector for ``image`` or ``audio``."""
    return unpacked(stored()[kind])


def packed(fitted: Detector) -> dict[str, Any]:
    """Returns a detector as plain values; matrices in half precision, as base64."""
    space = {name: _encoded(value) for name, value in vars(fitted.space).items()}
    networks = [
        {name: _encoded(value) if isinstance(value, np.ndarray) else value for name, value in vars(network).items()}
        for network in fitted.networks
    ]
    return {"space": space, "networks": networks}


def unpacked(content: Mapping[str, Any]) -> Detector:
    """Returns the detector of `packed`."""
    space = FeatureSpace(**{name: _decoded(value) for name, value in content["space"].items()})
    networks = []
    for network in content["networks"]:
        values: dict[str, Any] = {
            name: _decoded(value) if isinstance(value, dict) else value for name, value in network.items()
        }
        networks.append(Network(**values))
    return Detector(space, tuple(networks))


def _encoded(array: NDArray[np.floating]) -> dict[str, Any]:
    half = np.ascontiguousarray(array, "<f2")
    return {"shape": list(array.shape), "float16": base64.b64encode(half.tobytes()).decode()}


def _decoded(content: Mapping[str, Any]) -> Floats:
    half = np.frombuffer(base64.b64decode(content["float16"]), "<f2")
    return half.reshape(content["shape"]).astype(np.float32)


def question_notices(text: str) -> list[Notice]:
    """Returns a notice if ``text`` fits no question template, with a question that does, or names an unknown word."""
    if read(text) is not None:
        return []
    word, example = unknown_word(text), nearest(text)
    if word is None:
        return [Notice("question-out-of-distribution", {"example": example})]
    return [Notice("question-word", {"word": word, "count": len(known_words()), "example": example})]
