"""Tokens of a batch: one list for each row, as of several texts that stand beside one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmviz.types import MmvizError, Token

Stream = Sequence[str | Token]


def split_rows(tokens: Any) -> tuple[Stream | dict[str, Stream], dict[str, tuple[Stream, ...]]]:
    """Returns the tokens with the first row of each stream, and all rows of the streams that have several.

    Raises ``MmvizError`` (``own-rows``) where the rows of a stream have different lengths.
    """
    if not isinstance(tokens, Mapping):
        return tokens, {}
    rows = {name: tuple(stream) for name, stream in tokens.items() if _has_rows(stream)}
    for name, lists in rows.items():
        lengths = sorted({len(row) for row in lists})
        if len(lengths) > 1:
            raise MmvizError("own-rows", stream=name, count=len(lists), lengths=", ".join(map(str, lengths)))
    return {name: rows[name][0] if name in rows else stream for name, stream in tokens.items()}, rows


def _has_rows(stream: Any) -> bool:
    return len(stream) > 0 and all(isinstance(row, Sequence) and not isinstance(row, str) for row in stream)
