"""Runs what `mmviz.analysis` plans, by whatever backend: effects, heads, curves, ways of looking, health."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.effect import Absent, Effect, attention_shares, effect_requests, read_effect
from mmviz.analysis.faith import Curves, curve_requests, read_curves
from mmviz.analysis.heads import HeadEffect, every_head, head_requests, read_heads
from mmviz.analysis.health import Judged
from mmviz.analysis.modality import modality_matrix
from mmviz.analysis.select import Way, looked, weights
from mmviz.backends import Backend, Progress, Stop, never, quiet
from mmviz.trios import Trio
from mmviz.types import AttentionRecord, MmvizError, Modality, Request


def effect_of(
    backend: Backend, request: Request, absent: Absent = "learned", progress: Progress = quiet, stop: Stop = never
) -> Effect | None:
    """The measured effect of the modalities on the answer of ``request``; None where it was stopped.

    Raises ``MmvizError``: whatever the model says to a modality that is missing.
    """
    asked = effect_requests(request.model, request.sample, absent, request.changes, request.seed)
    records = backend.run(asked, progress, stop)
    return read_effect(request.sample, records) if len(records) == len(asked) else None


def heads_of(
    backend: Backend, request: Request, record: AttentionRecord, progress: Progress = quiet, stop: Stop = never
) -> list[HeadEffect]:
    """What switching each head of ``record`` off does; of as many heads as were tried before it was stopped."""
    heads = every_head(record)
    asked = head_requests(request.model, request.sample, heads, request.changes, request.seed)
    return read_heads(heads, backend.run(asked, progress, stop))


def curves_of(
    backend: Backend, request: Request, record: AttentionRecord, ways: Mapping[str, NDArray[Any]],
    absent: Absent = "learned", progress: Progress = quiet, stop: Stop = never,
) -> dict[str, Curves] | None:  # fmt: skip
    """Deletion and insertion curves of ``ways``, amounts ``[token]`` by name; None where it was stopped."""
    tokens = record.streams[record.maps[-1].keys]
    asked = curve_requests(request.model, request.sample, tokens, ways, absent, request.changes, request.seed)
    records = backend.run(asked, progress, stop)
    return read_curves(tokens, ways, records) if len(records) == len(asked) else None


def answering(record: AttentionRecord, number: int = -1) -> int:
    """The query of map ``number`` that answers: the first special token, else the first token."""
    asking = record.streams[record.maps[number].queries]
    return next((k for k, token in enumerate(asking) if token.modality is Modality.OTHER), 0)


def ways_of(record: AttentionRecord, head: Way | None = None) -> dict[str, NDArray[np.float64]]:
    """Amounts ``[token]`` from the answering token, by the name of the way of looking: as many as the record holds.

    ``head``: the single head to look at (None: the first of the last layer). ``value``: norms of the last layer, as
    shares of their row; ``integrated``: integrated gradients, signed.
    """
    asker, last = answering(record), record.maps[-1]
    found = {str(way): looked(record, way, asker, "from", record.relevance)
             for way in (head or Way("head", last.layer, 0), Way("mean", last.layer))}  # fmt: skip
    if record.norms:
        row = record.norms[-1][asker].astype(np.float64)
        found["value"] = row / (row.sum() or 1.0)
    for way in ("rollout", "relevance"):
        try:
            found[way] = looked(record, Way.parse(way), asker, "from", record.relevance)
        except (ValueError, LookupError):  # streams that do not chain, or no gradients
            continue
    if record.integrated is not None:
        found["integrated"] = record.integrated.astype(np.float64)
    return found


def shares_of(record: AttentionRecord, way: Way) -> dict[Modality, float]:
    """What the answering token gives to picture, text and sound, see `mmviz.analysis.effect.attention_shares`.

    Raises ``LookupError``, ``ValueError`` or ``MmvizError`` where the record has no such way of looking.
    """
    number = -1 if way.layer is None else [found.layer for found in record.maps].index(way.layer)
    streams = record.maps[number].queries, record.maps[number].keys
    asking, asked = (record.streams[stream] for stream in streams)
    asker = answering(record, number)
    matrix = modality_matrix(weights(record, way, record.relevance)[[asker]], [asking[asker]], asked)
    return attention_shares(dict(zip(matrix.keys, matrix.sums[0].tolist(), strict=True)))


def judge(
    backend: Backend, model: str, trios: Sequence[Trio], absent: Absent = "learned", progress: Progress = quiet,
    stop: Stop = never,
) -> tuple[list[Judged], list[tuple[str, MmvizError]]]:  # fmt: skip
    """Effect and attention of every trio; and those that were refused, by id, with why. Fewer of both where ``stop``
    said so; ``progress`` counts both."""
    found: list[Judged] = []
    refused: list[tuple[str, MmvizError]] = []
    for done, trio in enumerate(trios, 1):
        try:
            one = None if stop() else _judged(backend, model, trio, absent, stop)
        except MmvizError as refusal:
            refused.append((trio.id, refusal))
        else:
            if one is None:
                break
            found.append(one)
        progress(done, len(trios))
    return found, refused


def _judged(backend: Backend, model: str, trio: Trio, absent: Absent, stop: Stop) -> Judged | None:
    """One trio; None where ``stop`` said so. Whether it is right is not known of a truth that is none of the model's
    answers."""
    sample = trio.sample()
    (asked,) = effect_requests(model, sample, absent)
    records = backend.run([replace(asked, maps=True)], stop=stop)
    if not records:
        return None
    (record,) = records
    effect = read_effect(sample, records)
    if not all(map(math.isfinite, effect.values.values())):
        raise MmvizError("effect-infinite")
    could = any(trio.is_right(answer.label) for answer in record.answers)
    return Judged(trio.id, effect, _attention(record), trio.is_right(effect.answer) if could else None)


def _attention(record: AttentionRecord) -> dict[Modality, float] | None:
    """Shares of attention in the way chosen for the model; None where they are not to be had."""
    chosen = record.made_by.get("way")
    try:
        way = Way.parse(chosen) if chosen else Way("mean", record.maps[-1].layer)
        return None if record.is_long else shares_of(record, way)
    except (LookupError, ValueError):
        return None
