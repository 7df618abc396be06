"""Finds tokens of other streams that enter a stream after attention has run over it, which no link tells.

A vision tower may add features to the tokens of a language model layer by layer, and keys may be computed anew for each
layer. What such a stream attends to is known all the same, but a flow into the other stream would be incomplete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mmviz.capture.call_groups import CallGroup, Stream
from mmviz.capture.data_flow_step import Step, name_of
from mmviz.capture.key_update_order import UpdatesOf

MAX_VISITED = 20_000
"""Functions that are looked at between two layers."""


@dataclass(frozen=True)
class LostRoute:
    """A way from the tokens of one stream to those of another that cannot be followed."""

    stream: int
    """The number of the stream whose tokens come from there."""
    source: int
    """The number of the stream that they come from."""
    function: str
    """The function that cannot be followed."""


def later_routes(groups: Sequence[CallGroup], streams: Sequence[Stream], updates: UpdatesOf) -> list[LostRoute]:
    """Returns the routes by which tokens of other streams enter a stream between two maps over it."""
    routes: dict[LostRoute, None] = {}
    for number, stream in enumerate(streams):
        bases = list(_bases(groups, stream))
        for before, base in pairwise(bases):
            for function, updated in _entering(before, base, stream, updates):
                source = streams.index(groups[updated].queries)
                if source != number:
                    routes[LostRoute(number, source, function)] = None
    return list(routes)


def _bases(groups: Sequence[CallGroup], stream: Stream) -> Iterator[Step]:
    """Yields the tokens of a stream at each attention over it, in order of execution."""
    last = None
    for group in groups:
        for of_side, side in ((group.queries, group.query_sides[0]), (group.keys, group.key_sides[0])):
            if of_side is stream and side.base is not None and side.base is not last:
                last = side.base
                yield last


def _entering(before: Step, base: Step, stream: Stream, updates: UpdatesOf) -> Iterator[tuple[str, int]]:
    """Yields the attention whose output went into ``base`` beside the tokens ``before``: the function that it went
    through, and the number of the map."""
    own = {step for step in stream.steps if step != id(base)}
    open_steps, known = [base], {id(base)}
    while open_steps and len(known) < MAX_VISITED:
        step = open_steps.pop()
        for parent in step.parents():
            if id(parent) in known or id(parent) in own or parent is before:
                continue
            known.add(id(parent))
            is_new = parent.serial > before.serial
            updated = updates.made_by(parent) if is_new else updates.latest(parent)
            if updated is not None:
                yield name_of(step), updated
            if is_new:
                open_steps.append(parent)
