"""The attention calls of a model as maps, the sequences of tokens that they run over, and the parts of these."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.query_key_positions import Positions, Side


@dataclass(eq=False)
class Stream:
    """One sequence of tokens."""

    samples: int
    """Number of samples; 1 also where all samples share its tokens."""
    count: int
    """Number of tokens in a sample."""
    path: str
    """The list of blocks, or the module, that first attends over it."""
    steps: dict[int, int] = field(default_factory=dict)
    """The axis of features of each step that holds its tokens, by its id, as far as attention over it came from
    them."""
    roles: set[Hashable] = field(default_factory=set)
    """The parts of blocks that attend over it, whether for keys alone, and how often the block had run."""
    has_blocks: bool = False
    """Whether ``path`` is a list of blocks."""
    is_memory: bool = False
    """Whether it only gives keys, as far as the first attention over it tells."""
    input_name: str = ""
    """The input of the model that it comes from; "" where that is not known."""
    newest: Stream | None = None
    """The stream of its newest tokens, where earlier calls left the others."""
    is_repeated: bool = False
    """Whether its tokens are queries of several windows of one sample, so that each of them stands for several."""
    side: Side | None = None
    """What first attended over it."""


@dataclass(eq=False)
class CallGroup:
    """The attention calls that are one map: a single one, or those of the stretches of one sequence."""

    calls: tuple[AttentionCall, ...]
    """The attention calls of the map, at least one."""
    query_sides: tuple[Side, ...]
    """The queries of each call."""
    key_sides: tuple[Side, ...]
    """The keys of each call."""
    queries: Stream
    """The stream of the queries."""
    keys: Stream
    """The stream of the keys."""
    query_part: Positions | None = None
    """The places in the stream of the queries that take part, ascending; None for all."""
    key_part: Positions | None = None
    """The places of the keys that take part; None for all."""
    is_uniform: bool = True
    """Whether the same tokens of each sample take part."""

    @property
    def module(self) -> str:
        """The path of the module."""
        return self.calls[0].module


def find_parts(group: CallGroup) -> None:
    """Sets the parts of streams that a map runs over, and counts its positions within them."""
    parts: list[Positions | None] = []
    all_sides: list[tuple[Side, ...]] = []
    for sides, stream in ((group.query_sides, group.queries), (group.key_sides, group.keys)):
        if any(side.positions is None for side in sides):
            parts.append(None)
            all_sides.append(sides)
            continue
        covered = [_covered(sides, sample) for sample in range(stream.samples)]
        group.is_uniform &= all(np.array_equal(covered[0], places) for places in covered)
        if len(covered[0]) == stream.count:
            parts.append(None)
            all_sides.append(sides)
            continue
        parts.append(covered[0])
        all_sides.append(tuple(_within(side, covered[0]) for side in sides))
    group.query_part, group.key_part = parts
    group.query_sides, group.key_sides = all_sides


def _covered(sides: Sequence[Side], sample: int) -> Positions:
    """Returns the places in a stream that a sample's queries or keys have, ascending."""
    places = [
        side.positions[side.sample_of_row == sample].ravel()
        for side in sides if side.positions is not None and side.sample_of_row is not None
    ]  # fmt: skip
    unique = np.unique(np.concatenate(places))
    return unique[unique >= 0]


def _within(side: Side, part: Positions) -> Side:
    """Returns a side whose positions count within ``part`` of its stream."""
    assert side.positions is not None and side.sample_of_row is not None
    positions = np.where(side.positions >= 0, np.searchsorted(part, side.positions), -1)
    in_order = positions.shape == (side.samples, len(part)) and (positions == np.arange(len(part))).all()
    if in_order and (side.sample_of_row == np.arange(side.samples)).all():
        return replace(side, count=len(part), positions=None, sample_of_row=None)
    return replace(side, count=len(part), positions=positions)
