"""The files that Streamlit keeps of a session, also those of widgets that are not drawn again."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx


def drop_files_of(*keys: str) -> None:
    """Drops the files in the uploaders, cameras and microphones with these keys, which are not drawn again."""
    values = [st.session_state.get(key) for key in keys]
    files = [file for value in values for file in (value if isinstance(value, list) else [value]) if file is not None]
    drop_files(file.file_id for file in files)


def drop_files(file_ids: Iterable[str]) -> None:
    """Drops files by Streamlit's ids; what was read of them stays with whoever has it."""
    context = get_script_run_ctx()
    if context is not None and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        for file_id in file_ids:
            context.uploaded_file_mgr.remove_file(context.session_id, file_id)
