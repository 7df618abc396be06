"""A file that is made on a click can be had while the page is drawn anew, and is forgotten soon after."""

from __future__ import annotations

import threading
import time

import pytest
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.media_file_storage import MediaFileStorageError
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from mmviz.app import streamlit_download_url_patch


def draw(manager: MediaFileManager, content: bytes) -> str:
    """Does what Streamlit does in a drawing of a page with one download. Returns the file's address."""
    manager.clear_session_refs()
    file_id = manager.add_deferred(lambda: content, "text/plain", "1.0")
    manager.remove_orphaned_files()
    return file_id


def test_a_click_while_the_page_is_drawn_anew_still_gets_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "_remove_orphaned_deferred_callables"
    monkeypatch.setattr(MediaFileManager, name, getattr(MediaFileManager, name))  # what it was stands there afterwards
    monkeypatch.setattr(streamlit_download_url_patch, "GRACE", 0.3)
    streamlit_download_url_patch.keep_download_addresses()
    manager = MediaFileManager(MemoryMediaFileStorage("/media"))
    first, second = draw(manager, b"first"), draw(manager, b"second")
    for file_id, content in ((first, b"first"), (second, b"second")):
        url = manager.execute_deferred(file_id)
        stored = manager.read_file(url.rsplit("/", 1)[-1].partition(".")[0])
        assert stored is not None and stored.content == content
    threads = threading.active_count()
    for _ in range(50):  # as many drawings of a part of some page
        manager.remove_orphaned_files()
    assert threading.active_count() <= threads, "each file is waited for once"
    end = time.monotonic() + 20
    while first in manager._deferred_callables:
        assert time.monotonic() < end, "it is never forgotten"
        time.sleep(0.02)
    with pytest.raises(MediaFileStorageError, match="not found"):
        manager.execute_deferred(first)
    assert manager.execute_deferred(second), "the page still offers it"
