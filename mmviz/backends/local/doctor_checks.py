"""The checks of ``mmviz doctor``: by which route its attention is captured, and what the maps mean."""

from __future__ import annotations

from typing import Any

import torch

from mmviz.backends.local.capture_scope import capture_options
from mmviz.backends.local.declared_stream_pairs import stream_pairs
from mmviz.backends.local.shown_row import input_batches, located_tokens, shown_row
from mmviz.backends.local.written_answer import answering
from mmviz.capture import CaptureResult, capture
from mmviz.capture.capture_route_probe import route_check
from mmviz.capture.kept_memory import kept_bytes, map_bytes
from mmviz.capture.map_metadata_check import left_out, meaning_checks
from mmviz.models import Model
from mmviz.types import CaptureError, Sample

LONGER = (500, 4_000)
"""Tokens for which ``mmviz doctor`` tells how much memory a run needs."""
_UNCAPTURED = ("uncaptured-kernel", "uncaptured-weights", "uncaptured-thread")
"""Codes of notices on attention that ran and is missing."""


def model_checks(model: Model, sample: Sample) -> dict[str, Any]:
    """Runs ``model`` once, and returns the findings as plain values.

    ``modules``: the `route_check` of each attention call; ``meaning``: the `meaning_checks` of each map; ``left_out``:
    attention that ran and is not shown, with the reason; ``refused``: why there is no record at all, or "";
    ``notices``: all else that a reader should know; ``memory``: see `memory_check`.
    """
    model = answering(model, sample)
    prepared = model.prepare(sample)
    with torch.no_grad(), capture(model.module, **capture_options(model) | {"expected": ()}) as result:
        logits = model(prepared.tensors)
    findings: dict[str, Any] = {
        "memory": memory_check(result),
        "modules": [route_check(call) for call in result.attention_calls()], "meaning": [], "left_out": [],
        "refused": "", "notices": [str(notice) for notice in result.notices],
    }  # fmt: skip
    try:
        row = shown_row(prepared, result, logits)
        tokens, _ = located_tokens(model, prepared, result, row)
        record = result.record(tokens, pairs=stream_pairs(model), batch=row)
    except CaptureError as problem:
        return findings | {"refused": str(problem)}
    missing = left_out(result, record) + [
        {"module": str(notice.parameters["module"]), "reason": str(notice)}
        for notice in record.notices if notice.code in _UNCAPTURED
    ]  # fmt: skip
    reasons = {entry["reason"] for entry in missing}
    return findings | {
        "meaning": meaning_checks(result, record, input_batches(prepared.tensors)), "left_out": missing,
        "notices": [text for notice in record.notices if (text := str(notice)) not in reasons],
    }  # fmt: skip


def memory_check(result: CaptureResult) -> dict[str, Any]:
    """Returns the bytes of memory for the weights and for what capture keeps, in the run and in longer runs.

    ``weights``; ``kept``: what capture keeps of this run; ``tokens``: those of its last self-attention; ``stack``:
    the modules that attend over them; ``longer``: for each of `LONGER` numbers of tokens in that stack, ``tokens``,
    ``kept`` and the ``maps`` of a record (0 where it holds none of their weights, as they are too long).
    """
    calls = result.attention_calls()
    own = [call for call in calls if call.shape[2] == call.shape[3]]
    weights = sum(parameter.numel() * parameter.element_size() for parameter in result.model.parameters())
    check: dict[str, Any] = {"weights": weights, "kept": kept_bytes(calls), "tokens": 0, "stack": "", "longer": []}
    if not own:
        return check
    stack = stack_of(own[-1].module)
    growing = [call for call in own if stack_of(call.module) == stack]
    fixed = check["kept"] - kept_bytes(growing)
    longer = [
        {"tokens": tokens, "kept": fixed + kept_bytes(growing, tokens), "maps": map_bytes(growing, tokens)}
        for tokens in LONGER
    ]
    return check | {"tokens": own[-1].shape[2], "stack": stack, "longer": longer}


def stack_of(path: str) -> str:
    """Returns the path of a module with ``*`` for the numbers of layers."""
    return ".".join("*" if part.isdigit() else part for part in path.split("."))
