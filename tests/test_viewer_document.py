"""The standalone document: from disk, without a network, with hostile text, odd records, and inside a notebook."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from made_up_tokens import patches  # noqa: E402
from real_page import PATIENCE  # noqa: E402
from records import ANSWER, ODD, PAIR, WHOLE, cross, frames, long, record, trio, words  # noqa: E402
from viewer_page import Show, ViewerPage, amounts, collect_errors, grey_run, say, three_digits  # noqa: E402

from mmviz.analysis.available_maps import streams_of  # noqa: E402
from mmviz.analysis.map_weights import weights  # noqa: E402
from mmviz.assets_path import assets_dir  # noqa: E402
from mmviz.backends.replay import ReplayBackend  # noqa: E402
from mmviz.explain import Run, run_sample  # noqa: E402
from mmviz.i18n.viewer import about  # noqa: E402
from mmviz.inputs.examples import load_gallery  # noqa: E402
from mmviz.types import Answer, Chars, ImageInput, MapRef, Modality, Token  # noqa: E402

pytestmark = pytest.mark.slow

SIX_MB = 6_000_000
HOSTILE = (
    "<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "<!--<script>", "&lt;b&gt;", "{token}",
    "\u05e9\u05dc\u05d5\u05dd", "a\u202eb", "\x07bell", "javascript:alert(3)", "${alert(4)}", "]]>",
)  # fmt: skip
expect = sync_api.expect


@lru_cache(maxsize=1)
def recorded() -> Run:
    """The recorded run of a gallery example with image, text and audio."""
    (example,) = (example for example in load_gallery() if example.id == "spoken-place")
    return run_sample(example.sample(), backend=ReplayBackend(assets_dir() / "gallery" / "runs"), relevance=True)


def hostile() -> Run:
    """A run with text that would do harm as markup, wherever text of users and models can stand."""
    text = " ".join(HOSTILE)
    tokens, at = [Token(Modality.SPECIAL, HOSTILE[0])], 0
    for word in HOSTILE:
        at = text.index(word, at)
        tokens.append(Token(Modality.TEXT, word, Chars(at, at + len(word))))
        at += len(word)
    tokens += [*patches(301, 187, 2, 2), *frames(3)]
    stream = HOSTILE[0]
    made_by = {"model": HOSTILE[0], "device_name": HOSTILE[1], "recorded": {"sample": HOSTILE[1]}}
    plain_record = record(
        {stream: tokens}, [(stream, stream, layer, 2) for layer in range(2)], made_by=made_by, id=HOSTILE[1]
    )  # fmt: skip
    answers = tuple(Answer(word, 0.2) for word in HOSTILE[:4])
    maps = tuple(replace(attn_map, name=HOSTILE[k]) for k, attn_map in enumerate(plain_record.maps))
    return Run(replace(WHOLE, text=text), replace(plain_record, maps=maps, answers=answers))


def test_a_gallery_run_opens_from_disk_and_its_numbers_are_the_records(show: Show) -> None:
    run = recorded()
    assert len(run.to_html().encode()) <= SIX_MB
    viewer = show(run, viewport={"width": 1440, "height": 900})
    first_map = weights(run.record, run.map_ref, None)
    viewer.shows(map=str(run.map_ref), tokens=[run.answer_query])
    viewer.expect_chips(first_map[run.answer_query])
    answers = run.record.answers
    title = viewer.page.locator("h1").inner_text()
    assert answers[0].label in title and f"{answers[0].probability:.1%}" in title
    listed = ", ".join(f"{answer.label} {100 * answer.probability:.1f}%" for answer in answers[1:5])
    assert viewer.page.locator(".other-answers").inner_text() == about("other-answers", answers=listed)
    viewer.click(run.answer_query, "tokens")
    for token in range(0, len(run.tokens), 17):
        viewer.point(token, "tokens")
        viewer.says("readout", f": {three_digits(first_map[run.answer_query, token])}")
    viewer.thumbnail("2:1").click()
    viewer.shows(map="2:1")
    head = amounts(run, "2:1")
    viewer.expect_chips(head[run.answer_query])
    for token in (3, len(run.tokens) - 2):
        viewer.point(token, "tokens")
        viewer.says("readout", f": {three_digits(head[run.answer_query, token])}")
    viewer.part("method").get_by_role("button", name="relevance").click()
    viewer.leave()
    assert run.record.relevance is not None
    viewer.expect_chips(run.record.relevance[run.answer_query].astype(float))


def test_the_address_of_the_document_reopens_the_view(show: Show) -> None:
    run = grey_run()
    viewer = show(run)
    viewer.page.keyboard.press("Tab")
    viewer.thumbnail("0:1").click()
    viewer.drag(2, 8)
    viewer.click(18)
    viewer.part("style").get_by_role("button", name="heat").click()
    viewer.part("scale").get_by_role("button", name="whole map").click()
    viewer.part("direction").get_by_role("button", name="To", exact=True).click()
    view = {"map": "0:1", "tokens": [2, 3, 7, 8], "versus": [18], "direction": "to"}
    viewer.shows(**view)
    viewer.leave()
    path, _, fragment = viewer.page.url.partition("#")
    drawn = viewer.all_drawn()
    again = show(Path(path.removeprefix("file://")), "#" + fragment)
    again.shows(**view)
    again.expect_pinned(True)
    assert again.all_drawn() == drawn
    for part, value in (("style", "heat"), ("scale", "map"), ("direction", "to")):
        expect(again.part(part).locator(f"[data-value={value}]")).to_have_attribute("aria-pressed", "true")
    for odd in ("#map=9:9&tokens=1", "#map=0:1&tokens=%3Cimg%3E", "#%00&&=="):
        other = show(Path(path.removeprefix("file://")), odd)
        other.shows(map="1:mean", tokens=[0])
        other.expect_pinned(False)


def test_a_portrait_is_seen_whole_on_a_screen_at_200_percent(show: Show) -> None:
    image = ImageInput(np.full((1600, 600, 3), 90, np.uint8), 600, 1600)
    tokens = [ANSWER, *patches(600, 1600, 4, 4), *words()]
    portrait = Run(replace(WHOLE, image=image, audio=None), record({"all": tokens}, [(*PAIR, 0, 2)]))
    viewer = show(portrait, viewport={"width": 640, "height": 360}, device_scale_factor=2)  # 1280 x 720
    boxes = [box.bounding_box() for box in viewer.page.locator(".answer-map img").all()]
    boxes += [viewer.panel("image").locator(".stage").bounding_box()]
    assert len(boxes) == 2
    for box in boxes:
        assert box["height"] <= 306 and box["width"] / box["height"] == pytest.approx(600 / 1600, rel=0.02)
    assert viewer.page.evaluate("() => document.documentElement.scrollWidth") <= 640


@pytest.mark.pages
def test_what_stands_around_the_viewer_grows_with_it_on_a_large_screen(show: Show) -> None:
    def heights(width: int, height: int) -> list[float]:
        page = show(recorded(), viewport={"width": width, "height": height}).page
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is beside the screen"
        places = ("h1", ".answer-map b", ".answer-map img", "[data-panel='image'] h3")
        return [page.locator(place).first.bounding_box()["height"] for place in places]  # type: ignore[index]

    growth = [large / usual for usual, large in zip(heights(1440, 900), heights(2560, 1440), strict=True)]
    assert all(1.5 < factor < 1.8 for factor in growth), growth


def test_hostile_text_stays_text(show: Show) -> None:
    run = hostile()
    stream = HOSTILE[0]
    viewer = show(run)
    chips = viewer.root.locator(".chip .word").all_inner_texts()
    assert [word for word in HOSTILE if word.isprintable()] == [word for word in chips if word in HOSTILE][1:]
    assert "a⟨U+202E⟩b" in chips and "␇bell" in chips
    assert any(HOSTILE[0] in text for text in (viewer.page.title(), viewer.page.locator("h1").inner_text()))
    ours = ":not(.mmviz-still > img, .answer-map > *)"
    markup = f"img{ours}, iframe, b{ours}, main script, [onerror], [src]{ours}, [href]"
    foreign_elements = f"() => document.querySelectorAll('{markup}').length"
    assert viewer.page.evaluate(foreign_elements) == 0
    buttons = viewer.root.locator(".chip")
    for at in range(4):
        buttons.nth(at).hover()
        viewer.shows(tokens=[at])
        viewer.says("readout", HOSTILE[max(0, at - 1)])
    buttons.nth(1).click()
    buttons.nth(2).click()
    viewer.shows(tokens=[1], versus=[2])
    viewer.says("readout", HOSTILE[1])
    viewer.thumbnail("1:1").hover()
    viewer.shows(map="1:1")
    stage = viewer.panel("matrix").locator(".stage")
    stage.hover()
    expect(viewer.part("cell")).to_contain_text("attends to", timeout=PATIENCE)
    assert viewer.page.evaluate(foreign_elements) == 0
    assert viewer.root.evaluate("(root, stream) => root.querySelector('.chip').dataset.stream === stream", stream)
    hebrew = viewer.root.locator(".chip .word", has_text=HOSTILE[5])
    assert hebrew.evaluate("word => getComputedStyle(word).unicodeBidi") == "isolate"


@pytest.mark.pages
@pytest.mark.parametrize("name", [name for name in ODD if name not in ("plain", "cross")])
def test_odd_records_open_and_follow_the_pointer(show: Show, name: str) -> None:
    run = ODD[name]()
    viewer = show(run)
    map_ref = viewer.root.get_attribute("data-map")
    assert map_ref
    weights_of_map = amounts(run, map_ref)
    viewer.expect_chips(weights_of_map[0])
    count = len(weights_of_map)
    for token in {0, count // 2, count - 1}:
        stage = viewer.panel("matrix").locator(".stage")
        stage.evaluate("stage => stage.scrollIntoView({ block: 'center', behavior: 'instant' })")
        box = stage.bounding_box()
        assert box
        y = box["y"] + 92 + (token + 0.5) * (box["height"] - 92) / count
        viewer.page.mouse.move(box["x"] + 92 + 0.5 * (box["width"] - 92) / count, y)
        viewer.shows(tokens=[token])
        viewer.says("cell", f": {three_digits(weights_of_map[token, 0])}")
        viewer.expect_chips(weights_of_map[token])
    note = viewer.panel("matrix").locator(".note").inner_text()
    assert (say("matrix-pooled") in note) == (count > 900)
    assert viewer.panel("image").locator("canvas").count() == int("p" in {token.label for token in run.tokens})
    buttons = sum(attn_map.heads + 1 for attn_map in run.record.maps)
    assert viewer.panel("overview").locator("button").count() == buttons
    assert viewer.page.evaluate("() => document.documentElement.scrollWidth") <= 1440


def test_a_pixel_of_the_matrix_shows_the_largest_of_its_cells(show: Show) -> None:
    tokens = trio(25, 40, 11)
    weights = np.full((1, len(tokens), len(tokens)), 1 / len(tokens), np.float32)
    weights[0, 700] = 0
    weights[0, 700, 301] = 1
    uniform = record({"all": tokens}, [(*PAIR, 0, 1)])
    run = Run(WHOLE, replace(uniform, maps=(replace(uniform.maps[0], weights=weights),)))
    viewer = show(run, viewport={"width": 1000, "height": 900})
    drawn = viewer.pixels("matrix")[92:, 92:, :3].astype(int)
    assert max(drawn.shape[:2]) < len(tokens)
    yellow = np.argwhere((drawn[..., 0] > 240) & (drawn[..., 1] > 220) & (drawn[..., 2] < 80))
    assert len(yellow) and len(yellow) <= 4
    query, key = yellow.mean(axis=0) / drawn.shape[:2] * len(tokens)
    assert (query, key) == pytest.approx((700, 301), abs=3)


def test_maps_between_two_streams_set_the_direction(show: Show) -> None:
    run = cross()
    viewer = show(run)
    viewer.shows(map="4:mean", tokens=[0])
    assert viewer.part("method").locator("button").count() == 1, "rollout needs one stream"
    for map_ref in ("0.1:1", "1:mean", "0:0", "4:0"):
        before = viewer.thumbnail(map_ref).bounding_box()
        viewer.thumbnail(map_ref).hover()
        viewer.shows(map=map_ref)
        assert viewer.thumbnail(map_ref).bounding_box() == before, "nothing moves under the pointer"
        viewer.thumbnail(map_ref).click()
        queries, keys = streams_of(run.record, MapRef.parse(map_ref))
        rows = amounts(run, map_ref)
        viewer.shows(map=map_ref)
        direction = viewer.root.get_attribute("data-direction")
        assert viewer.chips(queries) and viewer.chips(keys)
        if queries != keys:
            viewer.click(1, queries)
            viewer.shows(tokens=[1], direction="from")
            viewer.expect_chips(rows[1], keys)
            viewer.leave()
            viewer.part("unpin").click()
            viewer.point(17, keys)
            viewer.shows(tokens=[17], direction="to")
            viewer.expect_chips(rows[:, 17], queries)
        else:
            viewer.point(1, queries)
            viewer.shows(tokens=[1], direction=direction)
            viewer.expect_chips(rows[1] if direction == "from" else rows[:, 1], keys)
        viewer.leave()


@pytest.mark.pages
def test_a_map_beyond_16_mb_is_reported_as_missing_from_the_file(show: Show) -> None:
    run = long()
    viewer = show(run)
    viewer.panel("overview").locator("[data-map='5:0']").click()
    viewer.says("waiting", say("not-here", method=say("cell-head", layer=6, head=1)))
    viewer.shows(map="5:0")
    assert set(viewer.chips().values()) == {" "}, "no amounts of another map"
    viewer.thumbnail("0:mean").click()
    expect(viewer.part("waiting")).to_be_hidden(timeout=PATIENCE)
    viewer.expect_chips(amounts(run, "0:mean")[0])


def test_a_notebook_shows_it_in_a_sandboxed_frame(show: Show, browser: sync_api.Browser, tmp_path: Path) -> None:
    run = grey_run()
    host = tmp_path / "notebook.html"
    host.write_text("<!doctype html><title>notebook</title><div id=cell></div>", encoding="utf-8")
    context = browser.new_context(viewport={"width": 1200, "height": 1000}, offline=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    errors: list[str] = []
    collect_errors(page, errors)
    requests: list[str] = []
    page.goto(host.as_uri())
    page.on("request", lambda request: requests.append(request.url))
    page.evaluate("html => { document.getElementById('cell').innerHTML = html; }", run._repr_html_())
    page.frame_locator("iframe").locator("[data-mmviz=viewer]").wait_for()
    viewer = ViewerPage(page, page.frames[1])
    viewer.shows(map="1:mean", tokens=[0])
    viewer.point(18)
    viewer.shows(tokens=[18])
    viewer.expect_chips(amounts(run, "1:mean")[18])
    viewer.click(18)
    viewer.expect_pinned(True)
    viewer.click(4)
    viewer.shows(tokens=[18], versus=[4])
    viewer.page.keyboard.press("Escape")
    viewer.shows(tokens=[18], versus="")
    viewer.part("play").click()
    expect(viewer.panel("audio").locator(".time")).not_to_have_text("0.0 / 6.0 s", timeout=PATIENCE)
    read_parent = "() => { try { return String(parent.document.title); } catch { return 'blocked'; } }"
    assert page.frames[1].evaluate(read_parent) == "blocked"
    assert page.url == host.as_uri()
    context.close()
    assert [url for url in requests if not url.startswith("about:srcdoc")] == [] and not errors
