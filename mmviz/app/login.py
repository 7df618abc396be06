"""The door of a page that others can reach: whoever knows the access token comes in."""

from __future__ import annotations

import hmac
import time

import streamlit as st

from mmviz.app.components import widgets
from mmviz.i18n.page import say

KEY = "mmviz-admitted"
PAUSE = 1.0
"""Seconds that a wrong token costs."""


def is_open(access: str | None) -> bool:
    """Whether this visitor may see the page; asks for the token where not."""
    if access is None or st.session_state.get(KEY) == access:
        return True
    st.html(f"<h1>{say('title')}</h1>")
    with st.form("door", border=False, width=420):
        given = st.text_input(say("door"), type="password", help=say("door-help"), autocomplete="off")
        is_sent = st.form_submit_button(say("door-enter"))
    if is_sent and hmac.compare_digest(given.strip().encode(), access.encode()):
        st.session_state[KEY] = access
        st.rerun()
    if is_sent:
        time.sleep(PAUSE)
        widgets.note(say("door-wrong"), "refusal")
    return False
