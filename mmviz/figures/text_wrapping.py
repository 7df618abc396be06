"""Words broken into lines and cut to a length. A letter of Chinese, Japanese or Korean is as wide as two others."""

from __future__ import annotations

import textwrap
import unicodedata

_CLOSING = frozenset("，。、；：？！）”’》」』】…,.;:?!)]")
_OPENING = frozenset("（“‘《「『【([")


def width(words: str) -> int:
    """How wide ``words`` are, in letters of English."""
    return sum(1 + _is_wide(letter) for letter in words)


def lines(words: str, letters: int) -> list[str]:
    """Lines of at most ``letters``, as `textwrap.wrap` makes them; between wide letters a line may end anywhere, but
    none begins with a mark that closes or ends with one that opens."""
    if not any(map(_is_wide, words)):
        return textwrap.wrap(words, letters)
    found = [""]
    for unit in _units(words):
        if width(found[-1] + unit) <= letters:
            found[-1] += unit if found[-1] or unit != " " else ""
            continue
        while width(unit) > letters:  # a single word that no line can hold
            fitting = next(k for k in range(len(unit), 0, -1) if width(unit[:k]) <= letters)
            found.append(unit[:fitting])
            unit = unit[fitting:]
        found.append("" if unit == " " else unit)
    return [line.rstrip() for line in found if line.strip()]


def clipped(words: str, letters: int) -> str:
    """``words`` in one line of at most ``letters``, cut with an ellipsis."""
    one_line = " ".join(words.split())
    if width(one_line) <= letters:
        return one_line
    while width(one_line) > letters - 1:
        one_line = one_line[:-1]
    return one_line + "…"


def _units(words: str) -> list[str]:
    """What no line may end in: words, wide letters with the marks around them, spaces."""
    found: list[str] = []
    for letter in " ".join(words.split()):
        before = found[-1][-1] if found else " "
        is_bound = letter in _CLOSING or before in _OPENING or not (_is_wide(letter) or _is_wide(before))
        if " " not in (letter, before) and is_bound:
            found[-1] += letter
        else:
            found.append(letter)
    return found


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF"
