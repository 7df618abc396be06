"""The page on a server that draws it again exactly when a browser asks where to send a file.

Whatever waits for the browser in that moment is dropped by Streamlit, as at the beginning of each drawing.
"""

from typing import Any

import streamlit as st
from streamlit.runtime.app_session import AppSession

from mmviz.app.server_setup import app_options

_answer = AppSession._handle_file_urls_request


def _answer_and_begin_anew(session: AppSession, request: Any) -> None:
    _answer(session, request)
    session._clear_queue()


AppSession._handle_file_urls_request = _answer_and_begin_anew  # type: ignore[method-assign]
app = st.App(**app_options())
