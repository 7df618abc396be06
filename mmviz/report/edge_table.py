"""The edges of a head as a table and in words: what ``mmviz heads --edges`` and the section Heads show."""

from __future__ import annotations

from typing import Any

from mmviz.experiments.head_edges import HeadEdge, HeadEdges
from mmviz.figures.token_labels import group_name, names
from mmviz.i18n.language import join_sentences
from mmviz.i18n.page import say
from mmviz.report.result_table import ExperimentTable
from mmviz.report.run_facts import run_facts
from mmviz.types import AttentionRecord, Request


def edge_table(edges: HeadEdges, request: Request, record: AttentionRecord, command: str) -> ExperimentTable:
    """Returns a row for each edge that was masked, those that carry most of the head's effect first.

    A row holds ``query`` and ``keys`` (indices in the streams of the map, from 0; None for every query),
    ``query_token`` and ``key_tokens`` (their names), ``weight``, ``effect`` and ``together`` (nats, see `HeadEdge`;
    None beyond those that were masked together), and ``carries``: whether it is one of the few that carry the effect.
    The facts name the head (``map`` as text, see `MapRef`) and the streams of its ``queries`` and ``keys``, and hold
    its ``effect``, whether the measurement ``is_complete``, and the ``verdict``.
    """
    attn_map = record.maps[edges.map]
    queries, keys = names(record.streams[attn_map.queries]), names(record.streams[attn_map.keys])
    carrying = len(edges.carrying)
    single = [edge.queries[0] if len(edge.queries) == 1 else None for edge in edges.edges]
    rows = [
        {
            "query": query,
            "query_token": None if query is None else queries[query],
            "keys": list(edge.keys),
            "key_tokens": [keys[key] for key in edge.keys],
            "weight": edge.weight,
            "effect": edge.effect,
            "together": edge.together,
            "carries": number < carrying,
        }
        for number, (query, edge) in enumerate(zip(single, edges.edges, strict=True))
    ]
    columns = ("query", "query_token", "keys", "key_tokens", "weight", "effect", "together", "carries")
    facts = {
        **run_facts(request, record),
        "map": str(record.map_ref(edges.map, edges.head)),
        "queries": attn_map.queries,
        "keys": attn_map.keys,
        "effect": edges.effect,
        "is_complete": edges.is_complete,
        "verdict": [edges_summary(record, edges)],
    }
    return ExperimentTable("edges", columns, rows, facts, command)


def edges_summary(record: AttentionRecord, edges: HeadEdges) -> str:
    """Returns sentences on how much of the head's effect its edges carry."""
    facts: dict[str, Any] = {"answer": record.answers[0].label, "effect": edges.effect}
    if not edges.is_complete:
        return say("edges-stopped")
    if edges.is_idle:
        return say("edges-idle", **facts)
    if edges.carrying:
        code = "edges-one" if len(edges.carrying) == 1 else "edges-few"
        return say(code, count=len(edges.carrying), together=edges.carrying[-1].together, **facts)
    text = say("edges-weak", **facts)
    if edges.together:
        text = say("edges-spread", count=len(edges.together), together=edges.together[-1].together, **facts)
    edge = edges.strongest
    if edge is None:
        return text
    query, key = edge_names(record, edges, edge)
    token, code = (query, "edges-query") if edge in edges.queries else (key, "edges-key")
    return join_sentences([text, say(code, token=token, change=edge.effect)])


def edge_names(record: AttentionRecord, edges: HeadEdges, edge: HeadEdge) -> tuple[str, str]:
    """Returns the names of the query and of the keys of an edge."""
    attn_map = record.maps[edges.map]
    queries, keys = names(record.streams[attn_map.queries]), names(record.streams[attn_map.keys])
    query = queries[edge.queries[0]] if len(edge.queries) == 1 else say("edges-every")
    return query, group_name([keys[key] for key in edge.keys])
