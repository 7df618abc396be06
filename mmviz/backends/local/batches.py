"""Several samples of one model in one call, and the record of each, as of a run by itself."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mmviz.backends.local.answers import shown_answer
from mmviz.backends.local.capture_scope import capture_options, split_heads, towers_of
from mmviz.backends.local.declared_stream_pairs import stream_pairs
from mmviz.backends.local.forward import StageTimer, kept_made_by, record_without_maps, token_streams
from mmviz.backends.local.gradients import relevances, takes_gradients
from mmviz.backends.local.interventions import ablated_heads, intervene_for, weights_hook
from mmviz.backends.local.layer_counter import reported_layers
from mmviz.backends.local.method_requirements import with_chosen_method
from mmviz.backends.local.padding import padded, without_padding
from mmviz.backends.local.recorded_answer_token import recorded_answer_token
from mmviz.backends.local.route_cuts import BlockedRoutes, RouteFinder, blocked_routes, cut_routes, cuts_towers
from mmviz.backends.local.tower_maps import norms_of
from mmviz.capture import CaptureResult, capture
from mmviz.capture.attention_call import SHORT_SEQUENCE
from mmviz.capture.call_rollout_relevance import OutputGradients
from mmviz.models import Model, Prepared
from mmviz.models.nested_inputs import shapes
from mmviz.models.protocol import BatchOutput
from mmviz.types import (
    AblateHead,
    AttentionRecord,
    CaptureError,
    Request,
    ShuffleWeights,
    UniformAttention,
)

SAMPLES = 16
"""Samples in one call at most."""
_FEWEST, _MANY, _MOST = 12, 48, 192
"""Tokens of a stream. From ``_MANY`` to ``_MOST`` a CPU multiplies matrices of any length in the same order, measured
with torch's MKL; outside, the order depends on the length, and below ``_FEWEST`` on the number of rows."""


def call_settings(model: Model, request: Request) -> Hashable | None:
    """Returns what requests of ``model`` must have in common to share a call; None for one that runs by itself.

    Those run by themselves that ask for integrated gradients, which are calls of many rows of one sample, for the
    tensors behind each attention or for a lens, and those of a model that writes its answer. So do those that record or
    change the attention of towers, which may read one input for several rows, or each row in a call of its own. Routes
    may be cut in some of them alone, in a model with `CaptureTargets`; in any other the tokens of other samples are not
    told.
    """
    request = with_chosen_method(request, model.card)
    takes_batches = getattr(model, "takes_batches", False) and not hasattr(model, "generate")
    is_plain = not (
        request.integrated or request.steps or request.lens or request.answer or request.answer_part or request.options
    )
    if not takes_batches or not is_plain or (request.relevance and not takes_gradients(model)):
        return None
    _, of_towers = split_heads(model, [ablated_heads(request.changes)])
    if any(of_towers) or (request.towers and request.maps and towers_of(model) is not None):
        return None
    if (cuts := cut_routes(request.changes)) and (model.capture_targets is None or cuts_towers(model, cuts)):
        return None
    if model.capture_targets is None and ablated_heads(request.changes):
        return None  # which attention their maps are is told of each sample by itself
    in_model = [
        change for change in request.changes if isinstance(change, AblateHead | ShuffleWeights | UniformAttention)
    ]
    return (request.model, request.seed, request.maps, request.relevance, request.norms, request.pairs, *in_model)


def calls_of(model: Any, prepared: Mapping[int, Prepared]) -> list[list[int]]:
    """Returns the numbers of the samples that run together, for each call of several; others run by themselves.

    Attention over more than `SHORT_SEQUENCE` tokens is not kept in full, so that no padding can be taken out of it. On
    a CPU, short and long streams of a call are equally long, so that they are rounded as they are alone: attention with
    large scores would show the last bit of a state in the sixth digit of a weight.
    """
    groups: dict[Hashable, list[int]] = {}
    for number, row in prepared.items():
        lengths = {name: len(tokens) for name, tokens in token_streams(row).items()}
        if max(lengths.values(), default=0) > SHORT_SEQUENCE:
            continue
        is_cpu = torch.device(model.device).type == "cpu"
        if is_cpu and min(lengths.values(), default=_FEWEST) < _FEWEST:
            continue
        rounded = ((name, _MANY if _MANY <= length <= _MOST else length) for name, length in lengths.items())
        groups.setdefault(tuple(rounded) if is_cpu else (), []).append(number)
    calls: list[list[int]] = []
    for numbers in groups.values():
        if model.join([prepared[number] for number in numbers]) is not None:
            calls.append(numbers)
            continue
        by_shape: dict[Hashable, list[int]] = {}
        for number in numbers:
            by_shape.setdefault(shapes(prepared[number].tensors), []).append(number)
        calls += by_shape.values()
    return [numbers for numbers in calls if len(numbers) > 1]


def run_batch(
    model: Any, rows: Sequence[Prepared], requests: Sequence[Request], timer: StageTimer
) -> list[tuple[AttentionRecord, Tensor]]:  # fmt: skip
    """Returns for each sample its record, as `captured_run` or `plain_run` does, and its logits ``[answer]``.

    ``requests``: those that share the call, which differ in their samples and the routes that they cut alone. Raises
    ``CaptureError`` (``axes-samples``) where the model did not run a row for each sample.
    """
    tensors, request = model.join(rows), requests[0]
    cuts = [cut_routes(member.changes) for member in requests]
    routes = blocked_routes(model, rows, cuts, RouteFinder(request.pairs))
    if not request.maps:
        with (
            torch.no_grad(), reported_layers(model.module), intervene_for(model, request.changes, routes) as captures,
        ):  # fmt: skip
            output = model.batch_output(tensors, len(rows))
        timer.end("model")
        calls = [call for result in captures for call in result.all_attention_calls]
        records = [record_without_maps(row) for row in rows]
        for number, own in enumerate(cuts):
            told = routes.notices(calls, number) if routes is not None and own else ()
            records[number] = replace(records[number], notices=(*records[number].notices, *told))
        return list(zip(records, output.logits, strict=True))
    with (
        torch.set_grad_enabled(request.relevance),
        reported_layers(model.module),
        capture(
            model.module,
            replace=weights_hook(request.changes),
            ablate=[ablated_heads(request.changes)],
            block=routes.block if routes else {},
            **capture_options(model),
        ) as result,
    ):
        output = model.batch_output(tensors, len(rows))
    timer.end("model")
    if result.samples() != len(rows):
        raise CaptureError("axes-samples", name=type(model.module).__name__)
    has_answers = bool(output.logits[0].numel())
    gradients = _gradients(rows, output, result) if request.relevance and has_answers else None
    records = [
        _record(model, rows, number, output, result, request, gradients, routes if cuts[number] else None)
        for number in range(len(rows))
    ]
    timer.end("capture")
    return list(zip(records, output.logits, strict=True))


def _gradients(rows: Sequence[Prepared], output: BatchOutput, result: CaptureResult) -> OutputGradients | None:
    """Returns the gradients of the shown answer of every row, from one backward pass, as no row depends on another."""
    shown = [logits[shown_answer(row, logits)] for row, logits in zip(rows, output.logits, strict=True)]
    with suppress(CaptureError):  # without gradients there is no relevance, as in a run by itself
        return OutputGradients(torch.stack(shown).sum(), result.attention_calls())
    return None


def _record(
    model: Model, rows: Sequence[Prepared], number: int, output: BatchOutput, result: CaptureResult, request: Request,
    gradients: OutputGradients | None, routes: BlockedRoutes | None,
) -> AttentionRecord:  # fmt: skip
    """Returns the record of one row, without its padding."""
    prepared = rows[number]
    own = {name: mask[number].nonzero()[:, 0].tolist() for name, mask in output.own_tokens.items()}
    sizes = {name: mask.shape[1] for name, mask in output.own_tokens.items()}
    record = result.record(padded(prepared.streams, own, sizes), pairs=stream_pairs(model, request.pairs), batch=number)
    notices = [*prepared.notices, *record.notices]
    notices += routes.notices(result.all_attention_calls, number) if routes else ()
    norms = norms_of(result, record, number, notices) if request.norms else ()
    relevance = relevances(result, gradients, record, number) if gradients is not None else {}
    record = replace(record, notices=tuple(notices), norms=norms, **relevance)
    record = without_padding(record, {name: own[name] for name, size in sizes.items() if len(own[name]) < size})
    made_by = {**kept_made_by(record), **recorded_answer_token(record, prepared.answer_token)}
    return replace(record, made_by=made_by)
