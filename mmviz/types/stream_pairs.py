"""Names that a user gives to the streams of attention modules, by glob patterns on module paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmviz.types.errors import MmvizError


def pairs_by_pattern(
    streams: Mapping[str, str] | None, pairs: Mapping[str, tuple[str, str]] | None
) -> dict[str, tuple[str, str]]:  # fmt: skip
    """Returns the names of the streams of queries and keys by pattern; the first pattern that matches a module counts.

    Args:
        streams: Those of modules that attend to themselves, ``{pattern: stream}``.
        pairs: Those of any attention, ``{pattern: (stream of the queries, stream of the keys)}``.

    Raises ``MmvizError`` (``stream-names``) for anything else.
    """
    for option, value in (("streams", streams), ("pairs", pairs)):
        if value is not None and not isinstance(value, Mapping):
            raise MmvizError("stream-names", option=option, value=value)
    named = {}
    for pattern, stream in (streams or {}).items():
        name = _name(stream, "streams", streams)
        named[_name(pattern, "streams", streams)] = (name, name)
    for pattern, pair in (pairs or {}).items():
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise MmvizError("stream-names", option="pairs", value=pairs)
        named[_name(pattern, "pairs", pairs)] = (_name(pair[0], "pairs", pairs), _name(pair[1], "pairs", pairs))
    return named


def _name(text: Any, option: str, value: Any) -> str:
    if not isinstance(text, str) or not text:
        raise MmvizError("stream-names", option=option, value=value)
    return text
