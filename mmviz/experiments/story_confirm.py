"""Keeps of the steps of a story the tokens that carry them, each by its own cut.

Tokens of one place stand in for each other: to cut one of them alone mostly changes nothing. So a token is cut last:
what its cut takes once all others of the step are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from mmviz.experiments.story_search import LEAST, Cutter, Step
from mmviz.types import ChosenTokens

Side = Literal["queries", "keys"]
_SIDES: tuple[Side, Side] = ("queries", "keys")


def confirmed(cutter: Cutter, routes: Sequence[Step], steps: Sequence[Step]) -> list[Step]:
    """Returns ``steps`` with the tokens whose cut takes at least `LEAST` once all others of the step are cut.

    The cut of what is left is measured; a step without tokens, or with less than `LEAST`, gives way to that of its
    ``routes`` (whole ones, as they were cut), where no other step tells of the same modality. Raises `Stopped`.
    """
    places = [
        (number, side, token)
        for number, step in enumerate(steps) for side in _SIDES
        for token in _tokens(step, side) if len(_tokens(step, side)) > 1
    ]  # fmt: skip
    without = cutter.measure(
        [_with(steps[n], side, set(_tokens(steps[n], side)) - {token}) for n, side, token in places]
    )
    carrying = {
        place for place, rest in zip(places, without, strict=True) if steps[place[0]].effect - rest.effect <= -LEAST
    }  # fmt: skip
    smaller: dict[int, Step | None] = {}
    for number, step in enumerate(steps):
        small: Step | None = step
        for side in _SIDES:
            tokens = _tokens(step, side)
            kept = {token for token in tokens if (number, side, token) in carrying}
            if len(tokens) > 1 and len(kept) < len(tokens) and small is not None:
                small = _with(small, side, kept) if kept else None
        smaller[number] = small
    changed = [number for number, small in smaller.items() if small is not None and small != steps[number]]
    measured = cutter.measure([small for number in changed if (small := smaller[number]) is not None])
    smaller |= {n: step if step.effect <= -LEAST else None for n, step in zip(changed, measured, strict=True)}
    told = [step for step in smaller.values() if step is not None]
    for number, step in enumerate(steps):
        if smaller[number] is None and all(other.modality is not step.modality for other in told):
            told += [route for route in routes if route.modality is step.modality][:1]
    return told


def _tokens(step: Step, side: Side) -> tuple[int, ...]:
    """Returns the chosen tokens of one side of a step; none where it is a group."""
    group = getattr(step, side)
    return group.tokens if isinstance(group, ChosenTokens) else ()


def _with(step: Step, side: Side, tokens: set[int]) -> Step:
    """Returns a step with these tokens alone of one side, in their order."""
    group = getattr(step, side)
    kept = replace(group, tokens=tuple(token for token in group.tokens if token in tokens))
    return replace(step, queries=kept) if side == "queries" else replace(step, keys=kept)
