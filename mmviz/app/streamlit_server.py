"""The server that ``mmviz app`` gives to ``streamlit run``."""

import streamlit as st

from mmviz.app.server_setup import app_options

app = st.App(**app_options())
