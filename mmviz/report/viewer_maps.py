"""Encodes the maps of a record for the viewer: quantized weights, sums by modality, and thumbnails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.available_maps import streams_of
from mmviz.analysis.map_weights import weights as map_weights
from mmviz.analysis.modality_matrix import modality_members
from mmviz.report.viewer_map_requests import is_pooled
from mmviz.types import MODALITIES, AttentionRecord, MapRef, PooledMap
from mmviz.viewer.binary_format import Section
from mmviz.viewer.quantization import encode as quantize
from mmviz.viewer.thumbnails import pooled_thumbnails, thumbnails


class MapSections:
    """The sections of the maps of ``record``, as ``viewer/format_schema.json`` describes them."""

    def __init__(self, record: AttentionRecord):
        self.record = record

    def sections(self, ref: MapRef) -> dict[str, Section]:
        """Returns the sections of a map, or of a flow of a short run."""
        if is_pooled(self.record, ref):
            return self._pooled_sections(ref)
        return self.weight_sections(ref, map_weights(self.record, ref, self.record.relevance))

    def thumbnails(self, bins: Mapping[str, Sequence[int]]) -> dict[str, Section]:
        """Returns the thumbnails of every map; ``bins``: the edges of the bins of tokens, by stream."""
        sections = {}
        for number, attn_map in enumerate(self.record.maps):
            if isinstance(attn_map, PooledMap):
                means = pooled_thumbnails(attn_map, self.record.streams)
            else:
                means = thumbnails(attn_map.weights, bins[attn_map.queries], bins[attn_map.keys])
            sections[f"thumbnails/{number}"] = Section(*quantize(means))
        return sections

    def _pooled_sections(self, ref: MapRef) -> dict[str, Section]:
        """Returns the overview of a map without all its weights, and its sums by modality."""
        pooled = self.record.maps[self.record.map_number(ref)]
        assert isinstance(pooled, PooledMap)
        row_sums = _of_head(pooled.row_modality_sums, ref.head)
        members = self._modality_members[pooled.queries]
        matrix = members.T @ row_sums / np.maximum(members.sum(axis=0), 1)[:, None]
        return {
            f"overview/{ref}": Section(*quantize(_of_head(pooled.overview, ref.head))),
            f"from/{ref}": Section(row_sums.astype(np.float32)),
            f"to/{ref}": Section(_of_head(pooled.column_modality_sums, ref.head).astype(np.float32)),
            f"matrix/{ref}": Section(matrix.astype(np.float32)),
        }

    def weight_sections(self, ref: MapRef, weights: NDArray[np.float64], name: str = "") -> dict[str, Section]:
        """Returns the quantized weights ``[query, key]`` of a map, and their sums by modality.

        ``name``: the name of the sections, where it is not that of the map.
        """
        queries, keys = (self._modality_members[stream] for stream in streams_of(self.record, ref))
        row_sums = weights @ keys
        matrix = queries.T @ row_sums / np.maximum(queries.sum(axis=0), 1)[:, None]
        name = name or str(ref)
        return {
            f"codes/{name}": Section(*quantize(weights)),
            f"from/{name}": Section(row_sums.astype(np.float32)),
            f"to/{name}": Section((weights.T @ queries).astype(np.float32)),
            f"matrix/{name}": Section(matrix.astype(np.float32)),
        }

    @cached_property
    def _modality_members(self) -> dict[str, NDArray[np.float64]]:
        """For every stream ``[token, modality]``: 1 where the token is of the modality, else 0."""
        return {stream: modality_members(tokens, MODALITIES).T for stream, tokens in self.record.streams.items()}


def _of_head(values: NDArray[Any], head: int | None) -> NDArray[np.float64]:
    """Returns one head of ``[head, ...]``, or the mean over heads for None."""
    return np.asarray(values.mean(axis=0, dtype=np.float64) if head is None else values[head], np.float64)
