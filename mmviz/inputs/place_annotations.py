"""Places in the inputs of an example, as people write them down: boxes in pixels, and seconds of the sound."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from mmviz.inputs.text import decode_text
from mmviz.types import MmvizError, Notice, PixelBox, Sample, Seconds

Place = PixelBox | Seconds
"""Where in the picture, or when in the sound, the answer to an example lies."""
MAX_PLACES = 100
"""Places of one modality of an example."""
MAX_BYTES = 100_000
_FORM = '{"image": [[10, 20, 60, 80]], "audio": [[0.4, 0.9]]}'
_KINDS: dict[str, tuple[type[PixelBox] | type[Seconds], int, str]] = {
    "image": (PixelBox, 4, "reason-places-box"),
    "audio": (Seconds, 2, "reason-places-interval"),
}


def read_places(value: Any, example: str) -> tuple[Place, ...]:
    """Returns the places of an example: of the picture, then of the sound.

    ``value``: ``{"image": [[left, top, right, bottom], ...], "audio": [[start, end], ...]}``, either of them missing
    or with a single place in place of a list; None for no places. Raises ``MmvizError`` (``examples-places``).
    """
    if value is None:
        return ()
    if not isinstance(value, dict) or not value or not set(value) <= set(_KINDS):
        raise _unusable(example, Notice("reason-places-object"))
    return tuple(place for key in _KINDS if key in value for place in _places(value[key], key, example))


def places_from_bytes(data: bytes, example: str) -> tuple[Place, ...]:
    """Returns the places in a JSON file of at most `MAX_BYTES`. Raises ``MmvizError`` (``examples-places``)."""
    why = Notice("reason-places-kilobytes", {"kilobytes": MAX_BYTES / 1000})
    if len(data) <= MAX_BYTES:
        try:
            return read_places(json.loads(decode_text(data)), example)
        except UnicodeDecodeError:
            why = Notice("reason-places-encoding")
        except (ValueError, RecursionError):
            why = Notice("reason-places-json")
    raise _unusable(example, why)


def check_inside(places: Sequence[Place], sample: Sample, example: str) -> None:
    """Raises ``MmvizError`` (``examples-places``) where a place lies outside the input, or the input is missing."""
    for place in places:
        if isinstance(place, PixelBox):
            image = sample.image
            is_inside = image is not None and place.x0 < image.width and place.y0 < image.height
            is_inside = is_inside and place.x1 > 0 and place.y1 > 0
            reason = "reason-places-no-picture" if image is None else "reason-places-picture"
            size: dict[str, float] = {} if image is None else {"width": image.width, "height": image.height}
            edges = [place.x0, place.y0, place.x1, place.y1]
        else:
            audio = sample.audio
            is_inside = audio is not None and place.start < audio.seconds
            reason = "reason-places-no-sound" if audio is None else "reason-places-sound"
            size = {} if audio is None else {"seconds": audio.seconds}
            edges = [place.start, place.end]
        if not is_inside:
            shown = ", ".join(f"{edge:g}" for edge in edges)
            raise _unusable(example, Notice(reason, {"edges": shown, **size}))


def _places(value: Any, key: str, example: str) -> list[Place]:
    kind, count, reason = _KINDS[key]
    rows = [value] if isinstance(value, list) and value and not isinstance(value[0], list) else value
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_PLACES:
        raise _unusable(example, Notice("reason-places-list", {"key": key, "most": MAX_PLACES}))
    places: list[Place] = []
    for row in rows:
        is_row = isinstance(row, list) and len(row) == count and all(map(_is_number, row))
        try:
            place = kind(*map(float, row)) if is_row else None
        except ValueError:  # it is empty, or begins before 0 s
            place = None
        if place is None:
            raise _unusable(example, Notice(reason, {"row": json.dumps(row)[:80], "key": key}))
        places.append(place)
    return places


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _unusable(example: str, why: Notice) -> MmvizError:
    return MmvizError("examples-places", example=example, why=why, form=_FORM)
