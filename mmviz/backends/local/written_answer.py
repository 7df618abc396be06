"""The answer that a model writes, which then stays the same for every change of its input."""

from __future__ import annotations

from typing import Any

from mmviz.backends import Stop, never_stop
from mmviz.backends.layer_progress import layer_listener
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
    model: Model, sample: Sample, answer: tuple[int, ...] = (), stop: Stop = never_stop
) -> Model:  # fmt: skip
    """Returns ``model`` with the answer whose log-probability it gives from now on: ``answer``, or what it writes.

    ``sample`` is what ``answer`` was written for, or what the model is to write it for.
    Models that choose among the answers of their card are returned as they are.
    """
    generate: Any = getattr(model, "generate", None)
    if generate is None:
        return model
    if not answer:
        answer = generate(model.prepare(sample), stop, layer_listener() or _ignore)
    answered: Model = model.answering(answer, sample)  # type: ignore[attr-defined]
    return answered


def _ignore(done: int, of: int) -> None:
    """Stands for a listener where nobody listens."""
