"""Which long records a session made, so that a backend can drop the tensors behind them. No Streamlit."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any

from mmviz.app.session_state import State
from mmviz.types import AttentionRecord


def long_record_ids(result: Any) -> set[str]:
    """Returns the ids of the long records in a run or in the result of an experiment."""
    if isinstance(result, AttentionRecord):
        return {result.id} if result.is_long else set()
    if is_dataclass(result):
        result = tuple(vars(result).values())
    return set().union(*map(long_record_ids, result)) if isinstance(result, tuple) else set()


def end_experiments(state: State) -> None:
    """Stops and drops the experiments on the run, and notes which long records they made."""
    for job in state.experiments.values():
        job.stop()
        state.long_record_ids |= long_record_ids(job.result)
    state.experiments = {}
