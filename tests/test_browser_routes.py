"""The section Routes in a real browser: a cell is cut, and a click on the table cuts its cell."""

from __future__ import annotations

import re

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import PATIENCE, settle, until  # noqa: E402

from mmviz.backends.local import LocalBackend  # noqa: E402
from mmviz.inputs.examples import load_gallery  # noqa: E402
from mmviz.types import CutRoute, Modality, Request  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.pages]

FIRST = load_gallery()[0]


def shown(page: sync_api.Page) -> list[str]:
    """Returns the answers in large type with their probabilities: before, and after a cut."""
    texts = page.locator(".route-answer").all_inner_texts()
    return [" ".join(text.split()[1:]) for text in texts]


def expected(backend: LocalBackend, cut: CutRoute) -> str:
    """Returns the answer that Python computes with a route cut, and its probability."""
    (record,) = backend.run([Request("trio", FIRST.sample(), (cut,))])
    return f"{record.answers[0].label} {record.answers[0].probability:.1%}"


def test_a_cut_cell_shows_the_probability_that_python_computes(browser: sync_api.Browser, server: str) -> None:
    backend = LocalBackend("cpu")
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{server}/?page=debug&section=routes")
    grid = page.locator(".st-key-routes-effects-0")
    grid.wait_for(state="attached", timeout=3 * PATIENCE)  # what is drawn anew while something is measured loses clicks
    settle(page)
    page.locator(".st-key-routes-cell-answer-image button:visible").click()
    until(page, lambda: len(shown(page)) == 2)
    assert shown(page)[1] == expected(backend, CutRoute("answer", Modality.IMAGE)) != shown(page)[0]
    named = page.get_by_role("button", name=re.compile("cut: from answer to picture"))
    assert named.first.is_visible(), "its name says that it is cut"

    grid.scroll_into_view_if_needed()
    grid.locator(".js-plotly-plot").wait_for(timeout=PATIENCE)
    point = grid.locator(".scatterlayer .points path").nth(7 + 3)  # picture to words, layer 4
    point.click(force=True)
    cut = CutRoute(Modality.IMAGE, Modality.TEXT, layers=(3,))
    until(page, lambda: shown(page)[1:] == [expected(backend, cut)])
    settle(page)
    assert page.get_by_text("the picture reading the text, in layer 4").first.is_visible()
    slider = page.locator("[class*='st-key-routes-layers-']").inner_text()
    assert re.findall(r"\d", slider) == ["4", "4", "1", "6"], "both thumbs stand at that layer, of 1 to 6"
    page.close()
