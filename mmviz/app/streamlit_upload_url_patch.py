"""Answers to a browser that asks where to send a file: Streamlit forgets those that wait while the page is drawn again.

Such an answer waits among the messages of the page, which Streamlit 1.67 drops when its script begins anew. The browser
then waits for ever: a file that was dropped in that moment is lost, without a word.
"""

from __future__ import annotations

from typing import Any

from streamlit.runtime.forward_msg_queue import ForwardMsgQueue

_clear = ForwardMsgQueue.clear


def keep_upload_addresses() -> None:
    """Has the messages to a browser keep such answers where the others are dropped for a new drawing of the page."""
    ForwardMsgQueue.clear = _clear_all_but_addresses  # type: ignore[method-assign]


def _clear_all_but_addresses(self: ForwardMsgQueue, *args: Any, **options: Any) -> None:
    """Does what ``ForwardMsgQueue.clear`` does, but to answers only where it drops everything."""
    if not (args[0] if args else options.get("retain_lifecycle_msgs")):
        _clear(self, *args, **options)
        return
    addresses = []
    for message in self.flush():
        if message.WhichOneof("type") == "file_urls_response":
            addresses.append(message)
        else:
            self.enqueue(message)
    _clear(self, *args, **options)
    for message in addresses:
        self.enqueue(message)
