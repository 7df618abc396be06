"""The page opens on a recorded run, with nothing but the installed package; torch is not needed."""

from __future__ import annotations

import pytest

pytest.importorskip("streamlit", reason="streamlit is not installed")


def script() -> None:
    from mmviz.app import main

    main([])


@pytest.mark.slow
@pytest.mark.parametrize("params", [{}, {"page": "learn"}, {"lang": "zh"}], ids=["explore", "learn", "chinese"])
def test_the_page_opens_without_an_error(params: dict[str, str]) -> None:
    from streamlit.testing.v1 import AppTest

    page = AppTest.from_function(script, default_timeout=240)
    page.query_params.update(params)
    page.run()
    assert not page.exception, page.exception
    shown = "".join(str(element.proto) for element in page.main.children.values()) + str(page.get("html"))
    assert "note error" not in shown and page.button
