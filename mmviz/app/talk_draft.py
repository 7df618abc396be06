"""The talk that a visitor puts together: slides of several runs, in an order and with texts of their own. No Streamlit.

The runs are not held here but named, so that they are bounded as the runs that the server keeps are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from mmviz.explain import Run
from mmviz.i18n.language import Language
from mmviz.present import Slide, Talk
from mmviz.types import MmvizError

TEXTS = ("title", "caption", "notes", "size")
"""The fields of a slide that are in a language."""
MAX_SLIDES = 60
MAX_RUNS = 8
"""The number of runs of a talk, which is not more than the server keeps of a visitor."""


@dataclass(frozen=True)
class RunRef:
    """Names the run of a slide."""

    record_id: str
    """`AttentionRecord.id` of the run."""
    example_id: str
    """The example whose recorded run it is; empty for any other run."""
    run_id: str
    """The id under which any other run is kept."""
    place: int | None = None
    """The place of the run in the file that the operator opened, from 0; None for a run that is not from there."""


@dataclass(frozen=True)
class DraftSlide:
    """A slide, and the run that it shows."""

    number: int
    """Tells it from the others, wherever it stands."""
    slide: Slide
    """The slide, with the texts as they were edited."""
    run: RunRef | None
    """None for a slide of its texts alone, so that it brings no inputs into the talk."""
    wordings: tuple[Slide, ...] = ()
    """The slide as it was made in each language, so that what was not edited follows the language of the page."""

    def in_language(self, number: int) -> DraftSlide:
        """Returns it with the texts of ``wordings[number]`` in place of those of any other that were not edited."""
        if not self.wordings:
            return self
        texts = {
            name: getattr(self.wordings[number], name)
            for name in TEXTS
            if getattr(self.slide, name) in [getattr(wording, name) for wording in self.wordings]
        }
        return replace(self, slide=replace(self.slide, **texts))


@dataclass
class TalkDraft:
    """The slides of a talk in their order."""

    slides: list[DraftSlide] = field(default_factory=list)
    """In the order of the talk, at most `MAX_SLIDES`."""
    title: str = ""
    """The title, from the visitor or a file; "" for none: then the text of the first run that has one."""
    chosen: int = 0
    """The number of the slide whose texts are edited."""
    opened: int = 0
    """How often the talk was opened in a window of its own."""
    is_opening: bool = False
    """Whether its document is to be sent to that window."""
    file_error: MmvizError | None = None
    """Why the file that was chosen last could not be opened."""
    files: int = 0
    """How many files were opened; each empties the field for the next."""
    is_from_file: bool = False
    """Whether it was opened from a file, so that it stands there unfolded."""
    _latest: int = 0

    @classmethod
    def of_file(cls, talk: Talk) -> TalkDraft:
        """Returns the draft of a talk that was opened from a file, with all of its slides as they were saved."""
        refs = [RunRef(run.record.id, "", "", place) for place, run in enumerate(talk.runs)]
        slides = [_draft_slide(number, slide, refs[slide.run]) for number, slide in enumerate(talk.slides, start=1)]
        return cls(slides, talk.title, chosen=1, is_from_file=True, _latest=len(slides))

    @property
    def runs(self) -> list[RunRef]:
        """The runs of the slides, each once."""
        return list(dict.fromkeys(each.run for each in self.slides if each.run is not None))

    def ref_of(self, record_id: str) -> RunRef | None:
        """Returns the name that a run already has in this talk."""
        return next((run for run in self.runs if run.record_id == record_id), None)

    def restore(self, record_id: str, run: RunRef) -> None:
        """Names the run of these slides anew, which was no longer kept."""
        self.slides = [
            replace(each, run=run) if each.run is not None and each.run.record_id == record_id else each
            for each in self.slides
        ]

    def add(self, slides: Sequence[Slide], run: RunRef | None, wordings: Sequence[tuple[Slide, ...]] = ()) -> int:
        """Adds slides of a run, or of their texts alone, behind the chosen one, or at the end, with the ``wordings`` of
        each. Returns how many there was room for."""
        if run is not None and run not in self.runs and len(self.runs) >= MAX_RUNS:
            return 0
        room = slides[: MAX_SLIDES - len(self.slides)]
        place = next((k + 1 for k, each in enumerate(self.slides) if each.number == self.chosen), len(self.slides))
        every = wordings or [()] * len(slides)
        added = [_draft_slide(self._latest + 1 + k, slide, run, every[k]) for k, slide in enumerate(room)]
        self._latest += len(added)
        self.slides[place:place] = added
        if added:
            self.chosen = added[-1].number
        return len(added)

    def has_room_for(self, talk: Talk) -> bool:
        """Returns whether all slides of a talk from a file, and its runs, fit in."""
        records = {run.record_id for run in self.runs} | {run.record.id for run in talk.runs}
        return len(self.slides) + len(talk.slides) <= MAX_SLIDES and len(records) <= MAX_RUNS

    def join(self, talk: Talk, refs: Sequence[RunRef]) -> None:
        """Adds the slides of a talk from a file, of whose runs ``refs`` are the names, as they were saved."""
        self.title = self.title or talk.title
        for slide in talk.slides:
            self.add([slide], refs[slide.run])

    def move(self, number: int, step: int) -> None:
        """Moves a slide ``step`` places towards the end (below 0: the beginning), as far as it goes."""
        place = self._place(number)
        if place is None:
            return
        slide = self.slides.pop(place)
        self.slides.insert(min(len(self.slides), max(0, place + step)), slide)
        self.chosen = number

    def remove(self, number: int) -> None:
        """Removes a slide, and chooses one beside it."""
        place = self._place(number)
        if place is None:
            return
        del self.slides[place]
        if self.chosen == number and self.slides:
            self.chosen = self.slides[min(place, len(self.slides) - 1)].number

    def edit(self, number: int, **texts: str) -> None:
        """Sets texts of a slide: ``title``, ``caption``, ``notes``."""
        place = self._place(number)
        if place is None:
            return
        each = self.slides[place]
        self.slides[place] = replace(each, slide=replace(each.slide, **texts))  # type: ignore[arg-type]

    def translate(self, number: int) -> None:
        """Puts every text that was not edited into the language of this number in the wordings of the slides."""
        self.slides = [each.in_language(number) for each in self.slides]

    def chosen_slide(self) -> DraftSlide | None:
        """Returns the slide whose texts are edited."""
        return next((each for each in self.slides if each.number == self.chosen), None)

    def talk(self, run_of: Callable[[RunRef], Run | None], language: Language) -> Talk | None:
        """Returns the talk, without the slides of runs that are gone; None where it would show no run."""
        runs = {ref: run for ref in self.runs if (run := run_of(ref)) is not None}
        places = {ref: place for place, ref in enumerate(runs)}
        kept = [each for each in self.slides if each.run is None or each.run in places] if places else []
        slides = [replace(each.slide, run=places[each.run] if each.run else 0) for each in kept]
        title = self.title or next((run.sample.text for run in runs.values() if run.sample.text), "") or "mmviz"
        return Talk(title, tuple(runs.values()), tuple(slides), language) if slides else None

    def _place(self, number: int) -> int | None:
        """Returns where a slide stands; None for one that an earlier click has removed."""
        return next((place for place, each in enumerate(self.slides) if each.number == number), None)


def _draft_slide(number: int, slide: Slide, run: RunRef | None, wordings: tuple[Slide, ...] = ()) -> DraftSlide:
    return DraftSlide(number, slide, None if slide.kind == "text" else run, wordings)
