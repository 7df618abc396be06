"""What reports need of an `mmviz.Run`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.modality import ModalityMatrix
from mmviz.analysis.select import Direction, Way
from mmviz.types import AttentionRecord, Sample, Token, View


class Run(Protocol):
    """What a scene needs."""

    @property
    def sample(self) -> Sample: ...
    @property
    def record(self) -> AttentionRecord: ...
    @property
    def backend(self) -> object | None: ...
    def view(self, view: View) -> NDArray[np.float32]: ...


class WholeRun(Run, Protocol):
    """What a summary and a picture need."""

    @property
    def tokens(self) -> tuple[Token, ...]: ...
    @property
    def asker(self) -> int: ...
    @property
    def way(self) -> Way: ...
    @property
    def is_exact(self) -> bool: ...
    def attention(
        self, way: Way | None = None, token: int | Sequence[int] | None = None, direction: Direction = "from"
    ) -> NDArray[np.float64]: ...
    def about(
        self, way: Way | None = None, token: int | Sequence[int] | None = None, direction: Direction = "from"
    ) -> NDArray[np.float64]: ...
    def matrix(self, way: Way | None = None) -> ModalityMatrix: ...
    def effect(self) -> dict[str, float]: ...
