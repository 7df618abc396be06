"""Text inputs, which are checked but never changed, since the locations of tokens are offsets into them."""

from __future__ import annotations

import unicodedata

from mmviz.i18n.messages import count_invisible
from mmviz.types import InputError, Notice

MAX_CHARS = 10_000


def load_text(text: str) -> tuple[str, tuple[Notice, ...]]:
    """Returns the text unchanged, and a notice (``text-invisible``) where it has invisible characters.

    Raises ``InputError``: ``text-type``, ``text-long`` above 10,000 characters, ``text-blank``, ``text-surrogate`` for
    a lone surrogate, which cannot be saved as UTF-8.
    """
    if not isinstance(text, str):
        raise InputError("text-type", kind=type(text).__name__)
    if len(text) > MAX_CHARS:
        raise InputError("text-long", length=len(text), limit=MAX_CHARS)
    if not text.strip():
        raise InputError("text-blank")
    for position, character in enumerate(text):
        if "\ud800" <= character <= "\udfff":
            raise InputError("text-surrogate", place=position + 1)
    count = count_invisible(text)
    return text, (Notice("text-invisible", {"count": count}),) if count else ()


def nfc_with_spans(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Returns the NFC form of ``text`` (Unicode Annex 15), and for each of its characters the span it comes from.

    A span ``(start, end)`` covers a letter with all its combining marks. Where NFC keeps several characters of it, each
    has the whole span. Together the spans cover ``text`` without gaps.
    """
    pieces: list[str] = []
    spans: list[tuple[int, int]] = []
    start = 0
    for end in range(1, len(text) + 1):
        if end < len(text) and _combines(text[start:end], text[end]):
            continue
        piece = unicodedata.normalize("NFC", text[start:end])
        pieces.append(piece)
        spans += [(start, end)] * len(piece)
        start = end
    return "".join(pieces), spans


def _combines(before: str, character: str) -> bool:
    """Returns whether ``character`` is a combining mark, or NFC joins it to the letter before it (such as Hangul)."""
    if character.isascii():
        return False
    if unicodedata.category(character).startswith("M"):
        return True
    separate = unicodedata.normalize("NFC", before) + unicodedata.normalize("NFC", character)
    return unicodedata.normalize("NFC", before + character) != separate
