"""Looking at runs in a real browser: the first paint, links, the history, the composer, and stopping."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import PATIENCE, PICTURE, ROOT, SOUND, changed, drawn, pick, press, serving, settle, trio  # noqa: E402

pytestmark = pytest.mark.slow

Visit = Callable[..., sync_api.Page]
SLOW = """
import sys, time
sys.path.insert(0, {root!r})
from mmviz.app import explore, main
from mmviz.backends.replay import ReplayBackend
from mmviz.explain import run_sample

def slow(sample, *, backend, **how):
    if not isinstance(backend, ReplayBackend):
        time.sleep(600)
    return run_sample(sample, backend=backend, **how)

explore.run_sample = slow
main()
"""


def view(page: sync_api.Page) -> dict[str, str]:
    """What is chosen, and what is drawn of it."""
    chosen = {key: page.locator(f".st-key-{key} input").input_value() for key in ("token", "method", "layer", "head")}
    shown = {"answer": page.locator(".answer .word").inner_text(), "words": page.locator(".words").inner_html()}
    return {**chosen, **shown, "picture": drawn(page, PICTURE), "sound": drawn(page, SOUND)}


def test_the_first_paint_of_a_new_server_is_a_recorded_run(visit_to: Visit, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(ROOT / "app.py") as address:
        started = time.monotonic()
        page = visit_to(address)
        seconds = time.monotonic() - started
        assert "a recorded run" in page.locator(".answer").inner_text()
        pixels = page.evaluate("performance.getEntriesByType('paint').map(entry => entry.startTime)")
        page.context.close()  # before its server is gone
    with capsys.disabled():
        print(f"\nfirst paint of a new server: first pixels {pixels[0]:.0f} ms, all drawn {seconds:.1f} s")


def test_a_link_opens_the_view_it_was_copied_from_and_back_goes_back(visit_to: Visit, server: str) -> None:
    page = visit_to(server)
    trio(page, "there").click()
    page.wait_for_url("**trio=there&*")
    settle(page)
    before = view(page)
    pick(page, "token", "words: “")
    page.wait_for_url(lambda url: "query=0" not in url)
    pick(page, "method", "one head")
    page.wait_for_url("**way=head*")
    pick(page, "layer", "3 of")
    page.wait_for_url("**layer=3*")
    pick(page, "head", "2 of")
    page.wait_for_url("**head=2")
    page.locator(".st-key-direction").get_by_role("radio", name="is asked").click()
    page.wait_for_url("**direction=to*")
    settle(page)
    mine = view(page)
    assert mine["picture"] != before["picture"] and mine["token"] != before["token"]

    other = visit_to(page.url)
    assert view(other) == mine and other.url == page.url
    assert other.locator(".note.remark").count() == 0

    pick(other, "token", "picture: patch in row 5, column 5")
    changed(other, PICTURE, mine["picture"])
    pick(other, "method", "rollout")
    other.wait_for_url("**way=rollout")
    for _ in range(2):
        other.wait_for_timeout(1_700)  # from then on the page takes another address for the visitor's wish
        other.go_back()
        settle(other)
    other.wait_for_function(
        "before => document.querySelector('.st-key-token input').value === before", arg=mine["token"]
    )
    changed(other, PICTURE, before["picture"])
    assert view(other) == mine and other.url == page.url


def test_a_question_is_composed_by_typing(visit_to: Visit, server: str) -> None:
    page = visit_to(server)
    words = page.locator(".words").inner_html()
    press(page, "Compose")
    page.locator(".composed").wait_for()
    pick(page, "compose-wording", "can you see a …")
    pick(page, "compose-x", "owl")
    sync_api.expect(page.locator(".composed")).to_have_text("Can you see an owl?", timeout=PATIENCE)
    assert page.locator(".words").inner_html() == words, "nothing is run before it is asked"
    press(page, "Ask this")
    page.wait_for_function("before => document.querySelector('.words').innerHTML !== before", arg=words)
    settle(page)
    sync_api.expect(page.locator(".composed")).to_be_hidden(timeout=PATIENCE)
    assert page.get_by_role("textbox", name="Text").input_value() == "Can you see an owl?"
    assert "owl" in page.locator(".words").inner_text()
    assert page.locator(".answer .word").inner_text() in ("yes", "no")
    assert "computed on" in page.locator(".answer").inner_text()


def test_a_run_can_be_stopped(visit_to: Visit, tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(SLOW.format(root=str(ROOT)), encoding="utf-8")
    with serving(script) as address:
        page = visit_to(address)
        before, answer = drawn(page, PICTURE), page.locator(".answer .word").inner_text()
        page.get_by_role("textbox", name="Text").fill("what is it?")
        press(page, "Run")
        waiting = page.locator(".note[role=status]")
        waiting.wait_for()
        assert "model" in waiting.inner_text()
        first = waiting.inner_text()
        page.wait_for_function("before => document.querySelector('.note[role=status]').innerText !== before", arg=first)
        page.locator("[data-testid=stStatusWidget]").wait_for(state="attached")
        assert page.get_by_role("button", name="Stop", exact=True).count() == 1, "and none of Streamlit's"
        press(page, "Stop")
        refusal = page.locator(".note.refusal")
        refusal.wait_for()
        settle(page)
        assert "You stopped the run" in refusal.inner_text() and waiting.count() == 0
        assert page.get_by_role("button", name="Stop", exact=True).count() == 0
        assert drawn(page, PICTURE) == before and page.locator(".answer .word").inner_text() == answer
        trio(page, "said").click()
        sync_api.expect(refusal).to_have_count(0, timeout=PATIENCE)
        assert changed(page, SOUND, ""), "the page goes on"
        page.context.close()  # before its server is gone
