"""4,096 tokens in a real browser: pointing shows means at once, then exact rows; the matrix zooms to weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import long_model
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from app_page import EXAMPLES  # noqa: E402
from real_page import PATIENCE, serving  # noqa: E402
from viewer_page import Show, ViewerPage, say, three_digits  # noqa: E402

from mmviz.backends.local import LocalBackend  # noqa: E402
from mmviz.explain import run_sample  # noqa: E402

if TYPE_CHECKING:
    from test_browser_view import Visit

pytestmark = pytest.mark.long
SCRIPT = """
import sys
sys.path[:0] = {folders!r}
from mmviz.app import main

main(["--model", "long_model:make"])
"""


def largest_weight(token: int) -> float:
    """Returns the largest weight of a query, in the mean over heads."""
    return float(long_model.expected_mean_row(token).max())


def test_exact_rows_arrive_and_the_matrix_zooms_to_weights(visit_to: Visit, chromium: str, tmp_path: Path) -> None:
    here = Path(long_model.__file__).parent
    script = tmp_path / "page.py"
    script.write_text(SCRIPT.format(folders=[str(here), str(here.parent)]), encoding="utf-8")
    with serving(script) as address:
        page = visit_to(address)
        viewer = ViewerPage(page, page)
        viewer.shows(tokens=[0], map="2:mean")
        viewer.says("readout", three_digits(largest_weight(0)))
        viewer.panel("image").scroll_into_view_if_needed()
        box = viewer.panel("image").locator(".stage").bounding_box()
        assert box is not None and viewer.panel("image").locator("[data-token]").count() == 0
        painted = viewer.root.get_attribute("data-painted") or ""
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.51 * box["height"])
        sync_api.expect(viewer.root).not_to_have_attribute("data-painted", painted, timeout=PATIENCE)
        viewer.says("readout", "From:")
        token = int(viewer.root.get_attribute("data-tokens") or 0)
        assert 1 <= token <= 2304
        sync_api.expect(viewer.part("waiting")).to_be_hidden(timeout=PATIENCE)
        sync_api.expect(viewer.part("readout")).not_to_contain_text("≈", timeout=PATIENCE)
        viewer.says("readout", three_digits(largest_weight(token)))
        page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.51 * box["height"])
        viewer.expect_pinned(True)
        viewer.shows(tokens=[token])
        page.keyboard.press("Escape")

        matrix = viewer.panel("matrix")
        matrix.scroll_into_view_if_needed()
        for _ in range(9):
            viewer.part("zoom-in").click()
        stage = matrix.locator(".stage").bounding_box()
        assert stage is not None
        page.mouse.move(stage["x"] + 0.7 * stage["width"], stage["y"] + 0.7 * stage["height"])
        sync_api.expect(viewer.part("cell")).to_have_text(re.compile("attends to"), timeout=PATIENCE)
        amount = viewer.part("cell").inner_text().rsplit(": ", 1)[1]
        assert re.fullmatch(r"\d\.\d\de-[56]", amount), amount
        sync_api.expect(matrix.locator(".note").last).to_contain_text(say("matrix-means"))
        page.context.close()  # before its server is gone


def test_arrow_keys_move_through_patches_that_have_no_buttons(show: Show) -> None:
    run = run_sample(EXAMPLES[0].sample(), model="long", backend=LocalBackend("cpu", {"long": long_model.make()}))
    viewer = show(run)
    viewer.panel("image").locator("[data-roving]").focus()
    for key, token in (
        ("ArrowRight", 2), ("ArrowDown", 50), ("ArrowLeft", 49), ("End", 96), ("Home", 49), ("Control+End", 2304),
    ):  # fmt: skip
        viewer.page.keyboard.press(key)
        viewer.shows(tokens=[token])
    viewer.page.keyboard.press("Enter")
    viewer.expect_pinned(True)
    viewer.says("waiting", say("approximate-only"))
    viewer.says("readout", "≈")
