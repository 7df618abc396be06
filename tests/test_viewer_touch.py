"""The viewer by fingers, in a real browser that emulates a phone: taps, long ones, and two fingers."""

from __future__ import annotations

import re
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import until  # noqa: E402
from viewer_page import Show, amounts, grey_run, say  # noqa: E402

pytestmark = pytest.mark.slow

PHONE: dict[str, Any] = {"has_touch": True, "is_mobile": True, "viewport": {"width": 390, "height": 844}}
FIRST_AUDIO = 22
expect = sync_api.expect


def test_a_tap_chooses_and_a_long_one_or_the_button_compares(show: Show) -> None:
    viewer = show(grey_run(), **PHONE)
    tap = viewer.page.touchscreen.tap
    assert viewer.panel("image").locator("canvas").bounding_box()["width"] == viewer.root.bounding_box()["width"]
    viewer.says("cell", say("matrix-point-touch"))
    expect(viewer.root.locator(".help li").first).to_have_text(say("help-1-touch"))
    expect(viewer.part("compare")).to_be_hidden()
    tap(*viewer.position(4))
    viewer.shows(tokens=[4], versus="")
    viewer.expect_pinned(True)
    tap(*viewer.position(18))
    viewer.shows(tokens=[18], versus="")
    viewer.part("compare").tap()
    expect(viewer.part("compare")).to_have_attribute("aria-pressed", "true")
    tap(*viewer.position(FIRST_AUDIO + 3))
    viewer.shows(tokens=[18], versus=[FIRST_AUDIO + 3])
    expect(viewer.part("compare")).to_have_attribute("aria-pressed", "false")
    tap(*viewer.position(4))
    viewer.shows(tokens=[4], versus="")
    touch = viewer.page.context.new_cdp_session(viewer.page)
    x, y = viewer.position(19)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    viewer.shows(tokens=[4], versus=[19])  # while the finger is still there
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    tap(*viewer.position(4))
    viewer.shows(tokens=[4], versus="")
    tap(*viewer.position(4))
    viewer.expect_pinned(False)
    viewer.thumbnail("0:1").tap()
    viewer.shows(map="0:1", tokens=[0])
    viewer.expect_chips(amounts(grey_run(), "0:1")[0])


def test_two_fingers_zoom_the_matrix_and_one_moves_it(show: Show) -> None:
    viewer = show(grey_run(), **PHONE)
    touch = viewer.page.context.new_cdp_session(viewer.page)
    box = viewer.panel("matrix").locator(".stage")
    box.evaluate("stage => stage.scrollIntoView({ block: 'center', behavior: 'instant' })")
    place = box.bounding_box()
    assert place
    middle = place["x"] + place["width"] * 0.6, place["y"] + place["height"] * 0.6

    def fingers(kind: str, reach: float) -> None:
        points = [{"x": middle[0] + sign * reach, "y": middle[1], "id": k} for k, sign in enumerate((-1, 1))]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points if reach else []})

    before = viewer.pixels("matrix").tobytes()
    for kind, reach in (("touchStart", 20.0), ("touchMove", 40.0), ("touchMove", 80.0), ("touchEnd", 0.0)):
        fingers(kind, reach)
    expect(box).to_have_class(re.compile("zoomed"))
    until(viewer.page, lambda: viewer.pixels("matrix").tobytes() != before)
    zoomed = viewer.pixels("matrix").tobytes()
    for kind, moved in (("touchStart", 0), ("touchMove", 30), ("touchMove", 90), ("touchEnd", None)):
        points = [] if moved is None else [{"x": middle[0] + moved, "y": middle[1]}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    until(viewer.page, lambda: viewer.pixels("matrix").tobytes() != zoomed)

    def is_whole_after_a_tap() -> bool:
        viewer.part("zoom-all").tap()  # while the page still glides after the finger, a tap only stops it
        return viewer.pixels("matrix").tobytes() == before

    until(viewer.page, is_whole_after_a_tap)
    assert not viewer.is_pinned
