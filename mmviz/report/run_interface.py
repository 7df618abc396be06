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
    def sample(self) -> Sample:
        """The checked inputs."""
        ...

    @property
    def record(self) -> AttentionRecord:
        """Tokens, attention maps, answers, and how they were computed."""
        ...

    @property
    def backend(self) -> Any:
        """The backend that made the run; None for a run without one, as from a file."""
        ...

    def view(self, view: View) -> NDArray[np.float32]:
        """Returns a part of a map or flow, float32, in the shape of the view. Raises ``MmvizError`` (``view-gone``)."""
        ...


class AnalysedRun(Run, Protocol):
    """The part of a run that a summary and a PNG show."""

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The key tokens of the default map, in the model's order."""
        ...

    @property
    def answer_query(self) -> int:
        """Index of the token that answers among the queries of the default map."""
        ...

    @property
    def map_ref(self) -> MapRef:
        """The default map."""
        ...

    @property
    def is_exact(self) -> bool:
        """Whether `attention` is available."""
        ...

    def attention(
        self, map_ref: MapRef | None = None, token: int | Sequence[int] | None = None, direction: Direction = "from"
    ) -> NDArray[np.float64]:
        """Returns the weights from or to a token, or their mean over several, float64 ``[token]``, see
        `mmviz.Run.attention`."""
        ...

    def pooled_attention(
        self, map_ref: MapRef | None = None, token: int | Sequence[int] | None = None, direction: Direction = "from"
    ) -> NDArray[np.float64]:
        """Returns the same of a long run, averaged over bins of tokens. Raises ``MmvizError`` (``view-flow``)."""
        ...

    def modality_matrix(self, map_ref: MapRef | None = None) -> ModalityMatrix:
        """Returns the attention between modalities. Raises ``MmvizError`` (``view-flow``) for flows of a long run."""
        ...

    def answer_shares(self, map_ref: MapRef | None = None) -> AnswerShares | None:
        """Returns where attention went while each word of an answer was written; None where the model wrote none."""
        ...

    def effect(self) -> dict[str, float]:
        """Returns the Shapley value of each modality, and their ``total``, in nats, see `mmviz.Run.effect`."""
        ...

    def rerun_request(self) -> Request:
        """Returns the request by which the run can be made again."""
        ...
