"""What gradients say of a run: relevance through attention, and integrated gradients of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.backends.local.variants import altered
from mmviz.capture import CaptureResult
from mmviz.capture.integrated_gradients import STEPS, integrated_gradients, tokens_entering
from mmviz.models import Model, Prepared
from mmviz.types import AttentionRecord, CaptureError, Change


def relevance_rows(seen: CaptureResult, logits: Tensor, record: AttentionRecord) -> NDArray[np.float32] | None:
    """Relevance for the winning answer; None where the record is too long for it, or the model does not allow it."""
    if record.is_long:
        return None
    try:
        return seen.relevance(logits[int(logits.argmax())])
    except CaptureError as refusal:
        if refusal.code in ("relevance-graph", "flow-streams"):
            return None
        raise


def integrated_amounts(
    model: Model, ready: Prepared, answer: int, changes: Sequence[Change]
) -> tuple[NDArray[np.float32] | None, dict[str, Any]]:
    """Integrated gradients under ``changes``, and how they were made; or none, and why."""
    path, join = getattr(model, "embedding", None), getattr(model, "join", None)
    if path is None:
        return None, {"refused": "integrated-model", "model": model.card.id}
    try:
        with altered(model, changes):
            tokens = tokens_entering(model.module, path, lambda: model(ready.tensors))
        baseline_tokens = getattr(model, "baseline_tokens", None)
        baseline = baseline_tokens(ready, tokens) if baseline_tokens else torch.zeros_like(tokens)
        has_rows = join is not None and hasattr(model, "vary")

        def run(rows: int) -> Tensor:
            with altered(model, changes):
                if not has_rows:
                    return model(ready.tensors)[None]
                found: Tensor = model.batch(join([ready] * rows), rows)  # type: ignore[attr-defined,misc]
                return found

        found = integrated_gradients(model.module, path, run, answer, tokens, baseline, STEPS if has_rows else 1)
    except CaptureError as refusal:
        return None, {"refused": refusal.code, **refusal.parameters}
    base = "learned" if baseline_tokens else "zeros"
    return found.amounts, {"baseline": base, "steps": found.steps, "total": found.total, "gap": found.gap}
