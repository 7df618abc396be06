"""The container: bytes that both sides read alike, and that are as described."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmviz.viewer.container import Section, decode, description, encode, room

VIEW = {"tokens": [0], "versus": [], "direction": "from", "plane": "0:mean", "style": "heat", "scale": "view"}
HEADER: dict[str, Any] = {
    "run": "né “a” ⟨猫⟩",
    "streams": {"all": {"modality": ["text"], "name": ["cat"], "place": ["a\nb"], "where": [[0, 3]]}},
    "bins": {"all": [0, 1]},
    "maps": [{"name": "layer0", "layer": 0, "queries": "all", "keys": "all", "heads": 1, "edges": None}],
    "steps": [{"scale": 0.5, "off": []}],
    "moments": None,
    "source": "whole",
    "flows": {"rollout": ["all", "all"]},
    "planes": ["0:0", "0:mean", "rollout"],
    "picture": None,
    "sound": {"seconds": 0.5, "rate": 16_000, "hop_seconds": 0.01, "ticks": [[500, 10.5]]},
    "words": {"all": [["cat", 0], [" ", None]]},
    "answers": [["cat", 0.5]],
    "answers_of": 1,
    "about": {"title": "t", "made": "m", "notices": [], "banners": []},
    "start": VIEW,
    "view": None,
    "serial": 0,
    "texts": {},
    "language": "en",
}


def arrays(pixels: int = 5) -> dict[str, Section]:
    rng = np.random.default_rng(0)
    return {
        "codes/0:mean": Section(rng.integers(0, 64_000, (3, 5)).astype(np.uint16), -1),
        "from/0:mean": Section(rng.random((3, 4)).astype(np.float32)),
        "picture": Section(rng.integers(0, 255, pixels).astype(np.uint8)),
        "wave": Section(rng.integers(-9, 9, 7).astype(np.int16)),
    }


@given(st.integers(0, 40), st.text(max_size=40))
def test_what_goes_in_comes_out(pixels: int, run: str) -> None:
    try:
        run.encode()
    except UnicodeEncodeError:
        run = "half a character"
    sections = arrays(pixels)
    header, found = decode(encode(HEADER | {"run": run}, sections))
    assert {name: value for name, value in header.items() if name != "sections"} == HEADER | {"run": run}
    assert list(found) == list(sections)
    for name, section in sections.items():
        assert found[name].values.dtype == section.values.dtype and found[name].decade == section.decade
        assert np.array_equal(found[name].values, section.values)


def test_the_layout_is_the_one_described() -> None:
    data = encode(HEADER, arrays())
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version) == (b"MMVW", 1) and (12 + length) % 8 == 0 and len(data) % 8 == 0
    header = json.loads(data[12 : 12 + length])
    offsets = [place["offset"] for place in header["sections"].values()]
    assert offsets[0] == 12 + length and all(offset % 8 == 0 for offset in offsets)
    wave = header["sections"]["wave"]["offset"]
    assert data[wave : wave + 14] == arrays()["wave"].values.astype("<i2").tobytes()
    assert data[wave + 14 :] == bytes(2)
    assert header["sections"]["codes/0:mean"] == {"offset": offsets[0], "shape": [3, 5], "decade": -1}


def test_the_same_content_is_the_same_bytes() -> None:
    assert encode(HEADER, arrays()) == encode(HEADER, arrays())


def test_room_is_never_less_than_what_a_section_takes() -> None:
    more = {f"from/{k}:mean": Section(np.zeros((1000 + k, 4), np.float32)) for k in range(50)}
    extra = len(encode(HEADER, arrays() | more)) - len(encode(HEADER, arrays()))
    assert extra <= sum(room(section.values.nbytes) for section in more.values()) <= extra + 50 * 60


@pytest.mark.parametrize(
    "change",
    [
        {"serial": "1"}, {"serial": True}, {"answers_of": 1.5}, {"planes": [1]}, {"planes": None}, {"maps": [{}]},
        {"view": VIEW | {"direction": "up"}}, {"view": VIEW | {"more": 1}}, {"start": None}, {"answers": [["cat"]]},
        {"bins": {"all": [0.5]}}, {"words": {"all": [["cat", "0"]]}}, {"new": 1}, {"picture": {"width": 3}},
    ],
    ids=str,
)  # fmt: skip
def test_a_header_that_is_not_as_described_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^header"):
        encode(HEADER | change, {})


def test_a_header_that_lacks_something_is_refused() -> None:
    for name in HEADER:
        with pytest.raises(ValueError, match="header is not an object with"):
            encode({other: value for other, value in HEADER.items() if other != name}, {})


def test_amounts_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode(HEADER | {"answers": [["cat", float("nan")]]}, {})


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("codes/0:0", Section(np.zeros((2, 2), np.int16), 0)),
        ("codes/0:0", Section(np.zeros((2, 2), np.uint16))),
        ("codes/0:0", Section(np.zeros(2, np.uint16), 0)),
        ("wave", Section(np.zeros(2, np.int16), 0)),
        ("waves", Section(np.zeros(2, np.int16))),
    ],
)
def test_a_section_that_is_not_as_described_is_refused(name: str, section: Section) -> None:
    with pytest.raises(ValueError, match=r"wave|codes"):
        encode(HEADER, {name: section})


@pytest.mark.parametrize("data", [b"", b"MMVW", b"MMVX" + bytes(20), b"MMVW\x02\x00\x00\x00" + bytes(8)])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="container"):
        decode(data)


def test_the_codes_described_are_those_written() -> None:
    from mmviz.types import MODALITIES
    from mmviz.viewer import codes

    told = {"plain": codes.PLAIN, "power": codes.POWER, "powers": codes.POWERS, "below": codes.BELOW}
    assert description()["codes"] == told
    assert description()["modalities"] == [str(kind) for kind in MODALITIES]
