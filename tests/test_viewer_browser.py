"""The viewer in a real browser: pointing, pinning, differences, groups and the matrix, compared with the record."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from viewer_page import GREY, Show, ViewerPage, amounts, grey_run, number, say, three_digits  # noqa: E402

from mmviz.analysis.modality_matrix import modality_matrix  # noqa: E402
from mmviz.explain import Run  # noqa: E402
from mmviz.figures.colour_scale import cividis, short  # noqa: E402

pytestmark = pytest.mark.slow

PATCH, WORD, SECOND = 4, 18, 25  # a token of each modality
START = "1:mean"
RECORD_TEXTS = """
window.written = []; // texts drawn on canvases
const fillText = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
  window.written.push(String(text));
  return fillText.apply(this, arguments);
};
"""
expect = sync_api.expect


@lru_cache(maxsize=1)
def run() -> Run:
    return grey_run()


@pytest.fixture
def viewer(show: Show) -> ViewerPage:
    return show(run())


def rows(map_ref: str = START) -> np.ndarray:
    """The weights ``[query, key]``."""
    return amounts(run(), map_ref)


@pytest.mark.parametrize("token", [PATCH, WORD, SECOND])
def test_pointing_at_a_token_lights_up_all_panels(viewer: ViewerPage, token: int) -> None:
    viewer.shows(map=START, tokens=[0], versus="", direction="from")
    viewer.expect_chips(rows()[0])
    before = viewer.all_drawn()
    viewer.point(token)
    viewer.shows(map=START, tokens=[token], direction="from")
    viewer.expect_chips(rows()[token])
    after = viewer.all_drawn()
    assert after["image"] != before["image"] and after["audio"] != before["audio"]
    assert after["overview"] == before["overview"] and after["matrix"] == before["matrix"]
    sums = [rows()[token][1:16].sum(), rows()[token][16:22].sum(), rows()[token][22:].sum(), rows()[token][0]]
    cells = viewer.panel("modality-bars").locator("tr td:nth-of-type(2)").all_inner_texts()
    assert cells[-4:] == [short(float(amount)) for amount in sums]
    assert not viewer.is_pinned
    viewer.leave()
    viewer.shows(tokens=[0])
    viewer.expect_chips(rows()[0])
    assert viewer.all_drawn() == before


def test_brightness_and_heat_show_the_amounts(viewer: ViewerPage) -> None:
    viewer.click(WORD)
    viewer.leave()
    viewer.shows(tokens=[WORD])
    amount = rows()[WORD]
    largest = amount[1:].max()  # of the tokens with a location
    patches, audio_tokens = range(1, 16), range(22, len(amount))
    for token in patches:
        dimmed = 0.45 * GREY + 0.55 * 50  # of an amount of 0 in the light style
        expected = dimmed + (GREY - dimmed) * min(1, amount[token] / largest)
        assert viewer.pixel("image", token, (0.3, 0.3)) == pytest.approx([expected] * 3, abs=2)
    for token in audio_tokens:
        strip = viewer.pixel("audio", token, (0.5, 72 / 288))
        assert strip == pytest.approx(cividis(np.array(amount[token] / largest)).astype(int), abs=3)
    assert viewer.part("legend").inner_text().split()[:2] == ["0", short(float(largest))]
    unit = say("unit-attention")
    viewer.says("legend", say("attention-rows-1", unit=unit))
    note = viewer.panel("image").locator(".note")
    expect(note).to_have_text(say("image-light", unit=unit, largest=short(float(largest))))
    viewer.part("style").get_by_role("button", name="heat").click()
    expect(viewer.panel("image").locator(".note")).to_be_hidden()
    for token in patches:
        heat = 0.4 * GREY + 0.6 * cividis(np.array(amount[token] / largest)).astype(float)
        assert viewer.pixel("image", token, (0.3, 0.3)) == pytest.approx(heat, abs=3)
    viewer.part("scale").get_by_role("button", name="whole map").click()
    whole = rows()[:, 1:].max()
    expect(viewer.part("legend")).to_contain_text(short(float(whole)))
    heat = 0.4 * GREY + 0.6 * cividis(np.array(amount[3] / whole)).astype(float)
    assert viewer.pixel("image", 3, (0.3, 0.3)) == pytest.approx(heat, abs=3)


def test_pointing_at_a_thumbnail_previews_its_map_and_a_click_chooses_it(viewer: ViewerPage) -> None:
    chosen = START
    for map_ref in ("0:1", "0:mean", "1:0"):
        before = viewer.all_drawn()
        viewer.thumbnail(map_ref).hover()
        viewer.shows(map=map_ref, tokens=[0])
        viewer.expect_chips(rows(map_ref)[0])
        after = viewer.all_drawn()
        assert all(after[name] != before[name] for name in before)
        viewer.leave()
        viewer.shows(map=chosen)
        assert viewer.all_drawn() == before
        viewer.thumbnail(map_ref).click()
        viewer.leave()
        viewer.shows(map=map_ref)
        expect(viewer.thumbnail(map_ref)).to_have_attribute("aria-pressed", "true")
        viewer.expect_chips(rows(map_ref)[0])
        chosen = map_ref


@pytest.mark.parametrize("direction", ["from", "to"])
def test_a_cell_of_the_modality_matrix_chooses_all_its_tokens(viewer: ViewerPage, direction: str) -> None:
    if direction == "to":
        viewer.part("direction").get_by_role("button", name="To", exact=True).click()
    cell = viewer.panel("modality-matrix").get_by_role("button", name="picture attends to words")
    tokens = run().record.streams["all"]
    sums = modality_matrix(rows(), tokens, tokens).sums
    expect(cell).to_have_text(short(float(sums[0, 1])))
    group = range(1, 16) if direction == "from" else range(16, 22)
    mean = rows()[group].mean(axis=0) if direction == "from" else rows()[:, group].mean(axis=1)
    cell.hover()
    viewer.shows(tokens=group, direction=direction)
    viewer.expect_chips(mean)
    viewer.leave()
    viewer.shows(tokens=[0])
    cell.click()
    viewer.leave()
    viewer.shows(tokens=group)
    viewer.expect_pinned(True)


def test_pointing_reads_exact_amounts_once_something_is_pinned(viewer: ViewerPage) -> None:
    viewer.click(PATCH)
    viewer.expect_pinned(True)
    name = viewer.token(WORD).inner_text().split("\n")[0]
    for token in (WORD, SECOND, 9, 0):
        viewer.point(token)
        viewer.shows(tokens=[PATCH])
        amount, reverse = rows()[PATCH, token], rows()[token, PATCH]
        viewer.says("readout", f": {three_digits(amount)}{say('reverse-weight', amount=three_digits(reverse))}")
        tooltip = viewer.root.locator(".tooltip")
        expect(tooltip).to_contain_text(three_digits(amount))
        if token == WORD:
            viewer.says("readout", f"“{name}”: ")
    viewer.leave()
    strongest = sorted(rows()[PATCH], reverse=True)[:3]
    for amount in strongest:
        viewer.says("readout", three_digits(amount))
    viewer.says("announcement", three_digits(strongest[0]))


def test_a_second_pin_shows_the_difference_and_a_third_click_moves_it(viewer: ViewerPage) -> None:
    viewer.click(PATCH)
    viewer.leave()
    alone = viewer.all_drawn()
    viewer.click(WORD)
    viewer.leave()
    viewer.shows(tokens=[PATCH], versus=[WORD])
    difference = rows()[PATCH] - rows()[WORD]
    assert difference[1:].min() < -0.01 and difference[1:].max() > 0.01
    for token, text in viewer.chips().items():
        assert number(text) == pytest.approx(difference[token], rel=0.06, abs=1e-4)
        assert (text[0] == "−") == (difference[token] < 0)
    largest = np.abs(difference[1:]).max()
    low, high = viewer.part("legend").inner_text().split()[:2]
    assert low == "−" + short(float(largest)) and high == "+" + short(float(largest))
    viewer.says("legend", "first minus second")
    bar = viewer.part("legend").locator(".bar").evaluate("bar => bar.style.background")
    assert "rgb(45, 0, 75)" in bar and "rgb(127, 59, 8)" in bar
    drawn = viewer.all_drawn()
    assert drawn["image"] != alone["image"] and drawn["audio"] != alone["audio"]
    for token in (int(np.argmax(difference[22:])) + 22, int(np.argmin(difference[22:])) + 22):
        red, _, blue = viewer.pixel("audio", token, (0.5, 72 / 288))
        assert (red > blue) == (difference[token] > 0), "orange above, purple below"
    viewer.point(SECOND)
    sign = "+" if difference[SECOND] > 0 else "−"
    readout = viewer.part("readout")
    expect(readout).to_have_text(re.compile(f"”: [{sign}][0-9.]+$"))
    assert number(readout.inner_text().rpartition(" ")[2]) == pytest.approx(difference[SECOND], rel=0.06)
    viewer.click(SECOND)
    viewer.leave()
    viewer.shows(tokens=[PATCH], versus=[SECOND])
    viewer.click(PATCH)
    viewer.shows(tokens=[SECOND], versus="")
    viewer.expect_pinned(True)
    viewer.click(SECOND)
    viewer.expect_pinned(False)
    viewer.leave()
    viewer.shows(tokens=[0], versus="")


def test_escape_and_the_button_remove_the_pins_in_turn(viewer: ViewerPage) -> None:
    for unpin in (lambda: viewer.page.keyboard.press("Escape"), lambda: viewer.part("unpin").click()):
        viewer.click(PATCH)
        viewer.click(WORD)
        viewer.shows(tokens=[PATCH], versus=[WORD])
        unpin()
        viewer.shows(tokens=[PATCH], versus="")
        viewer.expect_pinned(True)
        unpin()
        viewer.expect_pinned(False)
        viewer.leave()
        viewer.shows(tokens=[0], versus="")


def test_a_drag_chooses_a_group(viewer: ViewerPage) -> None:
    for first, last, group in (
        (2, 9, [2, 3, 4, 7, 8, 9]),  # of patches the rectangle between the two
        (9, 2, [2, 3, 4, 7, 8, 9]),
        (17, 20, [17, 18, 19, 20]),
        (30, 24, [24, 25, 26, 27, 28, 29, 30]),
    ):
        viewer.drag(first, last)
        viewer.expect_pinned(True)
        viewer.leave()
        viewer.shows(tokens=group)
        viewer.expect_chips(rows()[group].mean(axis=0))
        viewer.says("readout", f"{len(group)} tokens")
        viewer.click(0)
        viewer.shows(tokens=group, versus=[0])
        viewer.page.keyboard.press("Escape")
        viewer.page.keyboard.press("Escape")
        viewer.expect_pinned(False)


def test_the_switch_and_the_d_key_turn_the_direction(viewer: ViewerPage) -> None:
    viewer.click(WORD)
    viewer.part("direction").get_by_role("button", name="To", exact=True).click()
    viewer.leave()
    viewer.shows(tokens=[WORD], direction="to")
    viewer.expect_chips(rows()[:, WORD])
    viewer.says("readout", "To:")
    expect(viewer.part("direction").locator("[data-value=to]")).to_have_attribute("aria-pressed", "true")
    viewer.page.keyboard.press("d")
    viewer.shows(tokens=[WORD], direction="from")
    viewer.expect_chips(rows()[WORD])
    viewer.point(WORD)
    viewer.page.keyboard.press("Shift+D")
    viewer.shows(direction="to")


def cell_at(viewer: ViewerPage, query: int, key: int, across: int, down: int) -> tuple[float, float]:
    """Returns a point of the screen on a cell of the matrix, where ``across`` by ``down`` cells are shown."""
    stage = viewer.panel("matrix").locator(".stage")
    stage.evaluate("stage => stage.scrollIntoView({ block: 'center', behavior: 'instant' })")
    box = stage.bounding_box()
    assert box
    size = [(box[side] - 92) / count for side, count in (("width", across), ("height", down))]
    return box["x"] + 92 + (key + 0.5) * size[0], box["y"] + 92 + (query + 0.5) * size[1]


def test_the_matrix_reads_cells_has_bands_and_zooms_to_the_numbers_of_the_record(show: Show) -> None:
    viewer = show(run(), script=RECORD_TEXTS)
    count = len(rows())
    tokens = run().record.streams["all"]
    viewer.page.mouse.move(*cell_at(viewer, PATCH, SECOND, count, count))
    viewer.says("cell", f": {three_digits(rows()[PATCH, SECOND])}")
    viewer.shows(tokens=[PATCH])
    drawn, box = viewer.pixels("matrix"), viewer.panel("matrix").locator("canvas").first.bounding_box()
    assert box and drawn.shape[1] == round(box["width"])
    pitch = [(side - 92) / count for side in drawn.shape[:2]]
    colours = {"image": (0, 0x72, 0xB2), "text": (0xE6, 0x9F, 0), "audio": (0, 0x9E, 0x73), "special": (0x7F,) * 3}
    for k, token in enumerate(tokens):
        y, x = (int(92 + (k + 0.5) * size) for size in pitch)
        assert tuple(drawn[y, 86, :3]) == tuple(drawn[86, x, :3]) == colours[token.modality]
    for q, k in ((0, 0), (5, 30), (20, 11), (33, 1)):
        y, x = int(92 + (q + 0.4) * pitch[0]), int(92 + (k + 0.4) * pitch[1])
        assert drawn[y, x, :3].astype(int) == pytest.approx(cividis(rows()[q, k] / rows().max()).astype(int), abs=3)
    assert "largest of its cells" not in viewer.panel("matrix").locator(".note").inner_text()
    assert not any(re.fullmatch(r"0\.\d{3,}", text) for text in viewer.page.evaluate("written"))

    start, end = cell_at(viewer, 16, 22, count, count), cell_at(viewer, 20, 26, count, count)
    viewer.page.mouse.move(*start)
    viewer.page.mouse.down()
    viewer.page.mouse.move(*end, steps=4)
    viewer.page.evaluate("() => { window.written = []; }")
    viewer.page.mouse.up()
    viewer.page.mouse.move(*cell_at(viewer, 2, 3, 5, 5))
    viewer.says("cell", f": {three_digits(rows()[18, 25])}")
    written = viewer.page.evaluate("written")
    numbers = [three_digits(rows()[q, k]) for q in range(16, 21) for k in range(22, 27)]
    assert "\n".join(numbers) in "\n".join(written)
    assert not viewer.is_pinned
    viewer.page.mouse.click(*cell_at(viewer, 2, 3, 5, 5))
    viewer.shows(tokens=[18])
    viewer.expect_pinned(True)

    stage = viewer.panel("matrix").locator(".stage")
    stage.focus()
    viewer.page.keyboard.press("0")
    viewer.page.mouse.move(*cell_at(viewer, 0, 0, count, count))
    viewer.says("cell", f": {three_digits(rows()[0, 0])}")
    for key in ("+", "+", "Shift+ArrowLeft"):  # 34 tokens, then 17 from 9 on, then 9 from 13 on, then two to the left
        viewer.page.keyboard.press(key)
    viewer.page.mouse.move(*cell_at(viewer, 0, 0, 9, 9))
    viewer.says("cell", f": {three_digits(rows()[13, 11])}")
    viewer.page.mouse.move(*cell_at(viewer, 8, 8, 9, 9))
    viewer.says("cell", f": {three_digits(rows()[21, 19])}")
    viewer.part("zoom-all").click()
    viewer.page.mouse.move(*cell_at(viewer, 1, 0, count, count))
    viewer.says("cell", f": {three_digits(rows()[1, 0])}")
