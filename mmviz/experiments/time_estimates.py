"""How long an experiment takes: at most, before it starts, and how much longer, once some of it is done."""

from __future__ import annotations

from mmviz.types import AttentionRecord


def most_seconds(record: AttentionRecord, variants: int) -> float | None:
    """Returns how long ``variants`` runs of the model of ``record`` take at most, in seconds: as if none shared a call.

    None where ``record`` does not tell how long its model ran, or was recorded on another machine. Variants that share
    calls take far less.
    """
    if "recorded" in record.made_by:
        return None
    milliseconds = record.made_by.get("milliseconds", {}).get("model")
    return None if milliseconds is None else variants * float(milliseconds) / 1e3


def seconds_left(done: int, of: int, seconds: float) -> float | None:
    """Returns how much longer work takes of which ``done`` of ``of`` equal parts took ``seconds``; None before one."""
    return seconds * (of - done) / done if done else None
