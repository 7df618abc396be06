"""The login of a page that others can reach: a visitor enters the access token."""

from __future__ import annotations

import hmac
import time

import streamlit as st

from mmviz.app.components import page_elements
from mmviz.i18n.page import say

KEY = "mmviz-access"
PAUSE = 1.0
"""Seconds of delay after a wrong token."""


def is_admitted(access: str | None) -> bool:
    """Returns whether this visitor may see the page; draws the login form where not. None admits everyone."""
    if access is None or st.session_state.get(KEY) == access:
        return True
    st.html(f"<h1>{say('title')}</h1>")
    with st.form("login", border=False, width=420):
        token = st.text_input(say("login"), type="password", help=say("login-help"), autocomplete="off")
        is_sent = st.form_submit_button(say("login-enter"))
    if is_sent and hmac.compare_digest(token.strip().encode(), access.encode()):
        st.session_state[KEY] = access
        st.rerun()
    if is_sent:
        time.sleep(PAUSE)
        page_elements.note(say("login-wrong"), "error")
    return False
