"""The server for ``streamlit run app.py``. It and the page are in `mmviz.app`."""

import streamlit as st

from mmviz.app.server_setup import app_options

app = st.App(**app_options())
