"""Tokens of each stream with their places: what a capture tells of the way from pixels and sound frames to tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mmviz.models.huggingface.patch_cells import columns_and_rows, covers_all, fills_grid, grid_cells
from mmviz.models.huggingface.picture_places import PicturePlaces
from mmviz.types import (
    AudioInput,
    FieldsOf,
    ImageInput,
    InputFields,
    Modality,
    PictureBox,
    PixelBox,
    Seconds,
    SpectrogramPatch,
    Token,
    TokenFields,
    VideoPatch,
)

Array = NDArray[np.float64]
NEIGHBOURS = 3
"""Moments on each side that tell where a moment lies."""
SHORTEST = 1e-6
"""Seconds that a moment must have within a sound."""


def picture_fields(places: PicturePlaces, shape: tuple[int, ...]) -> InputFields:
    """Returns the places of a picture as fields of an input of ``shape``, x and y as shares of its width and height."""
    low, high = (ends.astype(np.float32).reshape(2, *shape) for ends in (places.low, places.high))
    return InputFields(low, high)


def video_fields(places: PicturePlaces, shape: tuple[int, ...], image: ImageInput) -> InputFields:
    """Returns the places of the frames of a video: x and y as shares of a frame, and the number of the frame.

    ``places``: those of the ``image``, its sheet of frames.
    """
    size = np.array([[image.width], [image.height]], np.float64)
    corners, ends = (np.array([edges(part) for part in image.parts]).T for edges in (_corner, _end))
    first, lengths = (edges[:, places.numbers.ravel()] for edges in (corners, ends - corners))
    low, high = ((edges.reshape(2, -1) * size - first) / lengths for edges in (places.low, places.high))
    is_frame, numbers = np.isfinite(low[0]), places.numbers.ravel()
    low = np.stack([*low, np.where(is_frame, numbers, np.inf)])
    high = np.stack([*high, np.where(is_frame, numbers + 1, -np.inf)])
    return InputFields(*(edges.astype(np.float32).reshape(3, *shape) for edges in (low, high)))


def _corner(part: PixelBox) -> tuple[float, float]:
    return part.x0, part.y0


def _end(part: PixelBox) -> tuple[float, float]:
    return part.x1, part.y1


def located_streams(
    fields_of: FieldsOf, pictures: Mapping[str, InputFields], sounds: Mapping[str, InputFields],
    image: ImageInput | None, audio: AudioInput | None, written: Sequence[Token], encoded: int | None = None,
    has_grid: bool = False,
) -> dict[str, list[Token]]:  # fmt: skip
    """Returns the tokens of every stream of a capture by its default name.

    ``pictures``, ``sounds``: their fields by the names under which the model takes them. ``written``: the tokens of
    prompt and answer, without the places of pictures and sounds. ``encoded``: how many of them an encoder reads, where
    a decoder reads the others. ``has_grid``: whether those of a picture, and of its tower, are a square grid over it.
    """
    image_fields, audio_fields = fields_of({} if has_grid else pictures), fields_of(sounds)
    ends = {"input_ids": (0, len(written) if encoded is None else encoded)}
    ends |= {} if encoded is None else {"decoder_input_ids": (encoded, len(written))}
    text_fields = fields_of({name: _text_fields(*pair) for name, pair in ends.items() if pair[0] < pair[1]})
    streams = {}
    for name, fields in image_fields.items():
        located = [Token(Modality.SPECIAL, str(k)) for k in range(fields.count)]
        for modality, of_input in ((Modality.AUDIO, audio_fields[name]), (Modality.IMAGE, fields)):
            for number, place in enumerate(
                [] if of_input.is_learned is None else np.flatnonzero(of_input.is_learned).tolist()
            ):
                located[place] = Token(modality, f"query {number}")
        for place, token in [*_patches(fields, image), *_frames(audio_fields[name], audio)]:
            located[place] = token
        places, first, _ = _ends(text_fields[name])
        for place, number in zip(places, first[0].astype(int), strict=True):
            located[place] = _merged(written[number], located[place])
        shifts = places - first[0].astype(int)
        for place, token in _unplaced(shifts, located, written):
            located[place] = token
        if has_grid and len(shifts) and not np.ptp(shifts):
            numbers = [number for number, token in enumerate(written) if token.modality is Modality.IMAGE]
            for k, token in _patches(_grid_fields(pictures, len(numbers)), image):
                located[numbers[k] + int(shifts[0])] = token
        elif has_grid and all(token.modality is Modality.SPECIAL for token in located):  # neither words nor sound
            for k, token in _patches(_grid_fields(pictures, len(located)), image):
                located[k] = token
        streams[name] = located
    return streams


def _text_fields(first: int, last: int) -> InputFields:
    """Returns the fields of the ids of a text: the numbers of its tokens, from ``first`` to before ``last``."""
    numbers = np.broadcast_to(np.arange(first, last, dtype=np.float32), (2, 1, last - first))
    return InputFields(numbers, numbers + 1)


def _grid_fields(pictures: Mapping[str, InputFields], count: int) -> TokenFields:
    """Returns the fields of ``count`` tokens that are square grids, row by row, over each picture of a prompt."""
    boxes = []
    for fields in pictures.values():
        for low, high in zip(fields.low.swapaxes(0, 1), fields.high.swapaxes(0, 1), strict=True):
            side = math.isqrt(count // fields.low.shape[1])
            rows, columns = (np.linspace(0, length, side + 1).round().astype(int) for length in low.shape[-2:])
            for top, bottom in pairwise(rows):
                for left, right in pairwise(columns):
                    cell = (..., slice(top, bottom), slice(left, right))
                    boxes.append((low[cell].min((1, 2, 3)), high[cell].max((1, 2, 3))))
    if len(boxes) != count:
        return TokenFields(count)
    low_ends, high_ends = (np.stack(ends, 1) for ends in zip(*boxes, strict=True))
    return TokenFields(count, low_ends, high_ends)


def _unplaced(
    shifts: NDArray[np.intp], located: Sequence[Token], written: Sequence[Token]
) -> list[tuple[int, Token]]:  # fmt: skip
    """Returns the tokens of a prompt that stand for a part of an input without a place, such as learned queries.

    ``shifts``: how far each token of the prompt that was followed lies behind its number; the same for all of them
    where the stream is the prompt.
    """
    if not len(shifts) or np.ptp(shifts):
        return []
    numbers = ((place, place - int(shifts[0])) for place, token in enumerate(located) if token.label == str(place))
    waiting = [(place, written[number]) for place, number in numbers if 0 <= number < len(written)]
    return [(place, token) for place, token in waiting if token.modality in (Modality.IMAGE, Modality.AUDIO)]


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
    if len(low) == 3:
        frames = [image.parts[round(first) : round(last)] for first, last in zip(low[2], high[2], strict=True)]
        parts = np.round(low[2]).astype(np.intp)
        corners, ends = (np.array([edges(frame[0]) for frame in frames]).T for edges in (_corner, _end))
        low, high = (corners + edges[:2] * (ends - corners) for edges in (low, high))
    else:
        size = np.array([[image.width], [image.height]], np.float64)
        low, high = low * size, high * size
        x, y = (low + high) / 2
        parts = np.zeros(len(numbers), np.intp)
        for number, part in enumerate(image.parts):
            parts[(x >= part.x0) & (x < part.x1) & (y >= part.y0) & (y < part.y1)] = number
        frames = [image.parts[number : number + 1] for number in parts]
    middles = (low + high) / 2
    patches = []
    for number in np.unique(parts):
        inside = np.flatnonzero(parts == number)
        is_whole = covers_all(low[:, inside], high[:, inside])
        if is_whole.any() and fills_grid(middles[:, inside[~is_whole]]):  # the mean of all, beside them
            patches += [(int(numbers[place]), Token(Modality.IMAGE, "whole picture")) for place in inside[is_whole]]
            inside = inside[~is_whole]
        columns, rows = columns_and_rows(middles[:, inside])
        is_grid = fills_grid(middles[:, inside])
        if is_grid:
            for axis, cells in enumerate((columns, rows)):
                low[axis, inside], high[axis, inside] = grid_cells(low[axis, inside], high[axis, inside], cells)
        for k, place in enumerate(inside.tolist()):
            label = f"patch {rows[k]}, {columns[k]}" if is_grid else f"patch {k}"
            edges = PixelBox(*map(float, (low[0, place], low[1, place], high[0, place], high[1, place])))
            patches.append((int(numbers[place]), _patch(label, edges, frames[place])))
    return patches


def _patch(label: str, edges: PixelBox, parts: Sequence[PixelBox]) -> Token:
    """Returns a patch of a picture, or of one of the ``parts`` of a sheet: of the first, and as a tube of the others.

    ``edges``: in the first part.
    """
    if not parts:
        return Token(Modality.IMAGE, label, edges)
    part = parts[0]
    if isinstance(part, VideoPatch):
        left, top = edges.x0 - part.x0, edges.y0 - part.y0
        later = tuple(edge for frame in parts[1:] for edge in (frame.x0 + left, frame.y0 + top))
        end = next(frame.end for frame in parts[::-1] if isinstance(frame, VideoPatch))
        return Token(
            Modality.IMAGE,
            f"{part.start:.2f} s, {label}",
            VideoPatch(**vars(edges), start=part.start, end=end, later=later),
        )
    label = f"picture {part.picture}, {label}" if isinstance(part, PictureBox) else label
    return Token(Modality.IMAGE, label, replace(part, **vars(edges)))


def _frames(fields: TokenFields, audio: AudioInput | None) -> list[tuple[int, Token]]:
    """Returns the tokens that are moments of a sound, or patches of its spectrogram. Those after it are padding."""
    numbers, low, high = _ends(fields)
    if audio is None or not len(numbers):
        return []
    starts, ends = low[0].copy(), high[0].copy()
    edges = np.array([(part.start, part.end) for part in audio.parts]).reshape(-1, 2)
    sounds = np.searchsorted(edges[:, 1], starts, side="right")
    for sound in np.unique(sounds):  # what overlaps meets within a sound, not from one to the next
        inside = sounds == sound
        span = edges[sound] if sound < len(edges) else (-np.inf, np.inf)
        cells = _cells(starts[inside], np.minimum(ends[inside], span[1]), low[1, inside])
        starts[inside], ends[inside] = (np.clip(cell, *span) for cell in cells)
    lowest, highest = _bands(low[1], high[1])
    has_bands = len(np.unique(lowest)) > 1
    tokens = []
    for k, number in enumerate(numbers):
        start, end = max(float(starts[k]), 0.0), min(float(ends[k]), audio.seconds)
        if end - start <= SHORTEST:
            tokens.append((int(number), Token(Modality.SPECIAL, "padding")))
            continue
        location, label = Seconds(start, end), f"{start:.2f} s"
        if has_bands:
            location = SpectrogramPatch(start, end, float(lowest[k]), float(highest[k]))
            label = f"{label}, {location.low_hertz:.0f} Hz"
        tokens.append((int(number), Token(Modality.AUDIO, label, location)))
    return tokens


def _cells(starts: Array, ends: Array, bands: Array) -> tuple[Array, Array]:
    """Returns intervals of time of which those that overlap meet; in a grid, those of each row, which has one band."""
    is_grid = len(np.unique(np.round(starts, 6))) < len(starts)
    return _meeting(starts, ends, bands[1:] == bands[:-1]) if is_grid else _moments(starts, ends)


def _bands(low: Array, high: Array) -> tuple[Array, Array]:
    """Returns bands of frequencies, each of many tokens, of which those that overlap meet."""
    pairs, places = np.unique(np.stack([low, high], 1), axis=0, return_inverse=True)
    lowest, highest = _meeting(pairs[:, 0], pairs[:, 1])
    return lowest[places.ravel()], highest[places.ravel()]


def _meeting(low: Array, high: Array, is_row: NDArray[np.bool_] | bool = True) -> tuple[Array, Array]:
    """Returns intervals of which neighbours (``is_row``) that overlap meet in the middle of the overlap."""
    is_overlap = is_row & (low[1:] > low[:-1]) & (high[1:] > high[:-1]) & (low[1:] < high[:-1])
    middles = (low[1:] + high[:-1]) / 2
    return (
        np.append(low[:1], np.where(is_overlap, middles, low[1:])),
        np.append(np.where(is_overlap, middles, high[:-1]), high[-1:]),
    )


def _moments(starts: Array, ends: Array) -> tuple[Array, Array]:
    """Returns equal moments, one after another, around the middles of intervals that overlap.

    Ends of a sound, and of a piece that a model reads by itself, cut intervals short, which moves their middles: each
    is put where those of its neighbours say. Pieces may follow closer than moments within them.
    """
    middles, order = (starts + ends) / 2, np.arange(len(starts))
    step = float(np.median(np.diff(middles))) if len(middles) > 2 else 0.0
    if step <= 0 or (np.diff(starts) < 0).any() or float(np.median(ends - starts)) < step * 1.01:
        return starts, ends
    shifts = np.pad(middles - order * step, NEIGHBOURS, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(shifts, 2 * NEIGHBOURS + 1)
    middles = order * step + np.nanmedian(around, axis=1)
    return _meeting(middles - step / 2, middles + step / 2)
