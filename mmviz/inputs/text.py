"""A text, checked and never changed: the places of its tokens are offsets into it."""

from __future__ import annotations

from mmviz.types import InputError, Notice

LONGEST = 10_000
"""Characters."""


def load_text(text: str) -> tuple[str, tuple[Notice, ...]]:
    """The text as it came, and no notices.

    Raises ``InputError``: not a string, blank, longer than 10,000 characters, or with half a character in it (a lone
    surrogate, which cannot be saved or sent as UTF-8).
    """
    if not isinstance(text, str):
        raise InputError("text-type", kind=type(text).__name__)
    if len(text) > LONGEST:
        raise InputError("text-long", length=len(text), limit=LONGEST)
    if not text.strip():
        raise InputError("text-blank")
    for place, character in enumerate(text):
        if "\ud800" <= character <= "\udfff":
            raise InputError("text-surrogate", place=place + 1)
    return text, ()
