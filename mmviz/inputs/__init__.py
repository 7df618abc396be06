"""Inputs of a person -> checked nouns: sizes known, conversions noticed, everything else refused in one sentence.

Importing this package loads neither Pillow nor soundfile; they come with the first picture or sound.
Nothing is written to disk or logged.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mmviz.types import InputError, Notice, Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmviz.inputs.audio import AudioSource
    from mmviz.inputs.image import ImageSource

_LONGEST_NAME = 40


def make_sample(
    image: ImageSource | None = None,
    text: str | None = None,
    audio: AudioSource | tuple[NDArray[Any], int] | None = None,
) -> Sample:
    """Check whatever is given and put it into one ``Sample`` with all notices (picture, text, sound, in this order).

    Parameters: ``image`` as in ``load_image``; ``text``, where an empty string counts as missing; ``audio`` as in
    ``load_audio``, an array as the pair ``(array, rate in Hz)``.
    Raises ``InputError``: nothing is given, or one of them is refused.
    """
    picture, words, sound = None, None, None
    notices: tuple[Notice, ...] = ()
    if image is not None:
        from mmviz.inputs.image import load_image

        picture, found = load_image(image)
        notices += found
    if text is not None and text != "":
        from mmviz.inputs.text import load_text

        words, found = load_text(text)
        notices += found
    if audio is not None:
        from mmviz.inputs.audio import load_audio

        if isinstance(audio, tuple):
            if len(audio) != 2:
                raise InputError("sound-source", kind=f"a tuple of {len(audio)}")
            sound, found = load_audio(*audio)
        else:
            sound, found = load_audio(audio)
        notices += found
    if picture is None and words is None and sound is None:
        raise InputError("input-none")
    return Sample(picture, words, sound, notices)


def opened(source: str | Path | bytes) -> BinaryIO:
    """A file or bytes in memory, open for reading at the start; the caller closes it.

    Raises ``InputError``: missing file, folder, no permission, or not a regular file (a pipe or device may never end).
    """
    if isinstance(source, bytes):
        return io.BytesIO(source)
    name = short_name(source)
    try:
        path = Path(source)
        if path.is_dir():
            raise InputError("file-folder", name=name)
        if path.exists() and not path.is_file():
            raise InputError("file-special", name=name)
        # opened by number: soundfile would guess a format from the name ("x.raw") instead of reading the header
        return open(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)), "rb")
    except FileNotFoundError:
        raise InputError("file-missing", name=name) from None
    except (OSError, ValueError):  # ValueError: a zero character in the path
        raise InputError("file-unreadable", name=name) from None


def short_name(source: str | Path) -> str:
    """The base name, printable and at most 40 characters: the only part of a path that a message may show."""
    name = "".join(c for c in Path(source).name if c.isprintable()) or "(no name)"
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
