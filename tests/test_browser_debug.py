"""The page Debug in a real browser: a head is switched off, and a head is looked at, by clicking."""

from __future__ import annotations

import re

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import PATIENCE, VIEWER, looked, pick, press, settle, until  # noqa: E402

from mmviz.backends.local import LocalBackend  # noqa: E402
from mmviz.experiments.runs import measure_head_ablation  # noqa: E402
from mmviz.inputs.examples import load_gallery  # noqa: E402
from mmviz.types import Request  # noqa: E402

pytestmark = pytest.mark.slow

FIRST = load_gallery()[0]


def shown(page: sync_api.Page) -> tuple[str, str]:
    """The answer in large, and the probability of the first of the top five."""
    return page.locator(".answer .word").inner_text(), page.locator(".top td").first.inner_text().strip()


def test_a_head_that_is_switched_off_moves_the_answer_by_what_python_computes(
    browser: sync_api.Browser, server: str
) -> None:
    backend, request = LocalBackend("cpu"), Request("trio", FIRST.sample())
    (record,) = backend.run([request])
    worst = min(measure_head_ablation(backend, request, record), key=lambda one: one.effect)
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{server}/?page=debug&section=heads")
    page.locator(".st-key-heads-grid .js-plotly-plot").wait_for(timeout=PATIENCE)
    before = shown(page)
    assert before == (record.answers[0].label, f"{record.answers[0].probability:.1%}")

    pick(page, f"heads-off-{_run_of(page)}", f"layer {worst.map + 1}, head {worst.head + 1}")
    page.keyboard.press("Escape")
    press(page, "Run without them")
    page.get_by_text("Switched off in this run").wait_for(timeout=PATIENCE)
    settle(page)
    assert shown(page) == (worst.answer, f"{worst.probability:.1%}") != before
    press(page, "All heads on")
    until(page, lambda: shown(page) == before)

    settle(page)
    page.locator(".st-key-heads-grid .js-plotly-plot").wait_for(timeout=PATIENCE)
    point = page.locator(".st-key-heads-grid .scatterlayer .points path").nth(4 * 2 + 1)  # layer 3, head 2
    point.click(force=True)
    page.locator(f"{VIEWER}[data-ready=true]").wait_for(timeout=PATIENCE)
    until(page, lambda: looked(page)["plane"] == "2:1")
    assert "page=debug" not in page.url
    page.close()


def test_a_control_is_run_from_either_page(browser: sync_api.Browser, server: str) -> None:
    for address in ("/", "/?page=debug&section=faith"):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{server}{address}")
        page.locator(".st-key-control-shuffled button:visible").click(timeout=PATIENCE)
        page.get_by_text("These weights are untrained or shuffled").first.wait_for(timeout=PATIENCE)
        page.close()


def _run_of(page: sync_api.Page) -> str:
    """The id of the run on the screen, from the key of its switch."""
    found = page.locator("[class*='st-key-heads-off-']").evaluate_all("all => all.map((one) => one.className)")
    return next(match[1] for name in found if (match := re.search(r"st-key-heads-off-([0-9a-f]{32})", name)))
