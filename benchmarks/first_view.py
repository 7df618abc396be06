"""When a visitor first sees something: ``python benchmarks/first_view.py [FOLDER ...]``, each the root of a checkout.

For each folder it starts ``app.py`` in a new process and visits it in Chromium, on the line of this machine (a cold
start) and on throttled lines (a warm server, an empty cache). It prints the seconds from the request to the first
pixels, to the first map of the answer, to the viewer that responds (``ready``), and to the one that has everything
(``complete``), and the megabytes that travelled until the viewer was ready and until it was complete.

Megabytes are exact, and so is what a throttled line adds; a machine that is busy with other work adds to all seconds.
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
PATIENCE = 900_000
"""Milliseconds until something must have happened."""
FIRST_MAP = ".st-key-reads-from img, .st-key-reads-from svg, .st-key-reads-from canvas"


def main() -> None:
    folders = [Path(name) for name in sys.argv[1:]] or [ROOT]
    names = ("first pixels", "first map", "ready", "MB", "complete", "MB")
    print(f"{'folder':<20}{'line':<14}" + "".join(f"{name:>14}" for name in names))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=LAUNCH)
        for folder in folders:
            with serving(folder / "app.py") as address:
                for name, line in LINES.items():
                    values = visit(browser, address, line)
                    print(f"{folder.name:<20}{name:<14}" + "".join(f"{value:>14.2f}" for value in values), flush=True)
        browser.close()


def visit(browser: Browser, address: str, line: tuple[int, int] | None) -> tuple[float, ...]:
    """Returns seconds and megabytes in the order in which they are printed."""
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
    ready, ready_size = time.perf_counter() - began, sum(received) / 1e6
    page.locator(f"{VIEWER}:not([data-complete=false])").wait_for()
    complete, size = time.perf_counter() - began, sum(received) / 1e6
    paint = page.evaluate("performance.getEntriesByType('paint').map(entry => entry.startTime)")
    context.close()
    return paint[0] / 1000, first_map, ready, ready_size, complete, size


if __name__ == "__main__":
    main()
