"""The page in a real browser: serve it, wait for it, and reach what is on it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page
from processes import free_port, running_server

PATIENCE = 120_000
"""Milliseconds; a slow machine may load torch for long."""
LAUNCH = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream", "--host-resolver-rules=MAP lab.example 127.0.0.1",
]  # fmt: skip
VIEWER = "[data-mmviz=viewer]"
IMAGE, AUDIO, TEXT = (f"[data-panel={name}]" for name in ("image", "audio", "text"))
"""Panels of the viewer. They lie in a shadow root, which locators look into and `querySelector` does not."""


@contextmanager
def serving(script: Path, *arguments: str) -> Iterator[str]:
    """Yields the address of a Streamlit ``script`` that is served on a free port of this machine, with arguments."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port),
        "--server.address", "127.0.0.1", "--server.headless", "true", "--server.fileWatcherType", "none", "--",
        *arguments,
    ]  # fmt: skip
    with running_server(command, f"{url}/_stcore/health"):
        yield url


def settle(page: Page) -> None:
    """Waits until the server has nothing left to do for this page."""
    page.wait_for_function("document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'")


def until(page: Page, check: Callable[[], bool]) -> None:
    """Waits until ``check`` holds; fails where it never does."""
    end = time.monotonic() + PATIENCE / 1000
    while not check():
        assert time.monotonic() < end, "what was waited for did not happen"
        page.wait_for_timeout(50)


def drawn(page: Page, panel: str) -> str:
    """Returns the canvas of a panel of the viewer as a data URI; empty while the panel has none."""
    canvas = page.locator(f"{VIEWER}[data-ready=true] {panel} canvas")
    return str(canvas.first.evaluate("canvas => canvas.toDataURL()")) if canvas.count() else ""


def changed(page: Page, panel: str, before: str) -> str:
    """Waits until a panel shows something else than ``before``, and returns it."""
    until(page, lambda: drawn(page, panel) not in ("", before))
    settle(page)
    return drawn(page, panel)


def viewer_state(page: Page) -> dict[str, str]:
    """Returns what the viewer shows, as its attributes say."""
    names = ("run", "map", "tokens", "versus", "direction")
    viewer = page.locator(VIEWER)
    return {name: viewer.get_attribute(f"data-{name}") or "" for name in names}


CUT_OFF = """() => {
    const cut = [];
    const scrolls = element => element && (/auto|scroll/.test(getComputedStyle(element).overflowX)
        ? element.dataset.testid !== "stMain" : scrolls(element.parentElement ?? element.getRootNode().host));
    const look = root => {
        for (const element of root.querySelectorAll("*")) {
            if (element.shadowRoot) look(element.shadowRoot);
            const box = element.getBoundingClientRect(), text = element.innerText?.trim();
            const isSeen = element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
            // what only screen readers see is one pixel in size; a summary says with … that it unfolds
            if (!text || !isSeen || box.width < 3 || element.closest("summary, svg")) continue;
            const hides = /hidden|clip/.test(getComputedStyle(element).overflowX) || element.tagName === "BUTTON";
            if (hides && element.scrollWidth > element.clientWidth + 1) cut.push(text);
            const isOwn = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
            if (isOwn && (box.left < -1 || box.right > innerWidth + 1) && !scrolls(element)) cut.push(text);
        }
    };
    look(document);
    return cut;
}"""
"""Texts that are cut off at a side, reach out of a button, or lie beyond the screen where nothing scrolls."""
AT_200_PERCENT = ((640, 360), (720, 450))
"""What a page has of screens of 1280 x 720 and 1440 x 900 pixels at 200 %."""


def nothing_is_cut_off(page: Page, sizes: Iterable[tuple[int, int]] = AT_200_PERCENT) -> None:
    """Resizes the window to each of ``sizes``, and waits until all text of the page is seen whole; leaves the last."""
    for width, height in sizes:
        page.set_viewport_size({"width": width, "height": height})
        end = time.monotonic() + 30
        while cut := page.evaluate(CUT_OFF):  # for a moment while the page is laid out anew
            assert time.monotonic() < end, (width, height, cut)
            page.wait_for_timeout(50)


def panel_text(page: Page) -> str:
    """Returns the text panel's content, with its numbers."""
    return page.locator(TEXT).inner_text()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def close_popover(page: Page, content: Locator) -> None:
    """Presses Escape until ``content`` is hidden: a popover that is being drawn does not hear the first one."""

    def is_closed() -> bool:
        if content.is_visible():
            page.keyboard.press("Escape")
        return content.is_hidden()

    until(page, is_closed)


def unfold(page: Page, panel: str) -> None:
    """Unfolds a part of the form, ``examples`` or ``own``, where it is folded away."""
    if page.locator(f".st-key-panel-{panel}").is_hidden():
        page.locator(f".st-key-panel-{panel}-toggle button:visible").click()
        page.locator(f".st-key-panel-{panel}").wait_for()
        settle(page)


def example_button(page: Page, name: str) -> Locator:
    """Unfolds the gallery, and returns the button of an example: Streamlit makes two of a button with help."""
    unfold(page, "examples")
    return page.locator(f".st-key-example-{name} button:visible")


def empty_form(page: Page) -> None:
    """Unfolds the form and empties it, and waits until it is empty."""
    unfold(page, "own")
    press(page, "Empty the form")
    page.wait_for_function("document.querySelector('.st-key-question input').value === ''")
    settle(page)


def pick(page: Page, key: str, text: str) -> None:
    """Chooses from a list by typing."""
    box = page.locator(f".st-key-{key} input")
    box.click()
    box.fill(text)
    page.get_by_role("option", name=text).first.click()
    settle(page)
