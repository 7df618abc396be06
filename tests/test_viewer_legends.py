"""What the viewer says of its numbers: units, legends, the label beside the pointer; in a real browser."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from records import plain  # noqa: E402
from viewer_page import Show, amounts, grey_run, number, say, three_digits  # noqa: E402

from mmviz.explain import Run  # noqa: E402
from mmviz.figures.colour_scale import short  # noqa: E402

pytestmark = pytest.mark.slow

PATCH = 4
expect = sync_api.expect


@lru_cache(maxsize=1)
def run() -> Run:
    return grey_run()


def rows() -> np.ndarray:
    """The weights ``[query, key]`` of the map that is shown first."""
    return amounts(run(), "1:mean")


def test_a_hover_draws_lines_to_the_strongest_and_reads_the_weight_beside_the_pointer(show: Show) -> None:
    viewer = show(run())
    links, tooltip = viewer.root.locator(".links"), viewer.root.locator(".tooltip")
    expect(links.locator("rect")).to_have_count(0)
    viewer.point(PATCH)
    viewer.shows(tokens=[PATCH])
    strongest = [k for k in np.argsort(-rows()[PATCH]) if k != PATCH][:3]
    largest = rows()[PATCH, 1:].max()
    marked = [int(k) for k in strongest if rows()[PATCH, k] >= largest / 4]
    assert marked
    expect(links.locator("rect.over")).to_have_count(len(marked))
    area = viewer.root.bounding_box()
    for k, rect in zip(marked, links.locator("rect.over").all(), strict=True):
        x, y = (float(rect.get_attribute(name)) + float(rect.get_attribute(size)) / 2
                for name, size in (("x", "width"), ("y", "height")))  # fmt: skip
        place = viewer.middle(k)
        if k < 16 or k >= 22:  # a chip is taller than its word
            assert (area["x"] + x, area["y"] + y) == pytest.approx(place, abs=2)
        assert area["x"] + x == pytest.approx(place[0], abs=2)
    expect(tooltip).to_contain_text(f"{say('unit-attention')} {three_digits(rows()[0, PATCH])}")
    viewer.leave()
    expect(links.locator("rect")).to_have_count(0)


def test_numbers_of_relevance_and_of_columns_carry_no_unit_of_a_share(show: Show) -> None:
    viewer = show(plain())
    weights = viewer.panel("modality-matrix").locator(".cell:visible")
    viewer.part("method").locator("[data-value=relevance]").click()
    viewer.shows(map="relevance")
    unit = say("unit-relevance")
    viewer.says("legend", say("unit-relative", unit=unit))
    cells = [number(text) for text in weights.all_inner_texts()]
    largest = max(cells)
    assert largest > 1, "a row of relevance may sum to more"
    note = viewer.panel("modality-matrix").locator(".note")
    expect(note).to_have_text(say("scale-cells", unit=unit, largest=short(largest)))
    expect(weights.first).to_have_attribute("aria-label", re.compile("^relevance of "))
    expect(viewer.panel("modality-bars").locator("th[scope=col]").last).to_have_text(say("modality-ratio-mean"))
    viewer.panel("modality-matrix").locator("[data-value=ratio]").click()
    expect(note).to_have_text(say("scale-ratio-mean"))
    expect(viewer.panel("matrix").locator(".note")).to_contain_text(unit)
    for direction in ("to", "from"):
        viewer.part("direction").locator(f"[data-value={direction}]").click()
        caption = viewer.panel("modality-bars").locator("caption")
        expect(caption).to_contain_text(say("sums-of-column" if direction == "to" else "sums-of-row", unit=unit))
    viewer.part("method").locator("[data-value=rollout]").click()
    viewer.says("legend", say("rollout-rows-1", unit=say("unit-rollout")))
    assert not {"attention", "share"} & set(viewer.panel("matrix").locator(".note").inner_text().lower().split())


def test_the_first_part_fits_a_screen_and_no_text_is_small(show: Show) -> None:
    viewer = show(run(), viewport={"width": 1280, "height": 720})
    viewer.root.evaluate("root => root.scrollIntoView({ block: 'start', behavior: 'instant' })")
    bottoms = [viewer.panel(name).bounding_box() for name in ("image", "audio", "modality-bars", "overview")]
    assert max(box["y"] + box["height"] for box in bottoms) <= 720
    assert bottoms[0]["width"] <= 420
    sizes = """root => [...root.querySelectorAll("*")]
      .filter((element) => element.checkVisibility() && [...element.childNodes].some((node) => node.data?.trim()))
      .map((element) => [parseFloat(getComputedStyle(element).fontSize), element.className])"""
    small = {name for size, name in viewer.root.evaluate(sizes) if size < 14}
    assert small <= {"amount", "corner", "cell"}, "numbers below words, and cells of a narrow table"
    viewer.click(0)
    chip = viewer.token(0)
    bottom = chip.locator(".word").evaluate("word => word.getBoundingClientRect().bottom")
    top = chip.locator(".amount").evaluate(
        "amount => amount.getBoundingClientRect().top + parseFloat(getComputedStyle(amount).paddingTop)"
    )
    assert top >= bottom + 3, "the ring is 3 pixels around the word"
