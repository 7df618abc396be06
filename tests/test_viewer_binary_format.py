"""The container: what Python encodes is decoded alike and follows the description."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmviz.types import MODALITIES
from mmviz.viewer import quantization
from mmviz.viewer.binary_format import Section, decode, description, encode, encoded_bytes, max_section_bytes

VIEW = {"tokens": [0], "versus": [], "direction": "from", "map": "0:mean", "style": "heat", "scale": "view"}
HEADER: dict[str, Any] = {
    "run": "né “a” ⟨猫⟩",
    "streams": {"all": {"modality": ["text"], "name": ["cat"], "full_name": ["a\nb"], "location": [[0, 3]]}},
    "bins": {"all": [0, 1]},
    "answer_tokens": {"all": 0},
    "answer_words": {},
    "default_stack": "tower",
    "maps": [
        {
            "name": "layer0",
            "ref": "0",
            "stack": "tower",
            "stack_name": "sound encoder",
            "layer": 0,
            "queries": "all",
            "keys": "all",
            "heads": 1,
            "edges": None,
            "absorbed_by": "sink",
            "windows": 2,
        }
    ],  # fmt: skip
    "steps": [{"scale": 0.5, "ablated_heads": []}],
    "timeline": None,
    "source": "whole",
    "flows": {"rollout": ["all", "all"]},
    "map_refs": ["0:0", "0:mean", "rollout"],
    "background": ["map/0:0"],
    "image": None,
    "audio": {"seconds": 0.5, "rate": 16_000, "hop_seconds": 0.01, "ticks": [[500, 10.5]], "parts": []},
    "text_pieces": {"all": [["cat", 0], [" ", None]]},
    "answers": [["cat", 0.5]],
    "answer_count": 1,
    "initial_view": VIEW,
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
        "image": Section(rng.integers(0, 255, pixels).astype(np.uint8)),
        "wave": Section(rng.integers(-9, 9, 7).astype(np.int16)),
    }


@pytest.mark.slow
@given(st.integers(0, 40), st.text(max_size=40))
def test_decoding_returns_what_was_encoded(pixels: int, run: str) -> None:
    try:
        run.encode()
    except UnicodeEncodeError:
        run = "a lone surrogate"
    sections = arrays(pixels)
    header, decoded = decode(encode(HEADER | {"run": run}, sections))
    assert {name: value for name, value in header.items() if name != "sections"} == HEADER | {"run": run}
    assert list(decoded) == list(sections)
    for name, section in sections.items():
        assert decoded[name].values.dtype == section.values.dtype and decoded[name].decade == section.decade
        assert np.array_equal(decoded[name].values, section.values)


def test_the_layout_follows_the_description() -> None:
    data = encode(HEADER, arrays())
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version) == (b"MMVW", 5) and (12 + length) % 8 == 0 and len(data) % 8 == 0
    header = json.loads(data[12 : 12 + length])
    offsets = [entry["offset"] for entry in header["sections"].values()]
    assert offsets[0] == 12 + length and all(offset % 8 == 0 for offset in offsets)
    wave = header["sections"]["wave"]["offset"]
    assert data[wave : wave + 14] == arrays()["wave"].values.astype("<i2").tobytes()
    assert data[wave + 14 :] == bytes(2)
    assert header["sections"]["codes/0:mean"] == {"offset": offsets[0], "shape": [3, 5], "decade": -1}


def test_the_same_content_is_the_same_bytes() -> None:
    assert encode(HEADER, arrays()) == encode(HEADER, arrays())


@pytest.mark.parametrize("pixels", [0, 1, 7, 8, 100])
def test_the_size_of_a_container_is_known_without_it(pixels: int) -> None:
    assert encoded_bytes(HEADER, arrays(pixels)) == len(encode(HEADER, arrays(pixels)))


def test_the_upper_bound_of_a_section_holds() -> None:
    more = {f"from/{k}:mean": Section(np.zeros((1000 + k, 4), np.float32)) for k in range(50)}
    extra = len(encode(HEADER, arrays() | more)) - len(encode(HEADER, arrays()))
    assert extra <= sum(max_section_bytes(section.values.nbytes) for section in more.values()) <= extra + 50 * 60


@pytest.mark.parametrize(
    "change",
    [
        {"serial": "1"}, {"serial": True}, {"answer_count": 1.5}, {"map_refs": [1]}, {"map_refs": None}, {"maps": [{}]},
        {"view": VIEW | {"direction": "up"}}, {"view": VIEW | {"more": 1}}, {"initial_view": None},
        {"answers": [["cat"]]},
        {"bins": {"all": [0.5]}}, {"text_pieces": {"all": [["cat", "0"]]}}, {"new": 1}, {"image": {"width": 3}},
    ],
    ids=str,
)  # fmt: skip
def test_a_header_that_does_not_follow_the_description_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^header"):
        encode(HEADER | change, {})


def test_a_header_without_one_of_its_keys_is_refused() -> None:
    for name in HEADER:
        with pytest.raises(ValueError, match="header is not an object with"):
            encode({other: value for other, value in HEADER.items() if other != name}, {})


def test_nan_is_refused() -> None:
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
def test_a_section_that_does_not_follow_the_description_is_refused(name: str, section: Section) -> None:
    with pytest.raises(ValueError, match=r"wave|codes"):
        encode(HEADER, {name: section})


@pytest.mark.parametrize("data", [b"", b"MMVW", b"MMVX" + bytes(20), b"MMVW\x01\x00\x00\x00" + bytes(8)])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="container"):
        decode(data)


def test_the_description_and_the_quantization_agree() -> None:
    assert description()["codes"] == {
        "linear": quantization.LINEAR, "per_decade": quantization.PER_DECADE, "decades": quantization.DECADES,
        "unit_exponent": quantization.UNIT_EXPONENT,
    }  # fmt: skip
    assert description()["modalities"] == [str(modality) for modality in MODALITIES]
