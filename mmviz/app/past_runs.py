"""The runs of a session, those shown last first, each with all that it takes to show it again. No Streamlit."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mmviz.analysis.unsure_answers import unsure_answers
from mmviz.inputs.examples import Example
from mmviz.types import AblateHead, CutRoute

if TYPE_CHECKING:
    from mmviz.app.session_state import State
    from mmviz.io.change_text import Control

MAX_PAST_RUNS = 20
"""The number of runs that a session remembers. The runs themselves are not held here."""
VIEW = ("query", "versus", "direction", "map", "style", "scale")
"""The parameters of an address that name what is selected in a run."""


@dataclass(frozen=True)
class PastRun:
    """A run that was on the screen. It is made or opened again; its arrays are not held."""

    record_id: str
    """`AttentionRecord.id` of the run, by which it is known when it comes onto the screen again."""
    question: str
    """Its text input; "" for none."""
    answers: tuple[str, ...]
    """The most probable answer; several where the model is not sure; none where it has no answers."""
    model: str
    """Id of the model that made it, as ``--model`` names it."""
    example: Example | None
    """The example whose unchanged inputs it had; None for others."""
    run_id: str
    """The id under which a run of other inputs is kept for a while; empty where it is not."""
    control: Control
    """The control that it is; ``trained`` for none."""
    ablated_heads: tuple[AblateHead, ...]
    """Heads that are ablated in it."""
    cut_routes: tuple[CutRoute, ...]
    """Routes that are cut in it."""
    stream_pairs: tuple[tuple[str, str, str], ...]
    """Names of streams under which it was made, as in `Request.pairs`."""
    options: tuple[tuple[str, str | int], ...]
    """Settings under which it was made, as in `Request.options`."""
    written: tuple[tuple[int, ...], tuple[int, ...]]
    """The tokens of a written answer, and which of them the run is about; empty where it is about all."""
    view: Mapping[str, str]
    """What was selected last, as parameters of an address."""
    time: float = field(default_factory=time.time)
    """When it came onto the screen, in seconds since 1970."""


def remember_run(past_runs: list[PastRun], state: State, params: Mapping[str, str]) -> None:
    """Puts the run on the screen before ``past_runs``, or updates its view; ``params`` are those of the address.

    A run from a file is left out: its file opens it.
    """
    run = state.run
    if run is None or state.is_saved:
        return
    view = {name: params[name] for name in VIEW if name in params}
    if past_runs and past_runs[0].record_id == run.record.id:
        past_runs[0] = replace(past_runs[0], view=view)
        return
    unsure = unsure_answers(run.record)
    best = tuple(answer.label for answer in (unsure or run.record.answers[:1]))
    changes = state.control, state.ablated_heads, state.cut_routes
    part = tuple(run.record.made_by.get("answer_part", ()))
    written = (tuple(run.record.made_by["answer"]), part) if part else ((), ())
    past = PastRun(
        run.record.id, run.sample.text or "", best, state.config.model, state.run_example, state.run_id, *changes,
        state.stream_pairs, state.options, written, view,
    )  # fmt: skip
    others = [other for other in past_runs if other.record_id != run.record.id]
    past_runs[:] = [past, *others][:MAX_PAST_RUNS]
