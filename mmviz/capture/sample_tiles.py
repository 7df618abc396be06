"""Streams whose rows are stretches of one sample, such as the tiles of a picture: these are windows, not samples."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from mmviz.capture.call_groups import Stream
from mmviz.capture.data_flow_step import Step
from mmviz.capture.query_key_positions import Positions, Side
from mmviz.capture.query_key_tokens import without_axis
from mmviz.capture.sample_rows import samples_of_rows, way_back
from mmviz.capture.token_replay import MAX_STEPS, replay


@dataclass(frozen=True, eq=False)
class Tiles:
    """Where the rows of a stream lie in another, or in the samples that they were cut from."""

    samples: int
    """Number of samples that the rows lie in."""
    count: int
    """Number of tokens in a sample."""
    samples_of: Positions
    """int64 ``[row, token]``: the sample of each token of the rows."""
    positions: Positions
    """int64 ``[row, token]``: places in the sample, -1 for padding."""
    stream: Stream | None = None
    """The stream whose tokens they are; None where no attention ran over them before."""

    def arranged(self, side: Side, rows: int) -> Side:
        """Returns a side of the stream of rows as one of the samples; ``rows``: those of its call."""
        placed = replace(side, samples=self.samples, count=self.count)
        inner = np.tile(np.arange(side.count), (rows, 1)) if side.positions is None else side.positions
        outer = np.arange(rows) if side.sample_of_row is None else side.sample_of_row
        flat = np.maximum(outer[:, None] * side.count + inner, 0)
        positions = np.where(inner >= 0, self.positions.ravel()[flat], -1)
        samples = self.samples_of.ravel()[flat]
        first = (positions >= 0).argmax(1)[:, None]
        sample_of_row = np.take_along_axis(samples, first, 1)
        if not side.is_placed or ((samples != sample_of_row) & (positions >= 0)).any():
            return replace(placed, positions=None, sample_of_row=None, is_placed=False)
        return replace(placed, positions=positions, sample_of_row=sample_of_row[:, 0])


def batches_of(inputs: Collection[Step]) -> set[int]:
    """Returns the numbers of samples that inputs of the model may have: the sizes of their first axes, or of those of
    the tensors that they were arranged from before the call."""
    return {step.shape[0] for entry in inputs for step in (entry, way_back(entry)[0]) if step.shape}


def tiles_of(stream: Stream, streams: Sequence[Stream], batches: Collection[int]) -> Tiles | None:
    """Returns where the rows of a stream lie, if they are stretches of the tokens of ``streams`` or of a sample."""
    side = stream.side
    if side is None or side.base is None or not side.is_placed:
        return None
    leading = without_axis(side.base.shape, side.base_axis)
    rows = leading[0] if len(leading) > 1 else 1
    has_rows = (stream.samples, stream.count) in ((rows, math.prod(leading[1:])), (1, math.prod(leading)))
    if rows < 2 or not has_rows or side.sample_axis:
        return None
    return _in_stream(side, leading, streams) or _in_samples(side, leading, streams, batches)


def _in_stream(side: Side, leading: tuple[int, ...], streams: Sequence[Stream]) -> Tiles | None:
    """Returns where rows lie in an earlier stream of fewer samples, whose tokens they are."""
    assert side.base is not None
    others = {
        step: other for other in streams for step in other.steps
        if other.samples < leading[0] and other.side not in (None, side)
    }  # fmt: skip
    for step in islice(side.base.chain(), MAX_STEPS):
        other = others.get(id(step))
        if other is None or other.side is None:
            continue
        places = replay(side.base, step, other.side.base_axis)
        if places is None or step.shape[0] != other.samples or other.side.sample_axis:
            return None
        tokens = places.token.movedim(side.base_axis, -1)[..., 0].reshape(leading[0], -1).numpy()
        used = tokens[tokens >= 0]
        if len(np.unique(used)) != len(used):
            return None
        return Tiles(
            other.samples, other.count, np.maximum(tokens, 0) // other.count,
            np.where(tokens >= 0, tokens % other.count, -1), other,
        )  # fmt: skip
    return None


def _in_samples(
    side: Side, leading: tuple[int, ...], streams: Sequence[Stream], batches: Collection[int]
) -> Tiles | None:  # fmt: skip
    """Returns rows one after another in the samples that they were cut from."""
    assert side.base is not None
    starts = {
        step for other in streams for step in other.steps
        if other.side is not side and other.samples in batches and other.samples < leading[0]
    }  # fmt: skip
    rows = samples_of_rows(side.base, starts)
    if rows is None:
        return None
    sample_of_row, size = rows.numpy(), math.prod(leading[1:])
    samples = int(sample_of_row.max()) + 1
    earlier = [np.count_nonzero(sample_of_row[:row] == sample) for row, sample in enumerate(sample_of_row)]
    positions = np.array(earlier)[:, None] * size + np.arange(size)
    return Tiles(samples, len(rows) // samples * size, np.tile(sample_of_row[:, None], (1, size)), positions)
