"""The calculator in a real browser: it follows the viewer, gives its difference from the model, and follows edits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import step_runs
from numpy.typing import NDArray

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import PATIENCE, until  # noqa: E402
from test_viewer_axe import DESKTOP, PHONE, violations  # noqa: E402
from viewer_page import Show, ViewerPage, number  # noqa: E402

from mmviz.analysis.attention_steps import (  # noqa: E402
    head_output,
    mask_row,
    projected_output,
    scale_scores,
    scores,
    softmax_weights,
    weighted_values,
)
from mmviz.explain import Run  # noqa: E402
from mmviz.types import MapRef, Modality  # noqa: E402

pytestmark = pytest.mark.slow

expect = sync_api.expect


class Calculator:
    """The calculator of an open viewer."""

    def __init__(self, viewer: ViewerPage):
        self.viewer = viewer
        self.panel = viewer.panel("calculator")
        self.panel.scroll_into_view_if_needed()
        expect(self.part("calc-verdict")).not_to_be_empty(timeout=PATIENCE)

    def part(self, name: str) -> Any:
        return self.panel.locator(f"[data-part={name}]")

    def expect_target(self, map: int, head: int, query: int) -> None:
        """Waits until the calculator computes this attention; ``map`` is the number of the map."""
        expect(self.panel).to_have_attribute("data-target", f"{map}:{head}:{query}", timeout=PATIENCE)

    def expect_edited(self, is_edited: bool) -> None:
        expect(self.panel).to_have_attribute("data-edited", str(is_edited).lower(), timeout=PATIENCE)

    @property
    def verdict(self) -> list[float]:
        """The numbers of the sentence above the steps."""
        return [float(text) for text in re.findall(r"\d[\d.e+-]*\d|\d", self.part("calc-verdict").inner_text())]

    def table(self, step: int = 0) -> dict[str, list[float]]:
        """Returns the rows of a table: key or modality, and its numbers."""
        rows = self.panel.locator(".numbers").nth(step).locator("tr:has(td)")
        return {
            row.locator("th").inner_text(): [
                number(cell.replace("∞", "inf")) for cell in row.locator("td").all_inner_texts()
            ]
            for row in rows.all()
        }

    def choose(self, part: str, value: int) -> None:
        option = self.part(part).locator(f'option[value="{value}"]')
        self.part(part).select_option(index=option.evaluate("option => option.index"))  # by value it takes labels too


def computed(
    run: Run, target: tuple[int, int, int], temperature: float = 1, is_scaled: bool = True,
    blocked: NDArray[np.bool_] | None = None, score: tuple[int, float] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Returns weights and output of a map, head and query, computed in Python."""
    number, head, query = target
    steps = run.record.steps[number]
    raw = scores(steps, head, query)
    if score:
        raw[score[0]] = score[1]
    mask = mask_row(steps, head, query)
    mask = np.zeros(len(raw)) if mask is None else mask
    if blocked is not None:
        mask = np.where(blocked, -np.inf, mask)
    weights = softmax_weights(scale_scores(steps, raw) if is_scaled else raw, temperature, mask)
    output = projected_output(steps, query, {head: weighted_values(weights, steps.value[head])})
    assert output is not None
    return weights, output


def as_printed(value: float) -> Any:
    """Equals ``value`` to the digits that are printed: four, and two below a thousandth."""
    return pytest.approx(value, rel=1e-3 if abs(value) >= 0.001 else 0.05, abs=1e-30)


def key_names(run: Run, number: int) -> list[str]:
    return [token.label for token in run.record.streams[run.record.maps[number].keys]]


@pytest.fixture
def masked(show: Show) -> Iterator[tuple[Run, ViewerPage, Calculator]]:
    """A run with masks, opened at the first head of its second map."""
    run = step_runs.masked_run()[0]
    viewer = show(run)
    yield run, viewer, Calculator(viewer)


def test_the_calculator_follows_the_viewer_and_matches_the_model(show: Show) -> None:
    run = step_runs.trio_run()
    viewer = show(run)
    calculator = Calculator(viewer)
    first = MapRef.parse(str(run.map_ref))
    assert first.layer is not None and first.head is None
    calculator.expect_target(first.layer, 0, 0)
    assert "first head" in calculator.part("calc-notes").inner_text(), "the viewer begins with a mean over heads"
    assert len(calculator.verdict) == 3 and 0 <= max(calculator.verdict) < 1e-5
    differences = calculator.panel.locator(".difference:not(:empty)").all_inner_texts()
    assert len(differences) == 4 and all(float(text.rpartition(" ")[2]) < 1e-5 for text in differences)
    record = run.record
    viewer.thumbnail(str(record.map_ref(record.map_number(MapRef("attention", 2)), 3))).click()
    viewer.leave()
    calculator.expect_target(2, 3, 0)
    expect(calculator.part("calc-notes")).to_have_text("")
    word = next(k for k, token in enumerate(run.tokens) if token.modality is Modality.TEXT)
    viewer.token(word, "tokens").click()
    viewer.leave()  # or the map under the pointer is previewed
    calculator.expect_target(2, 3, word)
    weights, _ = computed(run, (2, 3, word))
    table = calculator.table()
    strongest = int(weights.argmax())
    first = next(iter(table.values()))
    assert first[3] == as_printed(weights[strongest])
    assert first[4] == as_printed(run.record.maps[2].weights[3, word].max())
    calculator.choose("calc-map", 4)
    calculator.expect_target(4, 3, word)
    calculator.choose("calc-head", 2)
    calculator.choose("calc-query", 9)
    calculator.expect_target(4, 2, 9)
    viewer.shows(map=str(record.map_ref(record.map_number(MapRef("attention", 4)), 2)), tokens=[9])
    viewer.part("direction").locator("[data-value=to]").click()
    expect(calculator.part("calc-notes")).to_contain_text("the first chosen token is the query here", timeout=PATIENCE)
    assert max(calculator.verdict) < 1e-5


def test_edits_give_what_python_computes(masked: tuple[Run, ViewerPage, Calculator]) -> None:
    run, viewer, calculator = masked
    calculator.expect_target(1, 0, 0)
    calculator.expect_edited(False)
    assert max(calculator.verdict) < 1e-5
    before = computed(run, (1, 0, 0))
    key = int(before[0].argmax())
    label = key_names(run, 1)[key]

    def expect_edits(**edits: Any) -> None:
        weights, output = computed(run, (1, 0, 0), **edits)
        calculator.expect_edited(True)
        moved = float(np.linalg.norm(output - before[1]))
        length = float(np.linalg.norm(before[1]))
        until(viewer.page, lambda: calculator.verdict == [as_printed(moved), as_printed(length)])
        for name, row in calculator.table().items():
            at = key_names(run, 1).index(name)
            assert row[3] == as_printed(weights[at]), name
            assert row[4] == as_printed(before[0][at]), name

    calculator.part("calc-score").fill("-3.25")
    expect_edits(score=(key, -3.25))
    calculator.part("calc-more").click()
    expect_edits(score=(key, -2.75))
    calculator.part("calc-reset").click()
    calculator.expect_edited(False)
    expect(calculator.part("calc-verdict")).to_contain_text("Matches the model", timeout=PATIENCE)
    assert max(calculator.verdict) < 1e-5

    kinds = np.array([str(token.modality) for token in run.record.streams["keys"]])
    mask = calculator.panel.locator(".edits .switch [data-value=image]")
    mask.click()
    expect(mask).to_have_attribute("aria-pressed", "true")
    expect_edits(blocked=kinds == "image")
    assert calculator.table(1)["picture"][2] == 0
    calculator.part("calc-scale").uncheck()
    expect_edits(blocked=kinds == "image", is_scaled=False)
    mask.click()
    calculator.part("calc-scale").check()
    calculator.expect_edited(False)

    calculator.part("calc-temperature").focus()
    for _ in range(50):
        viewer.page.keyboard.press("ArrowRight")
    expect(calculator.part("calc-temperature-value")).to_have_text("1.78", timeout=PATIENCE)
    viewer.shows(map=run.record.map_ref(1))  # the keys were the slider's, not the viewer's
    expect_edits(temperature=10 ** (50 / 200))
    calculator.choose("calc-key", key)
    expect(calculator.panel).to_have_attribute("data-key", str(key), timeout=PATIENCE)
    calculator.part("calc-mask-key").click()
    expect_edits(temperature=10 ** (50 / 200), blocked=np.arange(len(kinds)) == key)
    assert label in calculator.table(), "the chosen key is listed, though its weight is 0"


def test_every_number_can_be_read_by_keyboard(masked: tuple[Run, ViewerPage, Calculator]) -> None:
    run, viewer, calculator = masked
    steps = run.record.steps[1]
    calculator.choose("calc-key", 3)
    expect(calculator.panel).to_have_attribute("data-key", "3", timeout=PATIENCE)  # it is drawn in the next frame
    strip = calculator.panel.locator("[data-step=calc-scores] .strip .stage")
    strip.nth(2).focus()
    viewer.page.keyboard.press("Home")
    viewer.page.keyboard.press("ArrowRight")
    product = float(steps.query[0, 0, 1]) * float(steps.key[0, 3, 1])
    text = strip.nth(2).get_attribute("aria-valuetext")
    assert text is not None and number(text.rpartition("= ")[2]) == as_printed(product)
    expect(calculator.panel.locator("[data-step=calc-scores] .reading")).to_have_text(text)
    bars = calculator.panel.locator("[data-step=calc-softmax] .stage")
    bars.focus()
    viewer.page.keyboard.press("End")
    last = [k for kind in ("image", "text", "audio", "special") for k, token in enumerate(run.record.streams["keys"])
            if token.modality == kind][-1]  # fmt: skip
    expect(calculator.panel).to_have_attribute("data-key", str(last), timeout=PATIENCE)
    calculator.expect_target(1, 0, 0)
    assert calculator.panel.locator("button, input, select, [tabindex='0']").count() > 20
    reached = set()
    calculator.part("calc-map").focus()
    for _ in range(60):
        reached.add(viewer.page.evaluate("document.activeElement.dataset.part ?? document.activeElement.className"))
        viewer.page.keyboard.press("Tab")
    assert {"calc-head", "calc-query", "calc-key", "calc-temperature", "calc-scale", "calc-score", "calc-less",
            "calc-more", "calc-mask-key", "stage"} <= reached  # fmt: skip


def test_a_click_on_a_bar_chooses_its_key(masked: tuple[Run, ViewerPage, Calculator]) -> None:
    run, viewer, calculator = masked
    bars = calculator.panel.locator("[data-step=calc-scaled] .stage")
    bars.scroll_into_view_if_needed()
    box = bars.bounding_box()
    assert box is not None
    count = len(run.record.streams["keys"])
    viewer.page.mouse.click(box["x"] + 46 + (box["width"] - 46) * 2.5 / count, box["y"] + 20)
    order = [k for kind in ("image", "text", "audio", "special") for k, token in enumerate(run.record.streams["keys"])
             if token.modality == kind]  # fmt: skip
    expect(calculator.panel).to_have_attribute("data-key", str(order[2]), timeout=PATIENCE)
    calculator.part("calc-score").fill("9")
    calculator.expect_edited(True)
    calculator.choose("calc-query", 2)
    calculator.expect_target(1, 0, 2)
    calculator.expect_edited(False)
    calculator.choose("calc-query", 0)
    calculator.expect_edited(True)
    calculator.choose("calc-map", 0)
    calculator.expect_target(0, 0, 0)
    calculator.expect_edited(False)
    options = calculator.part("calc-key").locator("option").all_inner_texts()
    assert sorted(options) == sorted(key_names(run, 0)), "keys of another stream"
    expect(calculator.part("calc-scaled-difference")).to_have_text("4 of 5 keys are masked.")  # it is causal
    weights = calculator.table()
    assert max(row[3] for row in weights.values()) == 1


def test_an_ablated_head_contributes_nothing_and_a_run_without_steps_has_no_calculator(show: Show) -> None:
    run = step_runs.masked_run()[0]
    ablated = tuple(replace(steps, ablated_heads=(0,)) for steps in run.record.steps)
    calculator = Calculator(show(replace(run, record=replace(run.record, steps=ablated))))
    expect(calculator.panel.locator("[data-step=calc-concatenated] .numbers-line")).to_contain_text("is ablated")
    viewer = show(replace(run, record=replace(run.record, steps=())))
    expect(viewer.panel("calculator")).to_be_hidden()


def test_without_the_output_projection_the_steps_end_with_the_head(show: Show) -> None:
    run = step_runs.masked_run()[0]
    bare = tuple(
        replace(steps, projection=None, bias=None, output=None, to_query=None, query_bias=None, state=None)
        for steps in run.record.steps
    )
    calculator = Calculator(show(replace(run, record=replace(run.record, steps=bare))))
    assert "output projection was not recorded" in calculator.part("calc-verdict").inner_text()
    steps = calculator.panel.locator(".steps > li")
    assert [step.get_attribute("data-step") for step in steps.all()] == [
        "calc-scores", "calc-scaled", "calc-softmax", "calc-attn-output"
    ]  # fmt: skip
    before = head_output(bare[1], 0, 0)
    calculator.part("calc-scale").uncheck()
    calculator.expect_edited(True)
    weights = softmax_weights(scores(bare[1], 0, 0), mask=mask_row(bare[1], 0, 0))
    moved = np.linalg.norm(weighted_values(weights, bare[1].value[0]) - before)
    expect(calculator.part("calc-verdict")).to_contain_text("vector moved by", timeout=PATIENCE)
    assert calculator.verdict[0] == as_printed(moved)


@pytest.mark.pages
@pytest.mark.parametrize(("scheme", "screen"), [("light", DESKTOP), ("dark", PHONE)], ids=["light", "dark-phone"])
def test_the_calculator_has_no_serious_violation(show: Show, scheme: str, screen: dict[str, int]) -> None:
    viewer = show(step_runs.masked_run()[0], color_scheme=scheme, viewport=screen, bypass_csp=True)
    calculator = Calculator(viewer)
    assert violations(viewer) == []
    width = viewer.page.evaluate("document.documentElement.scrollWidth")
    assert width <= screen["width"], "nothing is wider than the screen"
    calculator.panel.locator(".edits .switch [data-value=image]").click()
    calculator.part("calc-more").click()
    calculator.expect_edited(True)
    assert violations(viewer) == [], "edited"
