"""The calculator in a real browser: it follows the viewer, says how near it is to the model, and follows every edit."""

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

from real_page import PATIENCE  # noqa: E402
from test_viewer_axe import DESK, PHONE, grave  # noqa: E402
from viewer_page import Seen, Show, number  # noqa: E402

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
from mmviz.types import Modality  # noqa: E402

pytestmark = pytest.mark.slow

expect = sync_api.expect


class Calculator:
    """The panel of a viewer that is open."""

    def __init__(self, seen: Seen):
        self.seen = seen
        self.panel = seen.panel("calculator")
        self.panel.scroll_into_view_if_needed()
        expect(self.part("calc-verdict")).not_to_be_empty(timeout=PATIENCE)

    def part(self, name: str) -> Any:
        return self.panel.locator(f"[data-part={name}]")

    def at(self, map: int, head: int, query: int) -> None:
        expect(self.panel).to_have_attribute("data-place", f"{map}:{head}:{query}", timeout=PATIENCE)

    def edited(self, is_edited: bool) -> None:
        expect(self.panel).to_have_attribute("data-edited", str(is_edited).lower(), timeout=PATIENCE)

    @property
    def verdict(self) -> list[float]:
        """The numbers of the sentence over the steps."""
        return [float(found) for found in re.findall(r"\d[\d.e+-]*\d|\d", self.part("calc-verdict").inner_text())]

    def table(self, step: int = 0) -> dict[str, list[float]]:
        """The rows of a table: key or modality, and its numbers."""
        rows = self.panel.locator(".numbers").nth(step).locator("tr:has(td)")
        return {
            row.locator("th").inner_text(): [
                number(cell.replace("∞", "inf")) for cell in row.locator("td").all_inner_texts()
            ]
            for row in rows.all()
        }

    def choose(self, part: str, value: int) -> None:
        option = self.part(part).locator(f'option[value="{value}"]')
        self.part(part).select_option(index=option.evaluate("one => one.index"))  # by value it takes labels as well


def worked(
    run: Run, place: tuple[int, int, int], temperature: float = 1, is_scaled: bool = True,
    blocked: NDArray[np.bool_] | None = None, score: tuple[int, float] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Weights and output, by Python."""
    layer, head, query = place
    steps = run.record.steps[layer]
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


def near(value: float) -> Any:
    """As it is written: four digits, and two of what is below a thousandth."""
    return pytest.approx(value, rel=1e-3 if abs(value) >= 0.001 else 0.05, abs=1e-30)


def names(run: Run, layer: int) -> list[str]:
    return [token.label for token in run.record.streams[run.record.maps[layer].keys]]


@pytest.fixture
def small(show: Show) -> Iterator[tuple[Run, Seen, Calculator]]:
    """Attention with a mask, in the first head of its second layer."""
    run = step_runs.masked_run()[0]
    seen = show(run)
    yield run, seen, Calculator(seen)


def test_it_says_how_near_it_is_and_follows_the_viewer(show: Show) -> None:
    run = step_runs.trio_run()
    seen = show(run)
    calculator = Calculator(seen)
    calculator.at(5, 0, 0)
    assert "first head of the last" in calculator.part("calc-notes").inner_text(), "the viewer begins with rollout"
    assert len(calculator.verdict) == 3 and 0 <= max(calculator.verdict) < 1e-5
    differences = calculator.panel.locator(".difference:not(:empty)").all_inner_texts()
    assert len(differences) == 4 and all(float(one.rpartition(" ")[2]) < 1e-5 for one in differences)
    seen.small("2:3").click()
    seen.leave()
    calculator.at(2, 3, 0)
    expect(calculator.part("calc-notes")).to_have_text("")
    word = next(k for k, token in enumerate(run.tokens) if token.modality is Modality.TEXT)
    seen.token(word, "tokens").click()
    seen.leave()  # or it previews what comes to lie under the pointer
    calculator.at(2, 3, word)
    weights, _ = worked(run, (2, 3, word))
    shown = calculator.table()
    strongest = int(weights.argmax())
    first = next(iter(shown.values()))
    assert first[3] == near(weights[strongest])
    assert first[4] == near(run.record.maps[2].weights[3, word].max())
    calculator.choose("calc-map", 4)
    calculator.at(4, 3, word)
    calculator.choose("calc-head", 2)
    calculator.choose("calc-query", 9)
    calculator.at(4, 2, 9)
    seen.shows(plane="4:2", tokens=[9])
    seen.part("direction").locator("[data-value=to]").click()
    expect(calculator.part("calc-notes")).to_contain_text("the first chosen token is the query here", timeout=PATIENCE)
    assert max(calculator.verdict) < 1e-5


def test_edits_lead_where_python_says(small: tuple[Run, Seen, Calculator]) -> None:
    run, seen, calculator = small
    calculator.at(1, 0, 0)
    calculator.edited(False)
    assert max(calculator.verdict) < 1e-5
    before = worked(run, (1, 0, 0))
    key = int(before[0].argmax())
    label = names(run, 1)[key]

    def agrees(**edits: Any) -> None:
        weights, output = worked(run, (1, 0, 0), **edits)
        calculator.edited(True)
        moved = float(np.linalg.norm(output - before[1]))
        expect(calculator.part("calc-verdict")).to_contain_text(f"moved by {moved:.6g}"[:11], timeout=PATIENCE)
        found = calculator.verdict
        assert found[0] == near(moved)
        assert found[1] == near(float(np.linalg.norm(before[1])))
        shown = calculator.table()
        for name, row in shown.items():
            at = names(run, 1).index(name)
            assert row[3] == near(weights[at]), name
            assert row[4] == near(before[0][at]), name

    calculator.part("calc-score").fill("-3.25")
    agrees(score=(key, -3.25))
    calculator.part("calc-more").click()
    agrees(score=(key, -2.75))
    calculator.part("calc-reset").click()
    calculator.edited(False)
    expect(calculator.part("calc-verdict")).to_contain_text("Matches the model", timeout=PATIENCE)
    assert max(calculator.verdict) < 1e-5

    kinds = np.array([str(token.modality) for token in run.record.streams["keys"]])
    mask = calculator.panel.locator(".edits .switch [data-value=image]")
    mask.click()
    expect(mask).to_have_attribute("aria-pressed", "true")
    agrees(blocked=kinds == "image")
    assert calculator.table(1)["picture"][2] == 0
    calculator.part("calc-scale").uncheck()
    agrees(blocked=kinds == "image", is_scaled=False)
    mask.click()
    calculator.part("calc-scale").check()
    calculator.edited(False)

    calculator.part("calc-temperature").focus()
    for _ in range(50):
        seen.page.keyboard.press("ArrowRight")
    expect(calculator.part("calc-temperature-told")).to_have_text("1.78", timeout=PATIENCE)
    seen.shows(plane="1:mean")  # the keys were the slider's, not the viewer's
    agrees(temperature=10 ** (50 / 200))
    calculator.choose("calc-key", key)
    calculator.part("calc-mask-key").click()
    agrees(temperature=10 ** (50 / 200), blocked=np.arange(len(kinds)) == key)
    assert label in calculator.table(), "the chosen key is shown, though its weight is 0"


def test_all_of_it_can_be_read_by_keyboard(small: tuple[Run, Seen, Calculator]) -> None:
    run, seen, calculator = small
    steps = run.record.steps[1]
    calculator.choose("calc-key", 3)
    strip = calculator.panel.locator("[data-step=calc-scores] .strip .stage")
    strip.nth(2).focus()
    seen.page.keyboard.press("Home")
    seen.page.keyboard.press("ArrowRight")
    product = float(steps.query[0, 0, 1]) * float(steps.key[0, 3, 1])
    told = strip.nth(2).get_attribute("aria-valuetext")
    assert told is not None and number(told.rpartition("= ")[2]) == near(product)
    expect(calculator.panel.locator("[data-step=calc-scores] .reading")).to_have_text(told)
    bars = calculator.panel.locator("[data-step=calc-softmax] .stage")
    bars.focus()
    seen.page.keyboard.press("End")
    last = [k for kind in ("image", "text", "audio", "special") for k, token in enumerate(run.record.streams["keys"])
            if token.modality == kind][-1]  # fmt: skip
    expect(calculator.panel).to_have_attribute("data-key", str(last), timeout=PATIENCE)
    calculator.at(1, 0, 0)
    assert calculator.panel.locator("button, input, select, [tabindex='0']").count() > 20
    reached = set()
    calculator.part("calc-map").focus()
    for _ in range(60):
        reached.add(seen.page.evaluate("document.activeElement.dataset.part ?? document.activeElement.className"))
        seen.page.keyboard.press("Tab")
    assert {"calc-head", "calc-query", "calc-key", "calc-temperature", "calc-scale", "calc-score", "calc-less",
            "calc-more", "calc-mask-key", "stage"} <= reached  # fmt: skip


def test_a_click_on_a_bar_chooses_its_key_and_edits_stay_with_their_query(small: tuple[Run, Seen, Calculator]) -> None:
    run, seen, calculator = small
    bars = calculator.panel.locator("[data-step=calc-scaled] .stage")
    bars.scroll_into_view_if_needed()
    box = bars.bounding_box()
    assert box is not None
    count = len(run.record.streams["keys"])
    seen.page.mouse.click(box["x"] + 46 + (box["width"] - 46) * 2.5 / count, box["y"] + 20)
    order = [k for kind in ("image", "text", "audio", "special") for k, token in enumerate(run.record.streams["keys"])
             if token.modality == kind]  # fmt: skip
    expect(calculator.panel).to_have_attribute("data-key", str(order[2]), timeout=PATIENCE)
    calculator.part("calc-score").fill("9")
    calculator.edited(True)
    calculator.choose("calc-query", 2)
    calculator.at(1, 0, 2)
    calculator.edited(False)
    calculator.choose("calc-query", 0)
    calculator.edited(True)
    calculator.choose("calc-map", 0)
    calculator.at(0, 0, 0)
    calculator.edited(False)
    options = calculator.part("calc-key").locator("option").all_inner_texts()
    assert sorted(options) == sorted(names(run, 0)), "keys of another stream"
    expect(calculator.part("calc-scaled-difference")).to_have_text("4 of 5 keys are masked.")  # it is causal
    weights = calculator.table()
    assert max(row[3] for row in weights.values()) == 1


def test_a_head_that_is_off_and_a_run_without_steps(show: Show) -> None:
    run = step_runs.masked_run()[0]
    off = tuple(replace(one, off=(0,)) for one in run.record.steps)
    calculator = Calculator(show(replace(run, record=replace(run.record, steps=off))))
    expect(calculator.panel.locator("[data-step=calc-joined] .live")).to_contain_text("is ablated")
    seen = show(replace(run, record=replace(run.record, steps=())))
    expect(seen.panel("calculator")).to_be_hidden()


def test_where_the_map_of_the_output_is_not_known_it_ends_with_the_head(show: Show) -> None:
    run = step_runs.masked_run()[0]
    bare = tuple(
        replace(one, projection=None, bias=None, output=None, to_query=None, query_bias=None, state=None)
        for one in run.record.steps
    )
    calculator = Calculator(show(replace(run, record=replace(run.record, steps=bare))))
    assert "output projection was not recorded" in calculator.part("calc-verdict").inner_text()
    steps = calculator.panel.locator(".board > li")
    assert [one.get_attribute("data-step") for one in steps.all()] == [
        "calc-scores", "calc-scaled", "calc-softmax", "calc-mixed"
    ]  # fmt: skip
    before = head_output(bare[1], 0, 0)
    calculator.part("calc-scale").uncheck()
    calculator.edited(True)
    weights = softmax_weights(scores(bare[1], 0, 0), mask=mask_row(bare[1], 0, 0))
    moved = np.linalg.norm(weighted_values(weights, bare[1].value[0]) - before)
    expect(calculator.part("calc-verdict")).to_contain_text("vector moved by", timeout=PATIENCE)
    assert calculator.verdict[0] == near(moved)


@pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_in_the_calculator(show: Show, scheme: str, screen: dict[str, int]) -> None:
    seen = show(step_runs.masked_run()[0], color_scheme=scheme, viewport=screen, bypass_csp=True)
    calculator = Calculator(seen)
    assert grave(seen) == []
    width = seen.page.evaluate("document.documentElement.scrollWidth")
    assert width <= screen["width"], "nothing is wider than the screen"
    calculator.panel.locator(".edits .switch [data-value=image]").click()
    calculator.part("calc-more").click()
    calculator.edited(True)
    assert grave(seen) == [], "edited"
