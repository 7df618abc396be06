"""What ``mmviz doctor`` asks of a model: by which route its attention is captured, and what the maps mean."""

from __future__ import annotations

from typing import Any

import torch

from mmviz.backends.local.batch_rows import input_batches, located_tokens, shown_row
from mmviz.backends.local.interventions import capture_options
from mmviz.backends.local.stream_pairs import stream_pairs
from mmviz.backends.local.written_answer import answering
from mmviz.capture import capture
from mmviz.capture.meaning_check import left_out, meaning_checks
from mmviz.capture.route_probe import route_check
from mmviz.models import Model
from mmviz.types import CaptureError, Sample


def model_checks(model: Model, sample: Sample) -> dict[str, Any]:
    """Runs ``model`` once, and returns the findings as plain values.

    ``modules``: the `route_check` of each attention call; ``meaning``: the `meaning_checks` of each map; ``left_out``:
    attention that was captured and is not shown, with the reason; ``refused``: why there is no record at all, or "";
    ``notices``: all else that a reader should know.
    """
    model = answering(model, sample)
    prepared = model.prepare(sample)
    with torch.no_grad(), capture(model.module, **capture_options(model) | {"expected": ()}) as result:
        logits = model(prepared.tensors)
    findings: dict[str, Any] = {
        "modules": [route_check(call) for call in result.attention_calls()], "meaning": [], "left_out": [],
        "refused": "", "notices": [str(notice) for notice in result.notices],
    }  # fmt: skip
    try:
        row = shown_row(prepared, result, logits)
        tokens, _ = located_tokens(model, prepared, result, row)
        record = result.record(tokens, pairs=stream_pairs(model), batch=row)
    except CaptureError as problem:
        return findings | {"refused": str(problem)}
    missing = left_out(result, record)
    reasons = {entry["reason"] for entry in missing}
    return findings | {
        "meaning": meaning_checks(result, record, input_batches(prepared.tensors)), "left_out": missing,
        "notices": [text for notice in record.notices if (text := str(notice)) not in reasons],
    }  # fmt: skip
