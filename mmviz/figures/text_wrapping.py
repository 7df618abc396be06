"""Text wrapped into lines and cut to a width. A Chinese, Japanese or Korean character is as wide as two others."""

from __future__ import annotations

import textwrap
import unicodedata

_CLOSING = frozenset("，。、；：？！）”’》」』】…,.;:?!)]")
_OPENING = frozenset("（“‘《「『【([")


def display_width(text: str) -> int:
    """Returns the width of ``text`` in characters of English."""
    return sum(1 + _is_wide(character) for character in text)


def wrap_text(text: str, width: int) -> list[str]:
    """Returns lines of at most ``width`` characters, as `textwrap.wrap` does.

    Between wide characters a line may end anywhere, but no line begins with a closing mark or ends with an opening one.
    """
    if not any(map(_is_wide, text)):
        return textwrap.wrap(text, width)
    lines = [""]
    for unit in _units(text):
        if display_width(lines[-1] + unit) <= width:
            lines[-1] += unit if lines[-1] or unit != " " else ""
            continue
        while display_width(unit) > width:  # a single word that no line can hold
            fitting = next(k for k in range(len(unit), 0, -1) if display_width(unit[:k]) <= width)
            lines.append(unit[:fitting])
            unit = unit[fitting:]
        lines.append("" if unit == " " else unit)
    return [line.rstrip() for line in lines if line.strip()]


def clipped(text: str, width: int) -> str:
    """Returns ``text`` in one line of at most ``width`` characters, cut with an ellipsis."""
    line = " ".join(text.split())
    if display_width(line) <= width:
        return line
    while display_width(line) > width - 1:
        line = line[:-1]
    return line + "…"


def wrap_at_most(text: str, width: int, max_lines: int) -> list[str]:
    """Returns the lines of `wrap_text`, the last one cut with an ellipsis where there are more than ``max_lines``."""
    lines = wrap_text(text, width)
    if len(lines) <= max_lines:
        return lines
    return [*lines[: max_lines - 1], clipped(" ".join(lines[max_lines - 1 :]), width)]


def _units(text: str) -> list[str]:
    """Returns the pieces that no line may end within: words, wide characters with the marks around them, spaces."""
    units: list[str] = []
    for character in " ".join(text.split()):
        before = units[-1][-1] if units else " "
        is_bound = character in _CLOSING or before in _OPENING or not (_is_wide(character) or _is_wide(before))
        if " " not in (character, before) and is_bound:
            units[-1] += character
        else:
            units.append(character)
    return units


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"
