"""Integrated gradients of the tokens of several streams, each where it enters its own layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from mmviz.backends.local.capture_scope import capture_options
from mmviz.backends.local.declared_stream_pairs import stream_pairs
from mmviz.backends.local.interventions import intervene_for, routes_of
from mmviz.capture import capture
from mmviz.capture.data_flow_step import Step
from mmviz.capture.integrated_gradients import integrated_gradients, replaced, tokens_entering
from mmviz.capture.stream_token_order import entering_order
from mmviz.models import Model, Prepared
from mmviz.types import AttentionRecord, CaptureError, Notice, Request

_LISTED = 3
"""Tokens that the error names."""


def integrated_of_streams(
    model: Model, prepared: Prepared, record: AttentionRecord, answer: int, request: Request
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns integrated gradients of ``answer`` as fields of the record, and entries of its ``made_by``.

    Each stream by itself goes from zeros to its tokens, while the rest of the model runs as it is: the amounts of a
    stream sum to what its tokens change, where they enter. So a tower has those of its patches, and the language
    model for the tokens that these are merged into. What cannot be computed has a notice.
    """
    places: Mapping[str, str] = model.embedding  # type: ignore[attr-defined]
    amounts, details, notices = {}, {}, list(record.notices)
    routes = routes_of(model, prepared, request)

    def intervene() -> AbstractContextManager[Any]:
        return intervene_for(model, request.changes, routes)

    for stream, place in places.items():
        try:
            if stream not in record.streams:
                raise CaptureError("integrated-stream", stream=stream, known=", ".join(record.streams))
            amounts[stream], details[stream] = _of_stream(model, prepared, record, stream, place, answer, intervene)
        except CaptureError as error:
            details[stream] = {"refused": error.code, **error.parameters}
            notices.append(Notice(error.code, error.parameters))
    keys = record.flow_streams[1] if record.maps else ""
    made_by: dict[str, Any] = {"integrated_of": details}
    if keys in details:
        made_by["integrated"] = details[keys]
    return {"integrated_of": amounts, "integrated": amounts.get(keys), "notices": tuple(notices)}, made_by


def _of_stream(
    model: Model, prepared: Prepared, record: AttentionRecord, stream: str, place: str, answer: int,
    intervene: Callable[[], AbstractContextManager[Any]],
) -> tuple[Any, dict[str, Any]]:  # fmt: skip
    """Returns the amounts ``[token]`` of one stream in its order, and how they were computed."""
    count = len(record.streams[stream])
    with intervene():
        tokens = tokens_entering(model.module, place, lambda: model(prepared.tensors), count)
    order = _order(model, prepared, record, stream, place, count)
    missing = [token for token, number in enumerate(order) if number is None]
    if len(tokens) != 1 or missing or len(order) != count:
        labels = ", ".join(record.streams[stream][token].label for token in missing[:_LISTED])
        raise CaptureError(
            "integrated-order", path=place, stream=stream, count=len(missing) or count, of=count, labels=labels
        )

    def run(_: int) -> Tensor:
        with intervene():
            return model(prepared.tensors)[None]

    baseline = torch.zeros_like(tokens)
    attributions = integrated_gradients(model.module, place, run, answer, tokens, baseline, count=count)
    details = {
        "baseline": "zeros", "steps": attributions.steps, "total": attributions.total, "gap": attributions.gap,
    }  # fmt: skip
    return attributions.amounts[[number or 0 for number in order]], details


def _order(
    model: Model, prepared: Prepared, record: AttentionRecord, stream: str, place: str, count: int
) -> list[int | None]:
    """Returns the number among the tokens at ``place`` of each token of a stream, see `entering_order`."""
    steps: list[Step] = []
    with torch.no_grad(), capture(model.module, **capture_options(model)) as result:

        def keep(value: Tensor) -> None:
            steps.append(result.step(value))

        with replaced(model.module, place, keep, count):
            model(prepared.tensors)
    result.record(prepared.streams, pairs=stream_pairs(model))  # which gives the streams their names
    return entering_order(result, stream, steps[-1])
