"""A text cut into its tokens and what lies between them, in reading order."""

from __future__ import annotations

from collections.abc import Sequence

from mmviz.i18n.unicode_display import replace_invisible
from mmviz.types import Chars, Modality, Token, is_unlocated_word


def split_at_tokens(text: str | None, tokens: Sequence[Token]) -> list[tuple[str, int | None]]:
    """Returns the pieces of ``text``, each with the index of its token, or None between tokens.

    Invisible characters are replaced (`mmviz.i18n.unicode_display.replace_invisible`). Only text tokens with a location
    are used. If tokens overlap, the later token has what the earlier one left; tokens that share one character are
    shown by their labels. If no text token has a location, words are shown by their labels. The result is empty without
    a text or without such tokens.
    """
    spans = sorted(
        (token.location.start, token.location.end, index)
        for index, token in enumerate(tokens)
        if token.modality is Modality.TEXT and isinstance(token.location, Chars)
    )
    if not spans:
        words = [index for index, token in enumerate(tokens) if is_unlocated_word(token)]
        spaced = [[(replace_invisible(tokens[index].label), index), (" ", None)] for index in words]
        return [piece for pair in spaced for piece in pair][:-1]
    if text is None:
        return []
    result: list[tuple[str, int | None]] = []
    at = 0
    for start, end, index in spans:
        result.append((replace_invisible(text, at, max(at, start)), None))
        word = replace_invisible(text, max(start, at), end) if end > at else replace_invisible(tokens[index].label)
        result.append((word, index))
        at = max(at, end)
    result.append((replace_invisible(text, at), None))
    return [(piece, index) for piece, index in result if piece or index is not None]
