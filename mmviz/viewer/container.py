"""Header and named arrays as one block of bytes, and back; both are held to ``description.json``."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PLAIN: dict[str, Any] = {"text": str, "whole": int, "number": (int, float)}
_PREFIX = struct.Struct("<4sII")


@dataclass(frozen=True, eq=False)
class Section:
    """An array; for codes, with the ``decade`` that tells their amounts."""

    values: NDArray[Any]
    decade: int | None = None


@lru_cache(maxsize=1)
def description() -> dict[str, Any]:
    """What the data look like, for Python and for JavaScript."""
    found: dict[str, Any] = json.loads(files("mmviz.viewer").joinpath("description.json").read_text("utf-8"))
    return found


def encode(header: Mapping[str, Any], sections: Mapping[str, Section]) -> bytes:
    """One block of bytes. ``header`` comes without "sections", which tells where each of them lies.

    Raises ``ValueError`` where the header or a section is not as described.
    """
    for name, section in sections.items():
        _check_section(name, section)
    body = [part for section in sections.values() for part in _aligned(section.values.tobytes())]
    start = 0
    while True:  # where the sections lie depends on the length of the header, which tells where they lie
        whole = dict(header) | {"sections": _places(sections, start)}
        text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        end = _up(_PREFIX.size + len(text))
        if end <= start:
            break
        start = end
    _check(whole, description()[_shape(whole)], "header")
    text = text.ljust(start - _PREFIX.size)
    return b"".join([_PREFIX.pack(_magic(), description()["version"], len(text)), text, *body])


def decode(data: bytes) -> tuple[dict[str, Any], dict[str, Section]]:
    """The header and the sections that `encode` put together.

    Raises ``ValueError`` where the bytes are not as described.
    """
    if len(data) < _PREFIX.size:
        raise ValueError(f"{len(data)} bytes are too few for a container")
    magic, version, length = _PREFIX.unpack_from(data)
    if (magic, version) != (_magic(), description()["version"]):
        raise ValueError(f"a container begins with {_magic()!r}, version {description()['version']}")
    header = json.loads(data[_PREFIX.size : _PREFIX.size + length])
    _check(header, description()[_shape(header)], "header")
    sections = {}
    for name, place in header["sections"].items():
        kind = np.dtype(_kind(name)["type"]).newbyteorder("<")
        count = int(np.prod(place["shape"], dtype=np.int64))
        values = np.frombuffer(data, kind, count, place["offset"]).reshape(place["shape"])
        sections[name] = Section(values, place["decade"])
        _check_section(name, sections[name])
    return header, sections


def room(length: int) -> int:
    """About how many bytes a section of ``length`` bytes takes, with what the header says of it; never fewer."""
    return _up(length) + 100


def _shape(header: Mapping[str, Any]) -> str:
    """Which of the two headers this is: of a whole run, or of a part for a viewer that has the run."""
    return "header" if "streams" in header else "part"


def _magic() -> bytes:
    return str(description()["magic"]).encode()


def _up(length: int) -> int:
    align: int = description()["align"]
    return -(-length // align) * align


def _aligned(content: bytes) -> tuple[bytes, bytes]:
    return content, bytes(_up(len(content)) - len(content))


def _places(sections: Mapping[str, Section], at: int) -> dict[str, Any]:
    found = {}
    for name, section in sections.items():
        found[name] = {"offset": at, "shape": list(section.values.shape), "decade": section.decade}
        at += _up(section.values.nbytes)
    return found


def _kind(name: str) -> dict[str, Any]:
    kind = name.partition("/")[0]
    if kind not in description()["sections"]:
        raise ValueError(f"no section is called {name}")
    found: dict[str, Any] = description()["sections"][kind]
    return found


def _check_section(name: str, section: Section) -> None:
    kind = _kind(name)
    if section.values.dtype != np.dtype(kind["type"]) or section.values.ndim != len(kind["axes"]):
        raise ValueError(f"{name} is {kind['type']} {kind['axes']}, not {section.values.dtype} {section.values.shape}")
    if (section.decade is None) == (kind["type"] == "uint16"):
        raise ValueError(f"codes have a decade, and nothing else has: {name}")


def _check(value: Any, shape: Any, where: str) -> None:
    """Raise ``ValueError`` where ``value`` is not of ``shape``, as the description writes shapes."""
    match shape:
        case "@view":
            _check(value, description()["view"], where)
        case str():
            if not isinstance(value, _PLAIN[shape]) or isinstance(value, bool):
                raise ValueError(f"{where} is not a {shape}: {value!r}")
        case {"maybe": inner}:
            if value is not None:
                _check(value, inner, where)
        case {"one": words}:
            if value not in words:
                raise ValueError(f"{where} is none of {words}: {value!r}")
        case [inner]:
            _expect(isinstance(value, list), where, "a list")
            for one in value:
                _check(one, inner, f"{where}[]")
        case [*inners]:
            _expect(isinstance(value, list) and len(value) == len(inners), where, f"a list of {len(inners)}")
            for one, inner in zip(value, inners, strict=True):
                _check(one, inner, f"{where}[]")
        case {"*": inner}:
            _expect(isinstance(value, dict), where, "a mapping")
            for key, one in value.items():
                _check(one, inner, f"{where}.{key}")
        case dict():
            _expect(isinstance(value, dict) and set(value) == set(shape), where, f"an object with {', '.join(shape)}")
            for key, inner in shape.items():
                _check(value[key], inner, f"{where}.{key}")


def _expect(is_so: bool, where: str, what: str) -> None:
    if not is_so:
        raise ValueError(f"{where} is not {what}")
