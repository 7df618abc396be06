"""A form that names the streams of a custom model's attention, where mmviz mistook them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from mmviz.app import run_change_actions
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.i18n.page import say
from mmviz.types import AttentionRecord

MAX_NAME = 60
"""Characters of a name."""
StreamPair = tuple[str, str, str]
"""A glob pattern on module paths, the stream of their queries, and that of their keys."""


def stream_names(record: AttentionRecord) -> None:
    """Draws the streams between which each stack attends, as fields, and a button that runs the model under them."""
    with st.expander(say("streams")):
        page_elements.note(say("streams-help"))
        rows = stream_rows(record)
        with st.form("streams", border=False):
            for number, row in enumerate(rows):
                _fields(record, number, row)
            st.form_submit_button(say("streams-run"), on_click=_overrule, args=(record.id,))
        if session.current_state().stream_pairs:
            hint = say("streams-reset-help")
            label, drop = say("streams-reset"), run_change_actions.name_streams
            st.button(label, key="streams-reset", help=hint, on_click=drop, args=((),))


def stream_rows(record: AttentionRecord) -> list[StreamPair]:
    """Returns the pattern, queries and keys of the maps of each stack, in order of execution."""
    paths: dict[StreamPair, list[str]] = {}
    for attn_map in record.maps:
        paths.setdefault((attn_map.stack, attn_map.queries, attn_map.keys), []).append(attn_map.name)
    return [(common_pattern(names), queries, keys) for (_, queries, keys), names in paths.items()]


def common_pattern(paths: Sequence[str]) -> str:
    """Returns a glob pattern that matches ``paths`` of equally many parts: ``*`` stands where they differ."""
    columns = zip(*(path.split(".") for path in paths), strict=True)
    return ".".join(parts[0] if len(set(parts)) == 1 else "*" for parts in columns)


def _fields(record: AttentionRecord, number: int, row: StreamPair) -> None:
    pattern, *names = row
    modules, *sides = st.columns([2, 1, 1], vertical_alignment="bottom")
    with modules:
        page_elements.note(say("streams-modules", pattern=pattern))
    for side, place, name in zip(("queries", "keys"), sides, names, strict=True):
        hint = say("streams-tokens", count=len(record.streams[name]))
        place.text_input(say(f"streams-{side}"), name, MAX_NAME, key=_key(record, number, side), help=hint)


def _overrule(record_id: str) -> None:
    """Runs the form again under the names that were changed, and under those of earlier runs."""
    state = session.current_state()
    run = state.shown_run(record_id)
    if run is None:
        return
    named = list(state.stream_pairs)
    for number, (pattern, *names) in enumerate(stream_rows(run.record)):
        queries, keys = (
            str(st.session_state[_key(run.record, number, side)]).strip() or name
            for side, name in zip(("queries", "keys"), names, strict=True)
        )
        if [queries, keys] != names:
            named = [(pattern, queries, keys), *(pair for pair in named if pair[0] != pattern)]
    run_change_actions.name_streams(tuple(named))


def _key(record: AttentionRecord, number: int, side: str) -> str:
    return f"stream-{record.id}-{number}-{side}"
