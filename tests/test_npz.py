"""Files in npz that want to cost: refused before they do, in one sentence."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from mmviz.io.npz import open_npz, pack_npz
from mmviz.io.run_file import from_bytes
from mmviz.types import MmvizError


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def npy(header: str, data: bytes = b"") -> bytes:
    words = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(words)) + words + data


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
    "objects": zipped(("header.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"\x80\4N."))),
    "a nest of brackets": zipped(("header.npy", npy("[" * 100))),
    "a negative shape": zipped(
        ("header.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 0)}", b""))
    ),
    "deep json": pack_npz({}, {})[:0] or zipped(
        ("header.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': (200000,)}", b"[" * 200_000))
    ),
    "many members": zipped(*((f"{k}.npy", b"") for k in range(90_000)), method=zipfile.ZIP_STORED),
    "a bomb": zipped(("header.npy", b"\0" * 200_000_000)),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_sentence_soon_and_small(name: str) -> None:
    tracemalloc.start()
    began = time.monotonic()
    with pytest.raises(MmvizError) as refusal, open_npz(io.BytesIO(HOSTILE[name]), largest=64_000_000) as (header, _):
        raise AssertionError(header)
    spent, most = time.monotonic() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refusal.value.code == ("npz-large" if name == "a bomb" else "run-unreadable")
    assert most < 50_000_000 and spent < 5  # of the order of 0.01 s; a slow machine may take its time


def test_a_member_that_says_less_than_it_holds_gives_no_more() -> None:
    whole = bytearray(zipped(("header.npy", HEADER + b"\0" * 50_000_000)))
    at = whole.rindex(b"PK\1\2")
    struct.pack_into("<I", whole, at + 24, len(HEADER))  # the size in the directory, which is believed
    tracemalloc.start()
    with pytest.raises(MmvizError, match="not a run"), open_npz(io.BytesIO(bytes(whole))) as _:
        raise AssertionError
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_what_is_packed_is_opened_again() -> None:
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.asfortranarray(np.eye(3)), "c": np.array(True)}
    with open_npz(io.BytesIO(pack_npz({"x": [1, "é"]}, arrays))) as (header, found):
        assert header == {"x": [1, "é"]} and "a" in found and "d" not in found and found.get("d") is None
        for name, array in arrays.items():
            assert np.array_equal(found[name], array) and found[name].dtype == array.dtype
    assert pack_npz({}, arrays) == pack_npz({}, arrays)


def test_damage_anywhere_is_one_sentence(record_bytes: bytes = pack_npz({"format": 1}, {"image": np.zeros(9)})) -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        hurt = bytearray(record_bytes)
        for at in rng.integers(0, len(hurt), 3):
            hurt[at] = rng.integers(0, 256)
        with pytest.raises(MmvizError):
            from_bytes(bytes(hurt))
