"""Tokens of one stream that are made of tokens of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.types.frozen import ValueSemantics, read_only
from mmviz.types.short_repr import ShortRepr, call_repr, short


@dataclass(frozen=True, eq=False, repr=False)
class StreamLink(ShortRepr, ValueSemantics):
    """Tokens of a stream that are made of tokens of another stream before attention runs over them.

    Patches of a vision tower, for example, that are merged and written among the words of a language model. A token has
    as many entries as tokens that it is made of. Raises ``ValueError`` where the arrays are not lists of one length.
    """

    stream: str
    """Name of the stream, a key of `AttentionRecord.streams`."""
    source: str
    """Name of the stream whose tokens it is made of."""
    source_state: int
    """The number of maps of the record that had run when the tokens of ``source`` were read."""
    tokens: NDArray[np.int64]
    """int64 ``[entry]``: index of the token in ``stream``."""
    source_tokens: NDArray[np.int64]
    """int64 ``[entry]``: index of the token in ``source``."""
    shares: NDArray[np.float32]
    """float32 ``[entry]``: its share, 0 .. 1. The shares of a token of ``stream`` over all links sum to 1."""

    def __post_init__(self) -> None:
        if not self.tokens.shape == self.source_tokens.shape == self.shares.shape == (self.tokens.size,):
            raise ValueError("the tokens and shares of a link are one list each, of one length")
        for name, kind in (("tokens", np.int64), ("source_tokens", np.int64), ("shares", np.float32)):
            object.__setattr__(self, name, read_only(np.asarray(getattr(self, name), kind)))

    def __repr__(self) -> str:
        return call_repr(self, f"{short(self.stream)} of {short(self.source)}", f"entries={len(self.tokens)}")
