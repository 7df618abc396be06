"""The page by keyboard alone, on a phone, and in the dark."""

from __future__ import annotations

from collections.abc import Callable

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import (  # noqa: E402
    AT_200_PERCENT,
    IMAGE,
    PATIENCE,
    VIEWER,
    changed,
    close_popover,
    drawn,
    empty_form,
    example_button,
    nothing_is_cut_off,
    panel_text,
    press,
    settle,
    unfold,
    until,
    viewer_state,
)

from mmviz.app.session_state import PAGES  # noqa: E402
from mmviz.i18n.page import say  # noqa: E402
from mmviz.inputs.examples import load_gallery  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.pages]

Visit = Callable[..., sync_api.Page]
FOCUS = """() => {
    const here = document.activeElement, style = getComputedStyle(here);
    const inside = key => here.closest('.st-key-' + key) !== null;
    return {
        place: ['gallery', 'question', 'image-line', 'audio-line', 'composer', 'run'].find(inside) ?? '',
        tag: here.tagName,
        outlined: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1,
        colour: style.outlineColor,
        ground: getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor,
    };
}"""
CONTRAST = """element => {
    const numbers = colour => { const n = colour.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n };
    const over = (top, under) => [0, 1, 2].map(k => top[k] * top[3] + under[k] * (1 - top[3])).concat(1);
    const grounds = [];
    for (let at = element; at; at = at.parentElement) grounds.push(numbers(getComputedStyle(at).backgroundColor));
    const ground = grounds.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
    const ink = over(numbers(getComputedStyle(element).color), ground);
    const light = colour => colour.slice(0, 3).map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), light(ground)];
}"""
TOO_WIDE = """['html', '[data-testid=stMain]']
    .map(name => document.querySelector(name)).map(e => e.scrollWidth - e.clientWidth)"""

GAP_AT_THE_RIGHT = """() => {
    const head = document.querySelector('.st-key-page-head'), style = getComputedStyle(head);
    const end = head.getBoundingClientRect().right - parseFloat(style.paddingRight);
    return end - document.querySelector('.st-key-languages').getBoundingClientRect().right;
}"""


def is_on_screen(part: sync_api.Locator) -> bool:
    """Returns whether all of its width is on the screen."""
    box, screen = part.bounding_box(), part.page.viewport_size
    return box is not None and screen is not None and box["x"] >= 0 and box["x"] + box["width"] <= screen["width"]


def test_the_keyboard_reaches_everything_and_shows_where_it_is(visit_to: Visit, server: str) -> None:
    page = visit_to(server)
    before = drawn(page, IMAGE)
    unfold(page, "own")
    page.get_by_role("button", name=say("skip-to-answer")).focus()
    stops: list[dict[str, object]] = []
    while len(stops) < 80 and (not stops or stops[-1]["place"] != "composer"):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(FOCUS))
    places = [stop["place"] for stop in stops if stop["place"]]
    order = ["question", "run", "image-line", "audio-line", "composer"]
    assert [place for place in dict.fromkeys(places) if place in order] == order
    buttons = [stop for stop in stops if stop["place"] in ("question", "run")]
    assert [stop["tag"] for stop in buttons] == ["INPUT", "BUTTON"]
    assert all(stop["outlined"] and stop["colour"] != stop["ground"] for stop in buttons), buttons

    example_button(page, "heard").focus()
    page.keyboard.press("Enter")
    changed(page, IMAGE, before)
    page.wait_for_url("**example=heard&*")
    page.get_by_role("textbox", name="Text").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("what is in the picture?")
    page.keyboard.press("Enter")
    until(page, lambda: "picture" in panel_text(page))
    settle(page)
    assert "example=" not in page.url and "computed on" in page.locator(".answer").inner_text()


def test_a_recorded_run_stands_there_until_the_page_does(browser: sync_api.Browser, server: str) -> None:
    page = browser.new_context(locale="en").new_page()
    try:
        page.route("**/static/js/*", lambda route: route.abort())
        page.goto(server + "/?example=name")
        placeholder = page.locator("#mmviz-placeholder")
        assert placeholder.get_by_role("status").inner_text() == say("loading-recorded")
        example = next(example for example in load_gallery() if example.id == "name")
        assert example.question in placeholder.inner_text() and str(example.truth) in placeholder.inner_text()
        image = placeholder.locator("img")
        assert image.evaluate("image => image.naturalWidth") == 200 and len(image.get_attribute("src") or "") < 20_000
        page.goto(server + "/?page=learn")
        assert placeholder.get_by_role("status").inner_text() == say("loading-page") and image.count() == 0
        page.unroute_all()
        page.goto(server)
        placeholder.wait_for(state="detached", timeout=PATIENCE)
        page.locator("h1").wait_for(timeout=PATIENCE)
    finally:
        page.context.close()


def tabs_to(page: sync_api.Page, place: str, most: int = 60) -> int:
    """Presses Tab until the focus is in ``place``, and returns how often."""
    for count in range(1, most + 1):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUS)["place"] == place:
            return count
    pytest.fail(f"{most} tabs do not lead to {place}")


def test_run_is_at_most_ten_tabs_away_and_the_first_leads_to_the_answer(visit_to: Visit, server: str) -> None:
    page = visit_to(server)
    page.keyboard.press("Tab")
    skip = page.get_by_role("button", name=say("skip-to-answer"))
    sync_api.expect(skip).to_be_focused()
    box = skip.bounding_box()
    assert box is not None and box["width"] > 100 and box["x"] >= 0 and box["y"] >= 0, "it can be seen"
    assert 1 + tabs_to(page, "run") <= 10, "without the links"
    skip.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.className") == "answer"
    skip.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    sync_api.expect(page.get_by_role("textbox", name="Text")).to_be_focused()
    assert tabs_to(page, "run") == 1


def test_the_gallery_is_one_stop_with_arrow_keys(visit_to: Visit, server: str) -> None:
    page = visit_to(server)
    card = "document.activeElement.closest('[class*=st-key-example]').className.match(/st-key-(\\S+)/)[1]"
    examples = [f"example-{example.id}" for example in load_gallery()]
    unfold(page, "examples")
    tabs_to(page, "gallery")
    assert page.evaluate(card) == examples[0]
    for key, place in (
        ("ArrowRight", examples[1]), ("ArrowRight", examples[2]), ("ArrowLeft", examples[1]), ("End", examples[-1]),
        ("ArrowRight", examples[-1]), ("Home", examples[0]), ("ArrowLeft", examples[0]), ("ArrowRight", examples[1]),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert page.evaluate(card) == place, key
    before = drawn(page, IMAGE)
    page.keyboard.press("Enter")
    changed(page, IMAGE, before)
    until(page, page.locator(".st-key-panel-examples").is_hidden)
    unfold(page, "examples")
    tabs_to(page, "gallery")
    assert page.evaluate(card) == examples[1], "the card that is shown is the stop"


def test_keys_run_the_form_whether_the_text_changed_or_not(visit_to: Visit, server: str) -> None:
    page = visit_to(server)

    def next_run(press_keys: Callable[[], None]) -> None:
        before = viewer_state(page)["run"]
        press_keys()
        until(page, lambda: viewer_state(page)["run"] not in ("", before))
        settle(page)

    field = page.get_by_role("textbox", name="Text")
    field.fill("what is in the picture?")
    next_run(lambda: page.keyboard.press("Enter"))
    next_run(lambda: page.keyboard.press("Enter"))
    field.fill("is there a dog in the picture?")
    next_run(lambda: page.keyboard.press("Control+Enter"))
    assert "dog" in panel_text(page), "the text that was typed is the one that runs"
    unfold(page, "own")
    page.locator(".st-key-use-audio label").click()
    sync_api.expect(page.locator(".answer")).to_contain_text(say("changed"), timeout=PATIENCE)
    settle(page)
    next_run(lambda: page.keyboard.press("Control+Enter"))
    assert viewer_state(page)["run"] and page.locator(".note.error").count() == 0


def test_the_links_for_the_keyboard_lead_through_the_folded_form_of_a_lesson(visit_to: Visit, server: str) -> None:
    page = visit_to(server)
    press(page, "Learn")
    page.locator(".lesson h2").first.wait_for()
    settle(page)
    page.get_by_role("button", name=say("skip-to-question")).focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.get_by_role("button", name=say("skip-to-lesson")).focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.tagName") == "H2"


@pytest.mark.parametrize("width", [1440, 1280])
def test_each_page_has_the_language_switch_at_the_right_and_is_whole_at_200_percent(
    visit_to: Visit, server: str, width: int
) -> None:
    page = visit_to(server, width=width)
    gaps = {}
    for name in PAGES:
        page.locator(f".st-key-page-{name} button").first.click()  # one more is drawn for touch screens
        label = f"document.querySelector('.st-key-page-{name} p')"
        page.wait_for_function(f"getComputedStyle({label}).fontWeight === '700'")
        settle(page)
        gaps[name] = page.evaluate(GAP_AT_THE_RIGHT)
        nothing_is_cut_off(page, (*AT_200_PERCENT, (width, 900)) if width == 1280 else ())
    assert max(map(abs, gaps.values())) < 2, gaps


def test_a_phone_needs_no_sideways_scrolling(visit_to: Visit, server: str) -> None:
    page = visit_to(server, 390, 844)
    nothing_is_cut_off(page, ((390, 844),))
    picture = page.locator(".st-key-reads-from img").bounding_box()
    assert picture is not None and picture["height"] >= 140 and picture["y"] + picture["height"] <= 844
    inputs = page.locator(".st-key-input-bar").bounding_box()
    assert inputs is not None and inputs["height"] <= 90, "two lines"
    page.goto(server + "/?query=9999")
    page.locator(f"{VIEWER}[data-ready=true]").wait_for()
    settle(page)
    assert page.locator(".note.remark").count() == 1
    assert page.evaluate(TOO_WIDE) == [0, 0]
    unfold(page, "own")
    nothing_is_cut_off(page, (*AT_200_PERCENT, (390, 844)))
    press(page, "Compose")
    page.locator(".composed").wait_for()
    assert page.evaluate(TOO_WIDE) == [0, 0] and is_on_screen(page.locator(".composed"))
    close_popover(page, page.locator(".composed"))
    empty_form(page)
    press(page, "Run")
    page.locator(".note.error").wait_for()
    settle(page)
    assert page.evaluate(TOO_WIDE) == [0, 0]
    for name, device in (("Camera", "stCameraInput"), ("Record", "stAudioInput")):
        press(page, name)
        page.get_by_test_id(device).wait_for()
        until(page, lambda device=device: is_on_screen(page.get_by_test_id(device)))  # a popover moves into its place
        assert page.evaluate(TOO_WIDE) == [0, 0]
        close_popover(page, page.get_by_test_id(device))
    page.get_by_role("textbox", name="Text").fill("w" * 300)
    press(page, "Run")
    until(page, lambda: "www" in panel_text(page))
    settle(page)
    assert page.evaluate(TOO_WIDE) == [0, 0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(visit_to: Visit, server: str, scheme: str) -> None:
    page = visit_to(server + "/?query=9999", scheme=scheme)
    empty_form(page)
    press(page, "Run")
    page.locator(".note.error").wait_for()
    press(page, say("control-shuffled"))
    page.locator(".note.plain").nth(1).wait_for()
    settle(page)
    kinds = {"error": 0.0, "remark": 0.0, "plain": 0.0}
    for name in (*(f".note.{kind}" for kind in kinds), ".answer .word", ".answer .caption", ".heading", ".top em"):
        # all at once, as the page may draw itself anew between two of them
        measured = page.locator(name).evaluate_all(f"elements => elements.map({CONTRAST})")
        for contrast, ground in measured:
            assert contrast >= 4.5, (name, contrast)
            assert ground < 0.1 if scheme == "dark" else ground > 0.7, name
    until(page, lambda: page.locator(".note.error").count() > 0 and page.locator(".note.plain").count() >= 2)
