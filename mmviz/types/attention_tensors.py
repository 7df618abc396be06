"""The vectors and matrices of one attention, from which its weights and output can be recomputed step by step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.types.errors import CaptureError
from mmviz.types.frozen import ValueSemantics, read_only
from mmviz.types.short_repr import ShortRepr, call_repr

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class AttentionTensors(ShortRepr, ValueSemantics):
    """The vectors and matrices of one attention for one sample, float32 and read-only.

    Heads are query heads: keys and values of grouped-query attention are repeated for each. Scores are
    ``scale * q . k``, plus ``mask``. The linear maps around the attention, and what they take and give, are None
    where capture could not identify them from the numbers.

    Raises ``CaptureError`` (``steps-shape``) where the arrays do not fit together, lack one that they depend on, or
    hold a number that is not finite.
    """

    query: Array
    """``[head, query, d_k]``."""
    key: Array
    """``[head, key, d_k]``."""
    value: Array
    """``[head, key, d_v]``."""
    scale: float
    """Factor of the scores, 1 / sqrt(d_k) as a rule."""
    attn_output: Array
    """Weights times values as the model computed them, ``[head, query, d_v]``."""
    mask: Array | None = None
    """Added to the scaled scores, ``[head or 1, query, key]``; minus infinity masks a key. None without a mask."""
    projection: Array | None = None
    """Weight of the linear map that joins the heads, ``[D, head * d_v]``."""
    bias: Array | None = None
    """Its bias, ``[D]``; None where it has none."""
    output: Array | None = None
    """Its output as the model computed it, ``[query, D]``."""
    state: Array | None = None
    """Vectors of the query tokens, from which queries are computed, ``[query, width]``."""
    context: Array | None = None
    """Vectors of the key tokens, from which keys and values are computed, ``[key, width]``."""
    to_query: Array | None = None
    """Weight of the linear map from ``state`` to queries, ``[head * d_k, width]``."""
    query_bias: Array | None = None
    """Its bias, ``[head * d_k]``."""
    to_key: Array | None = None
    """Weight of the linear map from ``context`` to keys, ``[head * d_k, width]``."""
    key_bias: Array | None = None
    """Its bias, ``[head * d_k]``."""
    to_value: Array | None = None
    """Weight of the linear map from ``context`` to values, ``[head * d_v, width]``."""
    value_bias: Array | None = None
    """Its bias, ``[head * d_v]``."""
    ablated_heads: tuple[int, ...] = ()
    """Heads that were ablated: their ``attn_output`` counts as 0 from the projection on."""

    def __post_init__(self) -> None:
        if not (self.query.ndim == self.key.ndim == self.value.ndim == 3 and np.isfinite(self.scale)):
            raise CaptureError("steps-shape", part="query")
        shapes = self._allowed_shapes()
        for name, array in self.arrays():
            if array.dtype != np.float32 or array.shape not in shapes[name]:
                raise CaptureError("steps-shape", part=name)
            locked = read_only(array)
            if not (np.isfinite(locked) | ((name == "mask") & (locked == -np.inf))).all():
                raise CaptureError("steps-shape", part=name)
            object.__setattr__(self, name, locked)
        for name, required in _REQUIRES.items():
            if getattr(self, name) is not None and getattr(self, required) is None:
                raise CaptureError("steps-shape", part=name)
        if not all(isinstance(head, int) and 0 <= head < self.heads for head in self.ablated_heads):
            raise CaptureError("steps-shape", part="ablated_heads")

    def __repr__(self) -> str:
        queries, keys = self.shape
        sizes = {"heads": self.heads, "queries": queries, "keys": keys, "d_k": self.query.shape[2]}
        names = " ".join(name for name, _ in self.arrays())
        return call_repr(self, *(f"{name}={size}" for name, size in sizes.items()), f"arrays={names}")

    @property
    def heads(self) -> int:
        """Number of query heads."""
        return int(self.query.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Number of queries and number of keys."""
        return int(self.query.shape[1]), int(self.key.shape[1])

    def arrays(self) -> Iterator[tuple[str, Array]]:
        """Yields ``(name, array)`` for every array that is not None, in the order of `ARRAYS`."""
        for name in ARRAYS:
            if (array := getattr(self, name)) is not None:
                yield name, array

    def _allowed_shapes(self) -> dict[str, list[tuple[int, ...]]]:
        """Returns the shapes that each array may have, by the sizes of queries, keys and values."""
        heads, queries, d_k = self.query.shape
        keys, d_v = self.value.shape[1:]
        width = 0 if self.projection is None else self.projection.shape[0]
        state, context = (0 if tokens is None else tokens.shape[-1] for tokens in (self.state, self.context))
        return {
            "query": [(heads, queries, d_k)], "key": [(heads, keys, d_k)], "value": [(heads, keys, d_v)],
            "attn_output": [(heads, queries, d_v)], "mask": [(heads, queries, keys), (1, queries, keys)],
            "projection": [(width, heads * d_v)], "bias": [(width,)], "output": [(queries, width)],
            "state": [(queries, state)], "to_query": [(heads * d_k, state)], "query_bias": [(heads * d_k,)],
            "context": [(keys, context)], "to_key": [(heads * d_k, context)], "key_bias": [(heads * d_k,)],
            "to_value": [(heads * d_v, context)], "value_bias": [(heads * d_v,)],
        }  # fmt: skip


ARRAYS = (
    "query", "key", "value", "attn_output", "mask", "projection", "bias", "output", "state", "to_query", "query_bias",
    "context", "to_key", "key_bias", "to_value", "value_bias",
)  # fmt: skip
"""Names of the arrays of `AttentionTensors`; some may be None."""
_REQUIRES = {
    "bias": "projection", "output": "projection", "projection": "output", "to_query": "state", "state": "to_query",
    "query_bias": "to_query", "to_key": "context", "key_bias": "to_key", "to_value": "context",
    "value_bias": "to_value",
}  # fmt: skip
"""Array -> the array that it needs beside it."""
