"""axe-core looks for faults of accessibility in the viewer: light and dark, on a desk and a phone, in every state."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

from records import cross, long, one_token  # noqa: E402
from viewer_page import Seen, Show, grey  # noqa: E402

from mmviz.explain import Run  # noqa: E402

pytestmark = pytest.mark.slow

DESK, PHONE = {"width": 1440, "height": 1000}, {"width": 390, "height": 844}


@lru_cache(maxsize=1)
def run() -> Run:
    return grey()


def grave(seen: Seen) -> list[Any]:
    """Faults whose impact is serious or critical, and the elements that have them."""
    results = axe.Axe().run(seen.page).response
    assert len(results["passes"]) > 10, "it looked at something"
    return [
        (fault["id"], fault["help"], [node["html"][:200] for node in fault["nodes"][:5]])
        for fault in results["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_in_any_state(show: Show, scheme: str, screen: dict[str, int]) -> None:
    # the document allows no script but its own; axe is one
    seen = show(run(), color_scheme=scheme, viewport=screen, has_touch=screen is PHONE, bypass_csp=True)
    assert grave(seen) == []
    seen.click(4)
    seen.point(18)
    seen.shows(tokens=[4])
    assert grave(seen) == [], "pinned"
    seen.click(18)
    seen.shows(versus=[18])
    assert grave(seen) == [], "a difference"
    seen.part("style").locator("[data-value=heat]").click()
    seen.part("direction").locator("[data-value=to]").click()
    seen.panel("modalities").locator("[data-value=ratio]").click()
    seen.shows(direction="to")
    assert grave(seen) == [], "turned, as heat, and counted another way"


@pytest.mark.parametrize("made", [cross, one_token, long])
def test_axe_finds_no_serious_fault_in_odd_records(show: Show, made: Any) -> None:
    seen = show(made(), bypass_csp=True)
    assert grave(seen) == []
    if made is long:
        seen.small("0:0").click()
        seen.says("waiting", "does not hold")
        assert grave(seen) == []
