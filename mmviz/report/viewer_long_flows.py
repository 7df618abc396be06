"""The sections of the viewer that show flows of a long run, which take a while to compute, and are kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from mmviz.analysis.available_maps import parse_map_ref, streams_of
from mmviz.analysis.modality_matrix import modality_members
from mmviz.report.run_interface import Run
from mmviz.report.viewer_map_requests import requested_view, stream_edges
from mmviz.types import MODALITIES, MapRef, MmvizError, ModalitySums, Zoom
from mmviz.viewer.binary_format import Section
from mmviz.viewer.quantization import encode as quantize

MAX_PARTS = 64
"""Parts that are kept, the newest."""


class LongFlowSections:
    """The parts of flows of a long run that have been computed so far, by the names under which a viewer requests them.

    ``map/REF`` stands for the overview of a flow and its sums by modality, ``row/REF/...`` and ``window/REF/...`` for
    one section each.
    """

    def __init__(self, run: Run):
        self._run = run
        self._parts: OrderedDict[str, dict[str, Section]] = OrderedDict()
        self.problems: dict[str, MmvizError] = {}
        """Why parts could not be computed."""

    def missing(self, names: Sequence[str]) -> list[str]:
        """Returns those of the names that stand for parts of flows, and that have been neither computed nor refused."""
        return [name for name in names if self.is_flow(name) and name not in (*self._parts, *self.problems)]

    def get(self, name: str) -> dict[str, Section]:
        """Returns the sections of a part; nothing where it has not been computed."""
        if name in self._parts:
            self._parts.move_to_end(name)
        return self._parts.get(name, {})

    def compute(self, name: str) -> None:
        """Computes a part, or notes why that is not possible."""
        try:
            self._parts[name] = self._sections(name)
        except MmvizError as problem:
            self.problems[name] = problem
        while len(self._parts) > MAX_PARTS:
            self._parts.popitem(last=False)

    def is_flow(self, name: str) -> bool:
        """Returns whether a name stands for a part of a flow of this run."""
        kind = name.partition("/")[0]
        is_part = kind in ("map", "row", "window") and self._run.record.is_long
        return is_part and self.flow_of(name).layer is None

    def flow_of(self, name: str) -> MapRef:
        """Returns the flow, or the map, that a part belongs to."""
        kind, _, rest = name.partition("/")
        return parse_map_ref(self._run.record, rest if kind == "map" else rest.rsplit("/", 2)[0])

    def _sections(self, name: str) -> dict[str, Section]:
        kind, _, rest = name.partition("/")
        if kind == "map":
            return self._overview(parse_map_ref(self._run.record, rest))
        view = requested_view(self._run.record, kind, rest)
        amounts = self._run.view(view)
        values = amounts if isinstance(view, Zoom) else amounts.reshape(-1)
        return {name: Section(*quantize(np.asarray(values, np.float64)))}

    def _overview(self, ref: MapRef) -> dict[str, Section]:
        """Returns means over bins of a flow ``[query bin, key bin]``, and its sums by modality."""
        record = self._run.record
        queries, keys = streams_of(record, ref)
        means = self._run.view(Zoom(ref, stream_edges(record, queries), stream_edges(record, keys)))
        row_sums, column_sums = (self._run.view(ModalitySums(ref, direction)) for direction in ("from", "to"))
        members = modality_members(record.streams[queries], MODALITIES)
        matrix = members @ row_sums / np.maximum(members.sum(axis=1), 1)[:, None]
        return {
            f"overview/{ref}": Section(*quantize(np.asarray(means, np.float64))),
            f"from/{ref}": Section(row_sums), f"to/{ref}": Section(column_sums),
            f"matrix/{ref}": Section(matrix.astype(np.float32)),
        }  # fmt: skip
