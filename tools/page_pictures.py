"""``python -m tools.page_pictures`` takes the pictures of the page that README and docs show.

It serves the page, opens it in the system's Chromium, and writes ``docs/pictures/*.webp``: one that moves, of the
viewer while the pointer goes over words, patches and moments, and stills of the sections. With names it takes those
alone. It ends with 1 where all of them together exceed `LIMIT`. It needs the ``dev`` extra and Chromium.
"""

from __future__ import annotations

import argparse
import io
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import FloatRect, Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "pictures"
LIMIT = 600_000
"""Bytes of all pictures together."""
PATIENCE = 180
"""Seconds; a slow machine loads torch, and measures every route, for long."""
WIDTH, HEIGHT = 1280, 800
"""The window, in pixels."""
TALL = 2600
"""Pixels of the window where a section does not fit the first screen: the page scrolls in a frame of its own."""
MARGIN = 8
"""Pixels around what a picture shows."""
EXAMPLE = "spoken-place"
"""The example of the gallery that all pictures show: its question needs image, text and audio."""
VIEWER = "[data-mmviz=viewer][data-ready=true]"
WORDS = ("spoken", "right")
"""Words of its question that the pointer goes to."""
PATCHES = ((0.43, 0.45), (0.22, 0.34), (0.78, 0.78))
"""Then the things in the picture, as shares of its width and height: what is spoken of, its neighbours."""
MOMENTS = (0.63, 0.22)
"""Then moments of the sound, as shares of its length: the word, and before it."""
PAUSE = 1400
"""Milliseconds that the moving picture stands still."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.page_pictures", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"pictures to take, of {', '.join(PICTURES)}; by default all of them")
    names = parser.parse_args().names or list(PICTURES)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with _served_page() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        for name in names:
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            page.set_default_timeout(PATIENCE * 1000)
            data = PICTURES[name](page, url)
            (FOLDER / f"{name}.webp").write_bytes(data)
            print(f"{name}.webp: {len(data):,} bytes", flush=True)
            page.close()
        browser.close()
    total = sum(path.stat().st_size for path in FOLDER.iterdir())
    print(f"all pictures: {total:,} of at most {LIMIT:,} bytes")
    return int(total > LIMIT)


def viewer(page: Page, url: str) -> bytes:
    """Returns the viewer while the pointer goes over words, patches of things, and moments of the sound."""
    _open(page, url, "", VIEWER)
    panels = {name: page.locator(f"{VIEWER} [data-panel={name}]") for name in ("image", "text", "audio")}
    clip = _around(*panels.values(), page.locator(f"{VIEWER} [data-panel=overview]"))
    picture, sound = (_box(panels[name].locator("canvas").last) for name in ("image", "audio"))
    words = [panels["text"].get_by_role("button").get_by_text(word, exact=True) for word in WORDS]
    places = [(_box(word)["x"] + 5, _box(word)["y"] + 5) for word in words]
    places += [(picture["x"] + x * picture["width"], picture["y"] + y * picture["height"]) for x, y in PATCHES]
    places += [(sound["x"] + x * sound["width"], sound["y"] + sound["height"] / 2) for x in MOMENTS]
    frames = []
    for x, y in places:
        page.mouse.move(x, y)
        page.wait_for_timeout(500)
        frames.append(_shot(page, clip))
    return _webp(*frames)


def section(name: str, first: str, height: int) -> Callable[[Page, str], bytes]:
    """Returns what takes ``height`` pixels of a section of the page Debug, from its tabs, once ``first`` is there."""

    def take(page: Page, url: str) -> bytes:
        _open(page, url, f"page=debug&section={name}&", first)
        top = _box(page.locator(".st-key-sections"))["y"]
        return _webp(_shot(page, {"x": 0, "y": top - MARGIN, "width": WIDTH, "height": height}))

    return take


def lesson(page: Page, url: str) -> bytes:
    """Returns the lesson on several heads, after its question."""
    _open(page, url, "page=learn&lesson=heads&", ".lesson h2")
    page.get_by_text("Just show me").click()
    page.locator("[data-testid=stMetricValue]").first.wait_for()
    _settle(page)
    return _webp(
        _shot(page, {"x": 0, "y": _box(page.locator(".lesson h2"))["y"] - MARGIN, "width": WIDTH, "height": 760})
    )


def _open(page: Page, url: str, where: str, first: str) -> None:
    """Opens a part of the page on the example, and waits until ``first`` is there and nothing moves any more."""
    page.goto(f"{url}/?{where}lang=en&example={EXAMPLE}")
    page.locator(first).first.wait_for(state="attached")
    page.set_viewport_size({"width": WIDTH, "height": TALL})
    _settle(page)


def _settle(page: Page) -> None:
    """Waits until the server has nothing left to do for the page, and what it draws stands still."""
    page.wait_for_function("document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'")
    page.wait_for_timeout(3000)


def _box(target: Locator) -> FloatRect:
    box = target.bounding_box()
    if box is None:
        raise SystemExit(f"not on the page: {target}")
    return box


def _around(*targets: Locator) -> FloatRect:
    """Returns the smallest area that holds all targets, with a margin."""
    boxes = [_box(target) for target in targets]
    left, top = min(box["x"] for box in boxes) - MARGIN, min(box["y"] for box in boxes) - MARGIN
    right = max(box["x"] + box["width"] for box in boxes) + MARGIN
    bottom = max(box["y"] + box["height"] for box in boxes) + MARGIN
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def _shot(page: Page, clip: FloatRect) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")


def _webp(first: Image.Image, *frames: Image.Image) -> bytes:
    """Returns a WebP, which moves where there are several frames."""
    buffer = io.BytesIO()
    moves = {"save_all": True, "append_images": frames, "duration": PAUSE, "loop": 0} if frames else {}
    first.save(buffer, "WEBP", quality=72, method=6, **moves)
    return buffer.getvalue()


@contextmanager
def _served_page() -> Iterator[str]:
    """Yields the address of the page, served on a free port of this machine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([sys.executable, "-m", "mmviz.cli", "app", "--headless", "--port", str(port)], cwd=ROOT)
    try:
        end = time.monotonic() + PATIENCE
        while not _responds(f"{url}/_stcore/health"):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit("mmviz app did not start")
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()


def _responds(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


PICTURES: dict[str, Callable[[Page, str], bytes]] = {
    "viewer": viewer,
    "effect": section("effect", "text=The answer to each subset", 620),
    "routes": section("routes", ".st-key-routes-effects-0 .js-plotly-plot", 1100),
    "heads": section("heads", ".js-plotly-plot", 860),
    "lens": section("lens", ".js-plotly-plot", 980),
    "faithfulness": section("faithfulness", ".js-plotly-plot", 1180),
    "lesson": lesson,
}
"""What takes each picture."""


if __name__ == "__main__":
    sys.exit(main())
