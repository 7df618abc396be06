"""One trio along training for the viewer: at every moment the attention of that time, means over the heads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.training_timeline import TrainingTimeline
from mmviz.report.run_protocol import Run
from mmviz.report.viewer_data import ViewerData
from mmviz.types import Answer, AttentionMap, AttentionRecord, MapRef, Sample, View
from mmviz.viewer.codes import encode as to_codes
from mmviz.viewer.container import Section
from mmviz.viewer.thumbnails import small


@dataclass(frozen=True)
class _Mean:
    """A run of which the means over the heads are known, and nothing else can be had."""

    sample: Sample
    record: AttentionRecord
    backend: object | None = None

    def view(self, view: View) -> NDArray[np.float32]:
        raise LookupError("of this run the means over the heads are all there is")


class TrainingViewerData(ViewerData):
    """What the viewer shows of ``learning``. ``run``: of the same trio, by the model as it is now; it has the tokens.

    Every map is there at every moment, so that going through time needs no trip to whoever sent it. Raises
    ``ValueError`` where the tokens are others.
    """

    def __init__(self, run: Run, learning: TrainingTimeline):
        record = run.record
        (stream,) = {name for one in record.maps for name in (one.queries, one.keys)}
        if tuple(token.label for token in record.streams[stream]) != learning.labels:
            raise ValueError(f"the tokens of this run are not those that were recorded along training: {stream}")
        maps = tuple(
            AttentionMap(one.name, one.layer, stream, stream, weights[None])
            for one, weights in zip(record.maps, learning.weights[-1], strict=True)
        )
        answers = zip(learning.answers, map(float, learning.probabilities[-1]), strict=True)
        best = sorted((Answer(*one) for one in answers), key=lambda one: -one.probability)
        made = {**record.made_by, "map_ref": f"{maps[-1].layer}:mean"}
        super().__init__(
            _Mean(
                run.sample,
                replace(
                    record, id=f"{record.id}-learning", maps=maps, answers=tuple(best), made_by=made, relevance=None,
                    norms=(), integrated=None, steps=(), sweep=None,
                ),
            )
        )  # fmt: skip
        self.learning = learning

    def _made_header(self) -> dict[str, Any]:
        header = super()._made_header()
        scenes = list(self.learning.scenes)
        moments = {
            "scenes": scenes, "answers": list(self.learning.answers),
            "probabilities": [[float(one) for one in step] for step in self.learning.probabilities],
        }  # fmt: skip
        return header | {
            "moments": moments, "flows": {}, "maps": [one | {"heads": 0} for one in header["maps"]],
            "map_refs": [str(self.record.map_ref(number)) for number in range(len(header["maps"]))],
        }  # fmt: skip

    def _sections_of(self, ref: MapRef) -> dict[str, Section]:
        if ref not in self._map_sections:
            found: dict[str, Section] = {}
            number = self.record.map_number(ref)
            for moment, layers in enumerate(self.learning.weights):
                found |= self._sections(ref, layers[number].astype(np.float64), f"{ref}@{moment}")
            self._map_sections[ref] = found
        return self._map_sections[ref]

    def _room_of(self, ref: MapRef) -> int:
        return super()._room_of(ref) * len(self.learning.scenes)

    def _thumbs(self) -> dict[str, Section]:
        found = {}
        for number, one in enumerate(self.record.maps):
            edges = self._header["bins"][one.keys]
            for moment, layers in enumerate(self.learning.weights):
                mean = small(layers[number][None], edges, edges)[1:]
                found[f"thumbs/{number}@{moment}"] = Section(*to_codes(mean))
        return found
