"""The state of one visitor's session: the form, the run, and what is selected in it. Kept in memory only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import streamlit as st

from mmviz.app.draft import EMPTY, Draft, Source
from mmviz.app.effect_and_story import Trace
from mmviz.app.jobs import Job, StreamingJob
from mmviz.app.loading_progress import ModelLoading
from mmviz.app.operator_config import OperatorConfig
from mmviz.app.selection import Selection
from mmviz.explain import Run
from mmviz.i18n.language import Language
from mmviz.i18n.page import Message
from mmviz.inputs.examples import Example
from mmviz.io.change_text import Control
from mmviz.report import ViewerData
from mmviz.types import AblateHead, CutRoute, InputError, MapRef, MmvizError

KEY = "mmviz"
QUESTION, USE_IMAGE, USE_AUDIO = "question", "use-image", "use-audio"
Page = Literal["explore", "debug", "learn"]
PAGES: tuple[Page, ...] = get_args(Page)
Section = Literal["effect", "routes", "heads", "lens", "faithfulness", "compare", "audit"]
SECTIONS: tuple[Section, ...] = get_args(Section)
LessonId = Literal[
    "tokens", "scores", "softmax", "output", "heads", "cross-modal", "fusion", "training", "cost", "limits"
]
LESSONS: tuple[LessonId, ...] = get_args(LessonId)


@dataclass
class State:
    """What one visitor has on the screen."""

    page: Page = "explore"
    """The page that is open."""
    section: Section = "effect"
    """The section of the page Debug that is open."""
    ablated_heads: tuple[AblateHead, ...] = ()
    """Heads to ablate in the runs to come."""
    cut_routes: tuple[CutRoute, ...] = ()
    """Routes to cut in the runs to come."""
    route_cuts: tuple[CutRoute, ...] = ()
    """What the section Routes cuts of ``run``, beside what is cut in it."""
    stream_pairs: tuple[tuple[str, str, str], ...] = ()
    """The names of streams under which runs are made, as in `Request.pairs`."""
    options: tuple[tuple[str, str | int], ...] = ()
    """The settings under which runs are made, as in `Request.options`."""
    written: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    """The answer that the next run is to keep, and the part of it that it is about, as in `Request`; then empty."""
    is_writing: bool = False
    """Whether the run in progress writes its answer, so that ``job`` counts words, not layers."""
    experiments: dict[tuple[object, ...], Job[Any]] = field(default_factory=dict)
    """Experiments on ``run``, in progress or finished, by the id of the run and what was measured."""
    long_record_ids: set[str] = field(default_factory=set)
    """Ids of the long records that this session made, whose tensors a backend keeps."""
    traces: dict[int | None, Trace] = field(default_factory=dict)
    """What was traced of ``run``, by the word of a written answer, None for any other; it is kept with the run."""
    edge_head: tuple[int, int] | None = None
    """The head, as map and head of ``run``, whose edges the page Debug shows; None before one is chosen."""
    is_edge_opening: bool = False
    """Whether the viewer is to open on that head once its edges are measured."""
    opened_head: tuple[Selection, Message] | None = None
    """What was selected when the viewer opened on a head, and why: the page says it as long as it is selected."""
    own_examples: tuple[tuple[str, ...], tuple[Example, ...] | MmvizError] | None = None
    """The visitor's own examples for the section Audit, or why they cannot be used, after Streamlit's ids of their
    files; in memory only."""
    form_values: dict[str, tuple[str | bool, ...]] = field(default_factory=dict)
    """Values of the form's widgets, by key: what the browser may still show, and last what the page has set."""
    form_drawn_at: float | None = None
    """When those values were first drawn, by `time.monotonic`; None before."""

    lesson: LessonId = "tokens"
    """The lesson of the page Learn that is open."""
    answered_lessons: set[LessonId] = field(default_factory=set)
    """Lessons whose question the visitor has answered."""
    lesson_params: dict[str, str] = field(default_factory=dict)
    """Positions of the controls of the open lesson, by name, as the address has them."""
    unknown_params: set[str] = field(default_factory=set)
    """Names of the lesson's controls for which the address has a value that does not exist."""
    lesson_serial: int = 0
    """How often the page, not the visitor, set the lesson's controls."""
    slide: int | None = None
    """The slide of the open lesson that is shown, from 1; None outside the presentation."""
    training_job: StreamingJob[Any] | None = None
    """The training of the small model of the page Learn, in progress or finished."""

    config: OperatorConfig = field(default_factory=OperatorConfig)
    """What the operator configured, with the model that the visitor chose in use."""
    model: str | None = None
    """The model that the visitor chose, of those that the operator allows; None before a choice."""
    model_requested: str | None = None
    """The model that is to be loaded."""
    model_job: Job[None] | None = None
    """The loading in progress."""
    model_loading: ModelLoading | None = None
    """What ``model_job`` loads."""
    is_model_linked: bool = False
    """Whether a link named the model that is to be loaded, so that what it shows waits for it."""
    is_saved: bool = False
    """Whether ``run`` was read from a file."""
    saved_run_shown: bool = False
    """Whether the saved run that the operator named has been shown once."""
    example: Example | None = None
    """The example whose files stand in the form; None for the visitor's own inputs."""
    form_start: Draft = EMPTY
    """What the form began with; its files stand until the visitor adds others."""
    form_number: int = 0
    """Counts the forms; the uploaders of each new form start empty."""
    latest_widget: dict[str, str] = field(default_factory=dict)
    """The key of the widget that last received an input, by modality."""
    set_aside: set[str] = field(default_factory=set)
    """Modalities whose input of the example was unticked, since the visitor gave one of another modality."""
    checked_uploads: dict[str, dict[str, InputError | None]] = field(default_factory=dict)
    """Why each of the files that were checked last cannot be used, by modality and Streamlit's id of the file."""
    open_panel: Literal["", "examples", "own"] = ""
    """What of the form is unfolded below its bar: the gallery, or one's own inputs; "" for nothing."""
    input_signs: dict[str, tuple[Source, str]] = field(default_factory=dict)
    """The visitor's last input and its small sign as a data URI, by modality; in memory only."""
    run_requested: bool = False
    """Whether the page is to start a run of the form."""
    job: Job[Run] | None = None
    """The run in progress."""
    job_draft: Draft = EMPTY
    """The form's contents that ``job`` runs."""
    job_loading: ModelLoading | None = None
    """The loading of the model that ``job`` begins with, where it is not loaded yet."""
    run: Run | None = None
    """The run on the screen."""
    run_example: Example | None = None
    """The example whose unchanged inputs ``run`` had; None for other inputs."""
    run_draft: Draft | None = None
    """The form's contents that ``run`` was made from."""
    visitor: str = ""
    """Random id of the visitor's browser; empty before the first inputs of their own."""
    run_id: str = ""
    """The random id under which ``run`` is kept for its link; empty where it is not."""
    inputs_id: str = ""
    """The random id under which the inputs in the form are kept for a reload; empty where they are not."""
    control: Control = "trained"
    """The control under which runs are made."""
    error: MmvizError | Message | str = ""
    """Why the last run failed; empty where it did not."""
    link_messages: tuple[Message, ...] = ()
    """What of a link could not be followed."""
    link_params: Mapping[str, str] = field(default_factory=dict)
    """Parameters of a link that apply to the run to come."""
    address: Mapping[str, str] | None = None
    """The parameters in the page's address; None before the first visit is handled."""
    address_time: float = 0.0
    """When ``address`` was set, in seconds of the monotonic clock."""
    selection: Selection | None = None
    """What is selected in ``run``; there is one with every run."""
    serial: int = 0
    """How often the page, not the viewer, set the selection."""
    scroll_serial: int = 0
    """The `serial` of a selection for which the page scrolls to the viewer, once."""
    sent_selection: Selection | None = None
    """The selection that the viewer was last sent."""
    viewer_data: ViewerData | None = None
    """``run`` in the form that the viewer shows."""
    answer_maps: dict[tuple[str, str, bool, Language], str] = field(default_factory=dict)
    """The maps of the first view as HTML, by the id of the run, the kind of map, whether the page is dark, and the
    language."""
    payload: bytes = b""
    """The bytes that the viewer was last sent."""
    payload_key: tuple[str, int, Selection, Language] | None = None
    """What ``payload`` was made from: id of the run, serial, selection, language."""
    requested_sections: tuple[str, ...] = ()
    """Names of the sections that the viewer requested last."""
    sections_sent: bool = False
    """Whether ``requested_sections`` have been sent."""
    flow_job: Job[bool] | None = None
    """The computation of parts of a flow through a long run."""
    flow_ref: MapRef | None = None
    """The flow that ``flow_job`` computes."""
    flow_error: MmvizError | Message | str = ""
    """Why the last one failed; empty where it did not."""

    def shown_run(self, record_id: str) -> Run | None:
        """Returns the run on the screen where its record has this id; None where another is shown by now, as for a
        late click on what was drawn of the one before."""
        return self.run if self.run is not None and self.run.record.id == record_id else None

    @property
    def run_config(self) -> OperatorConfig:
        """`config` with the model of ``run`` in use, which is another after a first run of a new model that failed."""
        request = self.run.request if self.run else None
        return self.config.with_model(request.model) if request else self.config


def fragment_state(run: Run) -> State:
    """Returns the state of the visitor for a fragment that shows ``run``.

    Draws the whole page anew where a button of the fragment has requested another run, or put one on the screen.
    """
    state = current_state()
    if state.run_requested or state.run is not run:
        st.rerun()
    return state


def current_state() -> State:
    """Returns the state of the visitor whose page is drawn; creates it for a new visitor."""
    if KEY not in st.session_state:
        st.session_state[KEY] = State()
    state: State = st.session_state[KEY]
    return state
