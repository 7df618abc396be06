"""Names of tokens: short ones for an axis, and full ones with the location."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import attrgetter

import numpy as np

from mmviz.figures.colour_scale import short
from mmviz.i18n.figures import modality_name, tell
from mmviz.i18n.language import join_list, join_sentences
from mmviz.i18n.unicode_display import replace_invisible
from mmviz.types import (
    ABSENT,
    Chars,
    Location,
    Modality,
    PictureBox,
    PixelBox,
    Seconds,
    SpectrogramPatch,
    Token,
    VideoPatch,
)

_TOP, _LEFT = attrgetter("y0"), attrgetter("x0")
_TRANSLATED = (ABSENT, "answer")
MAX_NAMES = 2
"""So many tokens of a group are named; the others are counted."""


def grid_positions(tokens: Sequence[Token]) -> dict[int, tuple[int, int]]:
    """Returns row and column, from 1, of every token with a box: the rank of its top and left edge among all boxes.

    Of several pictures, and of the frames of a video, each has rows and columns of its own.
    """
    pictures: dict[float, dict[int, PixelBox]] = {}
    for index, token in enumerate(tokens):
        if isinstance(token.location, PixelBox):
            pictures.setdefault(_picture_of(token.location), {})[index] = token.location
    positions: dict[int, tuple[int, int]] = {}
    for boxes in pictures.values():
        ranks = []
        for edge in (_TOP, _LEFT):
            edges = [edge(box) for box in boxes.values()]
            ranks.append((np.searchsorted(np.unique(edges), edges) + 1).tolist())
        positions |= zip(boxes, zip(*ranks, strict=True), strict=True)
    return positions


def _picture_of(box: PixelBox) -> float:
    """Returns what tells the picture of a box from others on its sheet."""
    return box.picture if isinstance(box, PictureBox) else box.start if isinstance(box, VideoPatch) else 0


def names(tokens: Sequence[Token], indices: Iterable[int] | None = None) -> list[str]:
    """Returns short names for an axis: the word, ``patch 3,4``, ``0.32 s``, or the token's own label.

    ``indices``: the tokens to name, by default all.
    """
    cells, digits = grid_positions(tokens), _digits(tokens)
    result = []
    for index in range(len(tokens)) if indices is None else indices:
        token = tokens[index]
        if index in cells:
            result.append(_patch_name(token.location, *cells[index], digits))
        elif isinstance(token.location, SpectrogramPatch):
            start, low = f"{token.location.start:.{digits}f}", round(token.location.low_hertz)
            result.append(tell("spectrogram-patch", start=start, hertz=low))
        elif isinstance(token.location, Seconds):
            result.append(tell("moment", start=f"{token.location.start:.{digits}f}"))
        elif token.label == ABSENT and token.modality is not Modality.SPECIAL:
            result.append(tell("missing", modality=modality_name(token.modality), token=token_label(token)))
        else:
            result.append(token_label(token))
    return result


def _patch_name(location: Location, row: int, column: int, digits: int) -> str:
    """Returns the name of a patch: by row and column, and by its picture or frame where there are several."""
    match location:
        case PictureBox(picture=picture):
            return tell("picture-patch", picture=picture, row=row, column=column)
        case VideoPatch(start=start):
            return tell("frame-patch", start=f"{start:.{digits}f}", row=row, column=column)
    return tell("patch", row=row, column=column)


def part_name(part: PixelBox) -> str:
    """Returns what tells a picture from others on its sheet: its number, or the second at which a frame is seen."""
    match part:
        case VideoPatch(start=start):
            return tell("moment", start=f"{start:.2f}")
        case PictureBox(picture=picture):
            return str(picture)
    return ""


def full_names(tokens: Sequence[Token]) -> list[str]:
    """Returns full names for a hover text: the token and, on a second line, its location in the original input."""
    cells, digits = grid_positions(tokens), _digits(tokens)
    result = []
    for index, token in enumerate(tokens):
        match token.location:
            case PixelBox(x0, y0, x1, y1):
                row, column = cells[index]
                place = tell("place-patch", row=row, column=column, x0=x0, x1=x1, y0=y0, y1=y1)
                if type(token.location) is not PixelBox:
                    place = join_sentences([_patch_name(token.location, row, column, digits), place])
                result.append(place)
            case SpectrogramPatch(start, end, low, high):
                seconds = {"start": f"{start:.{digits}f}", "end": f"{end:.{digits}f}"}
                result.append(tell("place-spectrogram-patch", low=round(low), high=round(high), **seconds))
            case Seconds(start, end):
                result.append(tell("place-moment", start=f"{start:.{digits}f}", end=f"{end:.{digits}f}"))
            case Chars(start, end):
                result.append(tell("place-word", token=replace_invisible(token.label), start=start + 1, end=end))
            case _:
                code = "place-special" if token.modality is Modality.SPECIAL else "missing"
                result.append(tell(code, modality=modality_name(token.modality), token=token_label(token)))
    return result


def token_label(token: Token, control_pictures: bool = True) -> str:
    """Returns the label of a token, with invisible characters replaced. Labels that mmviz gives are translated."""
    is_own = token.modality is Modality.SPECIAL or token.label == ABSENT
    if is_own and token.location is None and token.label in _TRANSLATED:
        return tell(f"token-{token.label}")
    return replace_invisible(token.label, control_pictures=control_pictures)


def _digits(tokens: Sequence[Token]) -> int:
    """Returns the number of decimals of a second that tells the audio tokens apart."""
    shortest = min(
        (token.location.end - token.location.start for token in tokens if isinstance(token.location, Seconds)),
        default=1,
    )
    return max(2, math.ceil(-math.log10(shortest)))


def group_name(token_names: Sequence[str]) -> str:
    """Returns the name of a token, or of a group of tokens: “dog”; 4 tokens: “dog”, “cat” …"""
    quoted = [f"“{name}”" for name in token_names]
    if len(quoted) == 1:
        return quoted[0]
    words = tell("together", count=len(quoted), names=join_list(quoted[:MAX_NAMES]))
    return words + (" …" if len(quoted) > MAX_NAMES else "")


def stand_in(modality: Modality, tokens: Sequence[Token], amounts: Sequence[float]) -> str:
    """Returns a sentence on the token of a missing modality and its amount, or "" if there is none."""
    sentences = [
        tell("stand-in", token=token_label(token), amount=short(float(amount)))
        for token, amount in zip(tokens, amounts, strict=True)
        if token.modality is modality and token.location is None and token.label == ABSENT
    ]
    return join_sentences(sentences)
