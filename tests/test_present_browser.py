"""A talk as a file from disk in a real browser: keys, swipes, sizes, sound, print, and without scripts."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from made_up_talk import recorded_run, story  # noqa: E402
from playwright.sync_api import Browser, Page, expect  # noqa: E402
from viewer_page import collect_errors  # noqa: E402

from mmviz.present import make_talk  # noqa: E402

pytestmark = pytest.mark.pages

Open = Callable[..., Page]
SCREEN, PHONE = {"width": 1280, "height": 720}, {"width": 390, "height": 844}
COUNT = 7
SMALLEST = """[...document.querySelectorAll("body *")]
  .filter((part) => part.checkVisibility() && part.tagName !== "H1" &&
    [...part.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
  .map((part) => parseFloat(getComputedStyle(part).fontSize)).reduce((a, b) => Math.min(a, b))"""
GAP = """document.querySelector(".now .things").getBoundingClientRect().top -
  document.querySelector(".now h2").getBoundingClientRect().bottom"""
OVERFLOW = "[document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight - innerHeight]"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("talk") / "talk.html"
    file.write_text(make_talk(recorded_run(), story()).to_html(), "ascii")
    return file


@pytest.fixture
def opened(browser: Browser, path: Path) -> Iterator[Open]:
    """Opens the talk without a network; at the end nothing was requested, and no console holds an error."""
    contexts, requests = [], []
    errors: list[str] = []

    def open_talk(fragment: str = "", viewport: Any = SCREEN, **options: Any) -> Page:
        context = browser.new_context(viewport=viewport, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        collect_errors(page, errors)
        page.goto(path.as_uri() + fragment)
        return page

    yield open_talk
    for context in contexts:
        context.close()
    assert not errors
    assert not [url for url in requests if not url.startswith((path.as_uri(), "data:"))]


def expect_slide(page: Page, number: int) -> None:
    """Waits until this slide is shown, and no other."""
    expect(page.locator("#place")).to_have_text(f"{number} / {COUNT}")
    shown = page.locator(".slide:visible")
    assert shown.count() == 1 and shown.get_attribute("id") == f"slide-{number}"


def test_keys_and_a_clicker_turn_the_slides(opened: Open) -> None:
    page = opened()
    expect_slide(page, 1)
    place = 1
    for key, number in [
        ("ArrowRight", 2), ("Space", 3), ("PageDown", 4), ("PageUp", 3), ("ArrowLeft", 2), ("End", COUNT),
        ("PageDown", COUNT), ("Home", 1), ("PageUp", 1), ("Shift+Space", 1), ("Enter", 2),
    ]:  # fmt: skip
        page.keyboard.press(key)
        expect_slide(page, number)
        place = number
    page.keyboard.press("Control+ArrowRight")
    expect_slide(page, place)
    page.get_by_role("button", name="Next slide").click()
    expect_slide(page, 3)
    page.keyboard.press("PageDown")  # the button has the focus
    expect_slide(page, 4)
    page.reload()
    expect_slide(page, 4)


def test_notes_open_and_close_and_the_screen_is_filled(opened: Open) -> None:
    page = opened()
    notes = page.locator("#slide-1 .notes")
    expect(notes).to_be_hidden()
    page.keyboard.press("n")
    expect(notes).to_be_visible()
    expect(page.get_by_role("button", name="Notes")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(notes).to_be_hidden()
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement === document.documentElement")
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement === null")


def test_a_swipe_turns_the_slides_and_a_scroll_does_not(opened: Open) -> None:
    page = opened(viewport=PHONE, has_touch=True)
    swipe = """([x, y]) => { const touch = (x, y) => new Touch({identifier: 1, target: document.body, clientX: x,
        clientY: y});
      const fire = (type, x, y) => document.body.dispatchEvent(new TouchEvent(type, {bubbles: true,
        touches: type === "touchend" ? [] : [touch(x, y)], changedTouches: [touch(x, y)]}));
      fire("touchstart", 200, 400); fire("touchend", 200 + x, 400 + y); }"""
    for move, number in [((-120, 10), 2), ((-120, 100), 2), ((-20, 0), 2), ((-120, 0), 3), ((120, 0), 2)]:
        page.evaluate(swipe, move)
        expect_slide(page, number)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_is_large_and_nothing_is_cut_off_on_a_projector(opened: Open, scheme: str) -> None:
    page = opened(color_scheme=scheme, reduced_motion="reduce")
    for number in range(1, COUNT + 1):
        expect_slide(page, number)
        assert page.evaluate(SMALLEST) >= 20
        assert page.evaluate(OVERFLOW) == [0, 0]
        hidden = page.evaluate(
            "[...document.querySelectorAll('.now .side')].map((side) => side.scrollHeight - side.clientHeight)"
        )
        assert all(pixels <= 1 for pixels in hidden), (number, hidden)
        page.keyboard.press("ArrowRight")
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


def test_a_phone_scrolls_down_but_never_across(opened: Open) -> None:
    page = opened(viewport=PHONE)
    for number in range(1, COUNT + 1):
        expect_slide(page, number)
        assert page.evaluate(SMALLEST) >= 20
        assert page.evaluate(OVERFLOW)[0] == 0
        assert page.evaluate(GAP) <= 48, f"slide {number} has no hole under its heading"
        page.keyboard.press("ArrowRight")


def test_the_sound_plays_on_every_slide_and_stops_when_it_is_left(opened: Open) -> None:
    page = opened("#3")
    sound = page.locator("#slide-3 audio")
    page.wait_for_function("() => document.querySelector('#slide-3 audio').readyState >= 1")
    assert abs(sound.evaluate("sound => sound.duration") - 0.5) < 0.01, "given to it by the script"
    sound.evaluate("sound => { sound.loop = true; sound.muted = true; return sound.play(); }")
    assert not sound.evaluate("sound => sound.paused")
    page.keyboard.press("ArrowRight")
    expect_slide(page, 4)
    page.wait_for_function("() => document.querySelector('#slide-3 audio').paused")


def test_without_scripts_all_slides_stand_below_each_other(opened: Open) -> None:
    page = opened(java_script_enabled=False)
    assert page.locator(".slide:visible").count() == COUNT
    assert page.locator(".bar").is_hidden() and page.locator("#slide-1 .notes").is_visible()
    assert page.locator("#slide-1 audio").is_visible() and page.locator("#slide-3 audio").is_hidden()


def test_each_slide_is_printed_on_a_page(opened: Open) -> None:
    page = opened("#2")
    pdf = page.pdf(prefer_css_page_size=True, print_background=True)
    assert pdf.count(b"/Type /Page\n") == COUNT and b"/MediaBox [0 0 960" in pdf


def test_light_is_drawn_and_motion_can_be_refused(opened: Open) -> None:
    page = opened("#3", reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.querySelector('.now')).animationName") == "none"
    from PIL import Image

    with Image.open(io.BytesIO(page.locator("#slide-3 .picture img").screenshot())) as shot:
        pixels = np.asarray(shot.convert("L"), np.float64)
    assert pixels.std() > 10, "the picture is there, not a placeholder"
    place = page.evaluate("getComputedStyle(document.querySelector('.now .picture img')).objectPosition")
    assert place == "50% 50%", "a tall picture stands in the middle of its half"
    assert (
        opened("#3", reduced_motion="no-preference").evaluate(
            "getComputedStyle(document.querySelector('.now')).animationName"
        )
        == "appear"
    )


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "screen"), [("light", SCREEN), ("dark", PHONE)], ids=["light", "dark-phone"])
def test_no_slide_has_a_serious_violation(opened: Open, scheme: str, screen: dict[str, int]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # the document allows no script but its own; axe is one
    page = opened(color_scheme=scheme, viewport=screen, bypass_csp=True, reduced_motion="reduce")
    for number in range(1, COUNT + 1):
        expect_slide(page, number)
        results = axe.Axe().run(page).response
        assert len(results["passes"]) > 10, "it checked something"
        serious = [v for v in results["violations"] if v["impact"] in ("serious", "critical")]
        assert not [(v["id"], [node["html"][:200] for node in v["nodes"][:3]]) for v in serious], number
        page.keyboard.press("ArrowRight")


def presenter_of(page: Page) -> Page:
    """Opens the presenter's window and waits until it shows what the audience sees."""
    place = page.locator("#place").inner_text()
    with page.expect_popup() as popup:
        page.keyboard.press("p")
    window: Page = popup.value
    window.set_viewport_size(SCREEN)
    expect(window.locator("#place")).to_have_text(place)
    return window


def test_the_presenters_window_and_the_slides_move_each_other(opened: Open) -> None:
    page = opened("#2")
    window = presenter_of(page)
    expect(window.get_by_text("On the screen")).to_be_visible()
    assert window.evaluate("[...document.querySelectorAll('.slide:not([hidden])')].filter(s => s.checkVisibility())"
                           ".map((slide) => slide.id)") == ["slide-2", "slide-3"]  # fmt: skip
    window.keyboard.press("PageDown")
    expect_slide(page, 3)
    page.keyboard.press("End")
    expect(window.locator("#place")).to_have_text(f"{COUNT} / {COUNT}")
    expect(window.get_by_text("This is the last slide.")).to_be_visible()
    window.keyboard.press("Home")
    expect_slide(page, 1)
    expect(window.get_by_role("region", name="Notes")).to_contain_text("P opens the presenter's window")
    window.reload()
    expect(window.locator("#place")).to_have_text(f"1 / {COUNT}")
    page.keyboard.press("PageDown")
    expect(window.locator("#place")).to_have_text(f"2 / {COUNT}")
    page.reload()
    page.keyboard.press("PageDown")  # before the presenter's window has found the slides again
    expect(window.locator("#place")).to_have_text(f"3 / {COUNT}")
    page.close()
    expect(window.get_by_text("The slides are closed.")).to_be_visible()
    assert window.get_by_text("On the screen").count() == 0
    window.keyboard.press("PageDown")
    expect(window.locator("#place")).to_have_text(f"4 / {COUNT}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_presenters_window_is_large_and_holds_all(opened: Open, scheme: str) -> None:
    page = opened("#2", color_scheme=scheme)
    window = presenter_of(page)
    assert window.evaluate(OVERFLOW) == [0, 0]
    assert float(window.evaluate(SMALLEST)) >= 20
    boxes = window.evaluate(
        "[...document.querySelectorAll('.stage, .slide.now, .slide.coming')].map((part) => {"
        "const {left, top, right, bottom} = part.getBoundingClientRect(); return [left, top, right, bottom]; })"
    )
    slides, stages = boxes[:2], boxes[2:]
    for (left, top, right, bottom), stage in zip(slides, stages, strict=True):
        assert stage[0] - 1 <= left and stage[1] - 1 <= top and right <= stage[2] + 1 and bottom <= stage[3] + 1
    clock, restart = window.locator("#elapsed"), window.get_by_role("button", name="Start again")
    expect(clock).to_have_text("0:02")
    restart.click()
    expect(clock).to_have_text("0:00")


def test_the_sound_is_played_from_both_windows(opened: Open) -> None:
    page = opened("#3")
    page.wait_for_function("() => document.querySelector('#slide-3 audio').readyState >= 1")
    page.locator("#slide-3 audio").evaluate("sound => { sound.loop = true; sound.muted = true; }")
    playing = "!document.querySelector('#slide-3 audio').paused"
    window = presenter_of(page)
    window.keyboard.press("s")
    page.wait_for_function(f"() => {playing}")
    assert not window.evaluate(playing), "the room hears it once"
    page.keyboard.press("s")
    page.wait_for_function(f"() => !({playing})")
