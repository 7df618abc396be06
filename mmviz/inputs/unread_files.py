"""Files in a folder of examples that are part of no example, and why."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from mmviz.types import InputError

_TYPES = mimetypes.MimeTypes()
"""The types that Python knows by itself, the same on every machine."""
_MEDIA_SUFFIXES = frozenset(
    {".jxl", ".jp2", ".svgz", ".psd", ".xcf", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".exr", ".hdr", ".dds", ".tga"}
    | {".mid", ".midi", ".ape", ".wv", ".tta", ".mpc", ".dsf", ".dff", ".ac3", ".dts", ".ra", ".gsm", ".flv", ".ts"}
)
"""Endings of images, sounds and videos that Python's table lacks."""


def is_media(name: str) -> bool:
    """Returns whether a file of this name is an image, a sound or a video, judged by its ending."""
    kind = _TYPES.guess_type(name)[0] or ""
    return kind.partition("/")[0] in ("image", "audio", "video") or Path(name).suffix.lower() in _MEDIA_SUFFIXES


def unread_reason(path: Path) -> InputError:
    """Returns why a path in a folder of examples is none by itself."""
    if path.is_dir():
        return InputError("examples-folder-inside")
    if path.is_file():
        return InputError("examples-ending")
    return InputError("examples-link" if path.is_symlink() else "examples-pipe")
