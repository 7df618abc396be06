"""A talk: slides about runs, in an order and with captions that its author may change."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from mmviz.analysis.available_maps import parse_map_ref, streams_of
from mmviz.analysis.map_weights import Direction
from mmviz.explain.run import Run
from mmviz.i18n.language import LANGUAGES, Language, use_language
from mmviz.io.npz import LARGEST
from mmviz.io.run_file import to_bytes
from mmviz.io.talk_file import is_talk, pack_talk, read_talk
from mmviz.io.write_file import write_file
from mmviz.types import INPUT_MODALITIES, MmvizError, Modality

SlideKind = Literal["inputs", "answer", "reads_from", "depends_on", "selection", "step", "text"]
"""What a slide shows: the inputs; the answers; one of the two maps of the first view; the attention of chosen tokens;
the tokens of a step of a story; or its texts alone."""
MAX_SLIDES = 500
MAX_CHARS = 20_000
"""Characters of one text of a slide."""


@dataclass(frozen=True)
class Lit:
    """Tokens that a slide shows bright."""

    stream: str
    """The name of their stream in the record."""
    tokens: tuple[int, ...]
    """Their indices."""
    is_reader: bool = False
    """Whether a step is told of them as queries, not as keys."""


@dataclass(frozen=True)
class Slide:
    """One slide. Change it with `dataclasses.replace`."""

    kind: SlideKind
    """What the slide shows."""
    title: str
    """The one idea, as a heading."""
    caption: str = ""
    """A sentence or two below the picture."""
    notes: str = ""
    """What the speaker reads, not the audience."""
    run: int = 0
    """The number of its run in `Talk.runs`, from 0."""
    map: str = ""
    """The text of a `MapRef`, for a ``selection``."""
    direction: Direction = "from"
    """Whether a ``selection`` shows what its tokens attend to, or what attends to them (``to``)."""
    tokens: tuple[int, ...] = ()
    """The tokens of a ``selection``, at least one, on the side of the map that ``direction`` names."""
    versus: tuple[int, ...] = ()
    """Tokens on that side with which those of a ``selection`` are compared: it shows the first minus these."""
    lit: tuple[Lit, ...] = ()
    """The tokens of a ``step``; those of a modality that is shown whole are left out."""
    modalities: tuple[Modality, ...] = INPUT_MODALITIES
    """The inputs that are shown, as far as the run has them."""
    size: str = ""
    """The size of a ``step`` in words, with its unit."""


@dataclass(frozen=True)
class Talk:
    """Slides about runs.

    Raises ``ValueError`` or ``LookupError`` for a talk without slides or with more than `MAX_SLIDES`, and for a slide
    whose run, map or tokens are not there.

    Example::

        >>> from dataclasses import replace
        >>> from mmviz.present import make_talk
        >>> talk = make_talk(run)
        >>> first, *others = talk.slides
        >>> talk = replace(talk, slides=(replace(first, caption="My own words."), *others))
    """

    title: str
    """The title of the document, and of the first slide where the talk has several runs."""
    runs: tuple[Run, ...]
    """The runs that slides name by `Slide.run`."""
    slides: tuple[Slide, ...]
    """1 to `MAX_SLIDES`, in the order in which they are shown."""
    language: Language = "en"
    """Of the words that mmviz adds: legends and buttons."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.slides) <= MAX_SLIDES:
            raise ValueError(f"a talk has 1 to {MAX_SLIDES} slides, not {len(self.slides)}")
        if self.language not in LANGUAGES:
            raise ValueError(f"unknown language {self.language!r}")
        for slide in self.slides:
            if not 0 <= slide.run < len(self.runs):
                raise ValueError(f"a slide shows run {slide.run} of {len(self.runs)}")
            _check_slide(slide, self.runs[slide.run])

    def to_html(self) -> str:
        """Returns the talk as one HTML document in ASCII that needs no network; the same talk gives the same text.

        A talk of several runs begins with a slide of its title, and of the question and the answer of each.

        Keys: Right, Space and Page Down go on, Left and Page Up back, Home, End; F for full screen, N for notes, P for
        a second window with notes, the next slide and a clock, S for the sound.
        Without scripts all slides stand below each other; in print each has a page.
        """
        from mmviz.present.document import talk_html

        with use_language(self.language):
            return talk_html(self)

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


def _check_slide(slide: Slide, run: Run) -> None:
    """Raises ``ValueError`` or ``LookupError`` for a slide that ``run`` has not got the tokens or the map of."""
    if slide.kind not in get_args(SlideKind) or slide.direction not in get_args(Direction):
        raise ValueError(f"unknown kind {slide.kind!r} or direction {slide.direction!r}")
    groups = [(lit.stream, lit.tokens) for lit in slide.lit]
    if slide.kind == "selection":
        streams = streams_of(run.record, parse_map_ref(run.record, slide.map))
        if not slide.tokens:
            raise ValueError("no token is selected")
        groups.append((streams[0 if slide.direction == "from" else 1], (*slide.tokens, *slide.versus)))
    for stream, tokens in groups:
        if not all(0 <= token < len(run.record.streams[stream]) for token in tokens):
            raise ValueError(f"there is no such token in {stream}")


def _read_slide(fields: Mapping[str, Any]) -> Slide:
    """Returns a slide of a file. Raises ``ValueError``, ``TypeError`` or ``LookupError`` for what is none."""
    texts = {name: _text(fields[name]) for name in ("kind", "title", "caption", "notes", "map", "direction", "size")}
    return Slide(
        run=_index(fields["run"]),
        tokens=tuple(map(_index, fields["tokens"])),
        versus=tuple(map(_index, fields.get("versus", ()))),  # not in the talks of earlier versions
        lit=tuple(map(_read_lit, fields["lit"])),
        modalities=tuple(map(Modality, fields["modalities"])),
        **texts,  # type: ignore[arg-type]  # `Talk` checks kind and direction
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
