"""Lesson 9: time and memory of attention as inputs get longer, measured now, and an exact view without all weights."""

from __future__ import annotations

import html
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from mmviz.analysis.cost_extrapolation import (
    HEADS,
    LAYERS,
    SIZE,
    SIZES,
    exponent,
    linear_estimate,
    map_bytes,
    quadratic_estimate,
)
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.backends import Progress, Stop
from mmviz.figures.large_type import enlarge
from mmviz.figures.loglog import Series, Unit, format_quantity, growth_figure
from mmviz.i18n.minus_sign import scientific_text
from mmviz.i18n.page import say

if TYPE_CHECKING:  # imports torch, which the measuring thread does
    from mmviz.capture.layer_benchmark import Implementation, LayerCosts

PATCH_SIDE = 16
"""Pixels along a patch, as in most vision transformers."""
PATCHES = 100
"""Patches of a video frame: 160 x 160 pixels in such patches."""
TOKENS_PER_SECOND = 12.5
"""Audio tokens per second, as in the bundled model."""
FRAMES_PER_SECOND = 25
"""Frames per second of a video."""
INPUTS: Mapping[int, tuple[str, float]] = {
    **{(side // PATCH_SIDE) ** 2: ("picture", side) for side in (256, 512, 1_024)},
    **{round(seconds * FRAMES_PER_SECOND * PATCHES): ("video", seconds) for seconds in (10, 60)},
    round(3_600 * TOKENS_PER_SECOND): ("sound", 3_600),
}
"""Familiar inputs by their number of tokens: their kind, and pixels of a side or seconds."""
MAX_AGE = 600.0
"""Seconds for which all visitors share a measurement."""
IMPLEMENTATIONS: tuple[Implementation, Implementation, Implementation] = ("eager", "fused", "lazy")
_measuring = threading.Lock()
_measurement: list[tuple[float, LayerCosts]] = []
"""The last measurement and its time, if any."""


def cost(context: LessonContext) -> None:
    """Time and memory of attention by the number of tokens, with a slider over it."""
    run_tokens = max(max(attn_map.shape) for attn_map in context.run.record.maps)
    tokens = context.slider("tokens", sorted({run_tokens, *SIZES, *INPUTS}), run_tokens, lambda count: f"{count:,}")
    with context.in_part("numbers"):
        st.html(f"<div class='sum'>{html.escape(_input_text(tokens, run_tokens))}</div>")
        columns = st.columns(2) + st.columns(2) if context.is_large else st.columns(4)
        first, *others = columns
        with first:
            context.number("maps", format_quantity(map_bytes(tokens), "B"), maps=LAYERS * HEADS)
    costs = context.runner.measure(("cost",), _measure)
    if costs is not None:
        for column, (code, value, unit) in zip(others, _quantities(costs, tokens), strict=True):
            with column:
                how = say("learn-cost-measured" if tokens in costs.tokens else "learn-cost-estimated")
                context.number(code, format_quantity(value, unit) if math.isfinite(value) else "–", how=how)
        with context.in_part("figures"):
            _figures(costs, tokens, context.is_large)
        with context.in_part("measured"):
            _measurements(context, costs)


def seconds(costs: LayerCosts, implementation: Implementation, tokens: int) -> float:
    """Seconds for one layer, measured or estimated."""
    return quadratic_estimate(tokens, costs.tokens, costs.seconds(implementation))


def retained_bytes(costs: LayerCosts, implementation: Implementation, tokens: int) -> float:
    """Bytes retained of one layer, measured or estimated; NaN where too few sizes were measured to estimate."""
    if implementation == "eager":
        return map_bytes(tokens, 1)
    return linear_estimate(tokens, costs.tokens, costs.bytes(implementation))


def _quantities(costs: LayerCosts, tokens: int) -> list[tuple[str, float, Unit]]:
    return [
        ("kept", LAYERS * retained_bytes(costs, "lazy", tokens), "B"), ("eager", seconds(costs, "eager", tokens), "s"),
        ("fused", seconds(costs, "fused", tokens), "s"),
    ]  # fmt: skip


def _input_text(tokens: int, run_tokens: int) -> str:
    """An input that has so many tokens, and the number of its attention weights."""
    kind, amount = ("run", 0.0) if tokens == run_tokens else INPUTS.get(tokens, ("other", 0.0))
    rate = TOKENS_PER_SECOND if kind == "sound" else FRAMES_PER_SECOND
    amount_text = f"{amount:,}" if kind == "picture" else format_quantity(amount, "s")
    params = {"amount": amount_text, "side": PATCH_SIDE, "rate": rate, "patches": PATCHES, "tokens": f"{tokens:,}"}
    maps = LAYERS * HEADS
    pairs = say(
        "learn-cost-pairs", pairs=f"{tokens**2:,}", layers=LAYERS, heads=HEADS, maps=maps, every=f"{maps * tokens**2:,}"
    )
    return f"{say(f'learn-cost-is-{kind}', **params)} {pairs}"


def _figures(costs: LayerCosts, tokens: int, is_large: bool) -> None:
    """Time and memory of one layer, side by side."""
    times = [_series(costs, name, tokens, costs.seconds(name), seconds) for name in IMPLEMENTATIONS]
    memory = [_series(costs, name, tokens, costs.bytes(name), retained_bytes) for name in IMPLEMENTATIONS]
    left, right = st.columns(2, gap="medium")
    with left:
        _figure("seconds", "s", tokens, times, is_large)
    with right:
        _figure("bytes", "B", tokens, memory, is_large)


def _figure(code: str, unit: Unit, tokens: int, series: Sequence[Series], is_large: bool) -> None:
    texts = {"title": say(f"learn-cost-{code}"), "note": say(f"learn-cost-{code}-note")}
    texts |= {how: say(f"learn-cost-{how}") for how in ("measured", "estimated")}
    figure = growth_figure(series, tokens, unit, texts, page_elements.is_dark())
    if is_large:
        enlarge(figure)
    st.plotly_chart(figure, theme=None, config={"displayModeBar": False}, key=f"learn-cost-{code}", alt=texts["title"])


def _series(
    costs: LayerCosts, implementation: Implementation, tokens: int, measured: Sequence[float],
    estimate: Callable[[LayerCosts, Implementation, int], float],
) -> Series:  # fmt: skip
    name, power = say(f"learn-cost-line-{implementation}"), exponent(costs.tokens, measured)
    if power is not None:
        name = say("learn-cost-line-power", method=name, power=f"{power:.1f}")
    amount = estimate(costs, implementation, tokens)
    is_estimate = tokens > costs.tokens[-1] and math.isfinite(amount)
    return Series(name, costs.tokens, measured, (tokens, amount) if is_estimate else None)


def _measurements(context: LessonContext, costs: LayerCosts) -> None:
    """The measurements in numbers, how they were made, and a button to measure again."""
    last = costs.sizes[-1]
    columns = st.columns(2) + st.columns(2) if context.is_large else st.columns(4)
    for column, implementation in zip(columns, IMPLEMENTATIONS[:2], strict=False):
        if len(costs.sizes) > 1:
            half = costs.sizes[-2]
            ratio = last.seconds[implementation] / half.seconds[implementation]
            with column:
                context.number(
                    f"double-{implementation}", f"× {ratio:.1f}", half=f"{half.tokens:,}", tokens=f"{last.tokens:,}"
                )  # fmt: skip
    with columns[2]:
        view, full = format_quantity(last.bytes["lazy"], "B"), format_quantity(last.bytes["eager"], "B")
        context.number("view", view, tokens=f"{last.tokens:,}", full=full)
    with columns[3]:
        difference = max(size.difference for size in costs.sizes)
        context.number("difference", scientific_text(difference))
    least = min(size.repeats for size in costs.sizes)
    text = say("learn-cost-how", heads=HEADS, size=SIZE, least=least)
    if costs.left_out:
        text += " " + say("learn-cost-left-out", tokens=", ".join(f"{count:,}" for count in costs.left_out))
    left, right = st.columns([5, 1], vertical_alignment="center")
    with left:
        st.html(f"<div class='small'>{html.escape(text)}</div>")
    with right:
        st.button(
            say("learn-cost-again"), key="learn-cost-again", help=say("learn-cost-again-help"), type="tertiary",
            on_click=_measure_again, args=(context.run.record.id,),
        )  # fmt: skip


def _measure_again(record_id: str) -> None:
    _measurement.clear()
    session.current_state().experiments.pop((record_id, "cost"), None)


def _measure(tell: Progress, stop: Stop) -> LayerCosts | None:
    """Measure, at most once in `MAX_AGE` and one at a time for all visitors: two at a time would slow each other."""
    from mmviz.capture.layer_benchmark import measure_layer_costs

    while not _measuring.acquire(timeout=0.2):
        if stop():
            return None
    try:
        if _measurement and time.monotonic() - _measurement[-1][0] < MAX_AGE:
            return _measurement[-1][1]
        costs = measure_layer_costs(SIZES, HEADS, SIZE, tell, stop)
        if costs is not None and not stop():
            _measurement[:] = [(time.monotonic(), costs)]
        return costs
    finally:
        _measuring.release()
