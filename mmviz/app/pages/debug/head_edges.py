"""The edges of a head: which pairs carry its effect, and the viewer opened on the token that carries the most."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from mmviz.app import session_actions
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.components.table_downloads import table_downloads
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.reproduce_command import table_command
from mmviz.app.selection import answer_selection, with_map
from mmviz.app.streamlit_callback_patch import uninterrupted
from mmviz.experiments.head_edges import HeadEdge, HeadEdges, measure_head_edges
from mmviz.explain import Run
from mmviz.i18n.page import Message, say
from mmviz.report.edge_table import edge_names, edge_table, edges_summary
from mmviz.report.heads_table import head_name
from mmviz.types import AttentionRecord


@uninterrupted()
def choose_head(number: int, head: int) -> None:
    """Shows the edges of a head, given as map and head, and opens the viewer on it once they are measured."""
    state = session.current_state()
    state.edge_head, state.is_edge_opening = (number, head), True


def edges_panel(runner: ExperimentRunner) -> None:
    """Draws the edges of the head that was chosen, or opens the viewer on it."""
    state, record = runner.state, runner.run.record
    assert state.edge_head is not None
    number, head = state.edge_head
    edges = runner.measure(
        ("edges", number, head),
        lambda progress, stop: measure_head_edges(
            runner.backend(), runner.request, record, number, head, progress, stop
        ),
    )
    if edges is None:
        return
    if state.is_edge_opening and edges.is_complete:
        open_head(runner.run, edges)
    state.is_edge_opening = False
    page_elements.heading(say("edges-title", head=head_name(record, number, head)), say("edges-help"))
    page_elements.note(edges_summary(record, edges), "remark")
    shown = edges.together or edges.edges[:1]
    if shown:
        _table(runner.run, edges, shown)
    if st.button(say("edges-open"), key="edges-open", help=say("edges-open-help")):
        open_head(runner.run, edges)
    if shown:
        command = table_command(state, runner.request, "heads", edges=str(record.map_ref(number, head)))
        table_downloads(edge_table(edges, runner.request, record, command))


@uninterrupted()
def open_head(run: Run, edges: HeadEdges, edge: HeadEdge | None = None) -> None:
    """Opens the viewer on a head, and says what was measured.

    ``edge``: the one to open on, by default the strongest; the answer token where there is none. A single query is
    opened on what it attends to; the key that every query attends to, on what attends to it.
    """
    state, record = session.current_state(), run.record
    assert state.selection is not None
    map_ref, edge = record.map_ref(edges.map, edges.head), edge or edges.strongest
    is_of_key = edge is not None and len(edge.queries) > 1
    selection = with_map(state.selection, run, map_ref, "to" if is_of_key else "from")
    tokens = answer_selection(run, map_ref, "from")
    if edge is not None:
        tokens = edge.keys if is_of_key else edge.queries
    selection = replace(selection, tokens=tokens, versus=())
    session_actions.show_in_viewer(selection)
    state.opened_head, state.is_edge_opening = (selection, _reason(record, edges, edge)), False
    session_actions.open_page("explore")
    st.rerun()


def _reason(record: AttentionRecord, edges: HeadEdges, edge: HeadEdge | None) -> Message:
    """Returns what was measured of the head and of the edge that the viewer opens on."""
    name = head_name(record, edges.map, edges.head)
    facts = {"head": name[:1].upper() + name[1:], "answer": record.answers[0].label, "effect": edges.effect}
    if edge is None:
        return Message("edges-opened-idle" if edges.is_idle else "edges-opened-spread", facts)
    query, key = edge_names(record, edges, edge)
    code = "edges-opened-key" if len(edge.queries) > 1 else "edges-opened"
    if edge in edges.queries:
        code = "edges-opened-query"
    elif code == "edges-opened-key" and not edges.carrying:
        code = "edges-opened-key-most"
    return Message(code, {**facts, "query": query, "key": key, "edge": edge.effect})


def _table(run: Run, edges: HeadEdges, shown: tuple[HeadEdge, ...]) -> None:
    """Draws a row for each edge; a click opens the viewer on it."""
    codes = ("query", "keys", "weight", "effect", "together")
    rows = [
        {
            say(f"edges-column-{code}"): value
            for code, value in zip(
                codes, (*edge_names(run.record, edges, edge), edge.weight, edge.effect, edge.together), strict=True
            )
        }
        for edge in shown
    ]
    columns = {
        say(f"edges-column-{code}"): st.column_config.NumberColumn(format="%.2f", help=say(f"edges-help-{code}"))
        for code in codes[2:]
    }
    row = page_elements.clicked_row(rows, columns, f"edges-table-{edges.map}-{edges.head}")
    if row is not None:
        open_head(run, edges, shown[row])
