"""What attention costs: bytes on paper, an exact view, what is estimated, and the lesson."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from app_page import address, markup, notes, now, press, run, visit
from streamlit.testing.v1 import AppTest

from mmviz.analysis import attention_cost as paper
from mmviz.app.pages.learn import cost as lesson
from mmviz.backends import never, quiet
from mmviz.capture import layer_cost as library
from mmviz.capture.layer_cost import WAYS, Costs, Layer, Size, costs
from mmviz.figures.loglog import Line, growth_figure, written
from mmviz.figures.theme import DARK, LIGHT
from mmviz.i18n.learn_cost import COST
from mmviz.models.bundled import SECONDS
from mmviz.models.trio import FRAMES, PATCHES, TrioConfig

HEADS, SIZE = 2, 8


def kept_on_paper(tokens: int, heads: int, size: int) -> dict[str, int]:
    """Bytes by way: vectors of queries, keys, values and outputs, a sum for each row, and weights."""
    vectors, sums = 4 * heads * tokens * size, 4 * heads * tokens
    tried = 4 * heads * (tokens if tokens <= 512 else 64) * size  # rows of the output that are kept
    overview, row = 4 * heads * min(tokens, 512) ** 2, 4 * tokens
    return {
        "full": 4 * heads * tokens**2, "fused": 4 * vectors + sums,
        "view": 3 * vectors + sums + tried + overview + row,
    }  # fmt: skip


@pytest.fixture(scope="module")
def measured() -> Costs:
    found = costs((96, 600), HEADS, SIZE, quiet, never)
    assert found is not None
    return found


# on this machine


def test_bytes_are_those_worked_out_on_paper(measured: Costs) -> None:
    for count, size in zip((96, 600), measured.sizes, strict=True):
        assert size.bytes == kept_on_paper(count, HEADS, SIZE)
        assert size.bytes["full"] == paper.map_bytes(count, 1, HEADS)
    assert measured.tokens == [96, 600] and measured.left_out == ()
    assert measured.bytes("full") == [size.bytes["full"] for size in measured.sizes]


def test_the_view_is_exact(measured: Costs) -> None:
    assert all(0 < size.difference < 1e-6 for size in measured.sizes)
    layer = Layer(600, HEADS, SIZE)
    query, key = (one[0].double().numpy() for one in (layer.query, layer.key))
    scores = np.exp(query @ key.transpose(0, 2, 1) / SIZE**0.5)
    weights = scores / scores.sum(-1, keepdims=True)
    means = np.repeat(np.eye(512) / np.diff(layer.edges)[:, None], np.diff(layer.edges), axis=1)
    view = layer.view()
    assert view.shape == (HEADS, 512, 512)
    np.testing.assert_allclose(view, means @ weights @ means.T, rtol=0, atol=1e-6)
    np.testing.assert_allclose(layer.row()[0], weights[0, 200], rtol=0, atol=1e-6)
    np.testing.assert_allclose(layer.full()[0].numpy(), weights, rtol=0, atol=1e-6)
    values = weights @ layer.value[0].double().numpy()
    for attn_output in (layer.full()[1], layer.fused()[0][0]):
        np.testing.assert_allclose(attn_output.numpy(), values, rtol=0, atol=1e-5)


@pytest.mark.parametrize("part", ["view", "row"])
def test_a_view_that_is_not_exact_is_told(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = getattr(Layer, part)
    monkeypatch.setattr(Layer, part, lambda layer: right(layer) + np.float32(1e-3))
    found = costs((32,), HEADS, SIZE, quiet, never)
    assert found is not None and found.sizes[0].difference == pytest.approx(1e-3, abs=1e-5)


def test_every_way_took_time_and_turns(measured: Costs) -> None:
    for size in measured.sizes:
        assert list(size.seconds) == list(WAYS) and size.turns >= 3
        assert min(*size.seconds.values(), size.row, size.turn) > 0
    assert measured.seconds("full")[1] > measured.seconds("full")[0]


@pytest.mark.parametrize(("enough", "turns"), [(0.0, 3), (1e9, 15)])
def test_there_are_more_turns_only_until_it_was_enough(
    enough: float, turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "ENOUGH", enough)
    found = costs((16,), HEADS, SIZE, quiet, never)
    assert found is not None and found.sizes[0].turns == turns


def test_it_tells_how_far_it_is_and_stops_when_told() -> None:
    told: list[tuple[int, int]] = []
    found = costs((16, 32, 64), HEADS, SIZE, lambda done, of: told.append((done, of)), lambda: len(told) > 2)
    assert found is not None and found.tokens == [16, 32] and found.left_out == ()
    assert told == [(0, 3), (1, 3), (2, 3), (2, 3)]
    assert costs((16,), HEADS, SIZE, quiet, lambda: True) is None


def test_sizes_that_would_take_too_long_are_left_out_and_named() -> None:
    told: list[tuple[int, int]] = []
    found = costs((16, 32, 2_049, 9_999), HEADS, SIZE, lambda *now: told.append(now), never, seconds=0.0)
    assert found is not None and found.tokens == [16, 32] and found.left_out == (2_049, 9_999)
    assert told[-1] == (2, 2)


def test_threads_compute_as_before_afterwards() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    seen: list[int] = []

    def look(*_: int) -> None:
        seen.append(torch.get_num_threads())
        other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        other.start()
        other.join()

    try:
        costs((16,), HEADS, SIZE, look, never)
        assert seen[:2] == [1, 3]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


# on paper


def test_the_view_needs_less_than_all_weights_from_about_600_tokens_on() -> None:
    less = [count for count in range(513, 1_000) if kept_on_paper(count, 4, 48)["view"] < 16 * count**2]
    assert 590 < less[0] < 610 and "600 tokens" in COST["learn-cost-misleads"]


def test_all_maps_of_a_model_are_four_bytes_a_weight() -> None:
    assert paper.map_bytes(150_000) == 4 * 6 * 4 * 22_500_000_000 == 2_160_000_000_000
    config = TrioConfig(1, ())
    assert (config.layers, config.heads, config.width // config.heads) == (paper.LAYERS, paper.HEADS, paper.SIZE)


def test_a_power_is_found_from_large_inputs_alone() -> None:
    tokens = [128, 256, 512, 1_024, 2_048]
    assert paper.exponent(tokens, [9e9, 7e9, *(3e-9 * k**2 for k in tokens[2:])]) == pytest.approx(2)
    assert paper.exponent(tokens, [5.0 * k for k in tokens]) == pytest.approx(1)
    assert paper.exponent(tokens[:3], [1, 2, 3]) is None


def test_more_tokens_are_estimated_by_the_square_or_on_the_line() -> None:
    tokens = [256, 1_024, 2_048]
    assert paper.on_square(4_096, tokens, [1, 2, 8]) == 32
    assert paper.on_square(1_024, tokens, [1, 2, 8]) == pytest.approx(2)
    assert paper.on_square(512, tokens, [1, 4, 8]) == pytest.approx(2)
    assert paper.on_square(100, tokens, [1, 2, 8]) == 1
    line = [0.0, *(700 + 3 * k for k in tokens[1:])]
    assert paper.on_line(10_000, tokens, line) == pytest.approx(30_700)
    assert paper.on_line(1_024, tokens, [1, 2, 8]) == pytest.approx(2)
    assert np.isnan(paper.on_line(4_096, [256, 512, 1_024][:2], [1, 2]))
    assert np.isnan(paper.on_line(4_096, [512, 1_024], [1, 2])) and np.isnan(paper.on_line(4_096, [1_024], [1]))


def test_the_inputs_that_people_know_have_as_many_tokens_as_they_say() -> None:
    assert lesson.INPUTS[150_000] == ("video", 60) and lesson.INPUTS[45_000] == ("sound", 3_600)
    assert lesson.INPUTS[4_096] == ("picture", 1_024) and lesson.INPUTS[256] == ("picture", 256)
    assert PATCHES**2 == lesson.PATCHES and PATCHES * lesson.SIDE == 160
    assert pytest.approx(lesson.MOMENTS) == FRAMES / SECONDS


# the figure


@pytest.mark.parametrize(
    ("amount", "unit", "words"),
    [
        (3.04e-7, "s", "0.3 µs"), (0.0152, "s", "15 ms"), (0.9999, "s", "1 s"), (59.4, "s", "59 s"),
        (90, "s", "1.5 min"), (3_600, "s", "1 h"), (1e6, "s", "280 h"), (2.16e12, "B", "2.16 TB"),
        (622_103, "B", "622 kB"), (999_999, "B", "1 MB"), (12, "B", "12 B"), (7.8e18, "B", "7,800 PB"),
    ],
)  # fmt: skip
def test_amounts_are_written_in_a_unit_that_fits(amount: float, unit: str, words: str) -> None:
    assert written(amount, unit) == words  # type: ignore[arg-type]


WORDS = {"title": "Time", "note": "one <core>", "measured": "measured", "estimated": "estimated"}


@pytest.mark.parametrize("dark", [False, True])
def test_the_figure_holds_what_was_measured_and_what_is_estimated(dark: bool) -> None:
    tokens = [128, 1_024]
    lines = [Line("<full>", tokens, [1e-3, 0.1], (10_000, 20.0)), Line("fused", tokens, [2e-3, 0.05])]
    figure = growth_figure(lines, 10_000, "s", WORDS, dark)
    first, ahead, second = figure.data
    assert (list(first.x), list(first.y)) == (tokens, [1e-3, 0.1]) and list(second.y) == [2e-3, 0.05]
    assert (list(ahead.x), list(ahead.y), ahead.line.dash) == ([1_024, 10_000], [0.1, 20.0], "dot")
    assert [trace.showlegend for trace in figure.data] == [True, False, True]
    assert first.text[1] == "&lt;full&gt;<br>1,024: 100 ms" and "(estimated)" in ahead.hovertemplate
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert list(figure.layout.xaxis.ticktext)[:3] == ["100", "1,000", "10,000"]
    ticks = figure.layout.yaxis.tickvals
    assert 1 < len(ticks) <= 6 and all(1e-3 <= one <= 20 for one in ticks)
    assert list(figure.layout.yaxis.ticktext) == [written(one, "s") for one in ticks]
    (mark,) = figure.layout.shapes
    assert (mark.x0, mark.x1) == (10_000, 10_000)
    low, high = figure.layout.xaxis.range
    assert low < np.log10(128) and high > 4
    assert first.line.color == (DARK if dark else LIGHT).text != second.line.color
    assert "one &lt;core&gt;" in figure.layout.title.text


def test_within_what_was_measured_the_axis_names_its_sizes() -> None:
    figure = growth_figure([Line("full", [128, 256], [1e5, 4e5])], 161, "B", WORDS)
    assert list(figure.layout.xaxis.ticktext) == ["128", "256"] and len(figure.data) == 1
    assert growth_figure([Line("full", [128], [1e5])], 128, "B", WORDS).data[0].y == (1e5,)


# the lesson


def planned(tokens: int) -> Size:
    seconds = {"full": 3e-8 * tokens**2, "fused": 2e-8 * tokens**1.9, "view": 1e-3 + 5e-8 * tokens**2}
    kept = {"full": 16 * tokens**2, "fused": 3_088 * tokens, "view": 4_194_304 + 2_324 * tokens}
    return Size(tokens, seconds, kept, 1e-3, 0.1, 9.8e-8 + tokens * 1e-12, 0.2, 5)  # type: ignore[arg-type]


@pytest.fixture
def shared() -> Iterator[Costs]:
    """What somebody else has just measured."""
    made = Costs(tuple(planned(count) for count in (512, 1_024, 2_048)), (4_096,))
    lesson._found[:] = [(time.monotonic(), made)]
    yield made
    lesson._found.clear()


def numbers(page: AppTest) -> dict[str, str]:
    return {element.label: element.value for element in page.metric}


def opened(**at: str) -> AppTest:
    page = visit(page="learn", lesson="cost", **at)
    for _ in range(120):
        works = now(page).works.values()
        if works and all(work.wait(0) for work in works):
            return run(page)
        time.sleep(0.5)
        run(page)
    raise AssertionError("it is measured for ever")


def test_the_lesson_shows_what_the_library_measures(shared: Costs) -> None:
    page = opened(**{"at-tokens": "150,000"})
    view = paper.on_line(150_000, shared.tokens, shared.bytes("view"))
    assert view == pytest.approx(4_194_304 + 2_324 * 150_000)
    full, fused = (paper.on_square(150_000, shared.tokens, shared.seconds(way)) for way in ("full", "fused"))
    assert numbers(page) == {
        "All weights, 24 maps": "2.16 TB",
        "Kept for the exact view (estimated)": written(6 * view, "B"),
        "One layer, all weights (estimated)": written(full, "s"),
        "One layer, fused (estimated)": written(fused, "s"),
        "1,024 → 2,048 tokens, all weights": "× 4.0",
        "1,024 → 2,048 tokens, fused": f"× {2**1.9:.1f}",
        "Exact view of 2,048, not 67.1 MB": written(shared.bytes("view")[-1], "B"),
        "The two differ by at most": "1.0 × 10⁻⁷",
    }
    said = markup(page)
    assert "150,000 tokens: 1 min of video, 25 pictures a second of 100 patches each." in said
    assert "22,500,000,000 weights" in said and "540,000,000,000 numbers" in said
    assert "too long on the busy machine: 4,096 tokens" in said and "at least 5 turns" in said
    assert address(page)["at-tokens"] == "150,000"


def test_it_begins_with_the_run_and_says_what_is_measured(shared: Costs) -> None:
    page = opened(**{"at-odd": "1"})
    count = max(now(page).run.record.maps[-1].shape)  # type: ignore[union-attr]
    assert address(page)["at-tokens"] == str(count)
    assert f"{count} tokens: the run that is loaded." in markup(page)
    assert numbers(page)["All weights, 24 maps"] == written(paper.map_bytes(count), "B")
    assert "One layer, fused (estimated)" in numbers(page)
    page.select_slider[0].set_value(1_024)
    shown = numbers(run(page))
    assert shown["One layer, all weights (measured)"] == written(shared.seconds("full")[1], "s")
    assert shown["Kept for the exact view (measured)"] == written(6 * shared.bytes("view")[1], "B")
    assert "1,024 tokens: a picture of 512 × 512 pixels in patches of 16 × 16." in markup(page)


def test_where_too_little_was_measured_nothing_is_made_up() -> None:
    lesson._found[:] = [(time.monotonic(), Costs((planned(128),), ()))]
    page = opened(**{"at-tokens": "45,000"})
    lesson._found.clear()
    shown = numbers(page)
    assert shown["Kept for the exact view (estimated)"] == "–" and not any("→" in label for label in shown)
    assert "45,000 tokens: 1 h of sound, 12.5 tokens a second." in markup(page)


def test_it_is_measured_once_for_all_and_again_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "SIZES", (16, 32))
    page = opened(**{"at-tokens": "32"})
    first = lesson._found[-1][1]
    assert first.tokens == [16, 32] and not notes(page, "refusal")
    opened(**{"at-tokens": "32"})
    assert lesson._found[-1][1] is first
    press(page, "learn-cost-again")
    for work in now(page).works.values():
        work.wait(60)
    assert lesson._found[-1][1] is not first
    lesson._found.clear()


def test_nobody_waits_for_another_after_stopping() -> None:
    with lesson._alone:
        assert lesson._measured(quiet, lambda: True) is None
