"""The page Debug in a real browser: a head is opened in the viewer by a click."""

from __future__ import annotations

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import PATIENCE, VIEWER, settle, until, viewer_state  # noqa: E402

from mmviz.i18n.page import say  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.pages]


def test_a_click_on_a_head_opens_it_in_the_viewer(browser: sync_api.Browser, server: str) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})  # heads are ablated in test_app_debug
    page.goto(f"{server}/?page=debug&section=heads")
    page.locator(".st-key-heads-grid .js-plotly-plot").wait_for(timeout=PATIENCE)
    settle(page)
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
