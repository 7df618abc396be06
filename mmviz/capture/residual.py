"""Residual connections: what a block adds to its tokens leaves them in their place."""

from __future__ import annotations

from mmviz.capture.data_flow_step import Step, name_of

ADDING = {"add", "add_", "__add__", "__radd__", "__iadd__", "sub", "sub_", "__sub__", "__rsub__", "__isub__"}
MAX_BRANCH = 1_000
"""Functions of a block that are looked at for what it adds its result to."""


def residual_of(step: Step) -> Step | None:
    """Returns the summand that a block was run on, whose result is the other one; None where neither is.

    What a block adds to its tokens, such as a convolution over their neighbours, leaves them in their place as
    attention does.
    """
    summands = step.parents()
    if name_of(step) not in ADDING or len(summands) != 2 or summands[0] is summands[1]:
        return None
    before, after = sorted(summands, key=lambda summand: summand.serial)
    open_steps, known = [after], {id(after)}
    while open_steps and len(known) < MAX_BRANCH:
        for parent in open_steps.pop().parents():
            if parent is before:
                return before
            if parent.serial > before.serial and id(parent) not in known:
                known.add(id(parent))
                open_steps.append(parent)
    return None
