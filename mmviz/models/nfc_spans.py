"""The NFC form of a text, with the span of the original text that each of its characters comes from."""

from __future__ import annotations

import unicodedata


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
