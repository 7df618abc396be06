"""Samples, locations and notices as plain values and arrays, for files and for the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from numpy.typing import NDArray

from mmviz.io.npz import Arrays
from mmviz.io.validation import check_sample
from mmviz.types import (
    AudioInput,
    Chars,
    ImageInput,
    Location,
    Notice,
    PictureBox,
    PixelBox,
    Sample,
    Seconds,
    SpectrogramPatch,
    VideoPatch,
    location_numbers,
)

_Part = TypeVar("_Part", PixelBox, Seconds)
_LOCATION_TYPES = {
    "picture": PictureBox,
    "video": VideoPatch,
    "box": PixelBox,
    "spectrogram": SpectrogramPatch,
    "seconds": Seconds,
    "chars": Chars,
}
"""The types by their names in a file; a special kind of one stands before it."""


def sample_to_parts(sample: Sample) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Returns a sample as plain values and arrays."""
    image, audio = sample.image, sample.audio
    arrays: dict[str, NDArray[Any]] = {}
    if image:
        arrays["image"] = image.pixels
    if audio:
        arrays["audio"] = audio.wave
    return {
        "text": sample.text,
        "image": {"width": image.width, "height": image.height, **_parts_header(image.parts)} if image else None,
        "audio": {"rate": audio.rate, "seconds": audio.seconds, **_parts_header(audio.parts)} if audio else None,
        "sample_notices": [notice_to_list(notice) for notice in sample.notices],
    }, arrays


def sample_from_parts(header: Mapping[str, Any], arrays: Arrays) -> Sample:
    """Returns the sample that `sample_to_parts` took apart.

    Raises ``ValueError``, ``TypeError`` or ``LookupError`` where it is not what checked inputs are.
    """
    image, audio = header["image"], header["audio"]
    sample = Sample(
        image=ImageInput(arrays["image"], image["width"], image["height"], _parts(image, PixelBox)) if image else None,
        text=header["text"],
        audio=AudioInput(arrays["audio"], audio["rate"], audio["seconds"], _parts(audio, Seconds)) if audio else None,
        notices=tuple(Notice(code, values) for code, values in header["sample_notices"]),
    )
    check_sample(sample)
    return sample


def _parts_header(parts: Sequence[Location]) -> dict[str, Any]:
    """Returns the entry for several pictures or sounds; nothing where there is a single one."""
    return {"parts": [location_to_dict(part) for part in parts]} if parts else {}


def _parts(header: Mapping[str, Any], kind: type[_Part]) -> tuple[_Part, ...]:
    """Returns the parts in the header of a picture or a sound. Raises ``TypeError`` for locations of another kind."""
    parts = [location_from_dict(part) for part in header.get("parts", ())]
    checked = tuple(part for part in parts if isinstance(part, kind) and not isinstance(part, SpectrogramPatch))
    if len(checked) < len(parts):
        raise TypeError("parts")
    return checked


def location_to_dict(location: Location) -> dict[str, list[float]]:
    """Returns a location as plain values.

    It is ``{"box": [x0, y0, x1, y1]}`` in pixels, ``{"picture": [x0, y0, x1, y1, number]}``,
    ``{"video": [x0, y0, x1, y1, start, end, *later]}``, ``{"seconds": [start, end]}``,
    ``{"spectrogram": [start, end, low_hertz, high_hertz]}``, ``{"chars": [start, end]}``, or ``{}`` for no location.
    """
    for name, cls in _LOCATION_TYPES.items():
        if isinstance(location, cls):
            return {name: location_numbers(location)}
    return {}


def location_from_dict(fields: Mapping[str, Any]) -> Location:
    """Returns the location that `location_to_dict` wrote; other fields may stand beside it."""
    name = next(filter(fields.__contains__, _LOCATION_TYPES), None)
    if name is None:
        return None
    if name == "video":
        x0, y0, x1, y1, start, end, *later = fields[name]
        return VideoPatch(x0, y0, x1, y1, start, end, tuple(later))
    location: Location = _LOCATION_TYPES[name](*fields[name])
    return location


def notice_to_list(notice: Notice) -> list[Any]:
    """Returns the code of a notice and its parameters."""
    return [notice.code, dict(notice.parameters)]
