"""The viewer as a component of Streamlit, whose script a page sends once.

Streamlit sends the script of a component anew with all its data, 300 kB of the viewer with each of its answers. So a
component that shows nothing carries the script, compressed, and the viewers of the page wait for it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from mmviz.viewer import pack

_FOLDER = Path(__file__).parent
_CONTENT = json.dumps({"script": pack.component_js(), "style": pack.css()})
_DIGEST = hashlib.sha256(_CONTENT.encode()).hexdigest()[:16]
"""Names the version of the script: a page that is open while the server is renewed has both."""


def _source(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8").replace("DIGEST", _DIGEST)


_packed = base64.b64encode(zlib.compress(_CONTENT.encode(), 9)).decode()
_code = st.components.v2.component("mmviz_viewer_script", js=_source("viewer_code.js").replace("PACKED", _packed))
_viewer = st.components.v2.component("mmviz_viewer", js=_source("viewer_loader.js"))


def mount_viewer(key: str, data: bytes, on_view: Callable[[], None], on_need: Callable[[], None]) -> None:
    """Draws a viewer of a container (``data``); calls back when its view changes, and when it requests sections."""
    _code(key=f"viewer-script-{key}")
    _viewer(key=key, data=data, height="content", on_view_change=on_view, on_need_change=on_need)


def reported(key: str, name: str) -> object:
    """Returns the ``view`` or the ``need`` that a viewer reports; None where the page has been drawn without it."""
    return st.session_state.get(key, {}).get(name)
