"""A class at once: ``python benchmarks/classroom.py [--browsers 30]`` opens pages in Chromium and presses Run in each.

Browsers, page and model share this machine, which is harder than a class with laptops of its own.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import defaultdict
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from processes import ROOT
from real_page import LAUNCH, PATIENCE, VIEWER, serving, settle

QUESTIONS = (
    "How many things are there?", "What was said?", "can you see a dog", "is there a car in the picture",
    "what is in the picture?",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browsers", type=int, default=30)
    count = parser.parse_args().browsers
    page_errors: list[str] = []
    with serving(ROOT / "app.py") as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=LAUNCH)
        began = time.perf_counter()
        pages = [open_page(browser.new_context().new_page(), address, page_errors) for _ in range(count)]
        for page in pages:
            page.locator(f"{VIEWER}[data-ready=true]").wait_for()
        print(f"{count} pages were drawn after {time.perf_counter() - began:.0f} s", flush=True)
        for k, page in enumerate(pages):
            box = page.get_by_role("textbox").first
            box.fill(QUESTIONS[k % len(QUESTIONS)])
            box.press("Enter")
        for page in pages:
            settle(page)
        began = time.perf_counter()
        for page in pages:
            page.get_by_role("button", name="Run", exact=True).click()
        answers: dict[str, set[str]] = defaultdict(set)
        for k, page in enumerate(pages):
            page.get_by_text("computed on CPU in").or_(page.get_by_text("computed on GPU in")).first.wait_for()
            answers[QUESTIONS[k % len(QUESTIONS)]].add(page.locator(".answer .word").first.inner_text())
        print(f"{count} runs were shown after {time.perf_counter() - began:.0f} s")
        print(f"questions with more than one answer: {sum(len(words) > 1 for words in answers.values())}")
        print(f"errors in the pages: {len(page_errors)}")
        browser.close()


def open_page(page: Page, address: str, page_errors: list[str]) -> Page:
    page.on("pageerror", lambda error: page_errors.append(str(error)))
    page.set_default_timeout(2 * PATIENCE)
    page.goto(address, wait_until="commit")
    return page


if __name__ == "__main__":
    main()
