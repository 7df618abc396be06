"""Runs a request by itself: the answer, the maps, gradients, the lens and the sweep, as far as it wants them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from mmviz.backends import Stop
from mmviz.backends.local.answers import shown_answer
from mmviz.backends.local.capture_cache import Retained
from mmviz.backends.local.forward import StageTimer, captured_run, plain_run
from mmviz.backends.local.gradients import integrated_rows, takes_gradients
from mmviz.backends.local.integrated_gradients_by_stream import integrated_of_streams
from mmviz.backends.local.interventions import intervene_for, routes_of
from mmviz.backends.local.lens_pass import token_lens
from mmviz.backends.local.loaded_models import LoadedModels
from mmviz.backends.local.machine import made_on
from mmviz.backends.local.method_requirements import with_chosen_method
from mmviz.backends.local.numbered_heads import numbered_heads
from mmviz.backends.local.prepare import changed_sample, prepare
from mmviz.backends.local.route_cuts import RouteFinder
from mmviz.backends.local.shared_run_stages import checked_request, finished_record, variants_of, with_doubts
from mmviz.backends.local.variants import sweep
from mmviz.backends.local.written_answer import answering, with_options
from mmviz.models import Model
from mmviz.types import AttentionRecord, Change, Notice, Request, Sample


def run_request(
    models: LoadedModels, request: Request, stop: Stop, retain: Callable[[str, Retained], None]
) -> AttentionRecord | None:
    """Returns the record of a request on its model; None where ``stop`` ended it.

    ``retain`` keeps what views of a long record need, by its id. Raises whatever the model does.
    """
    changes = request.changes
    model = with_options(models.for_request(request, ()), request)
    request = with_chosen_method(request, model.card)
    torch.manual_seed(request.seed)
    timer = StageTimer()
    checked_request(model, request)
    # an answer that is given was written for the sample without the changes
    answered_sample = request.sample if request.answer else changed_sample(request.sample, changes, request.seed)
    model = answering(model, answered_sample, request.answer, stop, request.answer_part)
    if hasattr(model, "generate"):
        if stop():
            return None
        timer.end("generate")
    prepared = prepare(model, request.sample, changes, request.seed)
    if request.relevance and not takes_gradients(model):
        request = replace(request, relevance=False)
        prepared = replace(prepared, notices=(*prepared.notices, Notice("gradients-large")))
    prepared = with_doubts(prepared, model, answered_sample)
    timer.end("prepare")
    finder = RouteFinder(request.pairs)
    asked, changes = request, numbered_heads(model, prepared, finder, changes)
    request = replace(request, changes=changes)
    if request.maps:
        record, retained, logits = captured_run(model, prepared, request, timer)
        if record.is_long:
            retain(record.id, retained)
    else:
        record, logits = plain_run(model, prepared, request, timer)
    made_by: dict[str, Any] = dict(record.made_by)
    if request.maps and hasattr(model, "similarity"):
        with torch.no_grad(), intervene_for(model, changes, routes_of(model, prepared, request)):
            made_by["similarity"] = model.similarity(prepared.tensors)
    if request.integrated and logits.numel():
        answer = shown_answer(prepared, logits)
        if isinstance(getattr(model, "embedding", None), Mapping):
            parts, details = integrated_of_streams(model, prepared, record, answer, request)
            record, made_by = replace(record, **parts), made_by | details
        else:
            attributions, details = integrated_rows(model, prepared, answer, request)
            made_by["integrated"] = details
            record = replace(record, integrated=attributions, notices=(*record.notices, *_refusal_notice(details)))
        timer.end("gradients")
    if request.lens:
        routes = routes_of(model, prepared, request)
        record = replace(record, lens=token_lens(model, prepared, record, logits, changes, routes))
        timer.end("lens")
    table = None
    if request.sweep:
        variants, left_in = variants_of(model, asked)
        variants = [numbered_heads(model, prepared, finder, variant) for variant in variants]
        made_by |= left_in
        table = sweep(
            lambda some: _answering_like(models, model, request, some, answered_sample),
            request.sample,
            variants,
            request.seed,
            stop,
            request.pairs,
        )
        if table is None:
            return None
        if record.answer_log_probabilities is not None:
            table, of_tokens = np.split(table, [len(logits)], 1)
            of_tokens = np.concatenate([record.answer_log_probabilities, of_tokens])
            record = replace(record, answer_log_probabilities=of_tokens)
        timer.end("sweep")
    told = made_on(model.module, timer.milliseconds) | made_by
    return finished_record(record, model, asked, prepared, logits, table, told)


def _answering_like(
    models: LoadedModels, model: Model, request: Request, changes: Sequence[Change], answered_sample: Sample
) -> Model:
    """Returns the model for the changes of a variant, with the answer that ``model`` wrote for ``answered_sample``."""
    answer = getattr(model, "answer", ())
    variant = models.for_request(request, changes)
    if not answer:
        return variant
    return answering(with_options(variant, request), answered_sample, answer, part=request.answer_part)


def _refusal_notice(details: Mapping[str, Any]) -> tuple[Notice, ...]:
    parameters = {name: value for name, value in details.items() if name != "refused"}
    return (Notice(details["refused"], parameters),) if "refused" in details else ()
