"""Runs what `mmviz.analysis` plans, by whatever backend: effects, heads, curves, ways of looking, health."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.map_weights import attention_row, weights
from mmviz.analysis.modality_matrix import modality_matrix
from mmviz.backends import Backend, Progress, Stop, never, quiet
from mmviz.experiments.audit import Assessment
from mmviz.experiments.faithfulness import FaithfulnessCurves, curve_requests, read_curves
from mmviz.experiments.head_ablation import HeadEffect, every_head, head_requests, read_heads
from mmviz.experiments.modality_shapley import Baseline, Effect, attention_shares, effect_requests, read_effect
from mmviz.inputs.examples import Example
from mmviz.types import AttentionRecord, MapRef, MmvizError, Modality, Request


def measure_modality_effect(
    backend: Backend, request: Request, baseline: Baseline = "learned", progress: Progress = quiet, stop: Stop = never
) -> Effect | None:
    """The measured effect of the modalities on the answer of ``request``; None where it was stopped.

    Raises ``MmvizError``: whatever the model says to a modality that is missing.
    """
    asked = effect_requests(request.model, request.sample, baseline, request.changes, request.seed)
    records = backend.run(asked, progress, stop)
    return read_effect(request.sample, records) if len(records) == len(asked) else None


def measure_head_ablation(
    backend: Backend, request: Request, record: AttentionRecord, progress: Progress = quiet, stop: Stop = never
) -> list[HeadEffect]:
    """What switching each head of ``record`` off does; of as many heads as were tried before it was stopped."""
    heads = every_head(record)
    asked = head_requests(request.model, request.sample, heads, request.changes, request.seed)
    return read_heads(heads, backend.run(asked, progress, stop))


def measure_faithfulness(
    backend: Backend, request: Request, record: AttentionRecord, ways: Mapping[str, NDArray[Any]],
    baseline: Baseline = "learned", progress: Progress = quiet, stop: Stop = never,
) -> dict[str, FaithfulnessCurves] | None:  # fmt: skip
    """Deletion and insertion curves of ``ways``, amounts ``[token]`` by name; None where it was stopped."""
    tokens = record.streams[record.maps[-1].keys]
    asked = curve_requests(request.model, request.sample, tokens, ways, baseline, request.changes, request.seed)
    records = backend.run(asked, progress, stop)
    return read_curves(tokens, ways, records) if len(records) == len(asked) else None


def answer_query(record: AttentionRecord, number: int = -1) -> int:
    """The query of map ``number`` that answers: the first special token, else the first token."""
    asking = record.streams[record.maps[number].queries]
    return next((k for k, token in enumerate(asking) if token.modality is Modality.SPECIAL), 0)


def attributions(record: AttentionRecord, head: MapRef | None = None) -> dict[str, NDArray[np.float64]]:
    """Amounts ``[token]`` from the answering token, by the name of the way of looking: as many as the record holds.

    ``head``: the single head to look at (None: the first of the last layer). ``value``: norms of the last layer, as
    shares of their row; ``integrated``: integrated gradients, signed.
    """
    query = answer_query(record)
    number = len(record.maps) - 1
    refs = (head or record.map_ref(number, 0), record.map_ref(number))
    found = {str(ref): attention_row(record, ref, query, "from", record.relevance) for ref in refs}
    if record.norms:
        row = record.norms[-1][query].astype(np.float64)
        found["value"] = row / (row.sum() or 1.0)
    for map_ref in ("rollout", "relevance"):
        try:
            found[map_ref] = attention_row(record, MapRef.parse(map_ref), query, "from", record.relevance)
        except (ValueError, LookupError):  # streams that do not chain, or no gradients
            continue
    if record.integrated is not None:
        found["integrated"] = record.integrated.astype(np.float64)
    return found


def modality_shares(record: AttentionRecord, map_ref: MapRef) -> dict[Modality, float]:
    """What the answering token gives to picture, text and sound, see `mmviz.experiments.modality_shapley.attention_shares`.

    Raises ``LookupError``, ``ValueError`` or ``MmvizError`` where the record has no such way of looking.
    """
    number = record.map_number(map_ref) if map_ref.method == "attention" else -1
    streams = record.maps[number].queries, record.maps[number].keys
    queries, keys = (record.streams[stream] for stream in streams)
    query = answer_query(record, number)
    matrix = modality_matrix(weights(record, map_ref, record.relevance)[[query]], [queries[query]], keys)
    return attention_shares(dict(zip(matrix.keys, matrix.sums[0].tolist(), strict=True)))


def evaluate_examples(
    backend: Backend, model: str, examples: Sequence[Example], baseline: Baseline = "learned", progress: Progress = quiet,
    stop: Stop = never,
) -> tuple[list[Assessment], list[tuple[str, MmvizError]]]:  # fmt: skip
    """Effect and attention of every trio; and those that were refused, by id, with why. Fewer of both where ``stop``
    said so; ``progress`` counts both."""
    found: list[Assessment] = []
    refused: list[tuple[str, MmvizError]] = []
    for done, example in enumerate(examples, 1):
        try:
            one = None if stop() else _judged(backend, model, example, baseline, stop)
        except MmvizError as refusal:
            refused.append((example.id, refusal))
        else:
            if one is None:
                break
            found.append(one)
        progress(done, len(examples))
    return found, refused


def _judged(backend: Backend, model: str, example: Example, baseline: Baseline, stop: Stop) -> Assessment | None:
    """One trio; None where ``stop`` said so. Whether it is right is not known of a truth that is none of the model's
    answers."""
    sample = example.sample()
    (asked,) = effect_requests(model, sample, baseline)
    records = backend.run([replace(asked, maps=True)], stop=stop)
    if not records:
        return None
    (record,) = records
    effect = read_effect(sample, records)
    if not all(map(math.isfinite, effect.values.values())):
        raise MmvizError("effect-infinite")
    could = any(example.is_right(answer.label) for answer in record.answers)
    return Assessment(example.id, effect, _attention(record), example.is_right(effect.answer) if could else None)


def _attention(record: AttentionRecord) -> dict[Modality, float] | None:
    """Shares of attention in the way chosen for the model; None where they are not to be had."""
    chosen = record.made_by.get("map_ref")
    try:
        map_ref = MapRef.parse(chosen) if chosen else record.map_ref(len(record.maps) - 1)
        return None if record.is_long else modality_shares(record, map_ref)
    except (LookupError, ValueError):
        return None
