"""Keys of the page that its widgets lack: links past the gallery, the gallery as one tab stop, and Run by a key."""

from __future__ import annotations

import json
from pathlib import Path

from mmviz.app.components.page_elements import run_script
from mmviz.app.session_state import Page
from mmviz.i18n.language import current_language
from mmviz.i18n.page import say

SCRIPT = Path(__file__).with_name("page_keyboard.js")
_TARGETS = {"explore": ".answer", "debug": ".answer", "learn": ".lesson h2"}
"""CSS selector of what each page is about, below the form."""


def page_keyboard(page: Page, card: str) -> None:
    """Sends the keys to the browser; ``card`` is the key of the gallery's button that the form's contents come from."""
    current = [f"page-{page}", f"language-{current_language()}"]
    texts = {
        "current": current,
        "gallery": say("gallery"),
        "links": [
            [_TARGETS[page], say("skip-to-lesson" if page == "learn" else "skip-to-answer")],
            [".st-key-question input", say("skip-to-question")],
        ],
    }
    options = json.dumps({"card": card, **texts}).replace("<", "\\u003c")
    script = SCRIPT.read_text(encoding="utf-8")
    run_script(f"{script}mmvizKeyboard({options});")
