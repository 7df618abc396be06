"""What reports use of an `mmviz.Run`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.answer_shares import AnswerShares
from mmviz.analysis.map_weights import Direction
from mmviz.analysis.modality_matrix import ModalityMatrix
from mmviz.types import AttentionRecord, MapRef, Request, Sample, Token, View


class Run(Protocol):
    """The part of a run that the viewer shows."""

    @property
    def sample(self) -> Sample: ...
    @property
    def record(self) -> AttentionRecord: ...
    @property
    def backend(self) -> Any: ...
    def view(self, view: View) -> NDArray[np.float32]: ...


class AnalysedRun(Run, Protocol):
    """The part of a run that a summary and a PNG show."""

    @property
    def tokens(self) -> tuple[Token, ...]: ...
    @property
    def answer_query(self) -> int: ...
    @property
    def map_ref(self) -> MapRef: ...
    @property
    def is_exact(self) -> bool: ...
    def attention(
        self, map_ref: MapRef | None = None, token: int | Sequence[int] | None = None, direction: Direction = "from"
    ) -> NDArray[np.float64]: ...
    def pooled_attention(
        self, map_ref: MapRef | None = None, token: int | Sequence[int] | None = None, direction: Direction = "from"
    ) -> NDArray[np.float64]: ...
    def modality_matrix(self, map_ref: MapRef | None = None) -> ModalityMatrix: ...
    def answer_shares(self, map_ref: MapRef | None = None) -> AnswerShares | None: ...
    def effect(self) -> dict[str, float]: ...
    def rerun_request(self) -> Request: ...
