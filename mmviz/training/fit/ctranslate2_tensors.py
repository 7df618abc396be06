"""Reads the tensors of a CTranslate2 model (``model.bin``), as some packages ship trained weights."""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.types import MmvizError

VERSION = 6
"""The version of the format that is read; models since CTranslate2 3 have it."""
_DTYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}
_BFLOAT16 = 5


def read_ctranslate2(path: Path) -> dict[str, NDArray[Any]]:
    """Returns the tensors of a ``model.bin`` by name, under every alias too, read-only.

    They are as stored: float16 stays float16, weights in int8 stay beside their ``NAME_scale``; bfloat16, which numpy
    lacks, becomes float32. Raises ``MmvizError`` (``ctranslate2-damaged``) for a file of another kind or version, and
    for one that is not whole.

    Source: CTranslate2's ``specs/model_spec.py``: the version, the name and revision of the specification, then each
    tensor (name, rank, sizes, type, length in bytes, numbers), then pairs of alias and name; all little-endian.
    """
    try:
        with path.open("rb") as file:
            return _tensors(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except (struct.error, ValueError, KeyError) as problem:
        raise MmvizError("ctranslate2-damaged", file=path.name, version=VERSION) from problem


def _tensors(content: memoryview) -> dict[str, NDArray[Any]]:
    """Returns the tensors of a file. Raises ``struct.error``, ``ValueError`` or ``KeyError`` where it is damaged."""
    position = 0

    def number(kind: str) -> int:
        nonlocal position
        (value,) = struct.unpack_from(f"<{kind}", content, position)
        position += struct.calcsize(f"<{kind}")
        return int(value)

    def data(length: int) -> memoryview:
        nonlocal position
        part = content[position : position + length]
        if len(part) != length:
            raise ValueError("the file ends too early")
        position += length
        return part

    def name() -> str:
        return bytes(data(number("H"))).rstrip(b"\0").decode("utf-8")

    if number("I") != VERSION:
        raise ValueError("another version")
    name(), number("I")  # the specification and its revision
    tensors: dict[str, NDArray[Any]] = {}
    for _ in range(number("I")):
        key = name()
        shape = tuple(number("I") for _ in range(number("B")))
        kind, values = number("B"), data(number("I"))
        array = np.frombuffer(values, "<u2" if kind == _BFLOAT16 else _DTYPES[kind])
        if array.size != math.prod(shape):
            raise ValueError(f"{key} has {array.size} numbers, not those of {shape}")
        if kind == _BFLOAT16:  # the upper half of a float32
            array = (array.astype(np.uint32) << 16).view(np.float32)
            array.flags.writeable = False
        tensors[key] = array.reshape(shape)
    for _ in range(number("I")):
        alias = name()
        tensors[alias] = tensors[name()]
    return tensors
