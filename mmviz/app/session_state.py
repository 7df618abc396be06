"""What one visitor has on the screen: the form, the run, and what is looked at. Kept in memory only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import streamlit as st

from mmviz.app.jobs import Growing, Job
from mmviz.app.selection import Selection, fitted
from mmviz.app.setup import Setup
from mmviz.explain import Run
from mmviz.i18n.language import Language
from mmviz.i18n.page import Message
from mmviz.inputs.examples import Example
from mmviz.report import ViewerData
from mmviz.types import AblateHead, Change, MapRef, MmvizError, ShuffleWeights, UniformAttention

KEY = "mmviz"
QUESTION, USE_PICTURE, USE_SOUND = "question", "use-picture", "use-sound"
Control = Literal["trained", "shuffled", "evened"]
CONTROLS: dict[Control, tuple[Change, ...]] = {
    "trained": (),
    "shuffled": (ShuffleWeights(1),),
    "evened": (UniformAttention(),),
}
Source = Path | bytes | None
Page = Literal["explore", "debug", "learn"]
PAGES: tuple[Page, ...] = get_args(Page)
Section = Literal["effect", "heads", "faith", "compare", "health"]
SECTIONS: tuple[Section, ...] = get_args(Section)
Lesson = Literal["tokens", "scores", "softmax", "output", "heads", "asks", "fusion", "learning", "cost", "limits"]
LESSONS: tuple[Lesson, ...] = get_args(Lesson)


@dataclass(frozen=True)
class Draft:
    """What stands in the form: the inputs of the next run."""

    image: Source
    text: str
    audio: Source

    def is_of(self, example: Example | None) -> bool:
        """Whether this is ``example`` as it came, so that its truth holds."""
        return example is not None and (self.image, self.text, self.audio) == (
            example.image,
            example.question,
            example.audio,
        )


@dataclass
class State:
    """``example``: whose files stand in the form; ``shown``: whose inputs ``run`` had, unchanged (None: somebody's own).

    ``generation`` counts the forms, as the uploaders start anew with each; ``latest``: the widget by which each
    modality was given last; ``asked``: a run is to be made; ``job``: the run being made, of
    ``job_of``; ``refusal``: why the last one was not; ``remark``: what a link asked for in vain; ``made_of``: what
    stood in the form when ``run`` was made; ``control``: with what changes to the model; ``wanted``: what a link says
    about the run to come; ``address``: what the page's address says since ``addressed`` (monotonic seconds).
    ``setup``: what the operator set up; ``is_saved``: ``run`` was read from a file; ``greeted``: the saved run that the
    operator named was shown once.
    ``selection``: what of ``run`` is looked at; ``serial`` counts how often the page, not the viewer, moved it;
    ``told``: the selection that the viewer was last given; ``scene``: ``run`` as the viewer shows it; ``sent``: what
    the viewer was sent last, of ``sent_of`` (run, serial, what was told, language); ``needed``: what it asked for last,
    ``answered`` or not.
    ``page`` and ``section`` of it that is on the screen; ``ablated_heads``: heads to be switched off in runs to come; ``works``:
    what is being measured of ``run``, or was, by what it is; ``resend``: the page draws itself anew, maybe before the
    browser has heard what was put into the form.
    ``lesson`` of the page Learn, those whose question was answered (``learnt``), and ``at``: where the things to move
    in the open one stand, by name, as in the address; ``odd``: those that the address set to what is not there;
    ``visits``: how often the page, not the visitor, moved them;
    ``teaching``: the small model that the visitor has taught there, or is teaching.
    """

    page: Page = "explore"
    section: Section = "effect"
    ablated_heads: tuple[AblateHead, ...] = ()
    works: dict[tuple[object, ...], Job[Any]] = field(default_factory=dict)
    resend: bool = False
    lesson: Lesson = "tokens"
    learnt: set[Lesson] = field(default_factory=set)
    at: dict[str, str] = field(default_factory=dict)
    odd: set[str] = field(default_factory=set)
    visits: int = 0
    teaching: Growing[Any] | None = None

    setup: Setup = field(default_factory=Setup)
    is_saved: bool = False
    greeted: bool = False
    example: Example | None = None
    generation: int = 0
    latest: dict[str, str] = field(default_factory=dict)
    asked: bool = False
    job: Job[Run] | None = None
    job_of: Draft = Draft(None, "", None)
    run: Run | None = None
    shown: Example | None = None
    made_of: Draft | None = None
    control: Control = "trained"
    refusal: MmvizError | Message | str = ""
    remark: tuple[Message, ...] = ()
    wanted: Mapping[str, str] = field(default_factory=dict)
    address: Mapping[str, str] | None = None
    addressed: float = 0.0
    selection: Selection | None = None
    serial: int = 0
    told: Selection | None = None
    scene: ViewerData | None = None
    sent: bytes = b""
    sent_of: tuple[str, int, Selection, Language] | None = None
    needed: tuple[str, ...] = ()
    answered: bool = False


def state() -> State:
    """The visitor's state; a new visitor finds it empty."""
    if KEY not in st.session_state:
        st.session_state[KEY] = State()
    found: State = st.session_state[KEY]
    return found


def choose(example: Example | None) -> None:
    """Put a trio into the form and ask for its run; None empties the form for one's own."""
    now = state()
    _forget_job(now)
    now.example = example
    now.generation += 1
    now.latest = {}
    now.asked = example is not None
    now.remark = ()
    now.control = "trained"
    now.ablated_heads = ()
    st.session_state[QUESTION] = example.question if example else ""
    st.session_state[USE_PICTURE] = example is None or example.image is not None
    st.session_state[USE_SOUND] = example is None or example.audio is not None


def open_saved(run: Run) -> None:
    """Show a run that was read from a file, with an empty form."""
    now = state()
    choose(None)
    accept(run, Draft(None, "", None))
    now.is_saved = now.greeted = True


def ask() -> None:
    """Ask for a run of what stands in the form."""
    now = state()
    _forget_job(now)
    now.asked = True
    now.remark = ()


def ask_text(text: str) -> None:
    """Put ``text`` into the form and ask for a run."""
    st.session_state[QUESTION] = text
    ask()


def control(chosen: Control) -> None:
    """Run the form again, as trained or as a control."""
    state().control = chosen
    ask()


def given(modality: str, widget: str) -> None:
    """A file, a photo or a recording was given by ``widget``, or taken back: use what there is."""
    now = state()
    use = USE_PICTURE if modality == "picture" else USE_SOUND
    if st.session_state[widget] is not None:
        now.latest[modality] = widget
        st.session_state[use] = True
    elif now.latest.get(modality) == widget:
        del now.latest[modality]


def turn_to(page: Page) -> None:
    """Show another page, of the same run."""
    state().page = page


def open_section(section: Section) -> None:
    """Show another part of the page Debug."""
    state().section = section


def open_lesson(lesson: Lesson) -> None:
    """Show another lesson, from its beginning."""
    now = state()
    now.lesson, now.at, now.odd = lesson, {}, set()
    now.visits += 1


def switch_off(heads: tuple[AblateHead, ...]) -> None:
    """Run the form again with these heads switched off; with none, as it is."""
    state().ablated_heads = heads
    ask()


def accept(run: Run, draft: Draft) -> None:
    """Show ``run``, made of ``draft``, from now on, from its answering token."""
    now = state()
    for work in now.works.values():
        work.stop()
    now.works = {}
    now.run, now.made_of, now.refusal, now.is_saved = run, draft, "", False
    now.shown = now.example if draft.is_of(now.example) else None
    now.scene = ViewerData(run)
    move(fitted(now.selection, run))


def move(selection: Selection) -> None:
    """Look at something else by the page's own doing: the viewer is to go there."""
    now = state()
    now.selection = now.told = selection
    now.serial += 1


def look_by(map_ref: MapRef) -> None:
    """Look in another way."""
    selection = state().selection
    if selection is not None:
        move(replace(selection, map_ref=map_ref))


def stop() -> None:
    """Wait no longer for the run that is being made; what was on the screen stays."""
    now = state()
    _forget_job(now)
    now.refusal = Message("stopped" if now.run else "stopped-first")


def _forget_job(now: State) -> None:
    if now.job is not None:
        now.job.stop()
        now.job = None
