"""What Streamlit's server is given to serve the page: its script, the guard of its visitors, and what it does first."""

from __future__ import annotations

import asyncio
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.formparsers import MultiPartParser
from starlette.middleware import Middleware

from mmviz.app.allowed_hosts import VisitorAddresses, url
from mmviz.app.compressed_assets import StaticAssets
from mmviz.app.host_guard import ConnectionGuard
from mmviz.app.streamlit_callback_patch import keep_callbacks_whole
from mmviz.app.streamlit_download_url_patch import keep_download_addresses
from mmviz.app.streamlit_stale_widget_patch import forget_undrawn_widgets
from mmviz.app.streamlit_upload_url_patch import keep_upload_addresses


def app_options() -> dict[str, Any]:
    """Returns the arguments of ``st.App``, which `streamlit run` must see called in the file that it is given.

    Also keeps uploads in memory while they arrive, those over 1 MB would go through a temporary file, and keeps the
    addresses to which they are sent and those of downloads, and callbacks whole, and forgets widgets that are no longer
    drawn: see `mmviz.app.streamlit_upload_url_patch`, `mmviz.app.streamlit_download_url_patch`,
    `mmviz.app.streamlit_callback_patch` and `mmviz.app.streamlit_stale_widget_patch`.
    """
    keep_upload_addresses()
    keep_download_addresses()
    keep_callbacks_whole()
    forget_undrawn_widgets()
    MultiPartParser.spool_max_size = (st.get_option("server.maxUploadSize") + 1) * 2**20
    return {
        "script_path": Path(__file__).with_name("streamlit_script.py"),
        "lifespan": _open_browser,
        "on_script_error": _say_failed,
        "middleware": [
            Middleware(ConnectionGuard, addresses=VisitorAddresses.from_environment()),
            Middleware(StaticAssets),
        ],
    }


def _say_failed(error: Exception) -> bool:
    """Says in the visitor's language that a part of the page could not be drawn; Streamlit's own text is English."""
    from mmviz.app.components.page_elements import note  # here, as it loads more than the server needs to start
    from mmviz.i18n.page import say

    note(say("page-failed", error=type(error).__name__), "error")
    return True


@asynccontextmanager
async def _open_browser(_: st.App) -> AsyncIterator[None]:
    """Opens a browser at the start, unless the server is headless: Streamlit does so for scripts alone."""
    opening = None
    if not st.get_option("server.headless"):
        is_tls = bool(st.get_option("server.sslCertFile"))
        address = url(st.get_option("browser.serverAddress"), st.get_option("server.port"), is_tls)
        opening = asyncio.create_task(asyncio.to_thread(webbrowser.open, address))
    yield
    if opening is not None:
        opening.cancel()
