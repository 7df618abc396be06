"""What of the attention of one run corresponds to that of a run with other inputs, whose tokens are others.

Single tokens of two questions do not correspond. What does: the modalities, the patches of two pictures with the same
grid, by row and column, and the moments of two sounds, by the fraction of their lengths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.modality_matrix import matrix_from_sums, modality_members
from mmviz.types import MODALITIES, AttentionMap, AttentionRecord, Modality, PixelBox, PooledMap, Seconds, Token
from mmviz.types.readout_tokens import answer_tokens

SOUND_PARTS = 10
"""Parts of equal length that a sound is divided into."""


@dataclass(frozen=True)
class MapPlace:
    """Where in a model a map comes from, the same for every input."""

    module: str
    """Path of the attention module."""
    stack: str
    """The stack as in `AttentionMap.stack`."""
    layer: int
    """The layer within it, from 0."""
    call: int = 0
    """The call of the model, from 0."""
    index: int = 0
    """Which map of the module in this call."""


@dataclass(frozen=True, eq=False)
class AttendedPlaces:
    """The attention from the answer token to the places of one modality, over the heads of a map."""

    mean: NDArray[np.float64]
    """Mean over heads, ``[row, column]`` of a picture's patches or ``[part]`` of a sound; NaN where no token lies."""
    over_heads: NDArray[np.float64]
    """Standard deviation over all heads there are, of the same shape."""


@dataclass(frozen=True, eq=False)
class ComparableMap:
    """What of one map can be averaged with that of other inputs."""

    place: MapPlace
    """The attention call that the map is of."""
    sums: NDArray[np.float64]
    """float64 ``[head, 4, 4]`` in the order of `MODALITIES`: the weights from a query of the row's modality to all keys
    of the column's, summed, mean over the queries. NaN for a modality that the map or the sample lacks."""
    ratio: NDArray[np.float64]
    """``sums`` relative to uniform attention, as in `mmviz.analysis.modality_matrix.ModalityMatrix`."""
    picture: AttendedPlaces | None = None
    """None where no token answers, the patches are those of no single picture, or the map lacks single weights."""
    sound: AttendedPlaces | None = None
    """None where no token answers, no moments are known, or the map lacks single weights."""


def comparable_maps(
    record: AttentionRecord, present: Collection[Modality], seconds: float | None
) -> tuple[ComparableMap, ...]:
    """Returns what can be averaged of each map, in order of execution.

    ``present``: the modalities that the sample has. One that it lacks is left out, also where a token stands in its
    place: attention to that token is not attention to a picture. ``seconds``: the length of the sound.
    """
    absent = [k for k, modality in enumerate(MODALITIES) if modality not in {*present, Modality.SPECIAL}]
    answering = answer_tokens(record) if record.maps else {}
    counts: Counter[tuple[str, int]] = Counter()
    maps = []
    for attn_map in record.maps:
        index = counts[attn_map.name, attn_map.call]
        counts[attn_map.name, attn_map.call] += 1
        place = MapPlace(attn_map.name, attn_map.stack, attn_map.layer, attn_map.call, index)
        sums, ratio = _modality_matrices(record, attn_map)
        for matrices in (sums, ratio):
            matrices[:, absent] = matrices[:, :, absent] = np.nan
        rows = list(answering.get(attn_map.queries, ()))
        picture = sound = None
        if isinstance(attn_map, AttentionMap) and rows:
            weights = attn_map.weights[:, rows].mean(1, dtype=np.float64)
            keys = record.streams[attn_map.keys]
            picture = _on_grid(weights, keys) if Modality.IMAGE in present else None
            sound = _over_parts(weights, keys, seconds) if Modality.AUDIO in present and seconds else None
        maps.append(ComparableMap(place, sums, ratio, picture, sound))
    return tuple(maps)


def _modality_matrices(
    record: AttentionRecord, attn_map: AttentionMap | PooledMap
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the sums and the ratios of every head, ``[head, 4, 4]``, NaN where a modality has no tokens."""
    queries, keys = record.streams[attn_map.queries], record.streams[attn_map.keys]
    if isinstance(attn_map, PooledMap):
        row_sums = attn_map.row_modality_sums.astype(np.float64)
    else:
        row_sums = attn_map.weights.astype(np.float64) @ modality_members(keys, MODALITIES).T
    sums, ratio = np.full((2, attn_map.heads, 4, 4), np.nan)
    for head in range(attn_map.heads):
        matrix = matrix_from_sums(row_sums[head], queries, keys)
        cells = np.ix_(*([MODALITIES.index(modality) for modality in side] for side in (matrix.queries, matrix.keys)))
        sums[head][cells], ratio[head][cells] = matrix.sums, matrix.ratio
    return sums, ratio


def _on_grid(weights: NDArray[np.float64], tokens: Sequence[Token]) -> AttendedPlaces | None:
    """Returns ``weights`` ``[head, key]`` by row and column of the patches; None where they are not one whole grid."""
    places = [
        (k, token.location) for k, token in enumerate(tokens)
        if token.modality is Modality.IMAGE and token.location is not None
    ]  # fmt: skip
    boxes = [(k, location) for k, location in places if type(location) is PixelBox]
    tops, lefts = sorted({box.y0 for _, box in boxes}), sorted({box.x0 for _, box in boxes})
    cells = {(tops.index(box.y0), lefts.index(box.x0)): k for k, box in boxes}
    if not cells or not len(cells) == len(places) == len(tops) * len(lefts):
        return None
    numbers = [[cells[row, column] for column in range(len(lefts))] for row in range(len(tops))]
    on_grid = weights[:, numbers]
    return AttendedPlaces(on_grid.mean(0), on_grid.std(0))


def _over_parts(weights: NDArray[np.float64], tokens: Sequence[Token], seconds: float) -> AttendedPlaces | None:
    """Returns ``weights`` ``[head, key]`` over parts of the sound; each moment's is divided by its share in each part.

    What a moment has after the end of the sound (padding) counts to its share within. NaN for a part that no moment
    overlaps, as where a model reads the first seconds only.
    """
    edges = np.linspace(0, seconds, SOUND_PARTS + 1)
    sums, covered = np.zeros((len(weights), SOUND_PARTS)), np.zeros(SOUND_PARTS, bool)
    for k, token in enumerate(tokens):
        if token.modality is Modality.AUDIO and isinstance(token.location, Seconds):
            start, end = token.location.start, token.location.end
            overlap = np.maximum(np.minimum(edges[1:], end) - np.maximum(edges[:-1], start), 0)
            if overlap.any():
                sums += weights[:, k, None] * (overlap / overlap.sum())
                covered |= overlap > 1e-9
    if not covered.any():
        return None
    sums[:, ~covered] = np.nan
    return AttendedPlaces(sums.mean(0), sums.std(0))
