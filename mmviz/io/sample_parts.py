"""Samples, locations and notices as plain values and arrays, for files and for the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
)

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
    arrays: dict[str, NDArray[Any]] = {}
    if sample.image:
        arrays["image"] = sample.image.pixels
    if sample.audio:
        arrays["audio"] = sample.audio.wave
    return {
        "text": sample.text,
        "image": _image_header(sample.image) if sample.image else None,
        "audio": _audio_header(sample.audio) if sample.audio else None,
        "sample_notices": [notice_to_list(notice) for notice in sample.notices],
    }, arrays


def sample_from_parts(header: Mapping[str, Any], arrays: Arrays) -> Sample:
    """Returns the sample that `sample_to_parts` took apart.

    Raises ``ValueError``, ``TypeError`` or ``LookupError`` where it is not what checked inputs are.
    """
    image, audio = header["image"], header["audio"]
    sample = Sample(
        image=ImageInput(arrays["image"], image["width"], image["height"], _boxes(image)) if image else None,
        text=header["text"],
        audio=AudioInput(arrays["audio"], audio["rate"], audio["seconds"], _moments(audio)) if audio else None,
        notices=tuple(Notice(code, values) for code, values in header["sample_notices"]),
    )
    check_sample(sample)
    return sample


def _image_header(image: ImageInput) -> dict[str, Any]:
    parts = {"parts": [location_to_dict(part) for part in image.parts]} if image.parts else {}
    return {"width": image.width, "height": image.height, **parts}


def _audio_header(audio: AudioInput) -> dict[str, Any]:
    parts = {"parts": [location_to_dict(part) for part in audio.parts]} if audio.parts else {}
    return {"rate": audio.rate, "seconds": audio.seconds, **parts}


def _boxes(image: Mapping[str, Any]) -> tuple[PixelBox, ...]:
    parts = tuple(location_from_dict(part) for part in image.get("parts", ()))
    if not all(isinstance(part, PixelBox) for part in parts):
        raise TypeError("parts")
    return parts  # type: ignore[return-value]


def _moments(audio: Mapping[str, Any]) -> tuple[Seconds, ...]:
    parts = tuple(location_from_dict(part) for part in audio.get("parts", ()))
    if not all(type(part) is Seconds for part in parts):
        raise TypeError("parts")
    return parts  # type: ignore[return-value]


def location_to_dict(location: Location) -> dict[str, list[float]]:
    """Returns a location as plain values.

    It is ``{"box": [x0, y0, x1, y1]}`` in pixels, ``{"picture": [x0, y0, x1, y1, number]}``,
    ``{"video": [x0, y0, x1, y1, start, end]}``, ``{"seconds": [start, end]}``,
    ``{"spectrogram": [start, end, low_hertz, high_hertz]}``, ``{"chars": [start, end]}``, or ``{}`` for no location.
    """
    for name, cls in _LOCATION_TYPES.items():
        if isinstance(location, cls):
            return {name: list(vars(location).values())}
    return {}


def location_from_dict(fields: Mapping[str, Any]) -> Location:
    """Returns the location that `location_to_dict` wrote; other fields may stand beside it."""
    return next((cls(*fields[name]) for name, cls in _LOCATION_TYPES.items() if name in fields), None)


def notice_to_list(notice: Notice) -> list[Any]:
    """Returns the code of a notice and its parameters."""
    return [notice.code, dict(notice.parameters)]
