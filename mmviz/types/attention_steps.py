"""One attention worked out step by step: the vectors that go in, and what the model's own attention made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.types.errors import CaptureError
from mmviz.types.frozen import ValueSemantics, read_only

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class AttentionSteps(ValueSemantics):
    """The vectors and matrices of one attention, float32, of one sample; heads are those that ask.

    ``query`` ``[head, query, d_k]``, ``key`` ``[head, key, d_k]``, ``value`` ``[head, key, d_v]``; scores are
    ``scale * q . k``, to which ``mask`` ``[head or 1, query, key]`` is added (minus infinity: takes no part; None where
    there is none). ``attn_output`` ``[head, query, d_v]``: what the model's own attention gave, weights times values.
    ``ablated_heads``: heads whose ``attn_output`` is 0 for all that comes after, as a change wanted.

    Where they were found by comparing numbers, else None: the linear map that joins the heads, ``projection``
    ``[D, head * d_v]`` and its ``bias`` ``[D]`` (None where it has none), and its own ``output`` ``[query, D]``; the
    tokens that ask, ``state`` ``[query, width]``, with ``to_query`` ``[head * d_k, width]`` and ``query_bias``, and
    those that are asked, ``context`` ``[key, width]``, with ``to_key`` ``[head * d_k, width]``, ``to_value``
    ``[head * d_v, width]`` and their biases. Raises ``CaptureError`` (``steps-shape``) where these do not fit together
    or hold what is no number.
    """

    query: Array
    key: Array
    value: Array
    scale: float
    attn_output: Array
    mask: Array | None = None
    projection: Array | None = None
    bias: Array | None = None
    output: Array | None = None
    state: Array | None = None
    context: Array | None = None
    to_query: Array | None = None
    query_bias: Array | None = None
    to_key: Array | None = None
    key_bias: Array | None = None
    to_value: Array | None = None
    value_bias: Array | None = None
    ablated_heads: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not (self.query.ndim == self.key.ndim == self.value.ndim == 3 and np.isfinite(self.scale)):
            raise CaptureError("steps-shape", part="query")
        shapes = self._shapes()
        for name, found in self.arrays():
            if found.dtype != np.float32 or found.shape not in shapes[name]:
                raise CaptureError("steps-shape", part=name)
            if not (np.isfinite(found) | ((name == "mask") & (found == -np.inf))).all():
                raise CaptureError("steps-shape", part=name)
            object.__setattr__(self, name, read_only(found))
        needs = {"bias": "projection", "output": "projection", "projection": "output", "to_query": "state",
                 "state": "to_query", "query_bias": "to_query", "to_key": "context", "key_bias": "to_key",
                 "to_value": "context", "value_bias": "to_value"}  # fmt: skip
        for name, other in needs.items():
            if getattr(self, name) is not None and getattr(self, other) is None:
                raise CaptureError("steps-shape", part=name)
        if not all(isinstance(head, int) and 0 <= head < self.heads for head in self.ablated_heads):
            raise CaptureError("steps-shape", part="off")

    @property
    def heads(self) -> int:
        return int(self.query.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """How many queries and keys."""
        return int(self.query.shape[1]), int(self.key.shape[1])

    def arrays(self) -> Iterator[tuple[str, Array]]:
        """The arrays that are there, each with its name."""
        for name in ARRAYS:
            if (found := getattr(self, name)) is not None:
                yield name, found

    def _shapes(self) -> dict[str, list[tuple[int, ...]]]:
        """What shapes each array may have, by the sizes of queries, keys and values."""
        heads, queries, d_k = self.query.shape
        keys, d_v = self.value.shape[1:]
        sides = {name: getattr(self, name) for name in ("projection", "state", "context")}
        out, state, context = (
            0 if found is None else found.shape[0 if name == "projection" else -1] for name, found in sides.items()
        )
        return {
            "query": [(heads, queries, d_k)], "key": [(heads, keys, d_k)], "value": [(heads, keys, d_v)],
            "mixed": [(heads, queries, d_v)], "mask": [(heads, queries, keys), (1, queries, keys)],
            "projection": [(out, heads * d_v)], "bias": [(out,)], "output": [(queries, out)],
            "state": [(queries, state)], "to_query": [(heads * d_k, state)], "query_bias": [(heads * d_k,)],
            "context": [(keys, context)], "to_key": [(heads * d_k, context)], "key_bias": [(heads * d_k,)],
            "to_value": [(heads * d_v, context)], "value_bias": [(heads * d_v,)],
        }  # fmt: skip


ARRAYS = (
    "query", "key", "value", "mixed", "mask", "projection", "bias", "output", "state", "to_query", "query_bias",
    "context", "to_key", "key_bias", "to_value", "value_bias",
)  # fmt: skip
"""The arrays of `AttentionSteps`; some may not be there."""
