"""Keys of a presentation, and the definitions of the glossary, in the browser."""

from __future__ import annotations

from pathlib import Path

from mmviz.app.components.page_elements import run_script

SCRIPT = Path(__file__).with_name("lesson_keys.js")


def lesson_keys() -> None:
    """Sends the keys to the browser, which loads them once."""
    run_script(SCRIPT.read_text(encoding="utf-8"))
