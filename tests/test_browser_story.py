"""The story of an answer in a real browser: on the first view, traced once, and a step opened in the viewer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import PATIENCE, example_button, press, settle, until, viewer_state  # noqa: E402

from mmviz.i18n.page import say  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.pages]

PLACE = ".st-key-viewer-place"


def top_of(page: sync_api.Page, part: str) -> float:
    """Returns the distance of a part of the page from the top of the screen in pixels."""
    box = page.locator(part).bounding_box()
    assert box is not None
    return float(box["y"])


def test_the_story_is_on_the_first_view_and_a_step_scrolls_to_the_viewer(
    visit_to: Callable[..., sync_api.Page], server: str
) -> None:
    parts = (".st-key-input-bar", ".answer .word", ".st-key-reads-from", ".st-key-depends-on", ".st-key-effect-beside")
    for example, width in (("photo-cup", 300), ("spoken-place", 200)):  # a landscape, and a square
        page = visit_to(f"{server}/?example={example}", 1280, 720)
        for part in (*parts, ".st-key-story-strip"):
            box = page.locator(part).bounding_box()
            assert box is not None and 0 <= box["y"] < box["y"] + box["height"] <= 702, (example, part)
        for kind in ("reads-from", "depends-on"):
            box = page.locator(f".st-key-{kind} img").bounding_box()
            assert box is not None and box["height"] >= 200 and box["width"] >= width
    cards = page.locator(".story-card")
    assert cards.count() >= 2 and page.locator(".effect-bar.effect").count() >= 3
    assert page.locator(".st-key-story").count() == 0, "nothing is to be traced"

    last = cards.count()
    page.locator(f".st-key-story-show-{last} button:visible").click()
    until(page, lambda: 0 <= top_of(page, PLACE) < 100)
    settle(page)
    shown = viewer_state(page)
    assert shown["map"].endswith(":mean") and shown["tokens"] == "0"
    small_map = page.locator("[data-panel=overview] [data-map='2:1']")
    box = small_map.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.move(box["x"] + 9, box["y"] + 9)
    until(page, lambda: viewer_state(page)["map"] == "2:1")  # the mouse points at it once it has moved
    example_button(page, "there").click()
    page.wait_for_url("**example=there&*")
    settle(page)
    assert not 0 <= top_of(page, PLACE) < 100, "another run does not scroll there"


def test_the_answer_is_traced_by_one_click(visit_to: Callable[..., sync_api.Page], server: str) -> None:
    page = visit_to(server + "/?example=spoken-place")
    assert page.locator(".story-card").count() >= 2
    field = page.get_by_role("textbox", name="Text")
    field.fill("What is left of the spoken thing?")
    field.press("Enter")
    button, progress = page.locator(".st-key-story"), page.locator("[class*=st-key-experiment-progress-story]")
    button.wait_for(timeout=PATIENCE)
    assert page.locator(".story-card").count() == 0, "this is another run"
    settle(page)
    press(page, say("story-trace"))
    progress.wait_for(timeout=PATIENCE)
    assert button.is_hidden(), "while it is traced there is no second click"
    assert progress.is_visible()
    press(page, say("stop"))
    page.get_by_text(say("story-stopped")).wait_for(timeout=PATIENCE)


def test_a_talk_is_ordered_by_hand_and_presented_in_two_windows(
    visit_to: Callable[..., sync_api.Page], server: str
) -> None:
    page = visit_to(server + "/?example=spoken-place", 1280, 720)
    page.locator(".st-key-talk summary").click()
    page.locator(".st-key-talk-add-run button:visible").click()
    rows = page.locator("[class*=st-key-talk-row-]")
    rows.nth(8).wait_for(timeout=PATIENCE)
    caption, notes = page.get_by_label("Caption"), page.get_by_label("Speaker notes")
    caption.fill("Only this place counts.")
    notes.fill("Wait for the room.")
    notes.press("Control+Enter")
    settle(page)
    moved = rows.nth(8).inner_text().splitlines()[0].partition(". ")[2]
    rows.nth(8).get_by_role("button", name="arrow_upward").first.click()
    sync_api.expect(rows.nth(7)).to_contain_text(moved, timeout=PATIENCE)
    settle(page)
    with page.expect_download() as download:
        page.locator(".st-key-talk-html button:visible").click()
    text = Path(download.value.path()).read_text("ascii")
    assert text.index("id='slide-8'") < text.index("Only this place counts.") < text.index("id='slide-9'")

    with page.expect_popup() as popup:
        page.locator(".st-key-talk-open button:visible").click()
    slides = popup.value
    slides.locator("#slide-1").wait_for(timeout=PATIENCE)
    slides.keyboard.press("End")
    with slides.expect_popup() as popup:
        slides.keyboard.press("p")
    presenter = popup.value
    sync_api.expect(presenter.locator("#place")).to_have_text("9 / 9", timeout=PATIENCE)
    presenter.keyboard.press("PageUp")
    sync_api.expect(slides.locator("#place")).to_have_text("8 / 9", timeout=PATIENCE)
    assert slides.locator(".slide:visible").inner_text().startswith(moved)
    sync_api.expect(presenter.locator(".speech")).to_have_text("Wait for the room.")
