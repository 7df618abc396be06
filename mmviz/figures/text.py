"""The words as HTML chips, in reading order."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from mmviz.figures.amounts import checked, exact, hex_colour, ink, short
from mmviz.figures.places import places, stand_in
from mmviz.figures.theme import FONT, theme
from mmviz.texts import visible
from mmviz.types import Chars, Modality, Token


def words_html(
    text: str | None,
    tokens: Sequence[Token],
    amounts: NDArray[Any],
    scale_max: float,
    dark: bool = False,
    picked: int | None = None,
) -> str:
    """The text with every text token as a chip, its colour and the number under it the amount.

    ``amounts`` ``[token]`` for all ``tokens``; only text tokens with a place are drawn, what lies between them stays,
    muted; what cannot be seen has a stand-in, and a right-to-left text runs from right to left, chip by chip.
    ``data-token`` holds the index of the token, ``title`` its place and exact amount. The ``picked`` token
    is framed. Without a text it says so.
    """
    values = checked(tokens, amounts, scale_max)
    colours = theme(dark)
    chips = sorted(
        (token.where.start, token.where.end, index)
        for index, token in enumerate(tokens)
        if token.modality is Modality.TEXT and isinstance(token.where, Chars)
    )
    if text is None or not chips:
        sentence = f"No text was given. {stand_in(Modality.TEXT, tokens, list(values))}".strip()
        return _box(f"<span style='color:{colours.muted}'>{html.escape(sentence)}</span>", colours.text)
    titles = places(tokens)
    parts = []
    at = 0
    for start, end, index in chips:
        parts.append(_between(visible(text, at, max(at, start)), colours.muted))
        # pieces of one character share its place
        word = visible(text, max(start, at), end) if end > at else visible(tokens[index].label)
        title = f"{titles[index]}: {exact(values[index])}"
        ground = hex_colour(values[index], scale_max)
        frame = f"outline:2px solid {colours.text};outline-offset:1px;" if index == picked else ""
        parts.append(
            f"<span data-token='{index}' title='{html.escape(title)}' "
            "style='display:inline-flex;flex-direction:column;align-items:center;vertical-align:top;margin:0 1px 6px'>"
            f"<span style='background:{ground};color:{ink(ground)};{frame}border-radius:4px;padding:1px 5px;"
            "unicode-bidi:plaintext'>"
            f"{html.escape(word)}</span>"
            f"<span style='font-size:11px;line-height:1.3;padding:0 3px;direction:ltr;color:{colours.muted}'>"
            f"{html.escape(short(values[index]))}</span></span>"
        )
        at = max(at, end)
    parts.append(_between(visible(text, at), colours.muted))
    return _box("".join(parts), colours.text)


def _between(words: str, colour: str) -> str:
    return f"<span style='color:{colour}'>{html.escape(words)}</span>" if words else ""


def _box(content: str, colour: str) -> str:
    return (
        f"<div dir='auto' style='font:17px/1.5 {FONT};font-variant-numeric:tabular-nums;white-space:pre-wrap;"
        f"overflow-wrap:anywhere;color:{colour}'>{content}</div>"
    )
