"""The viewer in a real browser with three stacks: choosing another one shows its own labels and numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from records import ASKS, READS, SEES, plain, towers  # noqa: E402
from viewer_page import PATIENCE, Show, ViewerPage, amounts, say  # noqa: E402

from mmviz.types import MapRef  # noqa: E402

pytestmark = pytest.mark.slow
expect = sync_api.expect
TEXTS = {"picture": say("modality-image"), "text": say("modality-text")}


@pytest.fixture
def viewer(show: Show) -> ViewerPage:
    return show(towers())


def label(stack: str, queries: str, keys: str) -> str:
    code = "stack-streams-own" if queries == keys else "stack-streams"
    streams = say(code, **{"from": TEXTS[queries], "to": TEXTS[keys]})
    return f"{stack}: {streams}"


def test_the_first_view_is_the_stack_in_which_modalities_meet(viewer: ViewerPage) -> None:
    viewer.shows(map=f"{ASKS}/1:mean", tokens=[6], direction="from")
    options = viewer.part("stack").locator("option")
    expect(options).to_have_text(
        [label(SEES, "picture", "picture"), label(READS, "text", "text"), label(ASKS, "text", "picture")]
    )
    expect(viewer.part("stack").locator("option:checked")).to_have_text(label(ASKS, "text", "picture"))
    expect(viewer.part("map-notes")).to_be_hidden()


def test_another_stack_shows_its_own_tokens_numbers_and_what_its_rows_lose(viewer: ViewerPage) -> None:
    viewer.part("stack").select_option(label(READS, "text", "text"))
    viewer.shows(map=f"{READS}/1:mean", tokens=[6])
    viewer.expect_chips(amounts(towers(), f"{READS}/1:mean")[6], "text")
    viewer.says("method-name", say("cell-mean", layer=2))
    expect(viewer.panel("matrix").locator("h3")).to_contain_text(READS)
    expect(viewer.part("map-notes")).to_have_text(say("absorbed-sink", share="25"))
    viewer.part("stack").select_option(label(SEES, "picture", "picture"))
    viewer.shows(map=f"{SEES}/1:mean", tokens=[0])
    expect(viewer.part("map-notes")).to_be_hidden()
    viewer.thumbnail(f"{SEES}/0:1").click()
    viewer.shows(map=f"{SEES}/0:1")
    viewer.leave()
    expect(viewer.part("map-notes")).to_have_text(say("windows", count=2))
    viewer.click(7, "picture")
    viewer.point(8, "picture")
    weight = amounts(towers(), f"{SEES}/0:1")[7, 8]
    viewer.says("readout", f"{weight:#.3g}" if weight >= 1e-4 else "<0.0001")


def test_thumbnails_stand_under_the_heading_of_their_stack(viewer: ViewerPage) -> None:
    headings = viewer.panel("overview").locator(".stack-name")
    expect(headings).to_have_count(3)
    tops = [(box["y"], box["height"]) for box in map(lambda heading: heading.bounding_box(), headings.all())]
    for k, (stack, text) in enumerate(zip((SEES, READS, ASKS), headings.all_inner_texts(), strict=True)):
        assert text.splitlines()[0] == stack
        for layer in (0, 1):
            cell = viewer.thumbnail(f"{stack}/{layer}:0")
            box = cell.bounding_box()
            assert box is not None and box["y"] > tops[k][0] + 20
            assert k == 2 or box["y"] + box["height"] <= tops[k + 1][0]
            name = say("cell-in-stack", stack=stack, map=say("cell-head", layer=layer + 1, head=1))
            expect(cell).to_have_attribute("aria-label", name)
    viewer.thumbnail(f"{READS}/0:mean").click()
    viewer.leave()
    viewer.page.keyboard.press("ArrowDown")
    viewer.shows(map=f"{READS}/1:mean")
    viewer.page.keyboard.press("ArrowDown")
    viewer.shows(map=f"{ASKS}/0:mean")


def test_a_link_to_a_stack_opens_it(show: Show) -> None:
    opened = show(towers(), f"#map={SEES}/1:0&tokens=4&versus=&direction=to&style=heat&scale=view")
    opened.shows(map=f"{SEES}/1:0", tokens=[4], direction="to")
    show(towers(), "#map=0:2&tokens=1").shows(map=f"{ASKS}/0:2", tokens=[1])


def test_a_run_of_one_stack_has_no_choice_of_stacks(show: Show) -> None:
    opened = show(plain())
    expect(opened.part("stack")).to_have_count(0)
    expect(opened.panel("overview").locator(".stack-name")).to_have_count(0)
    expect(opened.part("method-name")).to_have_text(say("cell-mean", layer=2), timeout=PATIENCE)


@pytest.mark.parametrize("size", [(1280, 720), (390, 844)])
def test_nothing_is_wider_than_the_screen(show: Show, size: tuple[int, int]) -> None:
    opened = show(towers(), viewport={"width": size[0], "height": size[1]})
    opened.part("stack").select_option(label(SEES, "picture", "picture"))
    opened.shows(map=f"{SEES}/1:mean")
    widths = opened.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert np.diff(widths)[0] >= 0


def test_a_flow_leads_to_the_stream_that_is_chosen_and_stays_there(show: Show) -> None:
    run = towers()
    run = replace(run, record=replace(run.record, links=(), relevance_to={"text": np.full((7, 7), 0.5, np.float32)}))
    viewer = show(run)
    expect(viewer.part("flow-keys")).to_be_hidden()
    method = viewer.part("method")
    method.locator("[data-value=rollout]").click()
    viewer.shows(map="rollout")
    expect(viewer.part("flow-keys").locator("option:checked")).to_have_text("picture")
    viewer.part("flow-keys").select_option("text")
    viewer.shows(map="text/rollout")
    viewer.says("method-name", say("method-to", method=say("method-rollout"), stream="text"))
    viewer.expect_chips(run.attention(MapRef("rollout", keys="text"), 6), "text")
    method.locator("[data-value=relevance]").click()
    viewer.shows(map="text/relevance")
    expect(viewer.part("flow-keys")).to_be_hidden()
    viewer.says("legend", say("unit-relevance"))
    method.locator("[data-value=layer]").click()
    viewer.shows(map=f"{ASKS}/1:mean")
