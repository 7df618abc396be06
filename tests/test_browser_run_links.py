"""A reload and a link keep the visitor's own inputs, their run and the view, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api")

from audio_files import encoded, tone  # noqa: E402
from processes import ROOT  # noqa: E402
from real_page import (  # noqa: E402
    AUDIO,
    IMAGE,
    PATIENCE,
    TEXT,
    VIEWER,
    changed,
    drawn,
    empty_form,
    panel_text,
    press,
    serving,
    settle,
    until,
    viewer_state,
)

from mmviz.i18n.page import say  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.pages]

Visit = Callable[..., sync_api.Page]
QUESTION = "is there a dog in my picture?"
SHORT_SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from mmviz.app import kept_runs, main

kept_runs.KeptRuns.__init__.__defaults__ = (64, 8, 1_000_000_000, 0.5)
main()
"""
"""The page with runs that are kept for half a second after they were last shown."""


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A picture and a sound that are in no gallery."""
    image, audio = tmp_path / "mine.png", tmp_path / "mine.wav"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)).save(image)
    audio.write_bytes(encoded(tone(440, 44_100), 44_100))
    yield image, audio


def add_inputs(page: sync_api.Page, files: tuple[Path, Path]) -> None:
    empty_form(page)
    for modality, file in zip(("image", "audio"), files, strict=True):
        page.locator(f".st-key-{modality}-sources [data-testid=stFileUploaderDropzoneInput]").set_input_files(file)
        page.locator(f"[data-testid=stFileChipName][title='{file.name}']").wait_for()
        origin = page.locator(f".st-key-{modality}-line .source")
        sync_api.expect(origin).to_have_text(say("source-own"), timeout=PATIENCE)
        settle(page)


def run_inputs(page: sync_api.Page, files: tuple[Path, Path]) -> None:
    """Runs the visitor's own inputs, pins a word, and waits until the address is the link."""
    before = drawn(page, IMAGE)
    add_inputs(page, files)
    page.get_by_role("textbox", name="Text").fill(QUESTION)
    press(page, "Run")
    changed(page, IMAGE, before)
    page.locator(f"{TEXT} [data-token]").nth(3).click()
    page.mouse.move(0, 0)
    until(page, lambda: bool(run_id(page.url)) and f"query={viewer_state(page)['tokens']}&" in page.url)
    settle(page)


def run_id(url: str) -> str:
    """Returns the id of the run that an address names."""
    return parse_qs(urlsplit(url).query).get("run", [""])[0]


def canvas(page: sync_api.Page) -> dict[str, object]:
    """Returns what the page shows of the run, and where its form says that the inputs come from."""
    return {
        **viewer_state(page),
        "image": drawn(page, IMAGE),
        "audio": drawn(page, AUDIO),
        "words": panel_text(page),
        "answer": page.locator(".answer .word").inner_text(),
        "question": page.get_by_role("textbox", name="Text").input_value(),
        "sources": [page.locator(f".st-key-{name}-line .source").inner_text() for name in ("image", "audio")],
    }


def test_a_reload_and_a_link_in_another_browser_keep_inputs_run_and_view(
    visit_to: Visit, server: str, files: tuple[Path, Path]
) -> None:
    page = visit_to(server)
    run_inputs(page, files)
    link, before = page.url, canvas(page)
    assert before["question"] == QUESTION and before["sources"] == [say("source-own")] * 2
    for name in (QUESTION, files[0].name, files[1].name, "dog"):
        assert name not in link

    other = visit_to(link)
    until(other, lambda: canvas(other) == before)
    without = visit_to(re.sub(r"run=[^&]*&?", "", link))
    assert canvas(without)["image"] != before["image"] and QUESTION not in without.content()
    assert "example=" in without.url, "nobody sees the run without its link"
    press(other, "Debug")  # the pages about the run open with it
    other.wait_for_url("**page=debug**")
    settle(other)
    assert run_id(other.url) == run_id(link)

    page.reload()
    page.locator(f"{VIEWER}[data-ready=true]").wait_for()
    settle(page)
    until(page, lambda: canvas(page) == before)
    assert page.url == link and page.locator(".note.remark").count() == 0
    assert say("changed") not in page.locator(".answer").inner_text()
    press(page, "Run")
    until(page, lambda: run_id(page.url) not in ("", run_id(link)))
    settle(page)
    assert panel_text(page).split() and page.locator(".answer .word").inner_text() == before["answer"]


def test_a_reload_keeps_inputs_that_were_not_run_and_no_other_browser_opens_them(
    visit_to: Visit, server: str, files: tuple[Path, Path]
) -> None:
    page = visit_to(server)
    add_inputs(page, files)
    until(page, lambda: "inputs=" in page.url)
    settle(page)
    page.reload()
    page.locator(f"{VIEWER}[data-ready=true]").wait_for()
    settle(page)
    sources = [page.locator(f".st-key-{name}-line .source").text_content() for name in ("image", "audio")]
    assert sources == [say("source-own")] * 2 and page.locator(".input-sign.image, .input-sign.audio").count() == 2
    assert say("changed") in page.locator(".answer").inner_text()
    other = visit_to(page.url)
    assert "inputs=" not in other.url and say("changed") not in other.locator(".answer").inner_text()
    assert other.locator(".st-key-image-line .source").text_content() == say("source-gallery")
    press(page, "Run")
    until(page, lambda: bool(run_id(page.url)))
    settle(page)
    assert "inputs=" not in page.url


def test_forgetting_ends_the_link_for_all_and_also_after_a_reload(
    visit_to: Visit, server: str, files: tuple[Path, Path]
) -> None:
    page = visit_to(server)
    page.get_by_role("textbox", name="Text").fill(QUESTION)
    press(page, "Run")
    until(page, lambda: bool(run_id(page.url)))
    settle(page)
    first = page.url
    add_inputs(page, files)
    page.get_by_role("textbox", name="Text").fill("another of my questions")
    press(page, "Run")
    until(page, lambda: run_id(page.url) not in ("", run_id(first)))
    settle(page)
    page.reload()
    page.locator(f"{VIEWER}[data-ready=true]").wait_for()
    settle(page)
    second = page.url
    press(page, say("forget"))
    page.get_by_text(say("nothing-yet", examples=say("panel-examples"))).wait_for()
    settle(page)
    assert "another of my questions" not in page.content() and urlsplit(page.url).query == ""
    assert page.get_by_role("textbox", name="Text").input_value() == ""
    for link in (first, second):
        other = visit_to(link)
        assert other.locator(".note.remark").inner_text() == say("link-run")
        assert "example=" in other.url and other.locator(".answer .word").inner_text()
    page.reload()
    page.locator(f"{VIEWER}[data-ready=true]").wait_for()
    settle(page)
    assert "example=" in page.url, "the first example, as for a new visitor"


@pytest.mark.long
def test_a_link_that_is_too_old_says_so(visit_to: Visit, tmp_path: Path) -> None:
    script = tmp_path / "short.py"
    script.write_text(SHORT_SCRIPT.format(root=str(ROOT)))
    with serving(script) as address:
        page = visit_to(address)
        page.get_by_role("textbox", name="Text").fill(QUESTION)
        links: list[str] = []
        page.on("framenavigated", lambda frame: links.append(frame.url) if run_id(frame.url) else None)
        press(page, "Run")
        until(page, lambda: bool(links))

        def says_so() -> bool:
            other = visit_to(links[0])
            messages = other.locator(".note.remark").all_inner_texts()
            other.context.close()
            return messages == [say("link-run")]

        until(page, says_so)
        page.context.close()
