"""The two maps that a run is shown by first: what the answer token reads from, and what the answer depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.answer_token import answer_token
from mmviz.analysis.attributions import integrated_gradients, value_weighted
from mmviz.analysis.available_maps import last_map, map_words, parse_map_ref, streams_of
from mmviz.analysis.joint_rollout import Streams
from mmviz.analysis.map_weights import attention_row
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.figures import unit_name
from mmviz.types import AttentionRecord, MapRef, MmvizError, UniformAttention

AnswerMapKind = Literal["reads_from", "depends_on"]
KINDS: tuple[AnswerMapKind, ...] = ("reads_from", "depends_on")
DEFAULT_METHOD = "relevance"
"""Shows what an answer depends on where the card of the model names no method: gradient relevance."""
ATTRIBUTIONS = ("value", "integrated")
"""Methods of `mmviz.analysis.attributions` that have one amount for each key, and so no `MapRef`."""


@dataclass(frozen=True, eq=False)
class AnswerMap:
    """Amounts of all key tokens for the token that answers."""

    kind: AnswerMapKind
    """What the amounts tell: what the token reads from, or what the answer depends on."""
    method: str
    """Text form of a `MapRef`, or one of `ATTRIBUTIONS`."""
    streams: Streams
    """The names of the query stream and the key stream."""
    query: int
    """Index of the token that answers, among the queries."""
    amounts: NDArray[np.float64]
    """float64 ``[key]``, in `unit`. Integrated gradients are signed: below 0 is against the answer."""

    @property
    def unit(self) -> str:
        """The unit of the amounts, in the current language."""
        return unit_name(self.method if self.method in ATTRIBUTIONS else MapRef.parse(self.method).method)


def method_words(method: str, record: AttentionRecord | None = None) -> str:
    """Returns a method of `AnswerMap` in words for people; the text itself where it names none."""
    if method in ATTRIBUTIONS:
        return sentence(f"map-{method}")
    try:
        return map_words(MapRef.parse(method), record)
    except ValueError:
        return method


def reads_from_ref(record: AttentionRecord) -> tuple[MapRef, int]:
    """Returns the map that shows what the answer token reads from, and the index of that token among its queries.

    It is of the last stack in which modalities meet: the map of it that the model's card names, else the mean over
    heads of its last map.
    """
    ref = record.map_ref(last_map(record))
    chosen = record.made_by.get("map_ref")
    if chosen and MapRef.parse(chosen).method == "attention":
        other = parse_map_ref(record, chosen)
        ref = other if record.maps[record.map_number(other)].stack == record.default_stack else ref
    return ref, answer_token(record, streams_of(record, ref)[0])


def reads_from(record: AttentionRecord, row: NDArray[np.float64]) -> AnswerMap:
    """Returns what the answer token reads from; ``row`` ``[key]`` are the weights that `reads_from_ref` names."""
    ref, query = reads_from_ref(record)
    return AnswerMap("reads_from", str(ref), streams_of(record, ref), query, row)


def method_row(record: AttentionRecord, method: str) -> tuple[Streams, NDArray[np.float64]]:
    """Returns the streams of a method of `AnswerMap`, and its amounts ``[key]`` for the token that answers.

    Raises ``LookupError`` where the record does not hold them, ``CaptureError`` (``map-long``) for a long record.
    """
    if method not in ATTRIBUTIONS:
        ref = parse_map_ref(record, method)
        streams = streams_of(record, ref)
        query = answer_token(record, streams[0])
        return streams, attention_row(record, ref, query, "from", record.relevance, streams)
    last = record.maps[last_map(record)]
    amounts = value_weighted(record) if method == "value" else integrated_gradients(record)
    if amounts is None:
        raise LookupError("the record has no integrated gradients")
    return (last.queries, last.keys), amounts


def depends_on_method(record: AttentionRecord) -> str:
    """Returns the method with the best measured faithfulness for the model; `DEFAULT_METHOD` where none was measured.

    ``mmviz evaluate --choose --card`` measures it, see `mmviz.experiments.faithfulness`.
    """
    return record.made_by.get("depends_on") or DEFAULT_METHOD


def depends_on(record: AttentionRecord) -> AnswerMap:
    """Returns what the answer depends on, by the `depends_on_method`.

    Raises ``MmvizError`` with the reason where the record does not hold it: ``depends-on-long``,
    ``depends-on-uniform``, ``gradients-large``, ``depends-on-not-recorded``.
    """
    method = depends_on_method(record)
    if record.is_long:
        raise MmvizError("depends-on-long", method=method_words(method))
    try:
        streams, amounts = method_row(record, method)
    except LookupError as problem:
        is_large = any(notice.code == "gradients-large" for notice in record.notices)
        code = "depends-on-uniform" if record.has_change(UniformAttention) else "depends-on-not-recorded"
        raise MmvizError("gradients-large" if is_large else code, method=method_words(method)) from problem
    return AnswerMap("depends_on", method, streams, answer_token(record, streams[0]), amounts)
