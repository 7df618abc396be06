"""The document of its own: from disk, without a network, with hostile text, odd records, and inside a notebook."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import PATIENCE  # noqa: E402
from records import ODD, PAIR, WHOLE, cross, example, frames, long, record  # noqa: E402
from made_up_tokens import patches  # noqa: E402
from viewer_page import Seen, Show, amounts, expect_chips, grey, three  # noqa: E402

from mmviz.analysis.map_refs import streams_of  # noqa: E402
from mmviz.analysis.map_weights import weights  # noqa: E402
from mmviz.assets_path import assets_dir  # noqa: E402
from mmviz.backends.replay import ReplayBackend  # noqa: E402
from mmviz.explain import Run, run_sample  # noqa: E402
from mmviz.figures.colour_scale import short  # noqa: E402
from mmviz.inputs.examples import load_gallery  # noqa: E402
from mmviz.types import Answer, Chars, Modality, Token  # noqa: E402

pytestmark = pytest.mark.slow

SIX_MB = 6_000_000
HOSTILE = (
    "<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "<!--<script>", "&lt;b&gt;", "{token}",
    "\u05e9\u05dc\u05d5\u05dd", "a\u202eb", "\x07bell", "javascript:alert(3)", "${alert(4)}", "]]>",
)  # fmt: skip
expect = sync_api.expect


@lru_cache(maxsize=1)
def recorded() -> Run:
    """A trio of the gallery with picture, text and sound."""
    (found,) = (one for one in load_gallery() if one.id == "spoken-place")
    return run_sample(found.sample(), backend=ReplayBackend(assets_dir() / "gallery" / "runs"), relevance=True)


def hostile() -> Run:
    """Text that would do harm as markup, wherever text of users and models can stand."""
    text = " ".join(HOSTILE)
    tokens, at = [Token(Modality.SPECIAL, HOSTILE[0])], 0
    for word in HOSTILE:
        at = text.index(word, at)
        tokens.append(Token(Modality.TEXT, word, Chars(at, at + len(word))))
        at += len(word)
    tokens += [*patches(301, 187, 2, 2), *frames(3)]
    stream = HOSTILE[0]
    made = {"model": HOSTILE[0], "device_name": HOSTILE[1], "recorded": {"sample": HOSTILE[1]}}
    found = record(
        {stream: tokens}, [(stream, stream, layer, 2) for layer in range(2)], made_by=made, id=HOSTILE[1]
    )  # fmt: skip
    answers = tuple(Answer(word, 0.2) for word in HOSTILE[:4])
    maps = tuple(replace(one, name=HOSTILE[k]) for k, one in enumerate(found.maps))
    return Run(replace(WHOLE, text=text), replace(found, maps=maps, answers=answers))


def test_a_gallery_trio_opens_from_disk_and_its_numbers_are_the_records(show: Show) -> None:
    run = recorded()
    assert len(run.to_html().encode()) <= SIX_MB
    seen = show(run, viewport={"width": 1440, "height": 900})
    rollout = weights(run.record, run.map_ref, None)
    seen.shows(plane="rollout", tokens=[run.answer_query])
    expect_chips(seen, run, rollout[run.answer_query])
    answers = run.record.answers
    title = seen.page.locator("h1").inner_text()
    assert answers[0].label in title and f"{answers[0].probability:.0%}".rstrip("%") in title
    rest = seen.page.locator(".rest").inner_text()
    assert rest == "Then " + ", ".join(f"{one.label} {100 * one.probability:.1f} %" for one in answers[1:5])
    seen.click(run.answer_query, "tokens")
    for token in range(0, len(run.tokens), 17):
        seen.point(token, "tokens")
        seen.says("readout", f": {three(rollout[run.answer_query, token])}")
    seen.small("2:1").click()
    seen.shows(plane="2:1")
    head = amounts(run, "2:1")
    expect_chips(seen, run, head[run.answer_query])
    for token in (3, len(run.tokens) - 2):
        seen.point(token, "tokens")
        seen.says("readout", f": {three(head[run.answer_query, token])}")
    seen.part("way").get_by_role("button", name="relevance").click()
    seen.leave()
    assert run.record.relevance is not None
    expect_chips(seen, run, run.record.relevance[run.answer_query].astype(float))


def test_the_address_of_the_document_reopens_the_view(show: Show) -> None:
    run = grey()
    seen = show(run)
    seen.page.keyboard.press("Tab")
    seen.small("0:1").click()
    seen.drag(2, 8)
    seen.click(18)
    seen.part("style").get_by_role("button", name="heat").click()
    seen.part("scale").get_by_role("button", name="whole map").click()
    seen.part("direction").get_by_role("button", name="is asked").click()
    view = {"plane": "0:1", "tokens": [2, 3, 7, 8], "versus": [18], "direction": "to"}
    seen.shows(**view)
    seen.leave()
    path, _, fragment = seen.page.url.partition("#")
    drawn = seen.all_drawn()
    again = show(Path(path.removeprefix("file://")), "#" + fragment)
    again.shows(**view)
    again.pins(True)
    assert again.all_drawn() == drawn
    for part, value in (("style", "heat"), ("scale", "map"), ("direction", "to")):
        expect(again.part(part).locator(f"[data-value={value}]")).to_have_attribute("aria-pressed", "true")
    for odd in ("#plane=9:9&tokens=1", "#plane=0:1&tokens=99", "#plane=0:1&tokens=%3Cimg%3E", "#%00&&==", "#tokens=1"):
        other = show(Path(path.removeprefix("file://")), odd)
        other.shows(plane="1:mean", tokens=[0])
        other.pins(False)


def test_hostile_text_stays_text(show: Show) -> None:
    run = hostile()
    stream = HOSTILE[0]
    seen = show(run)
    chips = seen.root.locator(".chip .word").all_inner_texts()
    assert [word for word in HOSTILE if word.isprintable()] == [word for word in chips if word in HOSTILE][1:]
    assert "a⟨U+202E⟩b" in chips and "␇bell" in chips
    assert any(HOSTILE[0] in text for text in (seen.page.title(), seen.page.locator("h1").inner_text()))
    strangers = "() => document.querySelectorAll('img, iframe, b, main script, [onerror], [src], [href]').length"
    assert seen.page.evaluate(strangers) == 0
    buttons = seen.root.locator(".chip")
    for at in range(4):
        buttons.nth(at).hover()
        seen.shows(tokens=[at])
        seen.says("readout", HOSTILE[max(0, at - 1)])
    buttons.nth(1).click()
    buttons.nth(2).click()
    seen.shows(tokens=[1], versus=[2])
    seen.says("readout", HOSTILE[1])
    seen.small("1:1").hover()
    seen.shows(plane="1:1")
    stage = seen.panel("matrix").locator(".stage")
    stage.hover()
    expect(seen.part("exact")).to_contain_text("asks", timeout=PATIENCE)
    assert seen.page.evaluate(strangers) == 0
    assert seen.root.evaluate("(root, stream) => root.querySelector('.chip').dataset.stream === stream", stream)
    right = seen.root.locator(".chip .word", has_text=HOSTILE[5])
    assert right.evaluate("word => getComputedStyle(word).unicodeBidi") == "isolate"


@pytest.mark.parametrize("name", [name for name in ODD if name not in ("plain", "cross")])
def test_odd_records_open_and_can_be_looked_at(show: Show, name: str) -> None:
    run = ODD[name]()
    seen = show(run)
    plane = seen.root.get_attribute("data-plane")
    assert plane
    true = amounts(run, plane)
    expect_chips(seen, run, true[0])
    count = len(true)
    for token in {0, count // 2, count - 1}:
        stage = seen.panel("matrix").locator(".stage")
        stage.evaluate("stage => stage.scrollIntoView({ block: 'center', behavior: 'instant' })")
        box = stage.bounding_box()
        assert box
        y = box["y"] + 92 + (token + 0.5) * (box["height"] - 92) / count
        seen.page.mouse.move(box["x"] + 92 + 0.5 * (box["width"] - 92) / count, y)
        seen.shows(tokens=[token])
        seen.says("exact", f": {three(true[token, 0])}")
        expect_chips(seen, run, true[token])
    pooled = count > 900
    note = seen.panel("matrix").locator(".note").inner_text()
    assert ("largest of its cells" in note) == pooled
    assert seen.panel("picture").locator("canvas").count() == int("p" in {one.label for one in run.tokens})
    heads = run.record.maps[0].heads
    assert seen.panel("overview").locator("button").count() == len(run.record.maps) * (heads + 1)
    assert seen.page.evaluate("() => document.documentElement.scrollWidth") <= 1440


def test_a_pixel_of_the_matrix_shows_the_largest_of_its_cells(show: Show) -> None:
    tokens = example(25, 40, 11)
    even = np.full((1, len(tokens), len(tokens)), 1 / len(tokens), np.float32)
    even[0, 700] = 0
    even[0, 700, 301] = 1
    found = record({"all": tokens}, [(*PAIR, 0, 1)])
    run = Run(WHOLE, replace(found, maps=(replace(found.maps[0], weights=even),)))
    seen = show(run, viewport={"width": 1000, "height": 900})
    drawn = seen.pixels("matrix")[92:, 92:, :3].astype(int)
    assert max(drawn.shape[:2]) < len(tokens)
    yellow = np.argwhere((drawn[..., 0] > 240) & (drawn[..., 1] > 220) & (drawn[..., 2] < 80))
    assert len(yellow) and len(yellow) <= 4
    down, across = yellow.mean(axis=0) / drawn.shape[:2] * len(tokens)
    assert (down, across) == pytest.approx((700, 301), abs=3)


def test_maps_between_two_streams_settle_the_direction(show: Show) -> None:
    run = cross()
    seen = show(run)
    seen.shows(plane="3:mean", tokens=[0])
    assert seen.part("way").locator("button").count() == 1, "rollout needs one stream"
    for plane in ("1:1", "2:mean", "0:0", "3:0"):
        before = seen.small(plane).bounding_box()
        seen.small(plane).hover()
        seen.shows(plane=plane)
        assert seen.small(plane).bounding_box() == before, "nothing moves under the pointer"
        seen.small(plane).click()
        queries, keys = streams_of(run.record, plane)
        true = amounts(run, plane)
        seen.shows(plane=plane)
        direction = seen.root.get_attribute("data-direction")
        if queries != keys:
            seen.click(1, queries)
            seen.shows(tokens=[1], direction="from")
            expect_chips_of(seen, keys, true[1])
            seen.leave()
            seen.part("unpin").click()
            seen.point(17, keys)
            seen.shows(tokens=[17], direction="to")
            expect_chips_of(seen, queries, true[:, 17])
        else:
            seen.point(1, queries)
            seen.shows(tokens=[1], direction=direction)
            expect_chips_of(seen, keys, true[1] if direction == "from" else true[:, 1])
        seen.leave()


def expect_chips_of(seen: Seen, stream: str, expected: np.ndarray) -> None:
    chips = seen.chips(stream)
    assert chips
    for token in chips:
        amount = seen.token(token, stream).locator(".amount")
        expect(amount).to_have_text(short(float(expected[token])), timeout=PATIENCE)


def test_a_plane_beyond_16_mb_is_said_not_to_be_in_the_file(show: Show) -> None:
    run = long()
    seen = show(run)
    seen.panel("overview").locator("[data-plane='0:0']").click()
    seen.says("waiting", "The file does not hold layer 1, head 1")
    seen.shows(plane="0:0")
    assert set(seen.chips().values()) == {" "}, "no amounts of another plane"
    seen.small("0:mean").click()
    expect(seen.part("waiting")).to_be_hidden(timeout=PATIENCE)
    expect_chips(seen, run, amounts(run, "0:mean")[0])


def test_a_notebook_shows_it_in_a_frame_shut_off_from_the_page(
    show: Show, browser: sync_api.Browser, tmp_path: Path
) -> None:
    run = grey()
    host = tmp_path / "notebook.html"
    host.write_text("<!doctype html><title>notebook</title><div id=cell></div>", encoding="utf-8")
    context = browser.new_context(viewport={"width": 1200, "height": 1000}, offline=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    troubles: list[str] = []
    page.on("console", lambda said: troubles.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda problem: troubles.append(str(problem)))
    asked: list[str] = []
    page.goto(host.as_uri())
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("html => { document.getElementById('cell').innerHTML = html; }", run._repr_html_())
    page.frame_locator("iframe").locator("[data-mmviz=viewer]").wait_for()
    seen = Seen(page, page.frames[1])
    seen.shows(plane="1:mean", tokens=[0])
    seen.point(18)
    seen.shows(tokens=[18])
    expect_chips(seen, run, amounts(run, "1:mean")[18])
    seen.click(18)
    seen.pins(True)
    seen.click(4)
    seen.shows(tokens=[18], versus=[4])
    seen.page.keyboard.press("Escape")
    seen.shows(tokens=[18], versus="")
    seen.part("play").click()
    expect(seen.panel("sound").locator(".clock")).not_to_have_text("0.0 / 6.0 s", timeout=PATIENCE)
    reach = "() => { try { return String(parent.document.title); } catch { return 'shut off'; } }"
    assert page.frames[1].evaluate(reach) == "shut off"
    assert page.url == host.as_uri()
    context.close()
    assert [one for one in asked if not one.startswith("about:srcdoc")] == [] and not troubles
