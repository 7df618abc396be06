"""What the weights of a long record are computed from: queries, keys and log-sum-exp, as the model had them.

``P[i, j] = exp(scale * q_i . k_j + mask - lse_i)``. Arrays have the precision that the model computed in; bfloat16,
which numpy lacks, stands as the uint16 of its bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.types.frozen import ValueSemantics, read_only
from mmviz.types.records import AttentionRecord

_EXPONENT = 0x7F80
"""The bits of the exponent of a bfloat16, which are all 1 where it is no finite number."""
MAX_SCALE = 1e6
"""Largest factor of scores."""


@dataclass(frozen=True, eq=False)
class ExactMask(ValueSemantics):
    """A mask of scores. Raises ``ValueError`` where its arrays do not fit together, or hold NaN or plus infinity."""

    shape: tuple[int, int, int, int]
    """``[row, head, query, key]``, 1 where all share it."""
    bits: NDArray[np.uint8] | None
    """A bit for each entry, in order, as ``numpy.packbits`` writes them; None for other than two values."""
    values: NDArray[Any]
    """With ``bits`` what is added to a score where a bit is 0 and where it is 1; else the mask itself."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        if len(self.shape) != 4 or min(self.shape) < 1:
            raise ValueError("a mask has four axes")
        expected: tuple[int, ...] = self.shape if self.bits is None else (2,)
        if self.values.shape != expected or not is_finite(self.values, or_minus_infinity=True):
            raise ValueError("the values of a mask")
        bits = self.bits
        if bits is not None and (bits.dtype != np.uint8 or bits.shape != (-(-self.size // 8),)):
            raise ValueError("the bits of a mask")
        for name in ("bits", "values"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, read_only(getattr(self, name)))

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class ExactCall(ValueSemantics):
    """The tensors of one attention call, for the rows of its batch that belong to a map.

    Raises ``ValueError`` where arrays do not fit together, or hold what is not a finite number.
    """

    scale: float
    """Factor of the scores."""
    causal: bool
    """Whether a query attends only to keys up to its own position."""
    query: NDArray[Any] | None = None
    """``[row, head, query, d]``."""
    key: NDArray[Any] | None = None
    """``[row, kv head, key, d]``."""
    lse: NDArray[np.float32] | None = None
    """``[row, head, query]``: the log-sum-exp of the scores of each query, -inf for a fully masked one."""
    weights: NDArray[Any] | None = None
    """``[row, head, query, key]`` instead of the three above, where the model itself made the weights."""
    mask: ExactMask | None = None
    """Is added to the scores, beside ``causal``; None for no mask."""
    query_places: NDArray[np.int32] | None = None
    """``[row, query]``: the place of each query in its stream, -1 for padding; None where it is its own number."""
    key_places: NDArray[np.int32] | None = None
    """``[row, key]``: the same for keys."""
    value: NDArray[Any] | None = None
    """``[row, kv head, key, d_v]``, where the gradients are kept."""
    gradient: NDArray[Any] | None = None
    """``[row, head, query, d_v]``: of the logit with respect to the output of the call, where it is kept."""

    def __post_init__(self) -> None:
        parts = self.arrays()
        if not all(is_finite(array, or_minus_infinity=name == "lse") for name, array in parts.items()):
            raise ValueError("a number that is not finite")
        if not math.isfinite(self.scale) or abs(self.scale) > MAX_SCALE:
            raise ValueError("scale")
        rows, heads, queries, keys = self.shape
        expected: dict[str, tuple[int, ...]] = {"query_places": (rows, queries), "key_places": (rows, keys)}
        if self.weights is None:
            assert self.query is not None and self.key is not None
            width = self.query.shape[3]
            expected |= {"lse": (rows, heads, queries), "key": (rows, _groups(self.key, heads), keys, width)}
        elif self.query is not None or self.key is not None or self.lse is not None:
            raise ValueError("weights beside queries")
        if (self.value is None) != (self.gradient is None) or (self.query_places is None) != (self.key_places is None):
            raise ValueError("half of a pair")
        if self.value is not None and self.gradient is not None:
            width = self.value.shape[-1]
            expected |= {"value": (rows, _groups(self.value, heads), keys, width)}
            expected |= {"gradient": (rows, heads, queries, width)}
        for name, shape in expected.items():
            if name in parts and parts[name].shape != shape:
                raise ValueError(name)
        if self.mask is not None:
            pairs = zip(self.mask.shape, self.shape, strict=True)
            if any(size not in (1, full) for size, full in pairs):
                raise ValueError("mask")
        for name, array in parts.items():
            object.__setattr__(self, name, read_only(array))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Numbers of rows, heads, queries and keys. Raises ``ValueError`` where there are none."""
        if self.weights is not None and self.weights.ndim == 4:
            rows, heads, queries, keys = self.weights.shape
        elif self.query is not None and self.key is not None and self.query.ndim == self.key.ndim == 4:
            (rows, heads, queries, _), keys = self.query.shape, self.key.shape[2]
        else:
            raise ValueError("neither weights nor queries and keys")
        if 0 in (rows, heads, queries, keys):
            raise ValueError("an empty axis")
        return rows, heads, queries, keys

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Returns the arrays that there are, by name, without those of the mask."""
        return {name: array for name in ARRAYS if (array := getattr(self, name)) is not None}


ARRAYS = ("query", "key", "lse", "weights", "query_places", "key_places", "value", "gradient")
"""The arrays of an `ExactCall`."""


@dataclass(frozen=True, eq=False)
class ExactAttention(ValueSemantics):
    """The tensors behind all maps of a record."""

    maps: tuple[tuple[ExactCall, ...], ...]
    """The calls of each map, in the order of the record: a single one, or those of stretches of a sequence."""

    @property
    def masks(self) -> list[ExactMask]:
        """The masks, each once."""
        return list({id(call.mask): call.mask for calls in self.maps for call in calls if call.mask}.values())

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = [array for calls in self.maps for call in calls for array in call.arrays().values()]
        arrays += [array for mask in self.masks for array in (mask.bits, mask.values) if array is not None]
        return sum(array.nbytes for array in arrays)

    @property
    def has_gradients(self) -> bool:
        """Whether relevance can be computed."""
        return any(call.gradient is not None for calls in self.maps for call in calls)

    def check_fit(self, record: AttentionRecord) -> None:
        """Raises ``ValueError`` where the calls do not have the heads, queries and keys of the record's maps."""
        if len(self.maps) != len(record.maps):
            raise ValueError("maps")
        for attn_map, calls in zip(record.maps, self.maps, strict=True):
            queries, keys = attn_map.shape
            is_placed = bool(calls) and calls[0].query_places is not None
            if not calls or (not is_placed and (len(calls), *calls[0].shape) != (1, 1, attn_map.heads, queries, keys)):
                raise ValueError("the shape of a map")
            for call in calls:
                if call.shape[1] != attn_map.heads or (call.query_places is not None) != is_placed:
                    raise ValueError("the heads of a map")
                if call.query_places is not None and call.key_places is not None:
                    _check_places(call.query_places, queries)
                    _check_places(call.key_places, keys)


def is_finite(array: NDArray[Any], or_minus_infinity: bool = False) -> bool:
    """Returns whether an array holds finite numbers alone, or -inf where that is allowed."""
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        return bool(((array & _EXPONENT) != _EXPONENT).all())
    if array.dtype.kind == "f":
        flat = array.reshape(-1)
        parts = (flat[at : at + (1 << 20)] for at in range(0, max(flat.size, 1), 1 << 20))
        return all(bool((np.isfinite(part) | (or_minus_infinity & (part == -np.inf))).all()) for part in parts)
    return array.dtype.kind == "i"


def _groups(array: NDArray[Any], heads: int) -> int:
    """Returns the number of key-value heads of an array. Raises ``ValueError`` where they do not divide the heads."""
    if array.ndim != 4 or array.shape[1] < 1 or heads % array.shape[1]:
        raise ValueError("key-value heads")
    return int(array.shape[1])


def _check_places(places: NDArray[np.int32], count: int) -> None:
    """Raises ``ValueError`` for places that a stream does not have, or that a row has twice."""
    if places.dtype.kind != "i" or places.min() < -1 or places.max() >= count:
        raise ValueError("places")
    for row in places:
        real = row[row >= 0]
        if len(np.unique(real)) != len(real):
            raise ValueError("places")
