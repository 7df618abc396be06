"""A text, checked and never changed: the places of its tokens are offsets into it."""

from __future__ import annotations

import unicodedata

from mmviz.i18n.messages import count_invisible
from mmviz.types import InputError, Notice

LONGEST = 10_000
"""Characters."""


def load_text(text: str) -> tuple[str, tuple[Notice, ...]]:
    """The text as it came, and a notice of characters in it that cannot be seen.

    Raises ``InputError``: not a string, blank, longer than 10,000 characters, or with half a character in it (a lone
    surrogate, which cannot be saved or sent as UTF-8).
    """
    if not isinstance(text, str):
        raise InputError("text-type", kind=type(text).__name__)
    if len(text) > LONGEST:
        raise InputError("text-long", length=len(text), limit=LONGEST)
    if not text.strip():
        raise InputError("text-blank")
    for place, character in enumerate(text):
        if "\ud800" <= character <= "\udfff":
            raise InputError("text-surrogate", place=place + 1)
    hidden = count_invisible(text)
    return text, (Notice("text-invisible", {"count": hidden}),) if hidden else ()


def composed(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The NFC form of ``text`` (Unicode Annex 15), and for each character of it the span it comes from.

    A span is a stretch ``(start, end)`` of ``text``: a letter with all its combining marks. Where the NFC form keeps
    several characters of such a stretch, each has the whole span; the spans in turn cover ``text`` without a gap.
    """
    pieces: list[str] = []
    spans: list[tuple[int, int]] = []
    start = 0
    for end in range(1, len(text) + 1):
        if end < len(text) and _belongs_to(text[start:end], text[end]):
            continue
        piece = unicodedata.normalize("NFC", text[start:end])
        pieces.append(piece)
        spans += [(start, end)] * len(piece)
        start = end
    return "".join(pieces), spans


def _belongs_to(before: str, character: str) -> bool:
    """A combining mark does, and a letter that NFC joins to the one before it (Hangul, some vowels of India)."""
    if character.isascii():
        return False
    if unicodedata.category(character).startswith("M"):
        return True
    apart = unicodedata.normalize("NFC", before) + unicodedata.normalize("NFC", character)
    return unicodedata.normalize("NFC", before + character) != apart
