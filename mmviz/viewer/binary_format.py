"""The container that the viewer reads, a JSON header and named arrays in one block; see ``format_schema.json``."""

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

_SCALARS: dict[str, Any] = {"text": str, "integer": int, "number": (int, float)}
_PREFIX = struct.Struct("<4sII")


@dataclass(frozen=True, eq=False)
class Section:
    """A named array of a container."""

    values: NDArray[Any]
    """The array, of the type and the number of axes that the description gives its kind."""
    decade: int | None = None
    """Of 16-bit codes, the power of ten of the largest amount, see `mmviz.viewer.quantization`; else None."""


@lru_cache(maxsize=1)
def description() -> dict[str, Any]:
    """Returns ``format_schema.json``, which both Python and JavaScript follow."""
    content: dict[str, Any] = json.loads(files("mmviz.viewer").joinpath("format_schema.json").read_text("utf-8"))
    return content


def encode(header: Mapping[str, Any], sections: Mapping[str, Section]) -> bytes:
    """Returns a container. ``header`` comes without its key "sections", the table of where each section lies.

    Raises ``ValueError`` where the header or a section does not follow the description.
    """
    head = _head(header, sections)
    return b"".join([head, *(part for section in sections.values() for part in _padded(section.values.tobytes()))])


def encoded_bytes(header: Mapping[str, Any], sections: Mapping[str, Section]) -> int:
    """Returns how many bytes `encode` returns. Raises as it does."""
    return len(_head(header, sections)) + sum(_align(section.values.nbytes) for section in sections.values())


def _head(header: Mapping[str, Any], sections: Mapping[str, Section]) -> bytes:
    """Returns what stands in a container before its sections, filled up to where the first begins."""
    for name, section in sections.items():
        _check_section(name, section)
    start = 0
    while True:  # the offsets depend on the length of the header, which contains the offsets
        full_header = dict(header) | {"sections": _section_table(sections, start)}
        text = json.dumps(full_header, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        end = _align(_PREFIX.size + len(text))
        if end <= start:
            break
        start = end
    _check(full_header, description()[_schema_name(full_header)], "header")
    text = text.ljust(start - _PREFIX.size)
    return _PREFIX.pack(_magic(), description()["version"], len(text)) + text


def decode(data: bytes) -> tuple[dict[str, Any], dict[str, Section]]:
    """Returns the header and the sections of a container.

    Raises ``ValueError`` where the bytes do not follow the description.
    """
    if len(data) < _PREFIX.size:
        raise ValueError(f"{len(data)} bytes are too few for a container")
    magic, version, length = _PREFIX.unpack_from(data)
    if (magic, version) != (_magic(), description()["version"]):
        raise ValueError(f"a container begins with {_magic()!r}, version {description()['version']}")
    header = json.loads(data[_PREFIX.size : _PREFIX.size + length])
    _check(header, description()[_schema_name(header)], "header")
    sections = {}
    for name, entry in header["sections"].items():
        dtype = np.dtype(_kind(name)["type"]).newbyteorder("<")
        count = int(np.prod(entry["shape"], dtype=np.int64))
        values = np.frombuffer(data, dtype, count, entry["offset"]).reshape(entry["shape"])
        sections[name] = Section(values, entry["decade"])
        _check_section(name, sections[name])
    return header, sections


def max_section_bytes(length: int) -> int:
    """Returns about how many bytes a section of ``length`` bytes takes with its entry in the header; never fewer."""
    return _align(length) + 100


def _schema_name(header: Mapping[str, Any]) -> str:
    """Returns the schema of a header: of a whole run, or of a part for a viewer that already has the run."""
    return "header" if "streams" in header else "part"


def _magic() -> bytes:
    return str(description()["magic"]).encode()


def _align(size: int) -> int:
    """Returns ``size`` rounded up to the alignment."""
    align: int = description()["align"]
    return -(-size // align) * align


def _padded(content: bytes) -> tuple[bytes, bytes]:
    return content, bytes(_align(len(content)) - len(content))


def _section_table(sections: Mapping[str, Section], offset: int) -> dict[str, Any]:
    """Returns where each section lies, the first at ``offset``."""
    table = {}
    for name, section in sections.items():
        table[name] = {"offset": offset, "shape": list(section.values.shape), "decade": section.decade}
        offset += _align(section.values.nbytes)
    return table


def _kind(name: str) -> dict[str, Any]:
    kind = name.partition("/")[0]
    if kind not in description()["sections"]:
        raise ValueError(f"no section is called {name}")
    entry: dict[str, Any] = description()["sections"][kind]
    return entry


def _check_section(name: str, section: Section) -> None:
    kind = _kind(name)
    if section.values.dtype != np.dtype(kind["type"]) or section.values.ndim != len(kind["axes"]):
        raise ValueError(f"{name} is {kind['type']} {kind['axes']}, not {section.values.dtype} {section.values.shape}")
    if (section.decade is None) == (kind["type"] == "uint16"):
        raise ValueError(f"codes have a decade, and nothing else has: {name}")


def _check(value: Any, schema: Any, path: str) -> None:
    """Raises ``ValueError`` where ``value`` does not follow ``schema``, as the description writes schemas."""
    match schema:
        case "@view":
            _check(value, description()["view"], path)
        case str():
            if not isinstance(value, _SCALARS[schema]) or isinstance(value, bool):
                raise ValueError(f"{path} is not a {schema}: {value!r}")
        case {"nullable": inner}:
            if value is not None:
                _check(value, inner, path)
        case {"enum": allowed}:
            if value not in allowed:
                raise ValueError(f"{path} is none of {allowed}: {value!r}")
        case [inner]:
            _expect(isinstance(value, list), path, "a list")
            for element in value:
                _check(element, inner, f"{path}[]")
        case [*inners]:
            _expect(isinstance(value, list) and len(value) == len(inners), path, f"a list of {len(inners)}")
            for element, inner in zip(value, inners, strict=True):
                _check(element, inner, f"{path}[]")
        case {"*": inner}:
            _expect(isinstance(value, dict), path, "a mapping")
            for key, element in value.items():
                _check(element, inner, f"{path}.{key}")
        case dict():
            is_match = isinstance(value, dict) and set(value) == set(schema)
            _expect(is_match, path, f"an object with {', '.join(schema)}")
            for key, inner in schema.items():
                _check(value[key], inner, f"{path}.{key}")


def _expect(condition: bool, path: str, expected: str) -> None:
    if not condition:
        raise ValueError(f"{path} is not {expected}")
