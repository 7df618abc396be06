"""Files that visitors add: each is checked at once, and what cannot be used is refused in the words of mmviz."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from mmviz.app import resources
from mmviz.app.session_state import State
from mmviz.inputs.audio_formats import AUDIO_SUFFIXES
from mmviz.inputs.image_formats import IMAGE_SUFFIXES
from mmviz.types import InputError

STAND_IN = "application/x-mmviz-too-large"
"""Media type of what the browser sends in place of a file that is too large: its size in bytes, as digits."""
_MEGABYTE = 1_048_576
_ACCEPT = {
    "image": ",".join(("image/*", *sorted(IMAGE_SUFFIXES))),
    "audio": ",".join(("audio/*", "video/*", *sorted(AUDIO_SUFFIXES))),
}
"""What the file chooser suggests, by modality; any file may be chosen or dropped."""


def guard_uploads() -> None:
    """Puts the script into the page that keeps back files above the size that the server takes."""
    st.html(_guard_script(max_megabytes()), unsafe_allow_javascript=True)


@lru_cache(maxsize=1)
def _guard_script(megabytes: int) -> str:
    guard = Path(__file__).with_name("upload_guard.js").read_text(encoding="utf-8").strip()
    options = json.dumps({"limit": megabytes * _MEGABYTE, "standIn": STAND_IN, "accept": _ACCEPT})
    return f"<script>{guard}({options})</script>"


def max_megabytes() -> int:
    """Returns the largest file that the server takes, in megabytes of 1,048,576 bytes."""
    return int(st.get_option("server.maxUploadSize"))


def checked_upload(state: State, modality: str, file: UploadedFile) -> bytes | InputError:
    """Returns the content of a file for ``image`` or ``audio``, or why it cannot be used.

    A file is decoded for this once, however often the page is drawn.
    """
    content = file.getvalue()
    checked_id, error = state.checked_uploads.get(modality, ("", None))
    if checked_id != file.file_id:
        error = _find_error(modality, file.type, content)
        state.checked_uploads[modality] = (file.file_id, error)
    return content if error is None else error


def _find_error(modality: str, media_type: str, content: bytes) -> InputError | None:
    if media_type == STAND_IN and content.isdigit():
        size = int(content) / _MEGABYTE
        return InputError("upload-large", megabytes=size, limit=max_megabytes())
    try:
        resources.decoder().sample(
            content if modality == "image" else None, None, content if modality == "audio" else None
        )
    except InputError as error:
        return error
    return None
