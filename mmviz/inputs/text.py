"""Text inputs, which are checked but never changed, since the locations of tokens are offsets into them."""

from __future__ import annotations

from mmviz.i18n.unicode_display import count_invisible
from mmviz.types import InputError, Notice

MAX_CHARS = 10_000


def load_text(text: str) -> tuple[str, tuple[Notice, ...]]:
    """Returns the text unchanged, and a notice (``text-invisible``) where it has invisible characters.

    Raises ``InputError``: ``text-type``, ``text-long`` above 10,000 characters, ``text-blank``, ``text-surrogate`` for
    a lone surrogate, which cannot be saved as UTF-8.
    """
    if not isinstance(text, str):
        raise InputError("text-type", kind=type(text).__name__)
    if len(text) > MAX_CHARS:
        raise InputError("text-long", length=len(text), limit=MAX_CHARS)
    if not text.strip():
        raise InputError("text-blank")
    for position, character in enumerate(text):
        if "\ud800" <= character <= "\udfff":
            raise InputError("text-surrogate", place=position + 1)
    count = count_invisible(text)
    return text, (Notice("text-invisible", {"count": count}),) if count else ()
