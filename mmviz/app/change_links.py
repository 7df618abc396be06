"""What is changed in the run of an example, as text of the page's address: cut routes, ablated heads and the control.

Their text is that of `mmviz.io.change_text`. A run of a visitor's own inputs is kept with its changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from mmviz.app import route_links
from mmviz.app.session_state import State
from mmviz.explain import Run
from mmviz.io import change_text
from mmviz.io.change_text import CONTROLS, Control, ordered_heads
from mmviz.types import AblateHead, CutRoute, MmvizError

HEADS, CONTROL = "ablate", "control"
IN_RUN = (route_links.IN_RUN, HEADS, CONTROL)
"""The parameters for what is changed in the run."""
MAX_CHARS = 2_000
_FAILED = {"cut-": route_links.IN_RUN, "head-": HEADS}
"""The parameter that cannot be followed, by how the code of the error begins."""


@dataclass(frozen=True)
class RunChanges:
    """What is changed in a run."""

    control: Control = "trained"
    """The control that the run is; ``trained`` for none."""
    heads: tuple[AblateHead, ...] = ()
    """In ascending order."""
    cuts: tuple[CutRoute, ...] = ()
    """Routes that are cut, in the order of the link or of the request."""

    def apply(self, state: State) -> None:
        """Changes the runs to come so, and nothing else."""
        state.control, state.ablated_heads, state.cut_routes = self.control, self.heads, self.cuts


def linked_changes(params: Mapping[str, str]) -> RunChanges:
    """Returns what a link changes in its run; nothing for what cannot be read."""
    control = read_control(params.get(CONTROL, "")) or "trained"
    cuts = route_links.read_cuts(params.get(route_links.IN_RUN, "")) or ()
    return RunChanges(control, read_heads(params.get(HEADS, "")) or (), cuts)


def changes_of(run: Run) -> RunChanges:
    """Returns what is changed in a run."""
    changes = run.request.changes if run.request else ()
    heads = {change for change in changes if isinstance(change, AblateHead)}
    cuts = tuple(change for change in changes if isinstance(change, CutRoute))
    return RunChanges(control_of(run), ordered_heads(heads), cuts)


def control_of(run: Run) -> Control:
    """Returns the control that a run is, also one from a file."""
    changes = {*map(str, run.request.changes if run.request else run.record.made_by.get("changes", ()))}
    controls = (name for name, some in CONTROLS.items() if some and {*map(str, some)} <= changes)
    return next(controls, "trained")


def is_changed(state: State) -> bool:
    """Returns whether anything is changed in the runs to come."""
    return RunChanges(state.control, state.ablated_heads, state.cut_routes) != RunChanges()


def change_params(state: State) -> dict[str, str]:
    """Returns the parameters of what is changed in the run of an example."""
    if state.run is None or state.run_example is None:
        return {}
    changes = changes_of(state.run)
    control = changes.control if changes.control != "trained" else ""
    texts = (route_links.write_cuts(changes.cuts), write_heads(changes.heads), control)
    return {name: text for name, text in zip(IN_RUN, texts, strict=True) if text}


def unread(params: Mapping[str, str]) -> set[str]:
    """Returns the names of those parameters that name no change."""
    readers = (route_links.read_cuts, read_heads, read_control)
    return {name for name, read in zip(IN_RUN, readers, strict=True) if read(params.get(name, "")) is None}


def without_failed(params: Mapping[str, str], error: MmvizError) -> dict[str, str] | None:
    """Returns what is left of a link whose run failed with ``error``; None where its changes are not the reason."""
    reason = next((name for start, name in _FAILED.items() if error.code.startswith(start)), CONTROL)
    left = {name: text for name, text in params.items() if name != reason}
    return left if linked_changes(left) != linked_changes(params) else None


def write_heads(heads: Sequence[AblateHead]) -> str:
    """Returns heads as text; "" for none, and for more than an address holds."""
    text = change_text.write_heads(heads)
    return text if len(text) <= MAX_CHARS else ""


def read_heads(text: str) -> tuple[AblateHead, ...] | None:
    """Returns the heads of a text as of `write_heads`; None for any other text."""
    return None if len(text) > MAX_CHARS else change_text.read_heads(text)


def read_control(text: str) -> Control | None:
    """Returns the control of that name, ``trained`` for ""; None for any other text."""
    names: tuple[Control, ...] = get_args(Control)
    return next((name for name in names if name == (text or "trained")), None)
