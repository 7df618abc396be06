"""Streams whose rows go into one sample of another stream, such as tiles or pictures that were cut before the call."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from mmviz.capture.call_groups import CallGroup, Stream
from mmviz.capture.data_flow_step import ATTENTION, Step, name_of
from mmviz.capture.origin_sets import OriginSets
from mmviz.capture.query_key_tokens import without_axis
from mmviz.capture.sample_tiles import Tiles
from mmviz.capture.stream_links import beginning
from mmviz.capture.token_origins import TokenOrigins, flat_numbers


def tiles_by_use(
    stream: Stream, streams: Sequence[Stream], groups: Sequence[CallGroup], batches: Collection[int]
) -> Tiles | None:  # fmt: skip
    """Returns the rows of a stream one after another in the samples of the first stream that is made of them.

    Each row goes into one sample, and each sample has equally many; else the rows stay samples of their own.
    ``batches``: the numbers of samples that inputs of the model have.
    """
    side = stream.side
    if side is None or not side.is_placed or stream.samples < 2:
        return None
    for other in streams:
        if other.samples in batches and other.samples < stream.samples:
            samples = _sample_of_row(stream, other, groups)
            if samples is not None:
                earlier = [np.count_nonzero(samples[:row] == sample) for row, sample in enumerate(samples)]
                positions = np.array(earlier)[:, None] * stream.count + np.arange(stream.count)
                count = stream.count * (stream.samples // other.samples)
                return Tiles(other.samples, count, np.tile(samples[:, None], (1, stream.count)), positions)
    return None


def _sample_of_row(stream: Stream, other: Stream, groups: Sequence[CallGroup]) -> np.ndarray | None:
    """Returns the sample of ``other`` that each row of ``stream`` goes into, int64 ``[row]``."""
    _, base, places, axis = beginning(groups, other)
    if base is None or places is None:
        return None
    sets = OriginSets()

    def leaf(step: Step) -> Tensor | None:
        of_step = stream.steps.get(id(step))
        if of_step is None or len(step.shape) < 2 or name_of(step) == ATTENTION:
            return None
        numbers = flat_numbers(without_axis(step.shape, of_step), stream.samples, stream.count)
        return None if numbers is None else (numbers + sets.token(0, 0)).unsqueeze(of_step).expand(step.shape)

    origins = TokenOrigins(sets, leaf, lambda query, of_query: of_query).of(base)
    if origins is None or without_axis(origins.shape, axis) != places.shape:
        return None
    of_tokens = sets.merged(origins, axis).flatten().tolist()
    pairs = {
        (sets.place(member)[2] // stream.count, place // other.count)
        for place, origin in zip(places.flatten().tolist(), of_tokens, strict=True)
        for member, _ in sets.members(origin)
    }
    samples = dict(pairs)
    if other.samples == 1 and len(samples) > 1:  # rows that go nowhere are of the only sample
        samples = dict.fromkeys(range(stream.samples), 0)
    elif len(pairs) != stream.samples or len(samples) != stream.samples:
        return None
    rows = np.array([samples[row] for row in range(stream.samples)])
    counts = torch.bincount(torch.from_numpy(rows), minlength=other.samples)
    return rows if bool((counts == counts[0]).all()) else None
