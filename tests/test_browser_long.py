"""8,192 tokens in a real browser: pointing answers at once, exact rows follow, the matrix zooms to exact weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import long_model
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from app_page import EXAMPLES  # noqa: E402
from real_page import PATIENCE, serving  # noqa: E402
from viewer_page import Seen, Show, three  # noqa: E402

from mmviz.backends.local import LocalBackend  # noqa: E402
from mmviz.explain import run_sample  # noqa: E402

if TYPE_CHECKING:
    from test_browser_view import Visit

pytestmark = pytest.mark.slow
SCRIPT = """
import sys
sys.path[:0] = {folders!r}
from mmviz.app import main

main(["--model", "long_model:make"])
"""
READOUT = "[data-part=readout]"


def exact(token: int) -> float:
    """The largest weight that a token gives, in the mean of the heads."""
    return float(long_model.expected_mean_row(token).max())


def test_rows_come_exact_and_the_matrix_zooms_to_weights(visit_to: Visit, chromium: str, tmp_path: Path) -> None:
    here = Path(long_model.__file__).parent
    script = tmp_path / "page.py"
    script.write_text(SCRIPT.format(folders=[str(here), str(here.parent)]), encoding="utf-8")
    with serving(script) as address:
        page = visit_to(address)
        seen = Seen(page, page)
        seen.shows(tokens=[0], plane="2:mean")
        seen.says("readout", three(exact(0)))
        box = seen.panel("picture").locator(".stage").bounding_box()
        assert box is not None and seen.panel("picture").locator("[data-token]").count() == 0
        painted = seen.root.get_attribute("data-painted") or ""
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.51 * box["height"])
        sync_api.expect(seen.root).not_to_have_attribute("data-painted", painted, timeout=PATIENCE)
        seen.says("readout", "From:")
        token = int(seen.root.get_attribute("data-tokens") or 0)
        assert 1 <= token <= 4096
        sync_api.expect(seen.part("waiting")).to_be_hidden(timeout=PATIENCE)
        sync_api.expect(seen.part("readout")).not_to_contain_text("≈", timeout=PATIENCE)
        seen.says("readout", three(exact(token)))
        page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.51 * box["height"])
        seen.pins(True)
        seen.shows(tokens=[token])
        page.keyboard.press("Escape")

        matrix = seen.panel("matrix")
        matrix.scroll_into_view_if_needed()
        for _ in range(9):
            seen.part("zoom-in").click()
        stage = matrix.locator(".stage").bounding_box()
        assert stage is not None
        page.mouse.move(stage["x"] + 0.7 * stage["width"], stage["y"] + 0.7 * stage["height"])
        sync_api.expect(seen.part("exact")).to_have_text(re.compile("asks"), timeout=PATIENCE)
        amount = seen.part("exact").inner_text().rsplit(": ", 1)[1]
        assert re.fullmatch(r"\d\.\d\de-5", amount), amount
        sync_api.expect(matrix.locator(".note").last).to_contain_text("Zoom in for exact weights")
        page.context.close()  # before its server is gone


def test_arrow_keys_move_through_patches_that_have_no_button_each(show: Show) -> None:
    run = run_sample(EXAMPLES[0].sample(), model="long", backend=LocalBackend("cpu", {"long": long_model.make()}))
    seen = show(run)
    stage = seen.panel("picture").locator(".stage")
    stage.focus()
    for key, token in (("ArrowRight", 2), ("ArrowDown", 66), ("ArrowLeft", 65), ("End", 4096)):
        seen.page.keyboard.press(key)
        seen.shows(tokens=[token])
    seen.page.keyboard.press("Enter")
    seen.pins(True)
    seen.says("waiting", "Exact rows are not kept for this run")
    seen.says("readout", "≈")
