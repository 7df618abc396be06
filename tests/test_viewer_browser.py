"""The viewer in a real browser: pointing, pinning, differences, groups and the matrix, all against the record."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from viewer_page import GREY, Seen, Show, amounts, expect_chips, grey, number, three  # noqa: E402

from mmviz.analysis.modality_matrix import modality_matrix  # noqa: E402
from mmviz.explain import Run  # noqa: E402
from mmviz.figures.colour_scale import cividis, light, short  # noqa: E402

pytestmark = pytest.mark.slow

PATCH, WORD, FRAME = 4, 18, 25  # one token of each kind of the run
START = "1:mean"
WRITES = """
window.written = [];
const fillText = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
  window.written.push(String(text));
  return fillText.apply(this, arguments);
};
"""
expect = sync_api.expect


@lru_cache(maxsize=1)
def run() -> Run:
    return grey()


@pytest.fixture
def seen(show: Show) -> Seen:
    return show(run())


def rows(plane: str = START) -> np.ndarray:
    return amounts(run(), plane)


@pytest.mark.parametrize("token", [PATCH, WORD, FRAME])
def test_pointing_at_a_token_lights_up_all_panels(seen: Seen, token: int) -> None:
    seen.shows(plane=START, tokens=[0], versus="", direction="from")
    expect_chips(seen, run(), rows()[0])
    before = seen.all_drawn()
    seen.point(token)
    seen.shows(plane=START, tokens=[token], direction="from")
    expect_chips(seen, run(), rows()[token])
    after = seen.all_drawn()
    assert after["picture"] != before["picture"] and after["sound"] != before["sound"]
    assert after["overview"] == before["overview"] and after["matrix"] == before["matrix"]
    sums = [rows()[token][1:16].sum(), rows()[token][16:22].sum(), rows()[token][22:].sum(), rows()[token][0]]
    cells = seen.panel("shares").locator("tr td:nth-of-type(2)").all_inner_texts()
    assert cells[-4:] == [short(float(amount)) for amount in sums]
    assert not seen.is_pinned
    seen.leave()
    seen.shows(tokens=[0])
    expect_chips(seen, run(), rows()[0])
    assert seen.all_drawn() == before


def test_light_and_heat_are_the_amounts(seen: Seen) -> None:
    seen.click(WORD)
    seen.leave()
    seen.shows(tokens=[WORD])
    amount = rows()[WORD]
    where = [k for k in range(len(amount)) if k != 0]
    largest = amount[where].max()
    patches, moments = range(1, 16), range(22, len(amount))
    for token in patches:
        expected = GREY * light(amount[token], largest)
        assert seen.pixel("picture", token, (0.3, 0.3)) == pytest.approx([expected] * 3, abs=2)
    for token in moments:
        strip = seen.pixel("sound", token, (0.5, 72 / 178))
        assert strip == pytest.approx(cividis(np.array(amount[token] / largest)).astype(int), abs=3)
    assert seen.part("legend").inner_text().split()[:2] == ["0", short(float(largest))]
    seen.part("style").get_by_role("button", name="heat").click()
    expect(seen.panel("picture").locator(".note")).to_be_hidden()
    for token in patches:
        heat = 0.4 * GREY + 0.6 * cividis(np.array(amount[token] / largest)).astype(float)
        assert seen.pixel("picture", token, (0.3, 0.3)) == pytest.approx(heat, abs=3)
    seen.part("scale").get_by_role("button", name="whole map").click()
    whole = rows()[:, 1:].max()
    expect(seen.part("legend")).to_contain_text(short(float(whole)))
    heat = 0.4 * GREY + 0.6 * cividis(np.array(amount[3] / whole)).astype(float)
    assert seen.pixel("picture", 3, (0.3, 0.3)) == pytest.approx(heat, abs=3)


@pytest.mark.parametrize("plane", ["0:1", "0:mean", "1:0"])
def test_pointing_at_a_small_map_shows_it_everywhere_and_a_click_chooses_it(seen: Seen, plane: str) -> None:
    before = seen.all_drawn()
    seen.small(plane).hover()
    seen.shows(plane=plane, tokens=[0])
    expect_chips(seen, run(), rows(plane)[0])
    after = seen.all_drawn()
    assert all(after[name] != before[name] for name in before)
    seen.leave()
    seen.shows(plane=START)
    assert seen.all_drawn() == before
    seen.small(plane).click()
    seen.leave()
    seen.shows(plane=plane)
    expect(seen.small(plane)).to_have_attribute("aria-pressed", "true")
    expect_chips(seen, run(), rows(plane)[0])


@pytest.mark.parametrize("direction", ["from", "to"])
def test_a_modality_cell_asks_with_all_its_tokens(seen: Seen, direction: str) -> None:
    if direction == "to":
        seen.part("direction").get_by_role("button", name="is asked").click()
    cell = seen.panel("modalities").get_by_role("button", name="picture asks words")
    tokens = run().record.streams["all"]
    sums = modality_matrix(rows(), tokens, tokens).sums
    expect(cell).to_have_text(short(float(sums[0, 1])))
    group = range(1, 16) if direction == "from" else range(16, 22)
    mean = rows()[group].mean(axis=0) if direction == "from" else rows()[:, group].mean(axis=1)
    cell.hover()
    seen.shows(tokens=group, direction=direction)
    expect_chips(seen, run(), mean)
    seen.leave()
    seen.shows(tokens=[0])
    cell.click()
    seen.leave()
    seen.shows(tokens=group)
    seen.pins(True)


def test_pointing_reads_exact_amounts_once_something_is_pinned(seen: Seen) -> None:
    seen.click(PATCH)
    seen.pins(True)
    name = seen.token(WORD).inner_text().split("\n")[0]
    for token in (WORD, FRAME, 9, 0):
        seen.point(token)
        seen.shows(tokens=[PATCH])
        amount, back = rows()[PATCH, token], rows()[token, PATCH]
        seen.says("readout", f": {three(amount)} (the other way round: {three(back)})")
        tip = seen.root.locator(".tip")
        expect(tip).to_contain_text(three(amount))
        if token == WORD:
            seen.says("readout", f"“{name}”: ")
    seen.leave()
    most = sorted(rows()[PATCH], reverse=True)[:3]
    for amount in most:
        seen.says("readout", three(amount))
    seen.says("told", three(most[0]))


def test_a_second_pin_shows_the_difference_and_a_third_click_moves_it(seen: Seen) -> None:
    seen.click(PATCH)
    seen.leave()
    alone = seen.all_drawn()
    seen.click(WORD)
    seen.leave()
    seen.shows(tokens=[PATCH], versus=[WORD])
    true = rows()[PATCH] - rows()[WORD]
    assert true[1:].min() < -0.01 and true[1:].max() > 0.01
    for token, written in seen.chips().items():
        assert number(written) == pytest.approx(true[token], rel=0.06, abs=1e-4)
        assert (written[0] == "−") == (true[token] < 0)
    largest = np.abs(true[1:]).max()
    low, high = seen.part("legend").inner_text().split()[:2]
    assert low == "−" + short(float(largest)) and high == "+" + short(float(largest))
    seen.says("legend", "first minus second")
    bar = seen.part("legend").locator(".bar").evaluate("bar => bar.style.background")
    assert "rgb(45, 0, 75)" in bar and "rgb(127, 59, 8)" in bar
    drawn = seen.all_drawn()
    assert drawn["picture"] != alone["picture"] and drawn["sound"] != alone["sound"]
    for token in (int(np.argmax(true[22:])) + 22, int(np.argmin(true[22:])) + 22):
        red, _, blue = seen.pixel("sound", token, (0.5, 72 / 178))
        assert (red > blue) == (true[token] > 0), "orange above, purple below"
    seen.point(FRAME)
    sign = "+" if true[FRAME] > 0 else "−"
    readout = seen.part("readout")
    expect(readout).to_have_text(re.compile(f"”: [{sign}][0-9.]+$"))
    assert number(readout.inner_text().rpartition(" ")[2]) == pytest.approx(true[FRAME], rel=0.06)
    seen.click(FRAME)
    seen.leave()
    seen.shows(tokens=[PATCH], versus=[FRAME])
    seen.click(PATCH)
    seen.shows(tokens=[FRAME], versus="")
    seen.pins(True)
    seen.click(FRAME)
    seen.pins(False)
    seen.leave()
    seen.shows(tokens=[0], versus="")


def test_escape_and_the_button_take_the_pins_away_one_by_one(seen: Seen) -> None:
    for unpin in (lambda: seen.page.keyboard.press("Escape"), lambda: seen.part("unpin").click()):
        seen.click(PATCH)
        seen.click(WORD)
        seen.shows(tokens=[PATCH], versus=[WORD])
        unpin()
        seen.shows(tokens=[PATCH], versus="")
        seen.pins(True)
        unpin()
        seen.pins(False)
        seen.leave()
        seen.shows(tokens=[0], versus="")


@pytest.mark.parametrize(("first", "last", "group"), [
    (2, 9, [2, 3, 4, 7, 8, 9]),  # of patches the rectangle between the two
    (9, 2, [2, 3, 4, 7, 8, 9]),
    (17, 20, [17, 18, 19, 20]),
    (30, 24, [24, 25, 26, 27, 28, 29, 30]),
])  # fmt: skip
def test_a_drag_asks_as_a_group(seen: Seen, first: int, last: int, group: list[int]) -> None:
    seen.drag(first, last)
    seen.pins(True)
    seen.leave()
    seen.shows(tokens=group)
    expect_chips(seen, run(), rows()[group].mean(axis=0))
    seen.says("readout", f"{len(group)} tokens")
    seen.click(0)
    seen.shows(tokens=group, versus=[0])


def test_the_direction_turns_by_switch_and_by_key(seen: Seen) -> None:
    seen.click(WORD)
    seen.part("direction").get_by_role("button", name="is asked").click()
    seen.leave()
    seen.shows(tokens=[WORD], direction="to")
    expect_chips(seen, run(), rows()[:, WORD])
    seen.says("readout", "is asked")
    expect(seen.part("direction").locator("[data-value=to]")).to_have_attribute("aria-pressed", "true")
    seen.page.keyboard.press("d")
    seen.shows(tokens=[WORD], direction="from")
    expect_chips(seen, run(), rows()[WORD])
    seen.point(WORD)
    seen.page.keyboard.press("Shift+D")
    seen.shows(direction="to")


def cell_at(seen: Seen, query: int, key: int, across: int, down: int) -> tuple[float, float]:
    """A point of the screen on a cell of the matrix, of which this many are shown."""
    stage = seen.panel("matrix").locator(".stage")
    stage.evaluate("stage => stage.scrollIntoView({ block: 'center', behavior: 'instant' })")
    box = stage.bounding_box()
    assert box
    size = [(box[side] - 92) / count for side, count in (("width", across), ("height", down))]
    return box["x"] + 92 + (key + 0.5) * size[0], box["y"] + 92 + (query + 0.5) * size[1]


def test_the_matrix_reads_cells_has_bands_and_zooms_to_the_numbers_of_the_record(show: Show) -> None:
    seen = show(run(), script=WRITES)
    count = len(rows())
    tokens = run().record.streams["all"]
    seen.page.mouse.move(*cell_at(seen, PATCH, FRAME, count, count))
    seen.says("exact", f": {three(rows()[PATCH, FRAME])}")
    seen.shows(tokens=[PATCH])
    drawn, size = seen.pixels("matrix"), seen.panel("matrix").locator("canvas").first.bounding_box()
    assert size and drawn.shape[1] == round(size["width"])
    pitch = [(side - 92) / count for side in drawn.shape[:2]]
    colours = {"image": (0, 0x72, 0xB2), "text": (0xE6, 0x9F, 0), "audio": (0, 0x9E, 0x73), "special": (0x7F,) * 3}
    for k, token in enumerate(tokens):
        y, x = (int(92 + (k + 0.5) * one) for one in pitch)
        assert tuple(drawn[y, 86, :3]) == tuple(drawn[86, x, :3]) == colours[token.modality]
    for q, k in ((0, 0), (5, 30), (20, 11), (33, 1)):
        y, x = int(92 + (q + 0.4) * pitch[0]), int(92 + (k + 0.4) * pitch[1])
        assert drawn[y, x, :3].astype(int) == pytest.approx(cividis(rows()[q, k] / rows().max()).astype(int), abs=3)
    assert "largest of its cells" not in seen.panel("matrix").locator(".note").inner_text()
    assert not any(re.fullmatch(r"0\.\d{3,}", text) for text in seen.page.evaluate("written"))

    start, end = cell_at(seen, 16, 22, count, count), cell_at(seen, 20, 26, count, count)
    seen.page.mouse.move(*start)
    seen.page.mouse.down()
    seen.page.mouse.move(*end, steps=4)
    seen.page.evaluate("() => { window.written = []; }")
    seen.page.mouse.up()
    seen.page.mouse.move(*cell_at(seen, 2, 3, 5, 5))
    seen.says("exact", f": {three(rows()[18, 25])}")
    written = seen.page.evaluate("written")
    numbers = [three(rows()[q, k]) for q in range(16, 21) for k in range(22, 27)]
    assert "\n".join(numbers) in "\n".join(written)
    assert not seen.is_pinned
    seen.page.mouse.click(*cell_at(seen, 2, 3, 5, 5))
    seen.shows(tokens=[18])
    seen.pins(True)

    stage = seen.panel("matrix").locator(".stage")
    stage.focus()
    seen.page.keyboard.press("0")
    seen.page.mouse.move(*cell_at(seen, 0, 0, count, count))
    seen.says("exact", f": {three(rows()[0, 0])}")
    for key in ("+", "+", "Shift+ArrowLeft"):  # 34 tokens, then 17 from 9 on, then 9 from 13 on, then two to the left
        seen.page.keyboard.press(key)
    seen.page.mouse.move(*cell_at(seen, 0, 0, 9, 9))
    seen.says("exact", f": {three(rows()[13, 11])}")
    seen.page.mouse.move(*cell_at(seen, 8, 8, 9, 9))
    seen.says("exact", f": {three(rows()[21, 19])}")
    seen.part("zoom-all").click()
    seen.page.mouse.move(*cell_at(seen, 1, 0, count, count))
    seen.says("exact", f": {three(rows()[1, 0])}")
