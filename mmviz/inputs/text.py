"""Text inputs, which are checked but never changed, since the locations of tokens are offsets into them."""

from __future__ import annotations

import codecs
from pathlib import Path

from mmviz.i18n.unicode_display import count_invisible
from mmviz.inputs.example_folder_files import beginning
from mmviz.types import InputError, Notice

MAX_CHARS = 10_000
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before that of UTF-16, which it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks, and the encodings that they tell."""


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


def read_text_file(source: Path | bytes, name: str) -> str:
    """Returns the text in a file of UTF-8, or of UTF-16 with a byte order mark, without the white space around it.

    ``source``: its path or its content.

    Raises ``InputError``, which calls the file ``name``: ``file-unreadable``, ``text-file-long`` above 10,000
    characters, ``text-file-encoding`` for any other encoding.
    """
    limit = 4 * MAX_CHARS + 4
    data = beginning(source, limit + 1, name)
    if len(data) > limit:
        raise InputError("text-file-long", name=name, limit=MAX_CHARS)
    try:
        text = decode_text(data).strip()
    except UnicodeDecodeError as error:
        raise InputError("text-file-encoding", name=name, place=error.start + 1) from None
    if len(text) > MAX_CHARS:
        raise InputError("text-file-long", name=name, limit=MAX_CHARS)
    return text


def decode_text(data: bytes) -> str:
    """Returns the text in ``data``, without its byte order mark. Raises ``UnicodeDecodeError``.

    Zero bytes are refused in UTF-8: they are the trace of UTF-16 without a mark.
    """
    encoding = next((encoding for mark, encoding in _MARKS.items() if data.startswith(mark)), "utf-8-sig")
    if encoding == "utf-8-sig" and b"\0" in data:
        at = data.index(b"\0")
        raise UnicodeDecodeError(encoding, data, at, at + 1, "a zero byte")
    return data.decode(encoding)
