"""Chinese in a real browser: fragments that are drawn alone keep it, and the switch reaches the viewer."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import IMAGE, VIEWER, drawn, press, settle, unfold, until, viewer_state  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.pages]

Visit = Callable[..., sync_api.Page]


def tag(page: sync_api.Page) -> str:
    return str(page.evaluate("document.documentElement.lang"))


def test_the_switch_changes_page_and_viewer_and_keeps_the_selection(visit_to: Visit, server: str) -> None:
    page = visit_to(server + "/?query=3")
    assert tag(page) == "en" and page.locator(VIEWER).get_attribute("lang") == "en"
    before = viewer_state(page)
    press(page, "中文")
    page.locator(f"{VIEWER}[lang=zh-CN][data-ready=true]").wait_for()
    settle(page)
    assert tag(page) == "zh-CN" and "lang=zh" in page.url and viewer_state(page) == before
    assert page.locator(VIEWER).count() == 1 and page.locator(VIEWER).get_by_text("如何使用").count() == 1
    page.locator(VIEWER).locator("[data-part=direction] button").nth(1).click()
    until(page, lambda: "direction=to" in page.url)
    settle(page)
    assert (
        "lang=zh" in page.url
        and drawn(page, IMAGE)
        and page.get_by_role("button", name="运行", exact=True).count() == 1
    )


def test_a_fragment_drawn_alone_stays_chinese(visit_to: Visit, server: str) -> None:
    page = visit_to(server + "/?lang=zh")
    unfold(page, "own")
    page.locator("[data-testid=stFileUploaderDropzone] p").first.wait_for()
    shown = "e => getComputedStyle(e, '::after').content"
    assert page.locator("[data-testid=stFileUploaderDropzone] p").first.evaluate(shown) == '"上传"'
    press(page, "调试")
    page.locator(".st-key-sections").wait_for()
    press(page, "比较")  # a fragment: the page around it is not drawn anew
    page.get_by_text("将这次运行（A）与之比较").first.wait_for()
    settle(page)
    words = page.locator("[data-testid=stMain]").inner_text()
    assert not re.findall(r"Compare|Measuring|Heads|Effect|Running", words)
    assert "lang=zh" in page.url and "section=compare" in page.url
