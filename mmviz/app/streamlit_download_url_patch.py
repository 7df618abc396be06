"""Addresses of files that are made on a click: Streamlit forgets those of a drawing of the page once the next one ends.

The next drawing gives every such file another address, and a browser that has not been told of it yet asks for the old
one: Streamlit 1.67 then says that the file could not be generated.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence

from streamlit.runtime.media_file_manager import MediaFileManager

GRACE = 30.0
"""Seconds for which a file can still be had after the page has been drawn anew."""
_leaving: weakref.WeakKeyDictionary[MediaFileManager, set[str]] = weakref.WeakKeyDictionary()
"""The files that are forgotten soon."""


def keep_download_addresses() -> None:
    """Has the addresses of an earlier drawing of the page lead to its files for a while longer.

    Leaves a Streamlit whose manager is built otherwise as it is.
    """
    if not all(
        hasattr(MediaFileManager, name) for name in ("_remove_orphaned_deferred_callables", "_drop_deferred_id")
    ):
        return
    MediaFileManager._remove_orphaned_deferred_callables = _forget_later  # type: ignore[assignment,method-assign]


def _forget_later(manager: MediaFileManager) -> None:
    """Forgets, after a while, the files that no page offers any longer, once each. The caller holds the manager's
    lock."""
    leaving = _leaving.setdefault(manager, set())
    gone = [file_id for file_id in _gone(manager) if file_id not in leaving]
    if gone:
        leaving.update(gone)
        timer = threading.Timer(GRACE, _forget, (manager, gone))
        timer.daemon = True
        timer.start()


def _forget(manager: MediaFileManager, file_ids: Sequence[str]) -> None:
    with manager._lock:
        _leaving.get(manager, set()).difference_update(file_ids)
        for file_id in set(file_ids).intersection(_gone(manager)):
            manager._drop_deferred_id(file_id)


def _gone(manager: MediaFileManager) -> list[str]:
    offered = {file_id for files in manager._files_by_session_and_coord.values() for file_id in files.values()}
    return [file_id for file_id in manager._deferred_callables if file_id not in offered]
