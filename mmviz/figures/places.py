"""Tokens in words: what they are called on an axis and where they lie."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mmviz.figures.amounts import short
from mmviz.texts import visible
from mmviz.types import ABSENT, Chars, Modality, PixelBox, Seconds, Token

MODALITY_NAMES = {
    Modality.IMAGE: "picture",
    Modality.TEXT: "words",
    Modality.AUDIO: "sound",
    Modality.OTHER: "special",
}
NAMED = 2
"""So many tokens of a group are named; the others are counted."""


def grid(tokens: Sequence[Token]) -> dict[int, tuple[int, int]]:
    """Row and column, from 1, of every token with a box: the rank of its top and left edge among all boxes."""
    boxes = {index: token.where for index, token in enumerate(tokens) if isinstance(token.where, PixelBox)}
    rows = np.unique([box.y0 for box in boxes.values()])
    columns = np.unique([box.x0 for box in boxes.values()])
    return {
        index: (int(np.searchsorted(rows, box.y0)) + 1, int(np.searchsorted(columns, box.x0)) + 1)
        for index, box in boxes.items()
    }


def names(tokens: Sequence[Token]) -> list[str]:
    """Short names, as on an axis: the word, ``patch 3,4``, ``0.32 s``, or the token's own label."""
    cells, digits = grid(tokens), _digits(tokens)
    found = []
    for index, token in enumerate(tokens):
        if index in cells:
            found.append(f"patch {cells[index][0]},{cells[index][1]}")
        elif isinstance(token.where, Seconds):
            found.append(f"{token.where.start:.{digits}f} s")
        elif token.label == ABSENT and token.modality is not Modality.OTHER:
            found.append(f"{MODALITY_NAMES[token.modality]}: {visible(token.label)}")
        else:
            found.append(visible(token.label))
    return found


def places(tokens: Sequence[Token]) -> list[str]:
    """Full names, as in a hover: the token and, on a second line, its place in the original input."""
    cells, digits = grid(tokens), _digits(tokens)
    found = []
    for index, token in enumerate(tokens):
        match token.where:
            case PixelBox(x0, y0, x1, y1):
                row, column = cells[index]
                across, down = f"x {x0:.0f} to {x1:.0f}", f"y {y0:.0f} to {y1:.0f}"
                found.append(f"patch in row {row}, column {column}\n({across}, {down} px)")
            case Seconds(start, end):
                found.append(f"sound from {start:.{digits}f} to {end:.{digits}f} s")
            case Chars(start, end):
                found.append(f"“{visible(token.label)}”\n(characters {start + 1} to {end})")
            case _:
                kind = "special token" if token.modality is Modality.OTHER else MODALITY_NAMES[token.modality]
                found.append(f"{kind}: {visible(token.label)}")
    return found


def _digits(tokens: Sequence[Token]) -> int:
    """So many digits of a second tell one moment from the next."""
    shortest = min(
        (token.where.end - token.where.start for token in tokens if isinstance(token.where, Seconds)), default=1
    )
    return max(2, math.ceil(-math.log10(shortest)))


def together(chosen: Sequence[str]) -> str:
    """A token, or a group of tokens, by their names: “dog”; 4 tokens: “dog”, “cat” …"""
    quoted = [f"“{name}”" for name in chosen]
    if len(quoted) == 1:
        return quoted[0]
    return f"{len(quoted)} tokens: {', '.join(quoted[:NAMED])}" + (" …" if len(quoted) > NAMED else "")


def stand_in(modality: Modality, tokens: Sequence[Token], amounts: Sequence[float]) -> str:
    """What holds the place of a missing modality, and its amount; "" where nothing does."""
    found = [
        f"One token, “{visible(token.label)}”, stands in for it and gets {short(float(amount))}."
        for token, amount in zip(tokens, amounts, strict=True)
        if token.modality is modality and token.where is None and token.label == ABSENT
    ]
    return " ".join(found)
