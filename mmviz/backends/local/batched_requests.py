"""Requests of one model that share its calls, from their samples to their records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.backends import Stop
from mmviz.backends.local.batches import calls_of, run_batch
from mmviz.backends.local.forward import StageTimer
from mmviz.backends.local.machine import made_on
from mmviz.backends.local.method_requirements import with_chosen_method
from mmviz.backends.local.shared_run_stages import finished_record, prepared_sample, variants_of
from mmviz.backends.local.variants import sweep, sweeps
from mmviz.models import Model, Prepared
from mmviz.types import AttentionRecord, Change, MmvizError, Request

ModelFor = Callable[[Sequence[Change]], Model]


def run_together(model_for: ModelFor, requests: Mapping[int, Request], stop: Stop) -> dict[int, AttentionRecord]:
    """Returns the records of requests with the same settings, by number; none of those that must run by themselves.

    ``model_for`` returns the model for the changes of a variant.
    Nothing where ``stop`` ended a sweep. Raises whatever the model does.
    """
    model, timer = model_for(()), StageTimer()
    requests = {number: with_chosen_method(request, model.card) for number, request in requests.items()}
    prepared: dict[int, Prepared] = {}
    for number, request in requests.items():
        with suppress(MmvizError):  # it runs by itself, which tells what is wrong
            prepared[number] = prepared_sample(model, request)
    timer.end("prepare")
    records: dict[int, AttentionRecord] = {}
    for numbers in calls_of(model, prepared):
        call_timer = timer.copy()
        members, rows = [requests[number] for number in numbers], [prepared[number] for number in numbers]
        runs = run_batch(model, rows, members, call_timer)
        tables = _sweeps(model, model_for, members, stop)
        if tables is None:
            return {}
        if any(request.sweep for request in members):
            call_timer.end("sweep")
        for number, row, (record, logits), (table, left_in) in zip(numbers, rows, runs, tables, strict=True):
            told = made_on(model.module, call_timer.milliseconds) | {"batch_size": len(rows)}
            told |= dict(record.made_by) | left_in
            records[number] = finished_record(record, model, requests[number], row, logits, table, told)
    return records


def _sweeps(
    model: Model, model_for: ModelFor, requests: Sequence[Request], stop: Stop
) -> list[tuple[NDArray[np.float64] | None, dict[str, Any]]] | None:  # fmt: skip
    """Returns for each request the log-probabilities of its sweep, None where it has none, and what `variants_of`
    tells; None where ``stop`` ended a sweep."""
    plans = [variants_of(model, request) for request in requests]
    seed, tables = requests[0].seed, []
    samples = [(request.sample, variants) for request, (variants, _) in zip(requests, plans, strict=True) if variants]
    if hasattr(model, "vary"):
        shared = sweeps(model_for, samples, seed, stop, requests[0].pairs) if samples else []
        if shared is None:
            return None
        tables = shared
    else:  # variants of samples that have other shapes would not fit into one call
        for sample, variants in samples:
            table = sweep(model_for, sample, variants, seed, stop, requests[0].pairs)
            if table is None:
                return None
            tables.append(table)
    in_order = iter(tables)
    return [(next(in_order) if variants else None, left_in) for variants, left_in in plans]
