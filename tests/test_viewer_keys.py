"""The viewer by keyboard, by ear and by finger, and on every screen, in a real browser."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import PATIENCE  # noqa: E402
from viewer_page import Seen, Show, amounts, expect_chips, grey, three  # noqa: E402

from mmviz.explain import Run  # noqa: E402

pytestmark = pytest.mark.slow

FIRST_FRAME, FRAMES = 22, 12  # of half a second each
HEARD = """viewer => {
  window.heard = [];
  new MutationObserver(() => window.heard.push(viewer.dataset.tokens))
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
    return grey()


def rows(plane: str = "1:mean") -> np.ndarray:
    return amounts(run(), plane)


def focused(seen: Seen) -> str:
    """What has the focus: the token, or the words, and whether a ring can be seen around it."""
    found: str = seen.page.evaluate(
        """() => {
          const one = document.activeElement;
          const ring = getComputedStyle(one);
          return (one.dataset.token ?? one.textContent) + (parseFloat(ring.outlineWidth) ? "" : " without a ring");
        }"""
    )
    return found


def tab_to(seen: Seen, words: str) -> None:
    """Press Tab until something with these words has the focus."""
    for _ in range(200):
        seen.page.keyboard.press("Tab")
        if focused(seen) == words:
            return
    pytest.fail(f"Tab does not lead to {words!r}")


def test_arrows_go_through_layers_and_heads_up_to_the_edges(show: Show) -> None:
    seen = show(run())
    seen.page.keyboard.press("ArrowUp")
    seen.point(4)
    seen.page.keyboard.press("ArrowUp")
    seen.page.keyboard.press("d")
    seen.shows(plane="1:mean", tokens=[4], direction="to")  # the arrows scroll the page until the viewer has the focus
    seen.page.keyboard.press("d")
    seen.click(4)
    seen.pins(True)
    for key, plane in [
        ("ArrowRight", "1:mean"), ("ArrowLeft", "1:2"), ("ArrowLeft", "1:1"), ("ArrowUp", "0:1"), ("ArrowUp", "0:1"),
        ("ArrowLeft", "0:0"), ("ArrowLeft", "0:0"), ("ArrowDown", "1:0"), ("ArrowDown", "1:0"),
        ("ArrowRight", "1:1"), ("ArrowRight", "1:2"), ("ArrowRight", "1:mean"), ("ArrowUp", "0:mean"),
    ]:  # fmt: skip
        seen.page.keyboard.press(key)
        seen.shows(plane=plane)
        expect_chips(seen, run(), rows(plane)[4])
    seen.says("told", "layer 1, mean of heads. ")


def test_tab_goes_through_tokens_return_pins_and_skips_lead_past_them(show: Show) -> None:
    seen = show(run())
    keyboard = seen.page.keyboard
    tab_to(seen, "Skip 15 tokens")
    for token in (1, 2, 3):
        keyboard.press("Tab")
        assert focused(seen) == str(token)
        seen.shows(tokens=[token])
    expect_chips(seen, run(), rows()[3])
    keyboard.press("Enter")
    seen.pins(True)
    seen.shows(tokens=[3], versus="")
    keyboard.press("Tab")
    assert focused(seen) == "4"
    back = f" (the other way round: {three(rows()[4, 3])})"
    seen.says("readout", f": {three(rows()[3, 4])}{back}")
    seen.says("told", f": {three(rows()[3, 4])}{back}")
    keyboard.press("Space")
    seen.shows(tokens=[3], versus=[4])
    keyboard.press("Escape")
    seen.shows(tokens=[3], versus="")
    for _ in range(4):
        keyboard.press("Shift+Tab")
    assert focused(seen) == "Skip 15 tokens"
    keyboard.press("Enter")
    keyboard.press("Tab")
    assert focused(seen) == "0", "from the skip of the words to the first of them"
    tab_to(seen, "Skip 12 tokens")
    keyboard.press("Enter")
    inside = "() => document.activeElement.closest('[data-panel]')?.dataset.panel"
    assert seen.page.evaluate(inside) == "modalities"
    keyboard.press("Shift+Tab")
    assert focused(seen) == str(FIRST_FRAME + FRAMES - 1)


def test_every_button_has_a_name_and_the_small_maps_are_one_stop(show: Show) -> None:
    seen = show(run())
    nameless = seen.root.evaluate(
        """root => [...root.querySelectorAll("button")].filter(
          (one) => !(one.getAttribute("aria-label") ?? one.textContent).trim()).length"""
    )
    assert nameless == 0
    expect(seen.small("0:1")).to_have_attribute("tabindex", "-1")
    expect(seen.small("1:mean")).to_have_attribute("tabindex", "0")
    seen.small("1:mean").focus()
    seen.page.keyboard.press("ArrowLeft")
    seen.shows(plane="1:2")
    expect(seen.small("1:2")).to_have_attribute("aria-pressed", "true")
    assert seen.page.evaluate("() => document.activeElement.dataset.plane") == "1:2", "the focus goes along"


def test_while_the_sound_plays_the_frame_that_is_heard_asks(show: Show) -> None:
    seen = show(run())
    still = seen.pixels("sound")
    seen.root.evaluate(HEARD)
    play = seen.part("play")
    play.click()
    expect(play).to_have_text("Pause")
    third = f"() => heard.some((token) => Number(token) >= {FIRST_FRAME + 2})"  # a busy machine may look too late
    seen.page.wait_for_function(third, timeout=PATIENCE)
    play.click()
    expect(play).to_have_text("Play")
    seconds = float(seen.panel("sound").locator(".clock").inner_text().split()[0])
    assert seconds >= 1.0, "the third frame begins at 1 s"
    seen.shows(tokens=[0])  # a pause lets go of the frame
    heard = [int(one) for one in seen.page.evaluate("heard")]
    asking = [one for one in heard if one != 0]
    assert max(asking) >= FIRST_FRAME + 2 and asking == sorted(asking)
    drawn = seen.pixels("sound").astype(int)
    red = np.flatnonzero(np.abs(drawn[40, :, :3] - (0xD6, 0x27, 0x28)).max(axis=-1) < 40)
    assert len(red) and not np.array_equal(drawn, still)
    assert (red.mean() - 38) / (drawn.shape[1] - 38) * 6 == pytest.approx(seconds, abs=0.1)
    seen.page.evaluate("() => { window.heard = []; }")
    play.click()
    expect(play).to_have_text("Pause")
    expect(play).to_have_text("Play", timeout=PATIENCE)
    later = [int(one) for one in seen.page.evaluate("heard") if one != "0"]
    assert later[0] >= asking[-1], "it goes on where it was stopped"
    assert later[-1] == FIRST_FRAME + FRAMES - 1
    expect(seen.panel("sound").locator(".clock")).to_have_text("6.0 / 6.0 s")


def test_with_a_pin_and_with_reduced_motion_playing_changes_no_choice(show: Show) -> None:
    for motion in ("no-preference", "reduce"):
        seen = show(run(), reduced_motion=motion)
        asking = 0
        if motion == "no-preference":
            asking = 18
            seen.click(asking)
            seen.shows(tokens=[asking])
        seen.root.evaluate(HEARD)
        before = seen.pixels("sound")
        seen.part("play").click()
        clock = seen.panel("sound").locator(".clock")
        expect(clock).to_have_text(re.compile(r"^1\."), timeout=PATIENCE)
        heard = set(seen.page.evaluate("heard"))
        assert heard == {str(asking)}
        assert not np.array_equal(seen.pixels("sound"), before), "the playhead moves"
        seen.part("play").click()


def test_a_narrow_window_draws_anew_and_keeps_the_choice(show: Show) -> None:
    seen = show(run())
    seen.click(18)
    seen.click(4)
    seen.leave()
    seen.shows(tokens=[18], versus=[4])
    wide = {name: seen.pixels(name).shape for name in ("picture", "sound", "matrix")}
    for width, height in ((390, 844), (800, 900), (1440, 1000)):
        seen.page.set_viewport_size({"width": width, "height": height})
        for name in wide:
            seen.panel(name).evaluate(FITS)
        seen.shows(tokens=[18], versus=[4])
        assert seen.page.evaluate("() => document.documentElement.scrollWidth") <= width
        drawn = seen.pixels("sound")
        assert (len(np.unique(drawn[72, 40:, :3], axis=0)) > 3) and drawn.shape[1] <= width
        if width == 390:
            narrow = {name: seen.pixels(name).shape for name in wide}
            assert all(narrow[name][1] < wide[name][1] for name in ("sound", "matrix"))
            order = [seen.panel(name).bounding_box()["y"] for name in ("picture", "words", "sound", "matrix")]
            assert order == sorted(order) and len(set(order)) == 4, "one below the other"
    assert {name: seen.pixels(name).shape for name in wide} == wide


def test_a_screen_of_two_pixels_a_point_is_drawn_sharp(show: Show) -> None:
    seen = show(run(), device_scale_factor=2)
    for name in ("picture", "sound", "overview", "matrix"):
        width = seen.panel(name).locator("canvas").first.bounding_box()["width"]
        assert seen.pixels(name).shape[1] == pytest.approx(2 * width, abs=1)
    seen.point(22 + 4)
    seen.shows(tokens=[26])


def luminance(colour: str) -> float:
    red, green, blue = (float(part) for part in re.findall(r"[\d.]+", colour)[:3])
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


def test_dark_and_light_while_it_is_open(show: Show) -> None:
    seen = show(run(), color_scheme="dark")
    style = """root => {
      const found = getComputedStyle(root);
      return [found.color, getComputedStyle(document.body).backgroundColor];
    }"""
    seen.click(18)
    drawn = []
    for scheme in ("dark", "light", "dark"):
        seen.page.emulate_media(color_scheme=scheme)
        expect(seen.root).to_have_class(re.compile(r"\bdark\b") if scheme == "dark" else "mmviz", timeout=PATIENCE)
        text, ground = seen.root.evaluate(style)
        if scheme == "dark":
            assert luminance(text) > 0.8 and luminance(ground) < 0.15
        else:
            assert luminance(text) < 0.3
        seen.leave()
        seen.shows(tokens=[18])
        labels = seen.pixels("matrix")[92:, :84]
        inked = labels[labels[..., 3] > 200][:, :3]
        assert len(inked) and (inked.mean() > 180) == (scheme == "dark"), "labels on the canvas too"
        drawn.append(seen.all_drawn()["matrix"])
    assert drawn[0] == drawn[2] != drawn[1]


def test_a_tap_pins_and_a_second_one_shows_the_difference(show: Show) -> None:
    seen = show(run(), has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844})
    seen.page.touchscreen.tap(*seen.place(4))
    seen.shows(tokens=[4], versus="")
    seen.pins(True)
    seen.page.touchscreen.tap(*seen.place(18))
    seen.shows(tokens=[4], versus=[18])
    seen.page.touchscreen.tap(*seen.place(FIRST_FRAME + 3))
    seen.shows(tokens=[4], versus=[FIRST_FRAME + 3])
    for _ in range(2):
        seen.part("unpin").tap()
    seen.pins(False)
    seen.small("0:1").tap()
    seen.shows(plane="0:1", tokens=[0])
    expect_chips(seen, run(), rows("0:1")[0])
