"""Attributions from gradients: relevance through attention, and integrated gradients of the tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.backends.local.interventions import intervene_for, routes_of
from mmviz.backends.local.overwritten_token_check import check_overwritten
from mmviz.capture import CaptureResult
from mmviz.capture.call_rollout_relevance import OutputGradients
from mmviz.capture.integrated_gradients import STEPS, integrated_gradients, tokens_entering
from mmviz.models import Model, Prepared
from mmviz.types import AttentionRecord, CaptureError, Request

MAX_PARAMETERS = 1_000_000_000
"""Weights of a model beyond which no gradients are computed: they need several times the memory of a run."""


def takes_gradients(model: Model) -> bool:
    """Returns whether a model is small enough for gradients, as far as its card tells its size."""
    return int(model.card.details.get("parameters", 0)) <= MAX_PARAMETERS


def relevances(
    result: CaptureResult, logit: Tensor | OutputGradients, record: AttentionRecord, row: int | None
) -> dict[str, Any]:  # fmt: skip
    """Returns gradient relevance for the answer that has this ``logit`` as fields of the record, of one ``row``.

    Of several rows that share a call, ``logit`` may be the gradients of all their logits, each of which depends on its
    row alone.

    The fields are those of `AttentionRecord`: ``relevance``, between the streams of the last map of the default stack,
    and ``relevance_to`` other streams; or ``relevance_on_request`` where the record is too long for them. Nothing where
    the model ran without gradients, or no flow can be followed.
    """
    last = next((m for m in reversed(record.maps) if m.stack == record.default_stack), None)
    if last is None:
        return {}
    if record.is_long:
        reaches = any(call.output is not None for call in result.attention_calls())
        has_gradients = reaches and (isinstance(logit, OutputGradients) or logit.requires_grad)
        return {"relevance_on_request": has_gradients}
    try:
        to_all = result.relevance_to_all(logit, queries=last.queries, batch=row)
    except CaptureError as error:
        if error.code == "relevance-graph" or error.code.startswith("flow-"):
            return {}
        raise
    known = {name: rows for name, rows in to_all.items() if name in record.streams}
    return {"relevance": known.pop(last.keys, None), "relevance_to": known}


def integrated_rows(
    model: Model, prepared: Prepared, answer: int, request: Request
) -> tuple[NDArray[np.float32] | None, dict[str, Any]]:
    """Returns integrated gradients ``[token]`` of ``answer`` under the changes of ``request``, and how they were
    computed.

    Where they cannot be computed it returns None, and the error under ``refused`` with its parameters.
    """
    path, join = getattr(model, "embedding", None), getattr(model, "join", None)
    if path is None:
        return None, {"refused": "integrated-model", "model": model.card.id}
    changes = request.changes
    try:
        routes = routes_of(model, prepared, request)
        with intervene_for(model, changes, routes):
            tokens = tokens_entering(model.module, path, lambda: model(prepared.tensors))
        if model.capture_targets is None:
            check_overwritten(model, prepared, path, tokens)
        baseline_tokens = getattr(model, "baseline_tokens", None)
        baseline = baseline_tokens(prepared, tokens) if baseline_tokens else torch.zeros_like(tokens)
        takes_batches = join is not None and hasattr(model, "vary")

        def run(rows: int) -> Tensor:
            with intervene_for(model, changes, routes):
                if not takes_batches:
                    return model(prepared.tensors)[None]
                logits: Tensor = model.batch(join([prepared] * rows), rows)  # type: ignore[attr-defined,misc]
                return logits

        rows = STEPS if takes_batches else 1
        attributions = integrated_gradients(model.module, path, run, answer, tokens, baseline, rows)
    except CaptureError as error:
        return None, {"refused": error.code, **error.parameters}
    return attributions.amounts, {
        "baseline": "learned" if baseline_tokens else "zeros",
        "steps": attributions.steps, "total": attributions.total, "gap": attributions.gap,
    }  # fmt: skip
