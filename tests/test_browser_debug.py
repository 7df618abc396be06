"""The page Debug in a real browser: a head is ablated, and a head is opened in the viewer by a click."""

from __future__ import annotations

import re

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import PATIENCE, VIEWER, pick, press, settle, until, viewer_state  # noqa: E402

from mmviz.backends.local import LocalBackend  # noqa: E402
from mmviz.experiments.head_ablation import measure_head_ablation  # noqa: E402
from mmviz.i18n.page import say  # noqa: E402
from mmviz.inputs.examples import load_gallery  # noqa: E402
from mmviz.types import Request  # noqa: E402

pytestmark = pytest.mark.slow

FIRST = load_gallery()[0]


def shown(page: sync_api.Page) -> tuple[str, str]:
    """Returns the answer in large type, the likeliest of an unsure model, and the probability of the first of five."""
    word = page.locator(".answer .word").inner_text().removeprefix("not sure: ").split(",")[0]
    return word, page.locator(".top td").first.inner_text().strip()


def test_an_ablated_head_moves_the_answer_as_the_library_measures(browser: sync_api.Browser, server: str) -> None:
    backend, request = LocalBackend("cpu"), Request("trio", FIRST.sample())
    (record,) = backend.run([request])
    needed = min(measure_head_ablation(backend, request, record), key=lambda effect: effect.effect)
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{server}/?page=debug&section=heads")
    page.locator(".st-key-heads-grid .js-plotly-plot").wait_for(timeout=PATIENCE)
    before = shown(page)
    assert before == (record.answers[0].label, f"{record.answers[0].probability:.1%}")

    pick(page, f"heads-ablate-{_run_of(page)}", f"layer {needed.map + 1}, head {needed.head + 1}")
    page.keyboard.press("Escape")
    press(page, say("heads-ablate-run"))
    page.get_by_text("Ablated in this run").wait_for(timeout=PATIENCE)
    settle(page)
    assert shown(page) == (needed.answer, f"{needed.probability:.1%}") != before
    press(page, say("heads-ablate-restore"))
    until(page, lambda: shown(page) == before)

    settle(page)
    page.locator(".st-key-heads-grid .js-plotly-plot").wait_for(timeout=PATIENCE)
    point = page.locator(".st-key-heads-grid .scatterlayer .points path").nth(4 * 2 + 1)  # layer 3, head 2
    point.click(force=True)
    page.locator(f"{VIEWER}[data-ready=true]").wait_for(timeout=PATIENCE)
    until(page, lambda: viewer_state(page)["map"] == "2:1")
    assert "page=debug" not in page.url
    page.close()


def test_a_control_is_run_from_the_page_explore(browser: sync_api.Browser, server: str) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})  # from Debug: in test_app_debug
    page.goto(server)
    page.locator(".st-key-control-shuffled button:visible").click(timeout=PATIENCE)
    page.get_by_text(say("untrained")).first.wait_for(timeout=PATIENCE)
    page.close()


def _run_of(page: sync_api.Page) -> str:
    """Returns the id of the run on the screen, from the key of a box."""
    names = page.locator("[class*='st-key-heads-ablate-']").evaluate_all(
        "all => all.map((element) => element.className)"
    )
    return next(match[1] for name in names if (match := re.search(r"st-key-heads-ablate-([0-9a-f]{32})", name)))
