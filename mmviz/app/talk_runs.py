"""The runs of a session's talk: the recorded ones, those of the operator's file, and those that the server keeps."""

from __future__ import annotations

from collections.abc import Callable

from mmviz.app import resources
from mmviz.app import session_state as session
from mmviz.app.session_history import own_talk
from mmviz.app.talk_draft import RunRef
from mmviz.explain import Run


def run_of(ref: RunRef) -> Run | None:
    """Returns the run of a slide; None where it is no longer kept. The time of one that is begins anew."""
    if ref.place is not None:
        return resources.saved_runs(session.current_state().config)[ref.place]
    if ref.example_id:
        return resources.recorded_run(ref.example_id)
    kept = resources.kept_runs().get(ref.run_id)
    return None if kept is None else kept.run


def ref_in_talk(run: Run, keep: Callable[[Run], RunRef]) -> RunRef:
    """Returns the name of a run in the talk, else what ``keep`` returns; slides of one that was dropped get it, too."""
    draft = own_talk()
    known = draft.ref_of(run.record.id)
    if known is not None and run_of(known) is not None:
        return known
    ref = keep(run)
    draft.restore(run.record.id, ref)
    return ref
