"""What ``test_container.py`` runs inside its namespaces as the image's user: both commands, and a browser.

Called with the Dockerfile's CMD and HEALTHCHECK, as JSON, and the path of a browser. Prints what works, as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright
from real_page import LAUNCH, VIEWER

import mmviz

DEADLINE = 120.0
PAGE = "http://127.0.0.1:8501"
SERVICE = "http://127.0.0.1:8600"
TOKEN = "the-token-of-this-test"


@contextmanager
def healthy(arguments: list[str], check: list[str], url: str) -> Iterator[None]:
    """Runs ``mmviz`` with these arguments, once the health check of the image passes for ``url``."""
    process = subprocess.Popen(["mmviz", *arguments])
    try:
        end = time.monotonic() + DEADLINE
        environment = {**os.environ, "HEALTH_URL": url}
        while subprocess.run(check, env=environment, stderr=subprocess.DEVNULL, timeout=DEADLINE).returncode:
            assert process.poll() is None and time.monotonic() < end, f"{url} is not healthy"
            time.sleep(0.2)
        yield
        process.terminate()
        process.wait(60)
    finally:
        process.kill()


def can_write(path: str) -> bool:
    try:
        Path(path).write_text("x")
    except OSError:
        return False
    return True


def can_connect_out() -> bool:
    try:
        urllib.request.urlopen("http://192.0.2.1", timeout=3)
    except OSError as problem:
        return "unreachable" not in str(problem)
    return True


def run_in_the_page(browser_path: str) -> str:
    """Enters the token, runs the model, and returns where the answer was computed, as the page says."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=[*LAUNCH, "--disable-dev-shm-usage"])
        page = browser.new_page()
        page.set_default_timeout(DEADLINE * 1000)
        page.goto(PAGE)
        field = page.locator("input[type=password]")
        field.fill(TOKEN)
        field.press("Enter")
        page.locator(f"{VIEWER}[data-ready=true]").wait_for()
        page.locator(".st-key-question input").fill("How many things are there?")
        page.locator(".st-key-question input").press("Enter")
        computed = page.locator(".answer .caption").filter(has_text="computed on CPU")
        computed.wait_for()
        text = computed.inner_text()
        browser.close()
    return text


def main() -> None:
    command, check, browser_path = json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
    works: dict[str, object] = {
        "user": os.getuid(),
        "package": mmviz.__file__,
        "writes": [folder for folder in ("/", "/srv", "/var/tmp", sys.prefix, "/tmp") if can_write(f"{folder}/file")],
        "network": can_connect_out(),
    }
    os.environ["MMVIZ_ACCESS"] = TOKEN
    with healthy(command, check, os.environ["HEALTH_URL"]):
        works["page"] = run_in_the_page(browser_path)
    token = Path("/tmp/token")
    token.write_text(TOKEN)
    service = ["serve", "--host", "0.0.0.0", "--token-file", str(token)]
    with healthy(service, check, f"{SERVICE}/live"):
        explain = [
            "mmviz",
            "explain",
            "--text",
            "How many things are there?",
            "--backend",
            SERVICE,
            "--png",
            "/tmp/a.png",
        ]
        command = [*explain, "--token-file", str(token)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
        works["service"] = done.stdout + done.stderr
    print(json.dumps(works))


if __name__ == "__main__":
    main()
