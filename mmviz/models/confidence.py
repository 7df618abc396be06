"""How sure a model is of its answer: its probabilities, calibrated by one temperature (Guo et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmviz.types import Answer, Notice

SURE_FROM = 0.5
"""Calibrated confidence from which an answer counts as sure: as often right as wrong."""
LIKELIEST = 3
"""Answers that are shown where a model is not sure."""


def confidence(probabilities: Sequence[float] | NDArray[np.floating], temperature: float) -> float:
    """Returns the calibrated probability of the likeliest answer: softmax of the logits divided by ``temperature``.

    ``probabilities`` are those of all answers, as the model gives them; a temperature of 1 changes nothing.
    """
    log_p = np.log(np.maximum(np.asarray(probabilities, np.float64), 1e-30)) / temperature
    return float(1 / np.exp(log_p - log_p.max()).sum())


def unsure_notices(answers: Sequence[Answer], temperature: float) -> tuple[Notice, ...]:
    """Returns a notice with the likeliest answers where the calibrated confidence is below `SURE_FROM`.

    ``answers``: all of a model, most probable first.
    """
    if len(answers) < LIKELIEST or confidence([answer.probability for answer in answers], temperature) >= SURE_FROM:
        return ()
    names = ("first", "second", "third")
    parameters: dict[str, object] = {}
    for name, answer in zip(names, answers, strict=False):
        parameters |= {name: answer.label, f"{name}_probability": answer.probability}
    return (Notice("answer-unsure", parameters),)


def expected_calibration_error(
    confidences: NDArray[np.floating], is_right: NDArray[np.bool_], bins: int = 10
) -> float:  # fmt: skip
    """Returns the mean distance of confidence ``[answer]`` and share of right answers, over bins of equal width.

    Source: Naeini et al. 2015; each bin counts by its answers.
    """
    places = np.minimum((confidences * bins).astype(int), bins - 1)
    gaps = [
        (places == k).sum() * abs(confidences[places == k].mean() - is_right[places == k].mean())
        for k in np.unique(places)
    ]
    return float(np.sum(gaps) / len(confidences))


def fitted_temperature(logits: NDArray[np.floating], truths: NDArray[np.integer]) -> float:
    """Returns the temperature of least cross-entropy for ``logits`` ``[case, answer]`` and right answers ``[case]``."""
    candidates = np.exp(np.linspace(np.log(0.25), np.log(4), 81))
    losses = [float(np.mean(_cross_entropy(logits / temperature, truths))) for temperature in candidates]
    return float(candidates[int(np.argmin(losses))])


def _cross_entropy(logits: NDArray[np.floating], truths: NDArray[np.integer]) -> NDArray[np.floating]:
    highest = logits.max(1)
    total: NDArray[np.floating] = np.log(np.exp(logits - highest[:, None]).sum(1)) + highest
    return np.asarray(total - logits[np.arange(len(truths)), truths])
