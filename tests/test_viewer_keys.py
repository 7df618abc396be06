"""The viewer by keyboard, with audio, and on every screen, in a real browser."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import PATIENCE  # noqa: E402
from viewer_page import Show, ViewerPage, amounts, grey_run, say, three_digits  # noqa: E402

from mmviz.explain import Run  # noqa: E402

pytestmark = pytest.mark.slow

FIRST_AUDIO, AUDIO_TOKENS = 22, 12  # of half a second each
RECORD_TOKENS = """viewer => {
  window.chosen = [];
  new MutationObserver(() => window.chosen.push(viewer.dataset.tokens))
    .observe(viewer, { attributeFilter: ["data-painted"] });
}"""
FITS = """async panel => {
  const canvas = panel.querySelector("canvas");
  const fits = () => {
    const { width } = canvas.getBoundingClientRect();
    return Math.abs(canvas.width - width) <= 1 && width <= panel.clientWidth + 1;
  };
  for (let frames = 0; !fits(); frames++) {
    if (frames > 3000) throw new Error(`canvas of ${canvas.width} pixels`);
    await new Promise(requestAnimationFrame);
  }
}"""
expect = sync_api.expect


@lru_cache(maxsize=1)
def run() -> Run:
    return grey_run()


def rows(map_ref: str = "1:mean") -> np.ndarray:
    return amounts(run(), map_ref)


def focused(viewer: ViewerPage) -> str:
    """Returns the token or the text of the focused element, and whether no ring can be seen around it."""
    text: str = viewer.page.evaluate(
        """() => {
          const element = document.activeElement;
          const ring = getComputedStyle(element);
          const name = element.dataset.token ?? element.textContent;
          return name + (parseFloat(ring.outlineWidth) ? "" : " without a ring");
        }"""
    )
    return text


def tab_to(viewer: ViewerPage, text: str) -> None:
    """Presses Tab until an element with this text has the focus."""
    for _ in range(200):
        viewer.page.keyboard.press("Tab")
        if focused(viewer) == text:
            return
    pytest.fail(f"Tab does not lead to {text!r}")


def test_arrows_go_through_layers_and_heads_up_to_the_edges(show: Show) -> None:
    viewer = show(run())
    viewer.page.keyboard.press("ArrowUp")
    viewer.point(4)
    viewer.page.keyboard.press("ArrowUp")
    viewer.page.keyboard.press("d")
    viewer.shows(map="1:mean", tokens=[4], direction="to")  # the arrows scroll the page until the viewer has the focus
    viewer.page.keyboard.press("d")
    viewer.click(4)
    viewer.expect_pinned(True)
    for key, map_ref in [
        ("ArrowRight", "1:mean"), ("ArrowLeft", "1:2"), ("ArrowLeft", "1:1"), ("ArrowUp", "0:1"), ("ArrowUp", "0:1"),
        ("ArrowLeft", "0:0"), ("ArrowLeft", "0:0"), ("ArrowDown", "1:0"), ("ArrowDown", "1:0"),
        ("ArrowRight", "1:1"), ("ArrowRight", "1:2"), ("ArrowRight", "1:mean"), ("ArrowUp", "0:mean"),
    ]:  # fmt: skip
        viewer.page.keyboard.press(key)
        viewer.shows(map=map_ref)
        viewer.expect_chips(rows(map_ref)[4])
    viewer.says("announcement", "layer 1, mean of heads. ")


def walk(viewer: ViewerPage, steps: list[tuple[str, int]]) -> None:
    """Presses keys, each of which must lead to the token beside it, and light the others up."""
    for key, token in steps:
        viewer.page.keyboard.press(key)
        assert focused(viewer) == str(token), key
        viewer.shows(tokens=[token])


def test_arrows_move_through_patches_words_and_moments_and_each_panel_is_one_tab_stop(show: Show) -> None:
    viewer = show(run())
    keyboard = viewer.page.keyboard
    tab_to(viewer, "1")
    walk(viewer, [
        ("ArrowRight", 2), ("ArrowDown", 7), ("ArrowDown", 12), ("ArrowDown", 12), ("ArrowLeft", 11),
        ("ArrowLeft", 11), ("ArrowUp", 6), ("End", 10), ("ArrowRight", 10), ("Home", 6), ("Control+End", 15),
        ("Control+Home", 1), ("ArrowRight", 2),
    ])  # fmt: skip
    viewer.expect_chips(rows()[2])
    viewer.shows(map="1:mean")  # arrows on a token leave layers and heads alone
    keyboard.press("Tab")
    assert focused(viewer) == "0", "the words, the special token first"
    walk(viewer, [("ArrowRight", 16), ("ArrowRight", 17), ("ArrowLeft", 16), ("Control+End", 21), ("Control+Home", 0)])
    keyboard.press("ArrowDown")
    assert 16 <= int(focused(viewer)) <= 21, "the word below it"
    walk(viewer, [("End", 21), ("ArrowRight", 21), ("Home", 16), ("ArrowUp", 0)])
    keyboard.press("Tab")
    assert focused(viewer) == say("play")
    keyboard.press("Tab")
    last = FIRST_AUDIO + AUDIO_TOKENS - 1
    assert focused(viewer) == str(FIRST_AUDIO)
    walk(viewer, [("ArrowRight", FIRST_AUDIO + 1), ("ArrowDown", FIRST_AUDIO + 1), ("End", last), ("ArrowRight", last)])
    walk(viewer, [("Home", FIRST_AUDIO), ("ArrowLeft", FIRST_AUDIO), ("ArrowRight", FIRST_AUDIO + 1)])
    keyboard.press("Tab")
    inside = "() => document.activeElement.closest('[data-panel]')?.dataset.panel"
    assert viewer.page.evaluate(inside) == "modality-matrix"
    walk(viewer, [("Shift+Tab", FIRST_AUDIO + 1)])
    for _ in range(2):
        keyboard.press("Shift+Tab")
    assert focused(viewer) == "0"
    walk(viewer, [("Shift+Tab", 2)])


def test_the_viewer_costs_few_tab_stops(show: Show) -> None:
    viewer = show(run())
    stops = viewer.root.evaluate(
        """root => [...root.querySelectorAll("button, input, select, [tabindex]")]
          .filter((element) => element.tabIndex >= 0 && !element.disabled)
          .filter((element) => element.checkVisibility({ visibilityProperty: true }))
          .filter((element) => !element.closest(".calculator")).length"""
    )
    assert stops <= 24
    keyboard, cells = viewer.page.keyboard, viewer.panel("modality-matrix").locator(".cell:visible")
    cells.first.focus()
    for key, at in (("ArrowRight", 1), ("ArrowDown", 5), ("End", 7), ("ArrowRight", 7), ("Control+Home", 0)):
        keyboard.press(key)
        expect(cells.nth(at)).to_be_focused()
    viewer.shows(map="1:mean")  # arrows in the grid leave layers and heads alone


def test_return_and_space_pin_what_has_the_focus(show: Show) -> None:
    viewer = show(run())
    keyboard = viewer.page.keyboard
    tab_to(viewer, "1")
    walk(viewer, [("ArrowRight", 2), ("ArrowRight", 3)])
    keyboard.press("Enter")
    viewer.expect_pinned(True)
    viewer.shows(tokens=[3], versus="")
    keyboard.press("ArrowRight")
    assert focused(viewer) == "4"
    reverse = say("reverse-weight", amount=three_digits(rows()[4, 3]))
    viewer.says("readout", f": {three_digits(rows()[3, 4])}{reverse}")
    viewer.says("announcement", f": {three_digits(rows()[3, 4])}{reverse}")
    keyboard.press("Space")
    viewer.shows(tokens=[3], versus=[4])
    keyboard.press("Escape")
    viewer.shows(tokens=[3], versus="")
    assert focused(viewer) == "4"


def test_after_a_click_on_a_word_or_a_patch_arrows_move_through_layers_and_heads(show: Show) -> None:
    viewer = show(run())
    for token in (17, 4):
        viewer.click(token)
        viewer.page.keyboard.press("ArrowLeft")
        viewer.shows(map="1:2")
        viewer.page.keyboard.press("ArrowRight")
        viewer.shows(map="1:mean")


def test_every_button_has_a_name_and_the_thumbnails_are_one_tab_stop(show: Show) -> None:
    viewer = show(run())
    nameless = viewer.root.evaluate(
        """root => [...root.querySelectorAll("button")].filter(
          (button) => !(button.getAttribute("aria-label") ?? button.textContent).trim()).length"""
    )
    assert nameless == 0
    expect(viewer.thumbnail("0:1")).to_have_attribute("tabindex", "-1")
    expect(viewer.thumbnail("1:mean")).to_have_attribute("tabindex", "0")
    viewer.thumbnail("1:mean").focus()
    viewer.page.keyboard.press("ArrowLeft")
    viewer.shows(map="1:2")
    expect(viewer.thumbnail("1:2")).to_have_attribute("aria-pressed", "true")
    assert viewer.page.evaluate("() => document.activeElement.dataset.map") == "1:2", "the focus goes along"


def test_while_the_audio_plays_its_token_is_chosen(show: Show) -> None:
    viewer = show(run())
    still = viewer.pixels("audio")
    viewer.root.evaluate(RECORD_TOKENS)
    play = viewer.part("play")
    play.click()
    expect(play).to_have_text("Pause")
    third = f"() => chosen.some((token) => Number(token) >= {FIRST_AUDIO + 2})"  # a busy machine may look too late
    viewer.page.wait_for_function(third, timeout=PATIENCE)
    play.click()
    expect(play).to_have_text("Play")
    seconds = float(viewer.panel("audio").locator(".time").inner_text().split()[0])
    assert seconds >= 1.0, "the third audio token begins at 1 s"
    viewer.shows(tokens=[0])  # a pause ends the choice
    chosen = [int(token) for token in viewer.page.evaluate("chosen")]
    played = [token for token in chosen if token != 0]
    assert max(played) >= FIRST_AUDIO + 2 and played == sorted(played)
    drawn = viewer.pixels("audio").astype(int)
    red = np.flatnonzero(np.abs(drawn[40, :, :3] - (0xD6, 0x27, 0x28)).max(axis=-1) < 40)
    assert len(red) and not np.array_equal(drawn, still)
    assert (red.mean() - 38) / (drawn.shape[1] - 38) * 6 == pytest.approx(seconds, abs=0.1)
    viewer.page.evaluate("() => { window.chosen = []; }")
    play.click()
    expect(play).to_have_text("Pause")
    expect(play).to_have_text("Play", timeout=PATIENCE)
    later = [int(token) for token in viewer.page.evaluate("chosen") if token != "0"]
    assert later[0] >= played[-1], "it goes on where it was paused"
    assert later[-1] == FIRST_AUDIO + AUDIO_TOKENS - 1
    expect(viewer.panel("audio").locator(".time")).to_have_text("6.0 / 6.0 s")


@pytest.mark.pages
def test_with_a_pin_or_reduced_motion_playing_leaves_the_choice_alone(show: Show) -> None:
    for motion in ("no-preference", "reduce"):
        viewer = show(run(), reduced_motion=motion)
        token = 0
        if motion == "no-preference":
            token = 18
            viewer.click(token)
            viewer.shows(tokens=[token])
        viewer.root.evaluate(RECORD_TOKENS)
        before = viewer.pixels("audio")
        viewer.part("play").click()
        time = viewer.panel("audio").locator(".time")
        expect(time).to_have_text(re.compile(r"^1\."), timeout=PATIENCE)
        assert set(viewer.page.evaluate("chosen")) == {str(token)}
        assert not np.array_equal(viewer.pixels("audio"), before), "the playhead moves"
        viewer.part("play").click()


def test_a_narrow_window_is_drawn_anew_and_keeps_the_choice(show: Show) -> None:
    viewer = show(run())
    viewer.click(18)
    viewer.click(4)
    viewer.leave()
    viewer.shows(tokens=[18], versus=[4])
    wide = {name: viewer.pixels(name).shape for name in ("image", "audio", "matrix")}
    for width, height in ((390, 844), (800, 900), (1440, 1000)):
        viewer.page.set_viewport_size({"width": width, "height": height})
        for name in wide:
            viewer.panel(name).evaluate(FITS)
        viewer.shows(tokens=[18], versus=[4])
        assert viewer.page.evaluate("() => document.documentElement.scrollWidth") <= width
        drawn = viewer.pixels("audio")
        assert (len(np.unique(drawn[72, 40:, :3], axis=0)) > 3) and drawn.shape[1] <= width
        if width == 390:
            narrow = {name: viewer.pixels(name).shape for name in wide}
            assert all(narrow[name][1] < wide[name][1] for name in ("audio", "matrix"))
            order = [viewer.panel(name).bounding_box()["y"] for name in ("image", "text", "audio", "matrix")]
            assert order == sorted(order) and len(set(order)) == 4, "one below the other"
    assert {name: viewer.pixels(name).shape for name in wide} == wide


def test_a_screen_of_two_pixels_a_point_is_drawn_sharp(show: Show) -> None:
    viewer = show(run(), device_scale_factor=2)
    for name in ("image", "audio", "overview", "matrix"):
        width = viewer.panel(name).locator("canvas").first.bounding_box()["width"]
        assert viewer.pixels(name).shape[1] == pytest.approx(2 * width, abs=1)
    viewer.point(22 + 4)
    viewer.shows(tokens=[26])


def luminance(colour: str) -> float:
    red, green, blue = (float(part) for part in re.findall(r"[\d.]+", colour)[:3])
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


def test_the_open_viewer_follows_a_change_of_colour_scheme(show: Show) -> None:
    viewer = show(run(), color_scheme="dark")
    style = """root => {
      const style = getComputedStyle(root);
      return [style.color, getComputedStyle(document.body).backgroundColor];
    }"""
    viewer.click(18)
    drawn = []
    for scheme in ("dark", "light", "dark"):
        viewer.page.emulate_media(color_scheme=scheme)
        expect(viewer.root).to_have_class(re.compile(r"\bdark\b") if scheme == "dark" else "mmviz", timeout=PATIENCE)
        text, background = viewer.root.evaluate(style)
        if scheme == "dark":
            assert luminance(text) > 0.8 and luminance(background) < 0.15
        else:
            assert luminance(text) < 0.3
        viewer.leave()
        viewer.shows(tokens=[18])
        labels = viewer.pixels("matrix")[92:, :84]
        inked = labels[labels[..., 3] > 200][:, :3]
        assert len(inked) and (inked.mean() > 180) == (scheme == "dark"), "labels on the canvas too"
        drawn.append(viewer.all_drawn()["matrix"])
    assert drawn[0] == drawn[2] != drawn[1]
