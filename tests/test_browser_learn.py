"""The page Learn in Chromium: every lesson in both languages, with its question, controls, numbers and sheet."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import AT_200_PERCENT, PATIENCE, VIEWER, nothing_is_cut_off, settle, until  # noqa: E402

from mmviz.analysis.query_key_walkthrough import PATH_STEPS  # noqa: E402
from mmviz.app.pages.learn.course import COURSE  # noqa: E402
from mmviz.app.pages.learn.presentation import slides_of  # noqa: E402
from mmviz.app.session_state import LESSONS, LessonId  # noqa: E402
from mmviz.i18n.language import LANGUAGES, Language, use_language  # noqa: E402
from mmviz.i18n.page import say  # noqa: E402
from mmviz.inputs.examples import load_gallery  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.pages]

FULL = next(example for example in load_gallery() if example.image and example.audio)
SELECT_BOXES = {"tokens": "token", "scores": "layer", "softmax": "layer", "heads": "layer", "cross-modal": "map",
                "fusion": "kind", "limits": "removed"}  # fmt: skip
"""A select box of each lesson that has one."""


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Iterator[Language]:
    with use_language(request.param):
        yield request.param


def visit(browser: sync_api.Browser, server: str, address: str) -> sync_api.Page:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{server}/?{address}")
    page.locator(".lesson h2").wait_for()
    return page


def numbers(page: sync_api.Page) -> list[str]:
    return page.locator("[data-testid=stMetricValue]").all_inner_texts()


def final_numbers(page: sync_api.Page) -> list[str]:
    """Returns the numbers of the lesson once its experiments have finished."""
    page.locator("[data-testid=stMetricValue]").first.wait_for()
    until(page, lambda: page.locator("[class*=st-key-experiment-progress]").count() == 0)
    settle(page)
    return numbers(page)


def lesson_is_usable(page: sync_api.Page, name: str) -> None:
    """Answers the question of the lesson on the page, and moves one of its controls."""
    assert page.locator(".lesson h2").inner_text() == say(f"learn-{name}-title")
    until(page, lambda: page.locator(".aside").count() == 0)  # those of the lesson before leave with it
    option = say(f"learn-{name}-option-{COURSE[name].correct}")
    page.locator("[class*=st-key-learn-answer-] button").get_by_text(option, exact=True).click()
    because = say(f"learn-{name}-because")
    until(page, lambda: any(because in text for text in page.locator(".note.remark").all_inner_texts()))
    page.locator(".aside.misleads").wait_for()
    if name == "output":
        page.locator(f"{VIEWER}[data-ready=true]").wait_for()
    if name == "training":
        page.locator(".st-key-learn-start").wait_for()
    elif name == "cost":  # measured in test_cost; here the tests beside this one would be measured too
        page.locator("[data-testid=stMetricValue]").first.wait_for()
    else:
        before = final_numbers(page)
        if name in SELECT_BOXES:
            box = page.locator(f"[class*=st-key-learn-{name}-{SELECT_BOXES[name]}-] input").first
            box.click()
            box.press("ArrowUp" if name == "cross-modal" else "ArrowDown")  # its default is the last layer
            box.press("Enter")
            until(page, lambda: f"at-{SELECT_BOXES[name]}=" in page.url)
            until(page, lambda: numbers(page) not in ([], before))
            assert say(f"learn-{name}-notice") in page.locator(".aside.notice").inner_text()
    assert not page.locator("[data-testid=stException]").count()


@pytest.mark.parametrize(
    ("language", "names"),
    [pytest.param("en", LESSONS, marks=pytest.mark.long), ("zh", ("scores",))],
    indirect=["language"],
)
def test_the_course_from_the_question_of_a_lesson_to_the_next_lesson(
    browser: sync_api.Browser, server: str, language: Language, names: tuple[str, ...]
) -> None:
    page = visit(browser, server, f"page=learn&lesson={names[0]}&example={FULL.id}&lang={language}")
    for name in names:
        lesson_is_usable(page, name)
        if name != LESSONS[-1]:
            page.locator(".st-key-learn-next button:visible").click()
            following = LESSONS[LESSONS.index(name) + 1]
            page.get_by_role("heading", name=say(f"learn-{following}-title")).wait_for()
            until(page, lambda following=following: f"lesson={following}" in page.url)
            assert f"lang={language}" in page.url
            settle(page)
    page.close()


SMALL_TEXT = """() => {
    const walker = document.createTreeWalker(document.querySelector(".st-key-slide"), NodeFilter.SHOW_TEXT), small = [];
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
        const isSeen = element.checkVisibility({ visibilityProperty: true }) && !element.closest("style, script");
        if (text && isSeen && parseFloat(getComputedStyle(element).fontSize) < 20) small.push(text);
    }
    return small;
}"""
"""Texts of a slide that are smaller than 20 px."""
LOWEST = """() => Math.max(...[...document.querySelectorAll(".st-key-slide *")]
    .filter((element) => !element.children.length && element.checkVisibility({ visibilityProperty: true }))
    .map((element) => element.getBoundingClientRect().bottom))"""


BACK = """path => {
    path.querySelector("[data-button=back]").click();
    return path.getAnimations({ subtree: true }).length;
}"""
"""One step back in the path; returns how many things then move."""


@pytest.mark.parametrize(
    ("language", "lessons"),
    [
        pytest.param("en", LESSONS[:5], marks=pytest.mark.long),
        pytest.param("en", LESSONS[5:], marks=pytest.mark.long),
        ("zh", ("scores", "softmax", "output")),
    ],
    indirect=["language"],
)
def test_every_slide_fits_a_projector_and_a_clicker_turns_it(
    browser: sync_api.Browser, server: str, language: Language, lessons: tuple[LessonId, ...]
) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{server}/?page=learn&lesson={lessons[0]}&present=1&example={FULL.id}&lang={language}")
    page.locator(".st-key-slide-turn").wait_for()
    for lesson in lessons:
        for slide, name in enumerate(slides_of(lesson), start=1):
            until(page, lambda lesson=lesson, slide=slide: f"lesson={lesson}&present={slide}" in page.url)
            settle(page)
            until(page, lambda: page.locator("[class*=st-key-experiment-progress]").count() == 0)
            settle(page)
            top = page.locator(".st-key-slide-turn").bounding_box()["y"]
            main = page.locator("[data-testid=stMain]")
            until(page, lambda top=top: page.evaluate(LOWEST) <= top)  # a figure is higher while it is drawn
            assert main.evaluate("main => [main.scrollWidth, main.scrollHeight]") == [1280, 720], (lesson, name)
            assert not page.evaluate(SMALL_TEXT), (lesson, name)
            if name in PATH_STEPS and lesson == "output":
                assert page.locator(".path").get_attribute("data-step") == str(PATH_STEPS.index(name) + 1)
            if name == "maps":
                assert page.locator(".st-key-slide .answer-map img:visible").count() == 2
            if name == "live":  # nothing has been trained: what was recorded stands below the start
                page.locator(".st-key-learn-start").wait_for()
                page.locator(".st-key-training-recorded svg.main-svg").first.wait_for()
            if name == "bundled":
                assert page.locator(".training-images.recorded img:visible").count() == 8
            page.keyboard.press("PageDown")
    assert not page.locator("[data-testid=stException]").count()
    page.keyboard.press("Home")
    until(page, lambda: "present=1&" in page.url or page.url.endswith("present=1"))
    settle(page)
    page.keyboard.press("Escape")
    page.locator(".st-key-lessons").wait_for()
    until(page, lambda: "present=" not in page.url)
    page.close()


def test_the_path_plays_pauses_and_stands_still_with_reduced_motion(browser: sync_api.Browser, server: str) -> None:
    for motion in ("no-preference", "reduce"):
        context = browser.new_context(viewport={"width": 1280, "height": 720}, reduced_motion=motion)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{server}/?page=learn&lesson=output&example={FULL.id}&at-open=1")
        path = page.locator(".path")
        path.wait_for()
        if motion == "reduce":
            assert path.get_attribute("data-step") == str(len(PATH_STEPS))
            assert path.get_attribute("data-playing") == "false"
            assert path.evaluate(BACK) == 0
            assert path.locator(".stage.ahead").count() == 1
        else:
            until(page, lambda path=path: path.get_attribute("data-step") == "2")
            path.locator("[data-button=play]").click()
            assert path.get_attribute("data-playing") == "false"
            path.locator("[data-button=on]").click()
            assert path.evaluate(BACK) > 0
            for _ in PATH_STEPS:
                path.locator("[data-button=on]").click()
            assert path.locator(".stage.ahead").count() == 0
        context.close()


def test_a_term_is_explained_on_hover_and_focus_within_the_window(browser: sync_api.Browser, server: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{server}/?page=learn&lesson=scores&example={FULL.id}")
    terms = page.locator(".lesson .term")
    terms.first.wait_for()
    for index in range(terms.count()):
        term, definition = terms.nth(index), terms.nth(index).locator(".definition")
        assert definition.is_hidden()
        term.hover()
        definition.wait_for()
        box = definition.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390
        page.keyboard.press("Escape")
        definition.wait_for(state="hidden")
        page.mouse.move(0, 0)
        term.focus()
        definition.wait_for()
        term.blur()
    page.close()


def test_a_lesson_fits_on_one_screen_and_is_whole_at_200_percent(browser: sync_api.Browser, server: str) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(PATIENCE)
    for name in ("tokens", "softmax", "cross-modal", "limits"):  # the longest
        page.goto(f"{server}/?page=learn&lesson={name}&example={FULL.id}&at-open=1")  # its files are in the cache
        page.locator(".lesson h2").wait_for()
        final_numbers(page)
        # a page that is still being laid out is higher for a moment
        page.wait_for_function("document.querySelector('[data-testid=stMain]').scrollHeight <= 900")
        nothing_is_cut_off(page, ((1280, 720), *AT_200_PERCENT))
        page.set_viewport_size({"width": 1440, "height": 900})
    page.close()


def test_a_link_opens_a_lesson_with_its_controls(browser: sync_api.Browser, server: str) -> None:
    page = visit(browser, server, f"page=learn&lesson=softmax&example={FULL.id}&at-layer=2&at-head=1&at-temperature=2")
    first = final_numbers(page)
    slider = page.locator("[class*=st-key-learn-softmax-temperature-] :is([role=slider], input[type=range])").first
    slider.focus()
    slider.press("ArrowRight")
    until(page, lambda: numbers(page) != first)
    settle(page)
    numbers_before, link = numbers(page), page.url
    assert re.search(r"at-temperature=2\.51", link)
    page.close()
    other = browser.new_page(viewport={"width": 1440, "height": 900})
    other.goto(link)
    other.locator(".lesson h2").wait_for(timeout=PATIENCE)
    assert final_numbers(other) == numbers_before
    other.close()


def test_the_sheet_is_two_printed_pages(browser: sync_api.Browser, server: str, language: Language) -> None:
    page = visit(browser, server, f"page=learn&lesson=scores&example={FULL.id}&lang={language}&at-layer=1")
    shown_numbers = final_numbers(page)
    with page.expect_download() as download:
        page.locator(".st-key-learn-sheet button:visible").click()
    document = html.unescape(download.value.path().read_text(encoding="ascii"))
    assert all(number in document for number in shown_numbers) and say("learn-scores-do") in document
    sheet = browser.new_page()
    sheet.set_content(document)
    pdf = sheet.pdf(format="A4", prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 2
    sheet.close()
    page.close()


@pytest.mark.parametrize("name", ["scores", "output"])
def test_a_lesson_fits_the_width_of_a_phone(browser: sync_api.Browser, server: str, name: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(f"{server}/?page=learn&lesson={name}&example={FULL.id}&at-open=1")
    page.locator("[data-testid=stMetricValue]").first.wait_for(timeout=PATIENCE)
    settle(page)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    page.close()
