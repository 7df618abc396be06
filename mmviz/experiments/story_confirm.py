"""Keeps of the steps of a story the tokens that carry them, each by its own cut.

Tokens of one place stand in for each other: to cut one of them alone mostly changes nothing. So a token is cut last:
what its cut takes once all others of the step are cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from mmviz.experiments.story_narrow import KEPT_TOGETHER
from mmviz.experiments.story_search import LEAST, Cutter, Step
from mmviz.types import ChosenTokens

Side = Literal["queries", "keys"]
STRONG = 0.05
"""A token is told, if that suffices, only if it gives back this part of the effect once all others of its step are cut:
of a thing that is read without doubt, what lies beside it still gives back more than `LEAST`."""
_SIDES: tuple[Side, Side] = ("queries", "keys")


def confirmed(cutter: Cutter, routes: Sequence[Step], steps: Sequence[Step]) -> list[Step]:
    """Returns ``steps`` with the tokens whose cut takes at least `LEAST` once all others of the step are cut, and
    `STRONG` of the effect where these take `KEPT_TOGETHER` of it by themselves.

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
    given_back = {
        place: rest.effect - steps[place[0]].effect for place, rest in zip(places, without, strict=True)
    }  # fmt: skip
    fewest = [carrying(steps[n], n, given_back, max(LEAST, -STRONG * steps[n].effect)) for n in range(len(steps))]
    fewer = [carrying(steps[n], n, given_back, LEAST) for n in range(len(steps))]
    changed = list(
        dict.fromkeys(some for some in (*fewest, *fewer) if some is not None and some not in steps)
    )  # fmt: skip
    measured = dict(zip(changed, cutter.measure(changed), strict=True))
    smaller: dict[int, Step | None] = {}
    for number, step in enumerate(steps):
        small, large = (
            None if some is None else measured.get(some, some) for some in (fewest[number], fewer[number])
        )  # fmt: skip
        if small is not None and small.effect <= min(-LEAST, KEPT_TOGETHER * step.effect):
            smaller[number] = small
        else:
            smaller[number] = large if large is not None and large.effect <= -LEAST else None
    told = [step for step in smaller.values() if step is not None]
    for number, step in enumerate(steps):
        if smaller[number] is None and all(other.modality is not step.modality for other in told):
            told += [route for route in routes if route.modality is step.modality][:1]
    return told


def carrying(
    step: Step, number: int, given_back: Mapping[tuple[int, Side, int], float], least: float
) -> Step | None:  # fmt: skip
    """Returns a step with the tokens that give back at least ``least`` once they alone may be read; None where a side
    has none of them."""
    for side in _SIDES:
        tokens = _tokens(step, side)
        kept = {token for token in tokens if len(tokens) == 1 or given_back[number, side, token] >= least}
        if tokens and not kept:
            return None
        if len(kept) < len(tokens):
            step = _with(step, side, kept)
    return step


def _tokens(step: Step, side: Side) -> tuple[int, ...]:
    """Returns the chosen tokens of one side of a step; none where it is a group."""
    group = getattr(step, side)
    return group.tokens if isinstance(group, ChosenTokens) else ()


def _with(step: Step, side: Side, tokens: set[int]) -> Step:
    """Returns a step with these tokens alone of one side, in their order."""
    group = getattr(step, side)
    kept = replace(group, tokens=tuple(token for token in group.tokens if token in tokens))
    return replace(step, queries=kept) if side == "queries" else replace(step, keys=kept)
