"""Lesson 9: what attention costs as inputs get longer, measured now, and how an exact view does without all weights."""

from __future__ import annotations

import html
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from mmviz.analysis.attention_cost import (
    HEADS,
    LAYERS,
    SIZE,
    SIZES,
    exponent,
    linear_estimate,
    map_bytes,
    quadratic_estimate,
)
from mmviz.app.components import widgets
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.backends import Progress, Stop
from mmviz.figures.loglog import Line, Unit, growth_figure, written
from mmviz.i18n.page import say

if TYPE_CHECKING:  # it brings torch, which the page waits for beside itself
    from mmviz.capture.layer_cost import Implementation, LayerCosts

SIDE, MOMENTS, PATCHES, PICTURES = 16, 12.5, 100, 25
"""Pixels along a patch, tokens a second of sound and patches of a picture, as in the bundled model; and pictures a
second of a video."""
INPUTS: Mapping[int, tuple[str, float]] = {
    **{(side // SIDE) ** 2: ("picture", side) for side in (256, 512, 1_024)},
    **{round(seconds * PICTURES * PATCHES): ("video", seconds) for seconds in (10, 60)},
    round(3_600 * MOMENTS): ("sound", 3_600),
}
"""Inputs that people know, by their tokens: pixels of a side, or seconds."""
FRESH = 600.0
"""Seconds for which a measurement is everybody's."""
IMPLEMENTATIONS: tuple[Implementation, Implementation, Implementation] = ("eager", "fused", "lazy")
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_alone = threading.Lock()
_found: list[tuple[float, LayerCosts]] = []


def cost(desk: LessonContext) -> None:
    """A number of tokens to choose, what it means, and time and memory of one layer by the number of tokens."""
    own = max(desk.run.record.maps[-1].shape)
    tokens = desk.slider("tokens", sorted({own, *SIZES, *INPUTS}), own, lambda count: f"{count:,}")
    st.html(f"<div class='sum'>{html.escape(_meaning(tokens, own))}</div>")
    first, *others = st.columns(4)
    with first:
        every = map_bytes(tokens)
        desk.number("maps", written(every, "B"), maps=LAYERS * HEADS)
    costs = desk.runner.measure(("cost",), _measured)
    if costs is not None:
        for place, (code, value, unit) in zip(others, _here(costs, tokens), strict=True):
            with place:
                how = say("learn-cost-measured" if tokens in costs.tokens else "learn-cost-estimated")
                desk.number(code, written(value, unit) if math.isfinite(value) else "–", how=how)
        _figures(costs, tokens)
        _measurements(desk, costs)


def seconds(costs: LayerCosts, implementation: Implementation, tokens: int) -> float:
    """What one layer takes, measured or estimated."""
    return quadratic_estimate(tokens, costs.tokens, costs.seconds(implementation))


def kept(costs: LayerCosts, implementation: Implementation, tokens: int) -> float:
    """Bytes that are kept of one layer, measured or estimated; NaN where too little is known for that."""
    if implementation == "eager":
        return map_bytes(tokens, 1)
    return linear_estimate(tokens, costs.tokens, costs.bytes(implementation))


def _here(costs: LayerCosts, tokens: int) -> list[tuple[str, float, Unit]]:
    return [
        ("kept", LAYERS * kept(costs, "lazy", tokens), "B"), ("eager", seconds(costs, "eager", tokens), "s"),
        ("fused", seconds(costs, "fused", tokens), "s"),
    ]  # fmt: skip


def _meaning(tokens: int, own: int) -> str:
    """What has so many tokens, and how many weights they make."""
    kind, amount = ("run", 0.0) if tokens == own else INPUTS.get(tokens, ("other", 0.0))
    rate = MOMENTS if kind == "sound" else PICTURES
    number = f"{amount:,}" if kind == "picture" else written(amount, "s")
    words = {"amount": number, "side": SIDE, "rate": rate, "patches": PATCHES, "tokens": f"{tokens:,}"}
    maps = LAYERS * HEADS
    pairs = say(
        "learn-cost-pairs", pairs=f"{tokens**2:,}", layers=LAYERS, heads=HEADS, maps=maps, every=f"{maps * tokens**2:,}"
    )
    return f"{say(f'learn-cost-is-{kind}', **words)} {pairs}"


def _figures(costs: LayerCosts, tokens: int) -> None:
    """Time and memory of one layer, side by side."""
    times = [_line(costs, name, tokens, costs.seconds(name), seconds) for name in IMPLEMENTATIONS]
    memory = [_line(costs, name, tokens, costs.bytes(name), kept) for name in IMPLEMENTATIONS]
    left, right = st.columns(2, gap="medium")
    with left:
        _figure("seconds", "s", tokens, times)
    with right:
        _figure("bytes", "B", tokens, memory)


def _figure(code: str, unit: Unit, tokens: int, lines: Sequence[Line]) -> None:
    words = {"title": say(f"learn-cost-{code}"), "note": say(f"learn-cost-{code}-note")}
    words |= {how: say(f"learn-cost-{how}") for how in ("measured", "estimated")}
    figure = growth_figure(lines, tokens, unit, words, widgets.is_dark())
    st.plotly_chart(figure, theme=None, config={"displayModeBar": False}, key=f"learn-cost-{code}")


def _line(
    costs: LayerCosts, implementation: Implementation, tokens: int, measured: Sequence[float],
    estimate: Callable[[LayerCosts, Implementation, int], float],
) -> Line:  # fmt: skip
    name, power = say(f"learn-cost-line-{implementation}"), exponent(costs.tokens, measured)
    if power is not None:
        name = say("learn-cost-line-power", method=name, power=f"{power:.1f}")
    amount = estimate(costs, implementation, tokens)
    is_ahead = tokens > costs.tokens[-1] and math.isfinite(amount)
    return Line(name, costs.tokens, measured, (tokens, amount) if is_ahead else None)


def _measurements(desk: LessonContext, costs: LayerCosts) -> None:
    """What was found, how, and a button to measure again."""
    last = costs.sizes[-1]
    places = st.columns(4)
    for place, implementation in zip(places, IMPLEMENTATIONS[:2], strict=False):
        if len(costs.sizes) > 1:
            half = costs.sizes[-2]
            times = last.seconds[implementation] / half.seconds[implementation]
            with place:
                desk.number(
                    f"double-{implementation}", f"× {times:.1f}", half=f"{half.tokens:,}", tokens=f"{last.tokens:,}"
                )  # fmt: skip
    with places[2]:
        view, full = written(last.bytes["lazy"], "B"), written(last.bytes["eager"], "B")
        desk.number("view", view, tokens=f"{last.tokens:,}", full=full)
    with places[3]:
        difference = max(size.difference for size in costs.sizes)
        desk.number("difference", _tiny(difference))
    least = min(size.repeats for size in costs.sizes)
    words = say("learn-cost-how", heads=HEADS, size=SIZE, least=least)
    if costs.left_out:
        words += " " + say("learn-cost-left-out", tokens=", ".join(f"{count:,}" for count in costs.left_out))
    told, again = st.columns([5, 1], vertical_alignment="center")
    with told:
        st.html(f"<div class='small'>{html.escape(words)}</div>")
    with again:
        st.button(
            say("learn-cost-again"), key="learn-cost-again", help=say("learn-cost-again-help"), type="tertiary",
            on_click=_again, args=(desk,),
        )  # fmt: skip


def _tiny(amount: float) -> str:
    """2.1 × 10⁻⁷."""
    digits, power = f"{amount:.1e}".split("e")
    return f"{digits} × 10{str(int(power)).translate(_RAISED)}"


def _again(desk: LessonContext) -> None:
    _found.clear()
    desk.runner.state.experiments.pop((desk.run.record.id, "cost"), None)


def _measured(tell: Progress, stop: Stop) -> LayerCosts | None:
    """Shared by all who use this page's machine: two measurements at a time would measure each other, and take twice
    the memory."""
    from mmviz.capture.layer_cost import measure_layer_costs

    while not _alone.acquire(timeout=0.2):
        if stop():
            return None
    try:
        if _found and time.monotonic() - _found[-1][0] < FRESH:
            return _found[-1][1]
        made = measure_layer_costs(SIZES, HEADS, SIZE, tell, stop)
        if made is not None and not stop():
            _found[:] = [(time.monotonic(), made)]
        return made
    finally:
        _alone.release()
