"""What one visitor has on the screen: the form, the run, and what is looked at. Kept in memory only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import streamlit as st

from mmviz.analysis.select import Direction, Way
from mmviz.app.gallery import Trio
from mmviz.app.jobs import Job
from mmviz.app.texts import say
from mmviz.explain import Run
from mmviz.types import Change, Randomise, Uniform

KEY = "mmviz"
QUESTION, USE_PICTURE, USE_SOUND = "question", "use-picture", "use-sound"
TOKEN, DIRECTION, METHOD, LAYER, HEAD = "token", "direction", "method", "layer", "head"
Scale = Literal["view", "map"]
Control = Literal["trained", "shuffled", "evened"]
CONTROLS: dict[Control, tuple[Change, ...]] = {"trained": (), "shuffled": (Randomise(1),), "evened": (Uniform(),)}
Source = Path | bytes | None


@dataclass(frozen=True)
class Draft:
    """What stands in the form: the inputs of the next run."""

    image: Source
    text: str
    audio: Source

    def is_of(self, trio: Trio | None) -> bool:
        """Whether this is ``trio`` as it came, so that its truth holds."""
        return trio is not None and (self.image, self.text, self.audio) == (trio.image, trio.question, trio.audio)


@dataclass(frozen=True)
class Selection:
    """What is looked at: a token of the run, in one direction, one way of looking, on one scale."""

    token: int
    direction: Direction
    way: Way
    style: Literal["spotlight", "heat"]
    scale: Scale


@dataclass
class State:
    """``trio``: whose files stand in the form; ``shown``: whose inputs ``run`` had, unchanged (None: somebody's own).

    ``generation`` counts the forms, as the uploaders start anew with each; ``latest``: the widget by which each
    modality was given last; ``asked``: a run is to be made; ``job``: the run being made, of
    ``job_of``; ``refusal``: why the last one was not; ``remark``: what a link asked for in vain; ``made_of``: what
    stood in the form when ``run`` was made; ``control``: with what changes to the model; ``wanted``: what a link says
    about the run to come; ``address``: what the page's address says since ``addressed`` (monotonic seconds).
    """

    trio: Trio | None = None
    generation: int = 0
    latest: dict[str, str] = field(default_factory=dict)
    asked: bool = False
    job: Job | None = None
    job_of: Draft = Draft(None, "", None)
    run: Run | None = None
    shown: Trio | None = None
    made_of: Draft | None = None
    control: Control = "trained"
    refusal: str = ""
    remark: str = ""
    wanted: Mapping[str, str] = field(default_factory=dict)
    address: Mapping[str, str] | None = None
    addressed: float = 0.0


def state() -> State:
    """The visitor's state; a new visitor finds it empty."""
    if KEY not in st.session_state:
        st.session_state[KEY] = State()
    found: State = st.session_state[KEY]
    return found


def choose(trio: Trio | None) -> None:
    """Put a trio into the form and ask for its run; None empties the form for one's own."""
    now = state()
    _forget_job(now)
    now.trio = trio
    now.generation += 1
    now.latest = {}
    now.asked = trio is not None
    now.remark = ""
    now.control = "trained"
    st.session_state[QUESTION] = trio.question if trio else ""
    st.session_state[USE_PICTURE] = trio is None or trio.image is not None
    st.session_state[USE_SOUND] = trio is None or trio.audio is not None


def ask() -> None:
    """Ask for a run of what stands in the form."""
    now = state()
    _forget_job(now)
    now.asked = True
    now.remark = ""


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


def accept(run: Run, draft: Draft) -> None:
    """Show ``run``, made of ``draft``, from now on, from its answering token."""
    now = state()
    now.run, now.made_of, now.refusal = run, draft, ""
    now.shown = now.trio if draft.is_of(now.trio) else None
    st.session_state[TOKEN] = run.asker


def stop() -> None:
    """Wait no longer for the run that is being made; what was on the screen stays."""
    now = state()
    _forget_job(now)
    now.refusal = say("stopped" if now.run else "stopped-first")


def _forget_job(now: State) -> None:
    if now.job is not None:
        now.job.stop()
        now.job = None


def look_from(chart: str) -> None:
    """Look from the token that was clicked in ``chart``; its points carry the token's index."""
    points = st.session_state[chart].selection.points
    for point in points[:1]:
        st.session_state[TOKEN] = int(point["customdata"][0])
