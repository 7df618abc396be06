"""A talk: slides about runs as one HTML document, and as a file that reopens."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmviz.explain.run import Run
from mmviz.i18n.language import use_language
from mmviz.io.npz import LARGEST
from mmviz.io.run_file import to_bytes
from mmviz.io.talk_file import is_talk, pack_talk, read_talk
from mmviz.io.write_file import write_file
from mmviz.present.document import deck_html
from mmviz.present.slide_deck import Lit, Slide, SlideDeck
from mmviz.types import MmvizError, Modality

MAX_CHARS = 20_000
"""Characters of one text of a slide."""


class Talk(SlideDeck):
    """Slides in the order in which they are shown, and with the captions that their author gave them.

    Raises as `SlideDeck` does.

    Example::

        >>> from dataclasses import replace
        >>> from mmviz.present import make_talk
        >>> talk = make_talk(run)
        >>> first, *others = talk.slides
        >>> talk = replace(talk, slides=(replace(first, caption="My own words."), *others))
    """

    def to_html(self) -> str:
        """Returns the talk as one HTML document in ASCII that needs no network; the same talk gives the same text.

        A talk of several runs begins with a slide of its title, and of the question and the answer of each.

        Keys: Right, Space and Page Down go on, Left and Page Up back, Home, End; F for full screen, N for notes, P for
        a second window with notes, the next slide and a clock, S for the sound.
        Without scripts all slides stand below each other; in print each has a page.
        """
        with use_language(self.language):
            return deck_html(self)

    def to_bytes(self) -> bytes:
        """Returns the talk as the bytes of a ``.mmviz`` file, the same for the same talk: its slides and its runs."""
        header = {
            "title": self.title,
            "language": self.language,
            "slides": [dataclasses.asdict(slide) for slide in self.slides],
        }
        return pack_talk(header, [to_bytes(run.sample, run.record) for run in self.runs])

    @classmethod
    def from_bytes(cls, data: bytes, largest: int = LARGEST) -> Talk:
        """Returns the talk that `to_bytes` wrote; ``largest`` is the number of bytes that its runs may have once
        inflated. Raises ``MmvizError`` as `mmviz.io.talk_file.read_talk` does."""
        header, runs = read_talk(data, largest)
        try:
            slides = tuple(_read_slide(fields) for fields in header["slides"])
            title = _text(header["title"])
            return cls(title, tuple(Run(sample, record) for sample, record in runs), slides, header["language"])
        except (ValueError, TypeError, LookupError, AttributeError) as problem:
            raise MmvizError("talk-unreadable") from problem

    def save(self, path: str | Path) -> None:
        """Writes the talk to a ``.mmviz`` file. Raises ``MmvizError`` (``file-unwritable``)."""
        write_file(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> Talk:
        """Returns the talk that `save` wrote. Raises ``MmvizError`` for any other file, and where there is none."""
        try:
            data = Path(path).read_bytes()
        except OSError as problem:
            code = "file-missing" if isinstance(problem, FileNotFoundError) else "file-unreadable"
            raise MmvizError(code, name=Path(path).name) from problem
        return cls.from_bytes(data)


def load_run_or_talk(path: str | Path) -> Run | Talk:
    """Returns the run of a run file, or the talk of a ``.mmviz`` file. Raises as `Run.load` and `Talk.load` do."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(64)
    except OSError:
        start = b""  # `Run.load` says what is wrong
    return Talk.load(path) if is_talk(start) else Run.load(path)


def _read_slide(fields: Mapping[str, Any]) -> Slide:
    """Returns a slide of a file. Raises ``ValueError``, ``TypeError`` or ``LookupError`` for what is none."""
    texts = {name: _text(fields[name]) for name in ("kind", "title", "caption", "notes", "map", "direction", "size")}
    return Slide(
        run=_index(fields["run"]),
        tokens=tuple(map(_index, fields["tokens"])),
        versus=tuple(map(_index, fields.get("versus", ()))),  # not in the talks of earlier versions
        lit=tuple(map(_read_lit, fields["lit"])),
        modalities=tuple(map(Modality, fields["modalities"])),
        **texts,  # type: ignore[arg-type]  # `SlideDeck` checks kind and direction
    )


def _read_lit(fields: Mapping[str, Any]) -> Lit:
    is_reader = fields.get("is_reader", False)  # not in the talks of earlier versions
    if not isinstance(is_reader, bool):
        raise ValueError("neither true nor false")
    return Lit(_text(fields["stream"]), tuple(map(_index, fields["tokens"])), is_reader)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_CHARS:
        raise ValueError("no text, or too long a one")
    return value


def _index(value: object) -> int:
    if type(value) is not int or value < 0:  # True is an int as well
        raise ValueError("no index")
    return value
