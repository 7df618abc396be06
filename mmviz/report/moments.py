"""One trio along training for the viewer: at every moment the attention of that time, means over the heads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.learning import Learning
from mmviz.analysis.planes import split
from mmviz.report.run import Run
from mmviz.report.scene import Scene
from mmviz.types import Answer, AttentionMap, AttentionRecord, Sample, View
from mmviz.viewer.codes import encode as to_codes
from mmviz.viewer.container import Section
from mmviz.viewer.small import small


@dataclass(frozen=True)
class _Mean:
    """A run of which the means over the heads are known, and nothing else can be had."""

    sample: Sample
    record: AttentionRecord
    backend: object | None = None

    def view(self, view: View) -> NDArray[np.float32]:
        raise LookupError("of this run the means over the heads are all there is")


class MomentsScene(Scene):
    """What the viewer shows of ``learning``. ``run``: of the same trio, by the model as it is now; it has the tokens.

    Every plane is there at every moment, so that going through time needs no trip to whoever sent it. Raises
    ``ValueError`` where the tokens are others.
    """

    def __init__(self, run: Run, learning: Learning):
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
        made = {**record.made_by, "way": f"mean:{maps[-1].layer}"}
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
            "planes": [f"{number}:mean" for number in range(len(header["maps"]))],
        }  # fmt: skip

    def _plane(self, plane: str) -> dict[str, Section]:
        if plane not in self._planes:
            found: dict[str, Section] = {}
            for moment, layers in enumerate(self.learning.weights):
                found |= self._sections(plane, layers[split(plane)[0]].astype(np.float64), f"{plane}@{moment}")
            self._planes[plane] = found
        return self._planes[plane]

    def _room_of(self, plane: str) -> int:
        return super()._room_of(plane) * len(self.learning.scenes)

    def _thumbs(self) -> dict[str, Section]:
        found = {}
        for number, one in enumerate(self.record.maps):
            edges = self._header["bins"][one.keys]
            for moment, layers in enumerate(self.learning.weights):
                mean = small(layers[number][None], edges, edges)[1:]
                found[f"thumbs/{number}@{moment}"] = Section(*to_codes(mean))
        return found
