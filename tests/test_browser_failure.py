"""A fault of the page is told in one sentence, without a traceback and without what the error holds."""

from __future__ import annotations

from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import PATIENCE, serving  # noqa: E402

pytestmark = pytest.mark.slow

SERVER = """\
import streamlit as st
from mmviz.app.server_setup import app_options
app = st.App(**{**app_options(), "script_path": "PAGE"})
"""
PAGE = """\
import streamlit as st
st.html("<p>drawn before</p>")
raise ValueError("a secret")
"""


def test_a_page_that_fails_says_so_in_one_sentence(browser: sync_api.Browser, tmp_path: Path) -> None:
    broken, server = tmp_path / "broken.py", tmp_path / "server.py"
    broken.write_text(PAGE)
    server.write_text(SERVER.replace("PAGE", str(broken)))
    with serving(server) as address:
        page = browser.new_page()
        page.goto(address)
        failed = page.get_by_role("alert").filter(has_text="could not be drawn")
        failed.wait_for(timeout=PATIENCE)
        assert "(ValueError)" in failed.inner_text() and page.get_by_text("drawn before").is_visible()
        assert "secret" not in page.content() and "Traceback" not in page.content()
        page.close()
