"""Which tokens lie beside a token in the original input."""

from __future__ import annotations

from collections.abc import Sequence

from mmviz.types import PictureBox, PixelBox, Token, VideoPatch

_GAP = 0.01
"""How far apart boxes may lie, in pixels, by rounding alone."""


def neighbours(tokens: Sequence[Token], index: int) -> tuple[int, ...]:
    """Returns the indices of the tokens of the same modality beside token ``index``, ascending, without itself.

    Beside a patch lie those of its picture or frame that touch it, at a corner as well; beside any other token those
    before and after it.
    """
    token = tokens[index]
    if isinstance(token.location, PixelBox):
        return tuple(k for k, other in enumerate(tokens) if k != index and _touch(token.location, other))
    beside = (k for k in (index - 1, index + 1) if 0 <= k < len(tokens))
    return tuple(k for k in beside if tokens[k].modality is token.modality)


def _touch(box: PixelBox, other: Token) -> bool:
    place = other.location
    if not isinstance(place, PixelBox) or _picture(place) != _picture(box):
        return False
    return any(
        max(first.x0, second.x0) - min(first.x1, second.x1) <= _GAP
        and max(first.y0, second.y0) - min(first.y1, second.y1) <= _GAP
        for first in box.boxes
        for second in place.boxes
    )


def _picture(box: PixelBox) -> float:
    """Returns what tells the picture or the frame of a box from others on its sheet."""
    return box.picture if isinstance(box, PictureBox) else box.start if isinstance(box, VideoPatch) else 0
