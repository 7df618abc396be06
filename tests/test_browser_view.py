"""Looking at runs in a real browser: the first paint, links, the history, the composer, and stopping."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import (  # noqa: E402
    PATIENCE,
    PICTURE,
    ROOT,
    SOUND,
    VIEWER,
    WORDS,
    changed,
    drawn,
    looked,
    pick,
    press,
    serving,
    settle,
    trio,
    until,
    words,
)  # fmt: skip

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

SPARING = """
import sys
sys.path.insert(0, {root!r})
from mmviz import report
from mmviz.app import main

report.scene.LIMIT = 500_000
main()
"""


def view(page: sync_api.Page) -> dict[str, str]:
    """What is looked at, and what is drawn of it."""
    shown = {"answer": page.locator(".answer .word").inner_text(), "words": words(page)}
    return {**looked(page), **shown, "picture": drawn(page, PICTURE), "sound": drawn(page, SOUND)}


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
    page.locator(f"{WORDS} [data-token]").nth(2).click()
    page.wait_for_url(lambda url: "query=0&" not in url)
    page.locator("[data-panel=overview] [data-plane='2:1']").click()
    page.wait_for_url("**way=head&layer=3&head=2")
    page.get_by_role("button", name="← is asked").click()
    page.wait_for_url("**direction=to*")
    page.mouse.move(0, 0)
    settle(page)
    mine = view(page)
    assert mine["picture"] != before["picture"] and mine["tokens"] != before["tokens"]
    assert (mine["plane"], mine["direction"], mine["versus"]) == ("2:1", "to", "")

    other = visit_to(page.url)
    other.mouse.move(0, 0)
    assert view(other) == mine and other.url == page.url
    assert other.locator(".note.remark").count() == 0

    other.locator(".st-key-look-relevance button").click()
    other.wait_for_url("**way=relevance")
    changed(other, PICTURE, mine["picture"])
    other.wait_for_timeout(1_700)  # from then on the page takes another address for the visitor's wish
    other.go_back()
    until(other, lambda: looked(other)["plane"] == "2:1")
    settle(other)
    until(other, lambda: view(other) == mine)
    assert other.url == page.url


def test_a_pin_sends_words_and_no_maps(visit_to: Visit, server: str) -> None:
    page = visit_to(server)
    received: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: received.append(len(data))))
    page.reload()
    page.locator(f"{VIEWER}[data-ready=true]").wait_for()
    settle(page)
    whole = sum(received)
    assert whole > 1_000_000, "the maps were sent"
    received.clear()
    page.locator(f"{WORDS} [data-token]").nth(2).click()
    page.wait_for_url(lambda url: "query=0&" not in url)
    settle(page)
    assert 0 < sum(received) < whole / 4, received


def test_a_question_is_composed_by_typing(visit_to: Visit, server: str) -> None:
    page = visit_to(server)
    before = words(page)
    press(page, "Compose")
    page.locator(".composed").wait_for()
    pick(page, "compose-wording", "can you see a …")
    pick(page, "compose-x", "owl")
    sync_api.expect(page.locator(".composed")).to_have_text("Can you see an owl?", timeout=PATIENCE)
    assert words(page) == before, "nothing is run before it is asked"
    press(page, "Ask this")
    until(page, lambda: words(page) != before)
    settle(page)
    sync_api.expect(page.locator(".composed")).to_be_hidden(timeout=PATIENCE)
    assert page.get_by_role("textbox", name="Text").input_value() == "Can you see an owl?"
    assert "owl" in words(page)
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


def test_a_head_that_was_not_sent_is_fetched_with_a_sign(visit_to: Visit, tmp_path: Path) -> None:
    script = tmp_path / "sparing.py"
    script.write_text(SPARING.format(root=str(ROOT)), encoding="utf-8")
    with serving(script) as address:
        page = visit_to(address)
        before = drawn(page, PICTURE)
        page.evaluate(
            """() => {
              const host = [...document.querySelectorAll("*")].find(
                (one) => one.shadowRoot?.querySelector("[data-mmviz=viewer]"));
              const waiting = host.shadowRoot.querySelector("[data-part=waiting]");
              window.signs = [];
              new MutationObserver(() => waiting.hidden || window.signs.push(waiting.className + waiting.textContent))
                .observe(waiting, { attributes: true, childList: true });
            }"""
        )
        page.locator("[data-panel=overview] [data-plane='4:3']").click()
        page.wait_for_url("**way=head&layer=5&head=4")
        page.mouse.move(0, 0)
        until(page, lambda: looked(page)["plane"] == "4:3" and not page.locator("[data-part=waiting]").is_visible())
        assert changed(page, PICTURE, before), "it came, and is drawn"
        signs = page.evaluate("window.signs")
        assert any("busy" in sign and "layer 5, head 4" in sign for sign in signs), signs
        page.context.close()  # before its server is gone
