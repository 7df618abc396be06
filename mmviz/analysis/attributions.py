"""One amount per token by every method that a record supports, and the share of each input modality."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.answer_token import answer_token
from mmviz.analysis.available_maps import flows, last_map, streams_of
from mmviz.analysis.map_weights import attention_row, weights
from mmviz.analysis.modality_matrix import modality_matrix
from mmviz.types import INPUT_MODALITIES, AttentionRecord, MapRef, MmvizError, Modality


def attributions(record: AttentionRecord, head: MapRef | None = None) -> dict[str, NDArray[np.float64]]:
    """Returns an amount for every key token of the `last_map`, float64 ``[token]``, by each method the record supports.

    The keys of the result are method names, in this order: the text form of ``head`` (attention weights of one head)
    and of the mean over the heads of the last map, ``value`` (value-weighted attention: the norms of the last map,
    scaled to sum to 1), ``rollout``, ``relevance`` and ``integrated`` (integrated gradients, signed). Amounts are those
    of the answer token. A method is left out if the record does not hold it, or if it runs between streams other than
    those of the last map.

    ``head`` is the single head, by default the first head of the last map.
    Raises ``LookupError`` if the record has no such head, ``ValueError`` if that head attends to another stream than
    the last map.
    """
    last = last_map(record)
    streams = record.maps[last].queries, record.maps[last].keys
    head = head or record.map_ref(last, 0)
    number = record.map_number(head)
    if record.maps[number].keys != streams[1]:
        raise ValueError(f"head {head} attends to {record.maps[number].keys!r}, but the last map to {streams[1]!r}")
    amounts = {
        str(ref): attention_row(record, ref, answer_token(record, record.maps[at].queries), "from")
        for ref, at in ((head, number), (record.map_ref(last), last))
    }
    query = answer_token(record, streams[0])
    if record.norms:
        amounts["value"] = value_weighted(record)
    for flow, between in flows(record).items():
        if between == streams:
            amounts[str(flow)] = attention_row(record, flow, query, "from", record.relevance, streams)
    integrated = integrated_gradients(record)
    return amounts if integrated is None else amounts | {"integrated": integrated}


def value_weighted(record: AttentionRecord) -> NDArray[np.float64]:
    """Returns the value-weighted attention of the answer token in the `last_map`, ``[key]``, scaled to sum to 1.

    Raises ``LookupError`` where the record holds no norms.
    """
    last = last_map(record)
    row = record.norms[last][answer_token(record, record.maps[last].queries)].astype(np.float64)
    return np.asarray(row / (row.sum() or 1.0))


def integrated_gradients(record: AttentionRecord) -> NDArray[np.float64] | None:
    """Returns the integrated gradients of the keys of the `last_map`, ``[key]``; None where the record has none."""
    keys = record.maps[last_map(record)].keys
    if keys in record.integrated_of:
        return record.integrated_of[keys].astype(np.float64)
    is_same = record.integrated is not None and record.integrated.shape == (len(record.streams[keys]),)
    return record.integrated.astype(np.float64) if record.integrated is not None and is_same else None


def modality_shares(record: AttentionRecord, map_ref: MapRef) -> dict[Modality, float]:
    """Returns the share of the answer token's attention that goes to image, text and audio, see `attention_shares`.

    Raises ``LookupError`` if the record does not have what ``map_ref`` names, ``MmvizError`` if the record is too long
    to hold all the weights of that map.
    """
    streams = streams_of(record, map_ref)
    queries, keys = (record.streams[stream] for stream in streams)
    query = answer_token(record, streams[0])
    row = weights(record, map_ref, record.relevance, streams)[[query]]
    matrix = modality_matrix(row, [queries[query]], keys)
    return attention_shares(dict(zip(matrix.keys, matrix.sums[0].tolist(), strict=True)))


def known_modality_shares(record: AttentionRecord, map_ref: MapRef) -> dict[Modality, float] | None:
    """Returns `modality_shares`; None where the record does not have the map, or is too long for it."""
    try:
        return modality_shares(record, map_ref)
    except (LookupError, ValueError, MmvizError):
        return None


def attention_shares(sums: Mapping[Modality, float]) -> dict[Modality, float]:
    """Returns ``sums`` over image, text and audio, normalised to sum to 1.

    Special tokens are left out, since no effect of theirs is measured that the shares could be compared with. All
    shares are 0 if no attention goes to the three.
    """
    total = sum(sums.get(modality, 0.0) for modality in INPUT_MODALITIES)
    return {modality: sums.get(modality, 0.0) / total if total else 0.0 for modality in INPUT_MODALITIES}
