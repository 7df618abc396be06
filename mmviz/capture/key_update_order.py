"""Tells in which state the keys of each map are: before or after the maps that updated their stream.

In co-attention both sides attend to each other as they were before. What was computed from what tells, not the order of
execution; where that is hidden by code that no function mode sees, the order decides.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmviz.capture.call_groups import CallGroup
from mmviz.capture.data_flow_step import ATTENTION, Step, name_of


class UpdatesOf:
    """The maps whose output the tokens of a step were computed from."""

    def __init__(self, groups: Sequence[CallGroup]):
        self._numbers: dict[int, int] = {}
        """The maps of the attention with these queries, as bits, by ``id`` of the step of the queries."""
        self._serials: dict[int, int] = {}
        self._known: dict[int, tuple[int, int]] = {}
        self._steps: list[Step] = []
        """What was visited, so that no other step takes its ``id``."""
        for number, group in enumerate(groups):
            for call in group.calls:
                if call.queries_from is not None:
                    step = call.queries_from.step
                    self._numbers[id(step)] = self._numbers.get(id(step), 0) | 1 << number
                    self._serials[number] = step.serial

    def includes(self, step: Step, number: int) -> bool:
        """Returns whether ``step`` was computed from the output of map ``number``, or may have been in hidden code."""
        maps, hidden = self._of(step)
        return bool(maps >> number & 1) or hidden > self._serials.get(number, -1)

    def made_by(self, step: Step) -> int | None:
        """Returns the map whose output a step is; None where it is the output of no attention."""
        maps = self._numbers.get(id(step.args[0]), 0) if name_of(step) == ATTENTION else 0
        return maps.bit_length() - 1 if maps else None

    def latest(self, step: Step) -> int | None:
        """Returns the last map whose output ``step`` was computed from; None for none."""
        maps, _ = self._of(step)
        return maps.bit_length() - 1 if maps else None

    def _of(self, last: Step) -> tuple[int, int]:
        """Returns the maps that a step comes from, as bits, and the serial number of its latest hidden ancestor."""
        open_steps = [last]
        while open_steps:
            step = open_steps[-1]
            unknown = [parent for parent in step.parents() if id(parent) not in self._known]
            if unknown and id(step) not in self._known:
                open_steps += unknown
                continue
            open_steps.pop()
            if id(step) in self._known:
                continue
            is_hidden = step.func is None and not (step.is_parameter or step.input_name)
            maps, hidden = 0, step.serial if is_hidden else -1
            for parent in step.parents():
                of_parent = self._known[id(parent)]
                maps, hidden = maps | of_parent[0], max(hidden, of_parent[1])
                if name_of(step) == ATTENTION:
                    maps |= self._numbers.get(id(parent), 0)
            self._known[id(step)] = maps, hidden
            self._steps.append(step)
        return self._known[id(last)]


def state_of(updates: UpdatesOf, groups: Sequence[CallGroup], stream: object, step: Step | None, now: int) -> int:
    """Returns the state of a stream that ``step`` holds, before map ``now``: the number of maps that had run.

    It is the latest number that names that state, see `mmviz.capture.joint_system`.
    """
    state = now
    for number in reversed(range(now)):
        if groups[number].queries is stream and step is not None:
            if updates.includes(step, number):
                return state
            state = number
    return state


def key_states(groups: Sequence[CallGroup], updates: UpdatesOf) -> list[int]:
    """Returns for each map the state of its keys, see `state_of`; of a stream that attends to itself the current state.

    Maps of one stream follow each other, also where the model adds up what they computed side by side.
    """
    return [
        number if group.queries is group.keys
        else state_of(updates, groups, group.keys, group.key_sides[0].base, number)
        for number, group in enumerate(groups)
    ]  # fmt: skip
