"""What makes a noun immutable: read-only arrays and mappings, comparison by value, copies that are checked again."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import Field, fields
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Returns the values of ``array`` in memory that cannot be written to.

    The values are copied once, so that neither the caller's array nor any view of it can change them afterwards, and
    numpy refuses to make the copy writeable. An array whose memory is immutable already is returned as it is.

    Raises ``ValueError`` for an array of Python objects.
    """
    if array.dtype.hasobject:
        raise ValueError("an array of Python objects cannot be made read-only")
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, bytes):
        return array
    return np.ndarray(array.shape, array.dtype, buffer=array.tobytes())


def read_only_mapping(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a read-only view of a deep copy of ``values``."""
    return MappingProxyType({key: copy.deepcopy(value) for key, value in values.items()})


class ValueSemantics:
    """Gives a frozen dataclass that holds arrays or mappings the behaviour of a value.

    Two instances are equal where all their fields are equal, arrays in shape, type and every element (NaN equals NaN).
    Equal instances have equal hashes, so they work in sets and as keys. ``pickle`` and ``copy`` build the copy by its
    constructor, so it is checked and read-only as well. Use it with ``@dataclass(frozen=True, eq=False)``.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_equal(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))

    def __hash__(self) -> int:
        return hash((type(self), *(_hashable(getattr(self, field.name)) for field in fields(self))))

    def __reduce__(self) -> tuple[Any, ...]:
        values = (getattr(self, field.name) for field in fields(self))
        return type(self), tuple(dict(value) if isinstance(value, Mapping) else value for value in values)


def _equal(value: Any, other: Any) -> bool:
    if isinstance(value, np.ndarray) and isinstance(other, np.ndarray):
        return value.dtype == other.dtype and np.array_equal(value, other, equal_nan=value.dtype.kind in "fc")
    if isinstance(value, tuple) and isinstance(other, tuple):
        return len(value) == len(other) and all(map(_equal, value, other))
    if isinstance(value, np.ndarray) or isinstance(other, np.ndarray):
        return False
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        return value.keys() == other.keys() and all(_equal(value[key], other[key]) for key in value)
    return bool(value == other)


def _hashable(value: Any) -> Any:
    """Returns what two equal values have in common: the shape of an array, the keys of a mapping."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str
    if isinstance(value, Mapping):
        return frozenset(value)
    return tuple(map(_hashable, value)) if isinstance(value, tuple) else value
