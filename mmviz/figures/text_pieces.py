"""A text in pieces: its tokens, and what lies between them, in reading order."""

from __future__ import annotations

from collections.abc import Sequence

from mmviz.i18n.messages import visible
from mmviz.types import Chars, Modality, Token, is_word


def pieces(text: str | None, tokens: Sequence[Token]) -> list[tuple[str, int | None]]:
    """``text`` cut up: every piece and the index of its token, None between tokens; what cannot be seen has a stand-in.

    Only text tokens with a place count. Where tokens overlap, the later one has what the earlier one left; pieces of
    one character, which share its place, have their labels. Words that have no place at all stand by their labels.
    Empty without a text, and without such tokens.
    """
    chips = sorted(
        (token.location.start, token.location.end, index)
        for index, token in enumerate(tokens)
        if token.modality is Modality.TEXT and isinstance(token.location, Chars)
    )
    if not chips:
        words = [index for index, token in enumerate(tokens) if is_word(token)]
        spaced = [[(visible(tokens[index].label), index), (" ", None)] for index in words]
        return [piece for pair in spaced for piece in pair][:-1]
    if text is None:
        return []
    found: list[tuple[str, int | None]] = []
    at = 0
    for start, end, index in chips:
        found.append((visible(text, at, max(at, start)), None))
        word = visible(text, max(start, at), end) if end > at else visible(tokens[index].label)
        found.append((word, index))
        at = max(at, end)
    found.append((visible(text, at), None))
    return [(words, index) for words, index in found if words or index is not None]
