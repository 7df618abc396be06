"""axe-core checks the accessibility of the viewer: light and dark, on a desktop and a phone, in every state."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

from records import cross, long, one_token  # noqa: E402
from viewer_page import Show, ViewerPage, grey_run  # noqa: E402

from mmviz.explain import Run  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.pages]

DESKTOP, PHONE = {"width": 1440, "height": 1000}, {"width": 390, "height": 844}


@lru_cache(maxsize=1)
def run() -> Run:
    return grey_run()


def violations(viewer: ViewerPage) -> list[Any]:
    """Returns violations whose impact is serious or critical, and the elements that have them."""
    results = axe.Axe().run(viewer.page).response
    assert len(results["passes"]) > 10, "it checked something"
    return [
        (violation["id"], violation["help"], [node["html"][:200] for node in violation["nodes"][:5]])
        for violation in results["violations"]
        if violation["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("scheme", "screen"), [("light", DESKTOP), ("dark", PHONE)], ids=["light", "dark-phone"])
def test_no_state_has_a_serious_violation(show: Show, scheme: str, screen: dict[str, int]) -> None:
    # the document allows no script but its own; axe is one
    viewer = show(run(), color_scheme=scheme, viewport=screen, has_touch=screen is PHONE, bypass_csp=True)
    assert violations(viewer) == []
    viewer.click(4)
    viewer.point(18)
    viewer.shows(tokens=[4])
    assert violations(viewer) == [], "pinned"
    viewer.click(18)
    viewer.shows(versus=[18])
    assert violations(viewer) == [], "a difference"
    viewer.part("style").locator("[data-value=heat]").click()
    viewer.part("direction").locator("[data-value=to]").click()
    viewer.panel("modality-matrix").locator("[data-value=ratio]").click()
    viewer.shows(direction="to")
    assert violations(viewer) == [], "in the other direction, as heat, and with another measure"


@pytest.mark.parametrize("build", [cross, one_token, long])
def test_odd_records_have_no_serious_violation(show: Show, build: Any) -> None:
    viewer = show(build(), bypass_csp=True)
    assert violations(viewer) == []
    if build is long:
        viewer.thumbnail("5:0").click()
        viewer.says("waiting", "does not contain")
        assert violations(viewer) == []
