"""When a visitor first sees something: ``python benchmarks/first_view.py [FOLDER ...]``, each the root of a checkout.

For each folder it starts ``app.py`` in a new process and visits it in Chromium, on the line of this machine (a cold
start) and on throttled lines (a warm server, an empty cache). It prints the seconds from the request to the first
pixels, to the first map of the answer, and to the viewer in which everything responds, and what travelled until then.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from processes import ROOT
from real_page import LAUNCH, VIEWER, serving

LINES = {"this machine": None, "fast 3G": (1_600_000, 150), "slow 3G": (400_000, 400)}
"""Bits per second and milliseconds of latency, as Chromium's developer tools name such lines; None for no limit."""
PATIENCE = 300_000
"""Milliseconds until something must have happened."""
FIRST_MAP = ".st-key-reads-from img, .st-key-reads-from svg, .st-key-reads-from canvas"


def main() -> None:
    folders = [Path(name) for name in sys.argv[1:]] or [ROOT]
    print(f"{'folder':<24}{'line':<16}{'first pixels':>14}{'first map':>12}{'viewer':>10}{'megabytes':>12}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=LAUNCH)
        for folder in folders:
            with serving(folder / "app.py") as address:
                for name, line in LINES.items():
                    pixels, first_map, viewer, size = visit(browser, address, line)
                    print(f"{folder.name:<24}{name:<16}{pixels:>14.1f}{first_map:>12.1f}{viewer:>10.1f}{size:>12.2f}")
        browser.close()


def visit(browser: Browser, address: str, line: tuple[int, int] | None) -> tuple[float, float, float, float]:
    """Returns the seconds to the first pixels, to the first map and to the viewer, and the megabytes received."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    received = [0.0]
    network.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    network.on(
        "Network.webSocketFrameReceived", lambda event: received.append(len(event["response"]["payloadData"]) * 3 / 4)
    )  # base64
    if line is not None:
        bits, latency = line
        limits = {"downloadThroughput": bits / 8, "uploadThroughput": bits / 8, "latency": latency, "offline": False}
        network.send("Network.emulateNetworkConditions", limits)
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator(FIRST_MAP).first.wait_for()
    first_map = time.perf_counter() - began
    page.locator(f"{VIEWER}[data-ready=true]").wait_for()
    viewer = time.perf_counter() - began
    paint = page.evaluate("performance.getEntriesByType('paint').map(entry => entry.startTime)")
    context.close()
    return paint[0] / 1000, first_map, viewer, sum(received) / 1e6


if __name__ == "__main__":
    main()
