"""The section Lens in a real browser: it draws what the library reads, and a patch tells what it would answer."""

from __future__ import annotations

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import PATIENCE, settle  # noqa: E402

from mmviz.backends.local import LocalBackend  # noqa: E402
from mmviz.experiments.lens import measure_lens  # noqa: E402
from mmviz.inputs.examples import load_gallery  # noqa: E402
from mmviz.report.lens_grid import LensGrid  # noqa: E402
from mmviz.types import PixelBox, Request  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.pages]

FIRST = load_gallery()[0]


def test_an_answer_forms_on_the_screen_and_patches_tell_theirs(browser: sync_api.Browser, server: str) -> None:
    lens = measure_lens(LocalBackend("cpu"), Request("trio", FIRST.sample()))
    assert lens is not None
    grid = LensGrid.of(lens)
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(f"{server}/?page=debug&section=lens")
    page.locator(".st-key-lens-moments .js-plotly-plot").wait_for(timeout=PATIENCE)
    settle(page)
    labels = page.locator(".st-key-lens-forming .textpoint")
    ranks = [step.rank for step in lens.forming()]
    assert labels.all_text_contents() == [str(rank) for rank in ranks]
    heights = labels.evaluate_all("all => all.map((label) => label.getBoundingClientRect().y)")
    by_rank = [height for _, height in sorted(zip(ranks, heights, strict=True))]
    assert by_rank == sorted(heights), "the first rank is on top"
    assert page.locator(".st-key-lens-moments .heatmaplayer image").count() == 1

    patch = max(grid.patches, key=lambda token: grid.amounts[-1, token])
    cell = page.locator(f".lens-pictures figure:last-child [data-token='{patch}']")
    cell.scroll_into_view_if_needed()
    cell.hover()
    assert cell.get_attribute("title") == grid.hover(6, patch)
    box, place, image = cell.bounding_box(), lens.tokens[patch].location, FIRST.sample().image
    picture = page.locator(".lens-pictures figure:last-child img").bounding_box()
    assert box is not None and picture is not None and image is not None and isinstance(place, PixelBox)
    assert (box["x"] - picture["x"]) / picture["width"] == pytest.approx(place.x0 / image.width, abs=0.02)
    assert (box["y"] - picture["y"]) / picture["height"] == pytest.approx(place.y0 / image.height, abs=0.02)

    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")
    words = page.locator(".words-scroll:has(.lens-words)")
    assert words.evaluate("box => box.scrollWidth > box.clientWidth"), "a long row of words is scrolled in its own box"
    page.close()
