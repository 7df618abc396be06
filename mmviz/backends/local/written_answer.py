"""The answer that a model writes, which then stays the same for every change of its input."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mmviz.backends import Stop, ignore_progress, never_stop
from mmviz.backends.layer_progress import word_listener
from mmviz.models import Model
from mmviz.types import MmvizError, Request, Sample


def with_options(model: Model, request: Request) -> Model:
    """Returns ``model`` under the settings of a request. Raises ``MmvizError`` (``options-model``)."""
    if not request.options:
        return model
    change: Any = getattr(model, "with_options", None)
    if change is None:
        raise MmvizError("options-model", model=model.card.id, name=request.options[0][0])
    changed: Model = change(dict(request.options))
    return changed


def answering(
    model: Model, sample: Sample, answer: tuple[int, ...] = (), stop: Stop = never_stop, part: tuple[int, ...] = ()
) -> Model:  # fmt: skip
    """Returns ``model`` with the answer whose log-probability it gives from now on: ``answer``, or what it writes.

    ``sample`` is what ``answer`` was written for, or what the model is to write it for. ``part``: the tokens of the
    answer that its logits are about. Models that choose among the answers of their card are returned as they are.
    Raises ``MmvizError`` (``answer-part``, ``answer-part-model``).
    """
    if part and not hasattr(model, "generate"):
        raise MmvizError("answer-part-model", model=model.card.id)
    generate: Any = getattr(model, "generate", None)
    if generate is None:
        return model
    if not answer:
        answer = generate(model.prepare(sample), stop, word_listener() or ignore_progress)
    if stop():  # what was written so far is not the answer
        return model
    answered: Model = model.answering(answer, part, sample)  # type: ignore[attr-defined]
    return answered


def answer_logits(model: Model, tensors: Any) -> tuple[Tensor, Tensor | None]:
    """Returns the logits ``[answer]``, and the log-probabilities ``[token]`` of an answer that the model wrote."""
    if not getattr(model, "answer", ()):
        return model(tensors), None
    writer: Any = model
    log_p = writer.token_log_probabilities(tensors)[0]
    return writer.answer_logits(log_p), log_p
