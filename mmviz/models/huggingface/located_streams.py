"""Tokens of each stream with their places: what a capture tells of the way from pixels and sound frames to tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mmviz.models.huggingface.picture_places import PicturePlaces
from mmviz.types import (
    AudioInput,
    FieldsOf,
    ImageInput,
    InputFields,
    Modality,
    PixelBox,
    Seconds,
    Token,
    TokenFields,
)

Array = NDArray[np.float64]
SHORTEST = 1e-6
"""Seconds that a moment must have within a sound."""


def picture_fields(places: PicturePlaces, shape: tuple[int, ...]) -> InputFields:
    """Returns the places of a picture as fields of an input of ``shape``, x and y as shares of its width and height."""
    low, high = (ends.astype(np.float32).reshape(2, *shape) for ends in (places.low, places.high))
    return InputFields(low, high)


def sound_fields(shape: Sequence[int], time_axis: int, seconds: float) -> InputFields:
    """Returns the fields of sound frames: seconds, and shares of the frequency axis.

    ``shape``: that of the features; ``seconds``: the time from one frame to the next along ``time_axis``.
    """
    axes = len(shape)
    frames = np.arange(shape[time_axis], dtype=np.float32).reshape(
        [-1 if axis == time_axis % axes else 1 for axis in range(axes)]
    )  # fmt: skip
    low, high = (
        np.stack([np.broadcast_to(time, shape), np.full(shape, band, np.float32)])
        for time, band in ((frames * np.float32(seconds), 0), ((frames + 1) * np.float32(seconds), 1))
    )
    return InputFields(low, high)


def located_streams(
    fields_of: FieldsOf, pictures: Mapping[str, InputFields], sounds: Mapping[str, InputFields],
    image: ImageInput | None, audio: AudioInput | None, written: Sequence[Token], encoded: int | None = None,
) -> dict[str, list[Token]]:  # fmt: skip
    """Returns the tokens of every stream of a capture by its default name.

    ``pictures``, ``sounds``: their fields by the names under which the model takes them. ``written``: the tokens of
    prompt and answer, without the places of pictures and sounds. ``encoded``: how many of them an encoder reads, where
    a decoder reads the others.
    """
    image_fields, audio_fields = fields_of(pictures), fields_of(sounds)
    ends = {"input_ids": (0, len(written) if encoded is None else encoded)}
    ends |= {} if encoded is None else {"decoder_input_ids": (encoded, len(written))}
    text_fields = fields_of({name: _text_fields(*pair) for name, pair in ends.items() if pair[0] < pair[1]})
    streams = {}
    for name, fields in image_fields.items():
        located = [Token(Modality.SPECIAL, str(k)) for k in range(fields.count)]
        for modality, of_input in ((Modality.AUDIO, audio_fields[name]), (Modality.IMAGE, fields)):
            learned = [] if of_input.is_learned is None else np.flatnonzero(of_input.is_learned).tolist()
            for number, query in enumerate(learned):
                located[query] = Token(modality, f"query {number}")
        for place, token in [*_patches(fields, image), *_frames(audio_fields[name], audio)]:
            located[place] = token
        places, first, _ = _ends(text_fields[name])
        for place, number in zip(places, first[0].astype(int), strict=True):
            located[place] = _merged(written[number], located[place])
        streams[name] = located
    return streams


def _text_fields(first: int, last: int) -> InputFields:
    """Returns the fields of the ids of a text: the numbers of its tokens, from ``first`` to before ``last``."""
    numbers = np.broadcast_to(np.arange(first, last, dtype=np.float32), (2, 1, last - first))
    return InputFields(numbers, numbers + 1)


def _merged(token: Token, place: Token) -> Token:
    """Returns a token of the prompt, or its place where it stands for a part of a picture or a sound.

    One that is looked up like a word, such as the mark before a picture, stands for no part.
    """
    if token.modality not in (Modality.IMAGE, Modality.AUDIO):
        return token
    return place if place.modality is token.modality else Token(Modality.SPECIAL, token.label)


def _ends(fields: TokenFields) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Returns the tokens that come from a part of an input, and both ends of these parts, ``[axis, token]``."""
    if fields.low is None or fields.high is None:
        return np.zeros(0, np.intp), np.zeros((2, 0)), np.zeros((2, 0))
    low, high = fields.low.astype(np.float64), fields.high.astype(np.float64)
    numbers = np.flatnonzero((low < high).all(0))
    return numbers, low[:, numbers], high[:, numbers]


def _patches(fields: TokenFields, image: ImageInput | None) -> list[tuple[int, Token]]:
    """Returns the tokens that are patches, named by row and column where they are a grid."""
    numbers, low, high = _ends(fields)
    if image is None or not len(numbers):
        return []
    size = np.array([[image.width], [image.height]], np.float64)
    low, high = low * size, high * size
    columns, rows = (np.unique(np.round((low[axis] + high[axis]) / 2), return_inverse=True)[1] for axis in (0, 1))
    is_grid = (columns.max() + 1) * (rows.max() + 1) == len(numbers)
    return [
        (
            int(number),
            Token(
                Modality.IMAGE,
                f"patch {rows[k]}, {columns[k]}" if is_grid else f"patch {k}",
                PixelBox(*map(float, (low[0, k], low[1, k], high[0, k], high[1, k]))),
            ),
        )
        for k, number in enumerate(numbers)
    ]


def _frames(fields: TokenFields, audio: AudioInput | None) -> list[tuple[int, Token]]:
    """Returns the tokens that are moments of a sound; those after its end are padding."""
    numbers, low, high = _ends(fields)
    if audio is None or not len(numbers):
        return []
    tokens = []
    for number, start, end in zip(numbers, *_moments(low[0], high[0]), strict=True):
        start, end = max(float(start), 0.0), min(float(end), audio.seconds)
        is_inside = end - start > SHORTEST
        location = Seconds(start, end) if is_inside else None
        label = f"{start:.2f} s" if is_inside else "padding"
        tokens.append((int(number), Token(Modality.AUDIO if is_inside else Modality.SPECIAL, label, location)))
    return tokens


def _moments(starts: Array, ends: Array) -> tuple[Array, Array]:
    """Returns equal moments, one after another, around the middles of intervals that overlap."""
    middles, order = (starts + ends) / 2, np.arange(len(starts))
    step = float(np.median(np.diff(middles))) if len(middles) > 2 else 0.0
    if step <= 0 or (np.diff(starts) < 0).any() or float(np.median(ends - starts)) < step * 1.01:
        return starts, ends
    middles = order * step + np.median(middles - order * step)
    return middles - step / 2, middles + step / 2
