"""What one visitor has on the screen: the form, the run, and what is looked at. Kept in memory only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import streamlit as st

from mmviz.analysis.select import Direction, Way
from mmviz.app.gallery import Trio, load_gallery
from mmviz.explain import Run
from mmviz.types import Change, Randomise, Uniform

KEY = "mmviz"
QUESTION, USE_PICTURE, USE_SOUND = "question", "use-picture", "use-sound"
TOKEN = "token"
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

    ``generation`` counts the forms, as the uploaders start anew with each; ``asked``: a run is to be made;
    ``refusal``: why the last one was not; ``made_of``: what stood in the form when ``run`` was made; ``control``: with
    what changes to the model.
    """

    trio: Trio | None = None
    generation: int = 0
    asked: bool = False
    run: Run | None = None
    shown: Trio | None = None
    made_of: Draft | None = None
    control: Control = "trained"
    refusal: str = ""


def state() -> State:
    """The visitor's state; a new visitor finds the first trio chosen, and its run asked for."""
    if KEY not in st.session_state:
        st.session_state[KEY] = State()
        choose(load_gallery()[0])
    found: State = st.session_state[KEY]
    return found


def choose(trio: Trio | None) -> None:
    """Put a trio into the form and ask for its run; None empties the form for one's own."""
    now: State = st.session_state[KEY]
    now.trio = trio
    now.generation += 1
    now.asked = trio is not None
    now.control = "trained"
    st.session_state[QUESTION] = trio.question if trio else ""
    st.session_state[USE_PICTURE] = trio is None or trio.image is not None
    st.session_state[USE_SOUND] = trio is None or trio.audio is not None


def ask() -> None:
    """Ask for a run of what stands in the form."""
    st.session_state[KEY].asked = True


def control(chosen: Control) -> None:
    """Run the form again, as trained or as a control."""
    now: State = st.session_state[KEY]
    now.control, now.asked = chosen, True


def uploaded(modality: str) -> None:
    """A file was given or taken back: use what there is."""
    now: State = st.session_state[KEY]
    key = USE_PICTURE if modality == "picture" else USE_SOUND
    st.session_state[key] = st.session_state[f"{modality}-{now.generation}"] is not None or st.session_state[key]


def accept(run: Run, draft: Draft) -> None:
    """Show ``run``, made of ``draft``, from now on, from its answering token."""
    now: State = st.session_state[KEY]
    now.run, now.made_of, now.refusal = run, draft, ""
    now.shown = now.trio if draft.is_of(now.trio) else None
    st.session_state[TOKEN] = run.asker


def look_from(chart: str) -> None:
    """Look from the token that was clicked in ``chart``; its points carry the token's index."""
    points = st.session_state[chart].selection.points
    for point in points[:1]:
        st.session_state[TOKEN] = int(point["customdata"][0])
