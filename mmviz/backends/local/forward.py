"""One forward pass of a model, and the record of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.backends.local.answers import shown_answer
from mmviz.backends.local.capture_scope import capture_options, split_heads, tower_capture, towers_of
from mmviz.backends.local.declared_stream_pairs import stream_pairs
from mmviz.backends.local.gradients import relevances
from mmviz.backends.local.interventions import ablated_heads, intervene_for, routes_of, weights_hook
from mmviz.backends.local.layer_counter import reported_layers
from mmviz.backends.local.recorded_answer_token import recorded_answer_token
from mmviz.backends.local.remembered_sites import remember_run
from mmviz.backends.local.shown_row import located_tokens, row_notices, shown_row
from mmviz.backends.local.tower_maps import norms_of, steps_of, with_towers
from mmviz.backends.local.written_answer import answer_logits
from mmviz.capture import capture
from mmviz.capture.retained_capture import RetainedCapture
from mmviz.models import Model, Prepared
from mmviz.types import AttentionRecord, Request, Token, as_tokens


class StageTimer:
    """Measures the stages of a run, one after another."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def copy(self) -> StageTimer:
        """Returns a timer with the stages so far, whose next stage begins now."""
        timer = StageTimer()
        timer.milliseconds = dict(self.milliseconds)
        return timer

    def end(self, stage: str) -> None:
        """Notes the milliseconds since the stage before this one ended."""
        now = time.perf_counter()
        self.milliseconds[stage] = round((now - self._last) * 1e3, 2)
        self._last = now


def captured_run(
    model: Model, prepared: Prepared, request: Request, timer: StageTimer
) -> tuple[AttentionRecord, RetainedCapture, Tensor]:
    """Returns the record of one call of ``model`` with its attention, what views are answered from, and the logits
    ``[answer]``.

    The record has no answers, and ``made_by`` holds ``dtype``, ``routes``, ``parity``, `recorded_answer_token` and
    the stacks of ``towers`` only. Raises ``CaptureError``, and as `recorded_answer_token` does.
    """
    heads, of_towers = split_heads(model, [ablated_heads(request.changes)])
    targets = towers_of(model)
    shown = targets if request.towers and prepared.towers else None
    routes = routes_of(model, prepared, request)
    block, in_towers = (routes.block, routes.in_towers) if routes else ({}, {})
    with ExitStack() as contexts:
        contexts.enter_context(torch.set_grad_enabled(request.relevance))
        contexts.enter_context(reported_layers(model.module))
        towers = None
        if targets is not None and (shown or any(of_towers) or in_towers):
            towers = contexts.enter_context(
                tower_capture(model, targets, ablate=of_towers, block=in_towers, steps=request.steps)
            )
        result = contexts.enter_context(
            capture(
                model.module, replace=weights_hook(request.changes), ablate=heads, block=block, steps=request.steps,
                **capture_options(model),
            )
        )  # fmt: skip
        logits, log_p = answer_logits(model, prepared.tensors)
    timer.end("model")
    row = shown_row(prepared, result, logits)
    tokens, lost_places = located_tokens(model, prepared, result, row)
    record = result.record(tokens, pairs=stream_pairs(model, request.pairs), batch=row)
    if record.is_long:
        for call in result.attention_calls():
            if call.score_trace:  # it is not needed any more, and is larger than what is kept
                call.score_trace.release()
    notices = [*prepared.notices, *lost_places, *record.notices, *row_notices(result, record, row)]
    if routes is not None:
        in_tower = towers.all_attention_calls if towers is not None and in_towers else ()
        notices += routes.notices((*result.all_attention_calls, *in_tower), row or 0)
    logit = logits[shown_answer(prepared, logits)] if logits.numel() else None
    norms = norms_of(result, record, row, notices) if request.norms and not record.is_long else ()
    steps = steps_of(result, record, row, notices) if request.steps else ()
    record = replace(
        record, notices=tuple(notices), norms=norms, steps=steps, answer_log_probabilities=_as_row(log_p),
        **(relevances(result, logit, record, row) if request.relevance and logit is not None else {}),
        made_by={**kept_made_by(record), **recorded_answer_token(record, prepared.answer_token)},
    )  # fmt: skip
    if not request.changes:
        remember_run(model, prepared, request.pairs, result, tokens, record)
    retained = RetainedCapture(result, record, batch=row, logit=logit if record.relevance_on_request else None)
    if shown is not None and towers is not None and not record.is_long:
        record = with_towers(record, towers, shown, prepared)
    timer.end("capture")
    return record, retained, logits


def plain_run(model: Model, prepared: Prepared, request: Request, timer: StageTimer) -> tuple[AttentionRecord, Tensor]:
    """Returns the record of one call of ``model`` without maps and answers, and the logits ``[answer]``."""
    routes = routes_of(model, prepared, request)
    with (
        torch.no_grad(), reported_layers(model.module), intervene_for(model, request.changes, routes) as captures,
    ):  # fmt: skip
        logits, log_p = answer_logits(model, prepared.tensors)
    timer.end("model")
    record = replace(record_without_maps(prepared), answer_log_probabilities=_as_row(log_p))
    if routes is not None:
        calls = [call for result in captures for call in result.all_attention_calls]
        record = replace(record, notices=(*record.notices, *routes.notices(calls)))
    timer.end("capture")
    return record, logits


def record_without_maps(prepared: Prepared) -> AttentionRecord:
    """Returns a record of the tokens of a sample, without maps and answers."""
    made_by: dict[str, Any] = {"routes": [], "parity": None}
    return AttentionRecord(uuid.uuid4().hex, token_streams(prepared), (), (), made_by, prepared.notices)


def kept_made_by(record: AttentionRecord) -> dict[str, Any]:
    """Returns what the backend keeps of how a capture was made."""
    return {name: record.made_by[name] for name in ("dtype", "routes", "parity")}


def _as_row(log_p: Tensor | None) -> NDArray[np.float64] | None:
    """Returns log-probabilities ``[token]`` as ``[1, token]``."""
    return None if log_p is None else log_p.detach()[None].cpu().numpy()


def token_streams(prepared: Prepared) -> dict[str, tuple[Token, ...]]:
    """Returns the tokens of a sample by stream."""
    streams = prepared.streams if isinstance(prepared.streams, Mapping) else {"tokens": prepared.streams}
    return {name: as_tokens(tokens) for name, tokens in streams.items()}
