"""Hostile npz files are refused with one sentence before they cost memory."""

from __future__ import annotations

import ast
import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from mmviz.io.npz import open_npz, pack_npz
from mmviz.io.run_file import FORMAT, from_bytes
from mmviz.types import MmvizError


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def npy(header: str, data: bytes = b"") -> bytes:
    padded = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(padded)) + padded + data


HEADER = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2,)}", b"{}")
HOSTILE = {
    "nothing": b"",
    "an end alone": b"PK\5\6" + b"\0" * 18,
    "no header": zipped(("x.npy", HEADER)),
    "a header that is a list": zipped(("header.npy", HEADER.replace(b"{}", b"[]"))),
    "text for numbers": zipped(("header.npy", b"hello")),
    "a header that never ends": zipped(("header.npy", npy("{'descr': '|u1', 'shape': ("))),
    "a shape beyond memory": zipped(
        ("header.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000, 1000)}", b"{}"))
    ),
    "text": zipped(("header.npy", npy("{'descr': '<U2', 'fortran_order': False, 'shape': (1,)}", b"{\0\0\0}\0\0\0"))),
    "objects": zipped(("header.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"\x80\4N."))),
    "a nest of brackets": zipped(("header.npy", npy("[" * 100))),
    "a negative shape": zipped(
        ("header.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 0)}", b""))
    ),
    "deep json": pack_npz({}, {})[:0] or zipped(
        ("header.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': (200000,)}", b"[" * 200_000))
    ),
}  # fmt: skip
LARGE = {
    "many members": lambda: zipped(*((f"{k}.npy", b"") for k in range(90_000)), method=zipfile.ZIP_STORED),
    "a bomb": lambda: zipped(("header.npy", b"\0" * 200_000_000)),
}
"""Those that take a while to make."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [*HOSTILE, *LARGE])
def test_a_hostile_file_is_refused_without_using_memory(name: str) -> None:
    data = LARGE[name]() if name in LARGE else HOSTILE[name]
    tracemalloc.start()
    with pytest.raises(MmvizError) as error, open_npz(io.BytesIO(data), largest=64_000_000) as (header, _):
        raise AssertionError(header)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.value.code == ("npz-large" if name == "a bomb" else "run-unreadable")
    assert peak < 50_000_000


def test_a_member_that_declares_too_small_a_size_is_not_inflated_beyond_it() -> None:
    data = bytearray(zipped(("header.npy", HEADER + b"\0" * 50_000_000)))
    at = data.rindex(b"PK\1\2")
    struct.pack_into("<I", data, at + 24, len(HEADER))  # the size in the directory
    tracemalloc.start()
    with pytest.raises(MmvizError, match="not a run"), open_npz(io.BytesIO(bytes(data))) as _:
        raise AssertionError
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_packed_arrays_are_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.asfortranarray(np.eye(3)), "c": np.array(True),
        "d": np.zeros((1, 2, 3, 4, 5, 0), np.int64), "e": np.arange(70_000, dtype=np.uint16)[:, None],
        "f": np.ones(3, np.float16), "g": np.arange(3, dtype=">i4"),
    }  # fmt: skip
    # what CPython raises now and then where several threads parse (issue 106905): numbers are no program
    monkeypatch.setattr(ast, "parse", lambda *_, **__: pytest.fail("parsed as Python"))
    with open_npz(io.BytesIO(pack_npz({"x": [1, "é"]}, arrays))) as (header, opened):
        assert header == {"x": [1, "é"]} and "a" in opened and "z" not in opened and opened.get("z") is None
        for name, array in arrays.items():
            assert np.array_equal(opened[name], array) and opened[name].dtype == array.dtype
    assert pack_npz({}, arrays) == pack_npz({}, arrays)


def test_a_file_damaged_anywhere_is_refused() -> None:
    record_bytes = pack_npz({"format": FORMAT}, {"image": np.zeros(9)})
    rng = np.random.default_rng(3)
    for _ in range(300):
        damaged = bytearray(record_bytes)
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = rng.integers(0, 256)
        with pytest.raises(MmvizError):
            from_bytes(bytes(damaged))
