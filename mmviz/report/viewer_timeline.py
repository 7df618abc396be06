"""Encodes one example along training for the viewer: its attention at every checkpoint, the mean over heads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.io.training_timeline_file import TrainingTimeline
from mmviz.report.run_interface import Run
from mmviz.report.viewer_data import ViewerData
from mmviz.types import Answer, AttentionMap, AttentionRecord, MapRef, Sample, View
from mmviz.viewer.binary_format import Section
from mmviz.viewer.quantization import encode as quantize
from mmviz.viewer.thumbnails import thumbnails


@dataclass(frozen=True)
class _MeanRun:
    """A run of which only the means over heads are known."""

    sample: Sample
    record: AttentionRecord
    backend: object | None = None

    def view(self, view: View) -> NDArray[np.float32]:
        raise LookupError("this run has only the means over its heads")


class TrainingViewerData(ViewerData):
    """Encodes the maps of ``timeline`` at all of its checkpoints at once, so that moving along it requests nothing.

    ``run``: the same example, run with the trained model, for its tokens and inputs. Raises ``ValueError`` where its
    tokens are not those of the timeline.
    """

    def __init__(self, run: Run, timeline: TrainingTimeline):
        record = run.record
        (stream,) = {name for attn_map in record.maps for name in (attn_map.queries, attn_map.keys)}
        if tuple(token.label for token in record.streams[stream]) != timeline.labels:
            raise ValueError(f"the tokens of this run are not those that were recorded along training: {stream}")
        maps = tuple(
            AttentionMap(attn_map.name, attn_map.layer, stream, stream, weights[None], stack=attn_map.stack)
            for attn_map, weights in zip(record.maps, timeline.weights[-1], strict=True)
        )
        probabilities = zip(timeline.answers, map(float, timeline.probabilities[-1]), strict=True)
        answers = sorted((Answer(*pair) for pair in probabilities), key=lambda answer: -answer.probability)
        made_by = {**record.made_by, "map_ref": str(record.map_ref(len(maps) - 1))}
        mean_record = replace(
            record, id=f"{record.id}-training", maps=maps, answers=tuple(answers), made_by=made_by, relevance=None,
            norms=(), integrated=None, steps=(), sweep=None, links=None, relevance_to={},
            integrated_of={},
        )  # fmt: skip
        super().__init__(_MeanRun(run.sample, mean_record))
        self.timeline = timeline

    def _make_header(self) -> dict[str, Any]:
        header = super()._make_header()
        timeline = {
            "scenes": list(self.timeline.scenes), "answers": list(self.timeline.answers),
            "probabilities": [[float(value) for value in values] for values in self.timeline.probabilities],
        }  # fmt: skip
        return header | {
            "timeline": timeline,
            "flows": {},
            "maps": [fields | {"heads": 0} for fields in header["maps"]],
            "map_refs": [str(self.record.map_ref(number)) for number in range(len(header["maps"]))],
        }

    def _sections_of(self, ref: MapRef) -> dict[str, Section]:
        if ref not in self._map_sections:
            sections: dict[str, Section] = {}
            number = self.record.map_number(ref)
            for checkpoint, layers in enumerate(self.timeline.weights):
                weights = layers[number].astype(np.float64)
                sections |= self._maps.weight_sections(ref, weights, f"{ref}@{checkpoint}")
            self._map_sections[ref] = sections
        return self._map_sections[ref]

    def _max_map_bytes(self, ref: MapRef) -> int:
        return super()._max_map_bytes(ref) * len(self.timeline.scenes)

    def _thumbnails(self) -> dict[str, Section]:
        sections = {}
        for number, attn_map in enumerate(self.record.maps):
            edges = self._header["bins"][attn_map.keys]
            for checkpoint, layers in enumerate(self.timeline.weights):
                mean = thumbnails(layers[number][None], edges, edges)[1:]
                sections[f"thumbnails/{number}@{checkpoint}"] = Section(*quantize(mean))
        return sections
