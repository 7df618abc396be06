"""The cost of attention: measurements of one layer, estimates, the figure, and the lesson."""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from app_page import address, markup, notes, now, press, run, settled, visit
from streamlit.testing.v1 import AppTest

from mmviz.analysis import cost_extrapolation
from mmviz.app.pages.learn import cost as lesson
from mmviz.backends import ignore_progress, never_stop
from mmviz.capture import layer_benchmark
from mmviz.capture.layer_benchmark import IMPLEMENTATIONS, Layer, LayerCost, LayerCosts, measure_layer_costs
from mmviz.figures.loglog import Series, format_quantity, growth_figure
from mmviz.figures.theme import DARK, LIGHT
from mmviz.i18n.learn_cost import COST
from mmviz.i18n.page import say
from mmviz.models.trio_inputs import SECONDS
from mmviz.models.trio_network import FRAMES, TrioConfig

pytestmark = pytest.mark.slow

HEADS, SIZE = 2, 8


def expected_bytes(tokens: int, heads: int, size: int) -> dict[str, int]:
    """Returns the bytes that each implementation keeps: queries, keys, values, outputs, row sums and weights."""
    vectors, row_sums = 4 * heads * tokens * size, 4 * heads * tokens
    checked_output = 4 * heads * (tokens if tokens <= 512 else 64) * size
    overview, row = 4 * heads * min(tokens, 512) ** 2, 4 * tokens
    return {
        "eager": 4 * heads * tokens**2, "fused": 4 * vectors + row_sums,
        "lazy": 3 * vectors + row_sums + checked_output + overview + row,
    }  # fmt: skip


def measure(*tokens: int, **options: Any) -> LayerCosts:
    """Returns the costs of a small layer over these numbers of tokens."""
    costs = measure_layer_costs(tokens, HEADS, SIZE, options.pop("progress", ignore_progress), never_stop, **options)
    assert costs is not None
    return costs


@pytest.fixture(scope="module")
def costs() -> LayerCosts:
    return measure(96, 600)


# measurements


def test_bytes_are_those_of_the_tensors(costs: LayerCosts) -> None:
    for count, size in zip((96, 600), costs.sizes, strict=True):
        assert size.bytes == expected_bytes(count, HEADS, SIZE)
        assert size.bytes["eager"] == cost_extrapolation.map_bytes(count, 1, HEADS)
    assert costs.tokens == [96, 600] and costs.left_out == ()
    assert costs.bytes("eager") == [size.bytes["eager"] for size in costs.sizes]


def test_the_lazy_view_is_exact(costs: LayerCosts) -> None:
    assert all(0 < size.difference < 1e-6 for size in costs.sizes)
    layer = Layer(600, HEADS, SIZE)
    query, key = (tensor[0].double().numpy() for tensor in (layer.query, layer.key))
    scores = np.exp(query @ key.transpose(0, 2, 1) / SIZE**0.5)
    weights = scores / scores.sum(-1, keepdims=True)
    means = np.repeat(np.eye(512) / np.diff(layer.edges)[:, None], np.diff(layer.edges), axis=1)
    overview = layer.overview()
    assert overview.shape == (HEADS, 512, 512)
    np.testing.assert_allclose(overview, means @ weights @ means.T, rtol=0, atol=1e-6)
    np.testing.assert_allclose(layer.row()[0], weights[0, 200], rtol=0, atol=1e-6)
    np.testing.assert_allclose(layer.eager()[0].numpy(), weights, rtol=0, atol=1e-6)
    expected = weights @ layer.value[0].double().numpy()
    for attn_output in (layer.eager()[1], layer.fused()[0][0]):
        np.testing.assert_allclose(attn_output.numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("part", ["overview", "row"])
def test_a_wrong_view_shows_in_the_difference(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = getattr(Layer, part)
    monkeypatch.setattr(Layer, part, lambda layer: exact(layer) + np.float32(1e-3))
    assert measure(32).sizes[0].difference == pytest.approx(1e-3, abs=1e-5)


def test_every_implementation_is_timed(costs: LayerCosts) -> None:
    for size in costs.sizes:
        assert list(size.seconds) == list(IMPLEMENTATIONS) and size.repeats >= 3
        assert min(*size.seconds.values(), size.row_seconds, size.repeat_seconds) > 0
    assert costs.seconds("eager") == [size.seconds["eager"] for size in costs.sizes]


@pytest.mark.parametrize(("enough", "repeats"), [(0.0, 3), (1e9, 15)])
def test_a_size_is_repeated_until_it_took_long_enough(
    enough: float, repeats: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_benchmark, "ENOUGH_SECONDS", enough)
    assert measure(16).sizes[0].repeats == repeats


def test_it_reports_progress_and_stops_when_told() -> None:
    reports: list[tuple[int, int]] = []
    costs = measure_layer_costs(
        (16, 32, 64), HEADS, SIZE, lambda done, total: reports.append((done, total)), lambda: len(reports) > 2
    )
    assert costs is not None and costs.tokens == [16, 32] and costs.left_out == ()
    assert reports == [(0, 3), (1, 3), (2, 3), (2, 3)]
    assert measure_layer_costs((16,), HEADS, SIZE, ignore_progress, lambda: True) is None


def test_sizes_that_would_take_too_long_are_left_out_and_named() -> None:
    reports: list[tuple[int, int]] = []
    costs = measure(16, 32, 2_049, 9_999, progress=lambda *report: reports.append(report), max_seconds=0.0)
    assert costs.tokens == [16, 32] and costs.left_out == (2_049, 9_999)
    assert reports[-1] == (2, 2)


def test_the_number_of_torch_threads_is_restored() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    threads: list[int] = []

    def note_threads(*_: int) -> None:
        threads.append(torch.get_num_threads())
        other = threading.Thread(target=lambda: threads.append(torch.get_num_threads()))
        other.start()
        other.join(60)

    try:
        measure(16, progress=note_threads)
        assert threads[:2] == [1, 3], "this thread computes alone, new ones as before"
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


# estimates


def test_the_lazy_view_needs_less_memory_than_all_weights_from_about_600_tokens_on() -> None:
    less = [count for count in range(513, 1_000) if expected_bytes(count, 4, 48)["lazy"] < 16 * count**2]
    assert 590 < less[0] < 610 and "600 tokens" in COST["learn-cost-misleads"]


def test_all_maps_of_a_model_take_four_bytes_a_weight() -> None:
    assert cost_extrapolation.map_bytes(150_000) == 4 * 6 * 4 * 22_500_000_000 == 2_160_000_000_000
    config = TrioConfig(1, (), ())
    assert (config.layers, config.heads, config.width // config.heads) == (
        cost_extrapolation.LAYERS, cost_extrapolation.HEADS, cost_extrapolation.SIZE
    )  # fmt: skip


def test_the_exponent_is_that_of_large_inputs() -> None:
    tokens = [128, 256, 512, 1_024, 2_048]
    assert cost_extrapolation.exponent(tokens, [9e9, 7e9, *(3e-9 * k**2 for k in tokens[2:])]) == pytest.approx(2)
    assert cost_extrapolation.exponent(tokens, [5.0 * k for k in tokens]) == pytest.approx(1)
    assert cost_extrapolation.exponent(tokens[:3], [1, 2, 3]) is None


def test_more_tokens_are_estimated_by_their_square_or_linearly() -> None:
    quadratic, linear = cost_extrapolation.quadratic_estimate, cost_extrapolation.linear_estimate
    tokens = [256, 1_024, 2_048]
    assert quadratic(4_096, tokens, [1, 2, 8]) == 32
    assert quadratic(1_024, tokens, [1, 2, 8]) == pytest.approx(2)
    assert quadratic(512, tokens, [1, 4, 8]) == pytest.approx(2)
    assert quadratic(100, tokens, [1, 2, 8]) == 1
    amounts = [0.0, *(700 + 3 * k for k in tokens[1:])]
    assert linear(10_000, tokens, amounts) == pytest.approx(30_700)
    assert linear(1_024, tokens, [1, 2, 8]) == pytest.approx(2)
    assert np.isnan(linear(4_096, [256, 512], [1, 2]))
    assert np.isnan(linear(4_096, [512, 1_024], [1, 2])) and np.isnan(linear(4_096, [1_024], [1]))


def test_familiar_inputs_have_as_many_tokens_as_they_say() -> None:
    assert lesson.INPUTS[150_000] == ("video", 60) and lesson.INPUTS[45_000] == ("sound", 3_600)
    assert lesson.INPUTS[4_096] == ("picture", 1_024) and lesson.INPUTS[256] == ("picture", 256)
    assert lesson.PATCHES * lesson.PATCH_SIDE**2 == 160**2
    assert pytest.approx(lesson.TOKENS_PER_SECOND) == FRAMES / SECONDS


# the figure


@pytest.mark.parametrize(
    ("amount", "unit", "words"),
    [
        (3.04e-7, "s", "0.3 µs"), (0.0152, "s", "15 ms"), (0.9999, "s", "1 s"), (59.4, "s", "59 s"),
        (90, "s", "1.5 min"), (3_600, "s", "1 h"), (1e6, "s", "280 h"), (2.16e12, "B", "2.16 TB"),
        (622_103, "B", "622 kB"), (999_999, "B", "1 MB"), (12, "B", "12 B"), (7.8e18, "B", "7,800 PB"),
    ],
)  # fmt: skip
def test_quantities_are_written_in_a_unit_that_fits(amount: float, unit: str, words: str) -> None:
    assert format_quantity(amount, unit) == words  # type: ignore[arg-type]


WORDS = {"title": "Time", "note": "one <core>", "measured": "measured", "estimated": "estimated"}


@pytest.mark.parametrize("dark", [False, True])
def test_the_figure_draws_measurements_and_estimates(dark: bool) -> None:
    tokens = [128, 1_024]
    lines = [Series("<eager>", tokens, [1e-3, 0.1], (10_000, 20.0)), Series("fused", tokens, [2e-3, 0.05])]
    figure = growth_figure(lines, 10_000, "s", WORDS, dark)
    first, ahead, second = figure.data
    assert (list(first.x), list(first.y)) == (tokens, [1e-3, 0.1]) and list(second.y) == [2e-3, 0.05]
    assert (list(ahead.x), list(ahead.y), ahead.line.dash) == ([1_024, 10_000], [0.1, 20.0], "dot")
    assert [trace.showlegend for trace in figure.data] == [True, False, True]
    assert first.text[1] == "&lt;eager&gt;<br>1,024: 100 ms" and "(estimated)" in ahead.hovertemplate
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert list(figure.layout.xaxis.ticktext)[:3] == ["100", "1,000", "10,000"]
    ticks = figure.layout.yaxis.tickvals
    assert 1 < len(ticks) <= 6 and all(1e-3 <= tick <= 20 for tick in ticks)
    assert list(figure.layout.yaxis.ticktext) == [format_quantity(tick, "s") for tick in ticks]
    (mark,) = figure.layout.shapes
    assert (mark.x0, mark.x1) == (10_000, 10_000)
    low, high = figure.layout.xaxis.range
    assert low < np.log10(128) and high > 4
    assert first.line.color == (DARK if dark else LIGHT).text != second.line.color
    assert "one &lt;core&gt;" in figure.layout.title.text


def test_the_axis_names_the_measured_sizes() -> None:
    figure = growth_figure([Series("eager", [128, 256], [1e5, 4e5])], 161, "B", WORDS)
    assert list(figure.layout.xaxis.ticktext) == ["128", "256"] and len(figure.data) == 1
    assert growth_figure([Series("eager", [128], [1e5])], 128, "B", WORDS).data[0].y == (1e5,)


# the lesson


def planned_cost(tokens: int) -> LayerCost:
    """Returns the cost of a size by simple formulas."""
    seconds = {"eager": 3e-8 * tokens**2, "fused": 2e-8 * tokens**1.9, "lazy": 1e-3 + 5e-8 * tokens**2}
    kept = {"eager": 16 * tokens**2, "fused": 3_088 * tokens, "lazy": 4_194_304 + 2_324 * tokens}
    return LayerCost(tokens, seconds, kept, 1e-3, 0.1, 9.8e-8 + tokens * 1e-12, 0.2, 5)  # type: ignore[arg-type]


@pytest.fixture
def shared() -> Iterator[LayerCosts]:
    """A measurement that another visitor has just made."""
    planned = LayerCosts(tuple(planned_cost(count) for count in (512, 1_024, 2_048)), (4_096,))
    lesson._measurement[:] = [(time.monotonic(), planned)]
    yield planned
    lesson._measurement.clear()


def numbers(page: AppTest) -> dict[str, str]:
    """Returns the numbers on the page by their labels."""
    return {element.label: element.value for element in page.metric}


def label(code: str, estimated: bool | None = None, **parameters: object) -> str:
    """Returns the label of a number of the lesson."""
    if estimated is not None:
        parameters["how"] = say("learn-cost-estimated" if estimated else "learn-cost-measured")
    return say(f"learn-cost-{code}", **parameters)


def open_lesson(**params: str) -> AppTest:
    """Returns the lesson once its measurement is finished."""
    return settled(visit(page="learn", lesson="cost", **params))


def test_the_lesson_shows_measurements_and_estimates(shared: LayerCosts) -> None:
    page = open_lesson(**{"at-tokens": "150,000"})
    lazy = cost_extrapolation.linear_estimate(150_000, shared.tokens, shared.bytes("lazy"))
    assert lazy == pytest.approx(4_194_304 + 2_324 * 150_000)
    eager, fused = (
        cost_extrapolation.quadratic_estimate(150_000, shared.tokens, shared.seconds(name))
        for name in ("eager", "fused")
    )
    sizes = {"half": "1,024", "tokens": "2,048"}
    assert numbers(page) == {
        label("maps", maps=24): "2.16 TB",
        label("kept", estimated=True): format_quantity(6 * lazy, "B"),
        label("eager", estimated=True): format_quantity(eager, "s"),
        label("fused", estimated=True): format_quantity(fused, "s"),
        label("double-eager", **sizes): "× 4.0",
        label("double-fused", **sizes): f"× {2**1.9:.1f}",
        label("view", tokens="2,048", full="67.1 MB"): format_quantity(shared.bytes("lazy")[-1], "B"),
        label("difference"): "1.0 × 10⁻⁷",
    }
    text = markup(page)
    assert say("learn-cost-is-video", tokens="150,000", amount="1 min", rate=25, patches=100) in text
    assert "22,500,000,000" in text and "540,000,000,000" in text
    assert html.escape(say("learn-cost-left-out", tokens="4,096")) in text
    assert html.escape(say("learn-cost-how", heads=4, size=48, least=5)) in text
    assert address(page)["at-tokens"] == "150,000"


def test_the_lesson_begins_with_the_tokens_of_the_run(shared: LayerCosts) -> None:
    page = open_lesson(**{"at-odd": "1"})
    count = max(now(page).run.record.maps[-1].shape)  # type: ignore[union-attr]
    assert address(page)["at-tokens"] == str(count)
    assert say("learn-cost-is-run", tokens=count) in markup(page)
    assert numbers(page)[label("maps", maps=24)] == format_quantity(cost_extrapolation.map_bytes(count), "B")
    assert label("fused", estimated=True) in numbers(page)
    page.select_slider[0].set_value(1_024)
    shown = numbers(run(page))
    assert shown[label("eager", estimated=False)] == format_quantity(shared.seconds("eager")[1], "s")
    assert shown[label("kept", estimated=False)] == format_quantity(6 * shared.bytes("lazy")[1], "B")
    assert say("learn-cost-is-picture", tokens="1,024", amount=512, side=16) in markup(page)


def test_what_cannot_be_estimated_is_left_open() -> None:
    lesson._measurement[:] = [(time.monotonic(), LayerCosts((planned_cost(128),), ()))]
    page = open_lesson(**{"at-tokens": "45,000"})
    lesson._measurement.clear()
    shown = numbers(page)
    assert shown[label("kept", estimated=True)] == "–" and not any("→" in name for name in shown)
    assert say("learn-cost-is-sound", tokens="45,000", amount="1 h", rate=12.5) in markup(page)


def test_a_measurement_is_shared_until_somebody_measures_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "SIZES", (16, 32))
    page = open_lesson(**{"at-tokens": "32"})
    first = lesson._measurement[-1][1]
    assert first.tokens == [16, 32] and not notes(page, "error")
    open_lesson(**{"at-tokens": "32"})
    assert lesson._measurement[-1][1] is first
    press(page, "learn-cost-again")
    settled(page)
    assert lesson._measurement[-1][1] is not first
    lesson._measurement.clear()


def test_a_stopped_measurement_does_not_wait_for_another() -> None:
    with lesson._measuring:
        assert lesson._measure(ignore_progress, lambda: True) is None
