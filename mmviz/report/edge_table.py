"""The edges of a head as a table."""

from __future__ import annotations

from mmviz.experiments.head_edges import HeadEdges
from mmviz.figures.token_labels import names
from mmviz.report.experiment_table import ExperimentTable
from mmviz.report.run_facts import run_facts
from mmviz.types import AttentionRecord, Request


def edge_table(edges: HeadEdges, request: Request, record: AttentionRecord, command: str) -> ExperimentTable:
    """Returns a row for each edge that was masked, those that carry most of the head's effect first.

    A row holds ``query`` and ``keys`` (indices in the streams of the map, from 0; None for every query),
    ``query_token`` and ``key_tokens`` (their names), ``weight``, ``effect`` and ``together`` (nats, see `HeadEdge`;
    None beyond those that were masked together), and ``carries``: whether it is one of the few that carry the effect.
    The facts name the head (``map`` as text, see `MapRef`) and the streams of its ``queries`` and ``keys``, and hold
    its ``effect`` and whether the measurement ``is_complete``.
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
    }
    return ExperimentTable("edges", columns, rows, facts, command)
