"""Runs in a real browser: the first paint, links, the history, the composer, stopping, and maps that are fetched."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from processes import ROOT  # noqa: E402
from real_page import (  # noqa: E402
    AUDIO,
    IMAGE,
    PATIENCE,
    TEXT,
    VIEWER,
    changed,
    drawn,
    example_button,
    panel_text,
    pick,
    press,
    serving,
    settle,
    unfold,
    until,
    viewer_state,
)  # fmt: skip

from mmviz.app.visitor_language import SETTLED  # noqa: E402
from mmviz.i18n.page import say  # noqa: E402
from mmviz.i18n.viewer import WORDS  # noqa: E402
from mmviz.inputs.examples import load_gallery  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.pages]

Visit = Callable[..., sync_api.Page]
SLOW_SCRIPT = """
import sys, time
sys.path.insert(0, {root!r})
from mmviz.app import main, run_launcher
from mmviz.backends.replay import ReplayBackend
from mmviz.explain import run_sample

def run_slowly(sample, *, backend, **options):
    if not isinstance(backend, ReplayBackend):
        time.sleep(600)
    return run_sample(sample, backend=backend, **options)

run_launcher.run_sample = run_slowly
main()
"""

SMALL_CONTAINERS_SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from mmviz.app import main
from mmviz.report import viewer_data

viewer_data.MAX_BYTES = 500_000
main()
"""


def view(page: sync_api.Page) -> dict[str, str]:
    """Returns the view of a page, and what is drawn of it."""
    texts = {"answer": page.locator(".answer .word").inner_text(), "text": panel_text(page)}
    return {**viewer_state(page), **texts, "image": drawn(page, IMAGE), "audio": drawn(page, AUDIO)}


def has_params(**params: str) -> Callable[[str], bool]:
    """Returns a check for an address with these parameters."""
    return lambda url: all(parse_qs(urlsplit(url).query).get(name) == [value] for name, value in params.items())


def test_the_first_paint_of_a_new_server_is_a_recorded_run(visit_to: Visit, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(ROOT / "app.py") as address:
        started = time.monotonic()
        page = visit_to(address)
        seconds = time.monotonic() - started
        assert "recorded run" in page.locator(".answer").inner_text()
        pixels = page.evaluate("performance.getEntriesByType('paint').map(entry => entry.startTime)")
        page.context.close()  # before its server is gone
    with capsys.disabled():
        print(f"\nfirst paint of a new server: first pixels {pixels[0]:.0f} ms, all drawn {seconds:.1f} s")


def test_a_link_opens_its_view_and_back_returns_to_it(visit_to: Visit, server: str) -> None:
    page = visit_to(server)
    example_button(page, "there").click()
    page.wait_for_url(has_params(example="there"))
    settle(page)
    before = view(page)
    page.locator(f"{TEXT} [data-token]").nth(2).click()
    page.wait_for_url(lambda url: not has_params(query="0")(url))
    page.locator("[data-panel=overview] [data-map='2:1']").click()
    page.wait_for_url(has_params(map="2:1"))
    press(page, WORDS["direction-to"])
    page.wait_for_url(has_params(direction="to"))
    page.mouse.move(0, 0)
    settle(page)
    linked = view(page)
    assert linked["image"] != before["image"] and linked["tokens"] != before["tokens"]
    assert (linked["map"], linked["direction"], linked["versus"]) == ("2:1", "to", "")

    other = visit_to(page.url)
    other.mouse.move(0, 0)
    assert view(other) == linked and other.url == page.url
    assert other.locator(".note.remark").count() == 0

    other.locator(".st-key-show-relevance button").click()
    other.wait_for_url(has_params(map="relevance"))
    changed(other, IMAGE, linked["image"])
    settle(other)
    written = time.monotonic()
    until(other, lambda: time.monotonic() - written > SETTLED)  # the page ignores changes of the address until then
    other.go_back()
    until(other, lambda: viewer_state(other)["map"] == "2:1")
    settle(other)
    until(other, lambda: view(other) == linked)
    assert other.url == page.url


def test_the_exported_page_equals_the_screen_with_two_pins(visit_to: Visit, server: str, tmp_path: Path) -> None:
    """Same tokens, same numbers, same view: what is read on the page is read in the file that is saved from it."""

    def shown(page: sync_api.Page) -> dict[str, str]:
        parts = ("[data-part=readout]", ".legend", TEXT, "[data-panel=modality-bars]", "[data-panel=modality-matrix]")
        viewer = page.locator(VIEWER)
        state = {name: value for name, value in viewer_state(page).items() if name != "run"}
        return state | {part: viewer.locator(part).first.inner_text() for part in parts}

    page = visit_to(server + "/?example=spoken-place")
    page.locator("[data-panel=overview] [data-map='2:1']").click()
    press(page, WORDS["direction-to"])
    page.locator(f"{TEXT} [data-token]").nth(2).click()
    page.locator(f"{TEXT} [data-token]").nth(4).click()
    page.wait_for_url(lambda url: "versus=" in url and "direction=to" in url)
    page.mouse.move(0, 0)
    settle(page)
    on_screen = shown(page)
    assert on_screen["versus"] and on_screen["map"] == "2:1" and "minus" in on_screen["[data-part=readout]"]
    with page.expect_download() as download:
        page.locator(".st-key-save-page button:visible").click()
    download.value.save_as(tmp_path / "page.html")  # a name without an ending would be shown as text
    saved = page.context.new_page()
    saved.goto((tmp_path / "page.html").as_uri())
    saved.locator(f"{VIEWER}[data-ready=true]").wait_for()
    until(saved, lambda: shown(saved) == on_screen)
    (example,) = (example for example in load_gallery() if example.id == "spoken-place")
    assert saved.locator("main").inner_text().startswith(example.question)


def test_a_pin_sends_no_maps(visit_to: Visit, server: str) -> None:
    page = visit_to(server)
    received: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: received.append(len(data))))
    page.reload()
    page.locator(f"{VIEWER}[data-complete=true]").wait_for()
    settle(page)
    whole = sum(received)
    assert whole > 1_000_000, "the maps were sent"
    received.clear()
    page.locator(f"{TEXT} [data-token]").nth(2).click()
    page.wait_for_url(lambda url: not has_params(query="0")(url))
    settle(page)
    assert 0 < sum(received) < whole / 4, received


def test_a_question_is_composed_by_typing(visit_to: Visit, server: str) -> None:
    page = visit_to(server)
    before = panel_text(page)
    unfold(page, "own")
    press(page, say("compose"))
    page.locator(".composed").wait_for()
    pick(page, "compose-wording", "can you see a …")
    pick(page, "compose-x", "owl")
    sync_api.expect(page.locator(".composed")).to_have_text("Can you see an owl?", timeout=PATIENCE)
    assert panel_text(page) == before, "nothing runs before the question is asked"
    press(page, say("compose-ask"))
    until(page, lambda: panel_text(page) != before)
    settle(page)
    sync_api.expect(page.locator(".composed")).to_be_hidden(timeout=PATIENCE)
    assert page.get_by_role("textbox", name="Text").input_value() == "Can you see an owl?"
    assert "owl" in panel_text(page)
    assert page.locator(".answer .word").inner_text() in ("yes", "no")
    assert "computed on" in page.locator(".answer").inner_text()


def test_a_run_can_be_stopped(visit_to: Visit, tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(SLOW_SCRIPT.format(root=str(ROOT)), encoding="utf-8")
    with serving(script) as address:
        page = visit_to(address)
        before, answer = drawn(page, IMAGE), page.locator(".answer .word").inner_text()
        page.get_by_role("textbox", name="Text").fill("what is it?")
        press(page, say("run"))
        waiting = page.locator(".note[role=status]")
        waiting.wait_for()
        assert "model" in waiting.inner_text()
        first = waiting.inner_text()
        page.wait_for_function("before => document.querySelector('.note[role=status]').innerText !== before", arg=first)
        page.locator("[data-testid=stStatusWidget]").wait_for(state="attached")
        assert page.get_by_role("button", name=say("stop"), exact=True).count() == 1, "and none of Streamlit's"
        press(page, say("stop"))
        error = page.locator(".note.error")
        error.wait_for()
        settle(page)
        assert say("stopped") in error.inner_text() and waiting.count() == 0
        assert page.get_by_role("button", name=say("stop"), exact=True).count() == 0
        until(page, lambda: drawn(page, IMAGE) == before)  # the viewer is set up anew below the message
        assert page.locator(".answer .word").inner_text() == answer
        example_button(page, "said").click()
        sync_api.expect(error).to_have_count(0, timeout=PATIENCE)
        assert changed(page, AUDIO, ""), "the page can be used again"
        page.context.close()  # before its server is gone


def test_a_head_that_was_not_sent_is_fetched_with_a_message(visit_to: Visit, tmp_path: Path) -> None:
    script = tmp_path / "small.py"
    script.write_text(SMALL_CONTAINERS_SCRIPT.format(root=str(ROOT)), encoding="utf-8")
    with serving(script) as address:
        page = visit_to(address)
        before = drawn(page, IMAGE)
        page.evaluate(
            """() => {
              const host = [...document.querySelectorAll("*")].find(
                (element) => element.shadowRoot?.querySelector("[data-mmviz=viewer]"));
              const waiting = host.shadowRoot.querySelector("[data-part=waiting]");
              window.messages = [];
              const read = () => waiting.hidden || window.messages.push(waiting.className + waiting.textContent);
              new MutationObserver(read).observe(waiting, { attributes: true, childList: true });
            }"""
        )
        page.locator("[data-panel=overview] [data-map='4:3']").click()
        page.wait_for_url(has_params(map="4:3"))
        page.mouse.move(0, 0)
        until(page, lambda: viewer_state(page)["map"] == "4:3" and not page.locator("[data-part=waiting]").is_visible())
        assert changed(page, IMAGE, before), "it arrived and is drawn"
        messages = page.evaluate("window.messages")
        assert any("busy" in message and "layer 5, head 4" in message for message in messages), messages
        announcement = page.locator(f"{VIEWER} [data-part=announcement]")
        sync_api.expect(announcement).to_contain_text("layer 5, head 4", timeout=PATIENCE)
        page.locator(f"{VIEWER}[data-complete=true]").wait_for()
        assert viewer_state(page)["map"] == "4:3", "what comes in the background changes nothing that is shown"
        page.context.close()  # before its server is gone
