"""The real page in a real browser: what is uploaded is run, and the overlays follow the chosen token."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api")

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
QUIET = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE = 120_000
"""Milliseconds; a slow machine may load torch for long."""
PICTURE = ".st-key-picture-figure"
SOUND = ".st-key-sound-figure"
DRAWN = "key => document.querySelector(key + ' .js-plotly-plot')?.layout.images[0]?.source ?? ''"


@pytest.fixture(scope="module")
def address(chromium: str) -> Iterator[str]:
    """The app on a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), "--server.port", str(port),
        "--server.address", "127.0.0.1", "--server.headless", "true", "--server.fileWatcherType", "none",
    ]  # fmt: skip
    app = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", app)
        yield f"http://127.0.0.1:{port}"
    finally:
        app.terminate()
        app.wait(timeout=20)


def _wait_for(url: str, app: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end:
        assert app.poll() is None, "the app ended by itself"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail("the app does not answer")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield found
        found.close()


def opened(browser: sync_api.Browser, address: str, width: int, height: int) -> sync_api.Page:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.locator(".answer .word").wait_for()
    page.wait_for_function(f"({DRAWN})('{PICTURE}') !== ''")
    settle(page)
    return page


def settle(page: sync_api.Page) -> None:
    """Wait until the server has nothing left to do for this page."""
    page.wait_for_function("document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'")


def changed(page: sync_api.Page, figure: str, before: str) -> str:
    """The picture inside a figure, once it is another one."""
    page.wait_for_function(f"before => ({DRAWN})('{figure}') !== before", arg=before)
    settle(page)
    found: str = page.evaluate(DRAWN, figure)
    return found


def click_inside(page: sync_api.Page, figure: str, across: float, down: float) -> None:
    area = page.locator(f"{figure} .nsewdrag").last
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
    page.mouse.click(box["x"] + box["width"] * across, box["y"] + box["height"] * down)


def test_upload_run_and_look_from_another_token(browser: sync_api.Browser, address: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    soundfile.write(tmp_path / "mine.wav", np.sin(np.arange(44_100) / 9) * 0.3, 44_100)
    page = opened(browser, address, 1440, 900)
    gallery = page.evaluate(DRAWN, PICTURE)
    heard = page.evaluate(DRAWN, SOUND)

    page.get_by_role("button", name="Your own").click()
    sync_api.expect(page.get_by_role("textbox", name="Text")).to_have_value("", timeout=PATIENCE)
    settle(page)  # new uploaders have come with the empty form
    for number, name in enumerate(("mine.png", "mine.wav")):
        page.locator("[data-testid=stFileUploaderDropzoneInput]").nth(number).set_input_files(tmp_path / name)
        page.locator(f"[data-testid=stFileChipName][title='{name}']").wait_for()
        settle(page)
    page.get_by_role("textbox", name="Text").fill("is there a dog in the picture?")
    page.get_by_role("button", name="Run", exact=True).click()

    mine = changed(page, PICTURE, gallery)
    sound = changed(page, SOUND, heard)
    assert page.locator(".answer .word").inner_text().strip()
    assert "44,100 Hz" in page.locator(".note.notice").inner_text()
    words = page.locator(".words").inner_html()
    assert "dog" in words

    click_inside(page, PICTURE, 0.35, 0.45)
    from_patch = changed(page, PICTURE, mine)
    page.locator(".heading", has_text="“patch").wait_for()
    assert page.locator(".words").inner_html() != words
    from_patch_sound = changed(page, SOUND, sound)

    click_inside(page, SOUND, 0.5, 0.5)
    changed(page, PICTURE, from_patch)
    changed(page, SOUND, from_patch_sound)
    page.close()


def test_a_telephone_needs_no_sideways_scrolling(browser: sync_api.Browser, address: str) -> None:
    page = opened(browser, address, 390, 844)
    too_wide = "name => { const e = document.querySelector(name); return e.scrollWidth - e.clientWidth }"
    assert [page.evaluate(too_wide, name) for name in ("html", "[data-testid=stMain]")] == [0, 0]
    page.close()
