"""What each token would answer after each layer: the few numbers that are kept of hidden states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.types.frozen import ValueSemantics, read_only
from mmviz.types.short_repr import ShortRepr

_ARRAYS = {
    "top": np.int32, "top_log_probabilities": np.float64, "answer_ranks": np.int32,
    "answer_log_probabilities": np.float64,
}  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class TokenLens(ShortRepr, ValueSemantics):
    """The hidden states of one stream after each layer, read through the final norm and head of the model.

    Arrays are read-only. Raises ``ValueError`` where their shapes, labels or ranks do not fit each other.
    Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
    """

    stream: str
    """The stream of the tokens, as in `AttentionRecord.streams`."""
    layers: tuple[str, ...]
    """What each row was read after: ``PATH:input`` for the tokens that enter the first layer, then the module path of
    each layer in order of execution."""
    through: tuple[str, ...]
    """Paths of the modules that the states were read through: the final norm, where there is one, and the head."""
    labels: tuple[str, ...]
    """The answers that occur in ``top``."""
    top: NDArray[np.int32]
    """int32 ``[layer, token, rank]``: the most probable answers, best first, as indices of ``labels``."""
    top_log_probabilities: NDArray[np.float64]
    """float64 ``[layer, token, rank]``: their log-probabilities, in nats."""
    answer: str
    """The final answer of the model; of one that writes its answer, the first token that the run is about."""
    answer_ranks: NDArray[np.int32]
    """int32 ``[layer, token]``: rank of the final answer among all ``answers``, 1 for the most probable."""
    answer_log_probabilities: NDArray[np.float64]
    """float64 ``[layer, token]``: log-probability of the final answer, in nats."""
    answer_token: int
    """Index of the token that answers: read after the last layer, it gives the answer of the model."""
    answers: int
    """Number of answers that the model chooses among."""
    parity: float
    """Largest difference, in nats, between the log-probabilities of the token that answers, read after the last layer,
    and those that the model returned."""

    def __post_init__(self) -> None:
        for name in ("layers", "through", "labels"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, dtype in _ARRAYS.items():
            object.__setattr__(self, name, read_only(np.asarray(getattr(self, name), dtype)))
        rows, tokens, best = self.top.shape
        if self.top_log_probabilities.shape != self.top.shape or len(self.layers) != rows:
            raise ValueError("the rows of a lens do not fit its layers")
        if self.answer_ranks.shape != (rows, tokens) or self.answer_log_probabilities.shape != (rows, tokens):
            raise ValueError("the final answer of a lens is not that of its layers and tokens")
        if not (rows and best and 0 <= self.answer_token < tokens):
            raise ValueError("a lens needs layers, answers and a token that answers")
        if self.top.min() < 0 or self.top.max() >= len(self.labels):
            raise ValueError("an answer of a lens has no label")
        if self.answer_ranks.min() < 1 or self.answer_ranks.max() > self.answers:
            raise ValueError("a rank of a lens lies outside the answers")
