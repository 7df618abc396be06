"""The slides of a talk, and the runs that they are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from mmviz.analysis.available_maps import parse_map_ref, streams_of
from mmviz.analysis.map_weights import Direction
from mmviz.explain.run import Run
from mmviz.i18n.language import LANGUAGES, Language
from mmviz.types import INPUT_MODALITIES, Modality

SlideKind = Literal["inputs", "answer", "reads_from", "depends_on", "selection", "step", "text"]
"""What a slide shows: the inputs; the answers; one of the two maps of the first view; the attention of chosen tokens;
the tokens of a step of a story; or its texts alone."""
MAX_SLIDES = 500


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
    """The number of its run in `SlideDeck.runs`, from 0."""
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
class SlideDeck:
    """Slides about runs.

    Raises ``ValueError`` or ``LookupError`` for a deck without slides or with more than `MAX_SLIDES`, and for a slide
    whose run, map or tokens are not there.
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
