"""Tokens in words: what they are called on an axis and where they lie."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mmviz.figures.colour_scale import short
from mmviz.i18n.figures import modality_name, tell
from mmviz.i18n.language import joined, listed
from mmviz.i18n.messages import visible
from mmviz.types import ABSENT, Chars, Modality, PixelBox, Seconds, Token

_OWN = (ABSENT, "answer")
NAMED = 2
"""So many tokens of a group are named; the others are counted."""


def grid(tokens: Sequence[Token]) -> dict[int, tuple[int, int]]:
    """Row and column, from 1, of every token with a box: the rank of its top and left edge among all boxes."""
    boxes = {index: token.location for index, token in enumerate(tokens) if isinstance(token.location, PixelBox)}
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
            found.append(tell("patch", row=cells[index][0], column=cells[index][1]))
        elif isinstance(token.location, Seconds):
            found.append(tell("moment", start=f"{token.location.start:.{digits}f}"))
        elif token.label == ABSENT and token.modality is not Modality.SPECIAL:
            found.append(tell("missing", modality=modality_name(token.modality), token=shown(token)))
        else:
            found.append(shown(token))
    return found


def places(tokens: Sequence[Token]) -> list[str]:
    """Full names, as in a hover: the token and, on a second line, its place in the original input."""
    cells, digits = grid(tokens), _digits(tokens)
    found = []
    for index, token in enumerate(tokens):
        match token.location:
            case PixelBox(x0, y0, x1, y1):
                row, column = cells[index]
                found.append(tell("place-patch", row=row, column=column, x0=x0, x1=x1, y0=y0, y1=y1))
            case Seconds(start, end):
                found.append(tell("place-moment", start=f"{start:.{digits}f}", end=f"{end:.{digits}f}"))
            case Chars(start, end):
                found.append(tell("place-word", token=visible(token.label), start=start + 1, end=end))
            case _:
                code = "place-special" if token.modality is Modality.SPECIAL else "missing"
                found.append(tell(code, modality=modality_name(token.modality), token=shown(token)))
    return found


def shown(token: Token, pictures: bool = True) -> str:
    """The label of a token; those that stand for no input, and that mmviz itself named, in the language spoken."""
    if token.location is None and token.label in _OWN and (token.modality is Modality.SPECIAL or token.label == ABSENT):
        return tell(f"token-{token.label}")
    return visible(token.label, pictures=pictures)


def _digits(tokens: Sequence[Token]) -> int:
    """So many digits of a second tell one moment from the next."""
    shortest = min(
        (token.location.end - token.location.start for token in tokens if isinstance(token.location, Seconds)),
        default=1,
    )
    return max(2, math.ceil(-math.log10(shortest)))


def together(chosen: Sequence[str]) -> str:
    """A token, or a group of tokens, by their names: “dog”; 4 tokens: “dog”, “cat” …"""
    quoted = [f"“{name}”" for name in chosen]
    if len(quoted) == 1:
        return quoted[0]
    return tell("together", count=len(quoted), names=listed(quoted[:NAMED])) + (" …" if len(quoted) > NAMED else "")


def stand_in(modality: Modality, tokens: Sequence[Token], amounts: Sequence[float]) -> str:
    """What holds the place of a missing modality, and its amount; "" where nothing does."""
    found = [
        tell("stand-in", token=shown(token), amount=short(float(amount)))
        for token, amount in zip(tokens, amounts, strict=True)
        if token.modality is modality and token.location is None and token.label == ABSENT
    ]
    return joined(found)
