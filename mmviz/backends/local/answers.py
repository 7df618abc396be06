"""Answers of a run, told apart by their index: ranked, and of a large vocabulary those that matter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mmviz.models import Prepared
from mmviz.types import Answer


def log_probabilities(logits: Tensor) -> NDArray[np.float64]:
    """Returns the log-probabilities ``[answer]`` of ``logits``, computed in float64."""
    values: NDArray[np.float64] = logits.detach().double().log_softmax(-1).cpu().numpy()
    return values


def shown_answer(prepared: Prepared, logits: Tensor) -> int:
    """Returns the index of the answer that a run is about: what the model wrote, else the most probable answer.

    ``logits`` are of at least one answer.
    """
    return 0 if prepared.answers else int(logits.argmax())


def kept_answers(log_p: NDArray[np.float64], sweep: NDArray[np.float64] | None, top: int | None) -> list[int]:
    """Returns the indices of the answers that a record keeps, the most probable first.

    ``log_p`` has the shape ``[answer]``, ``sweep`` ``[variant, answer]``. Kept are the ``top`` most probable answers
    (None: all), and of each variant the most probable answer and the answer whose probability changes most, so that the
    sweep reads as it would with all answers.
    """
    order = np.argsort(-log_p, kind="stable")
    if top is None or top >= len(order):
        return [int(index) for index in order]
    kept = set(order[:top].tolist())
    if sweep is not None:
        kept |= set(sweep.argmax(1).tolist()) | set(np.abs(np.exp(sweep) - np.exp(log_p)).argmax(1).tolist())
    return [int(index) for index in order if int(index) in kept]


def answers_at(indices: Sequence[int], log_p: NDArray[np.float64], labels: Sequence[str]) -> tuple[Answer, ...]:
    """Returns the answers at ``indices`` with their probabilities, in the same order."""
    return tuple(Answer(labels[index], float(np.exp(log_p[index])), index) for index in indices)
