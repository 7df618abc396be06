"""Checks what the maps of a record mean: stack, layer, streams, heads, samples, beside what the model itself says."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn

from mmviz.capture.module_tracker import head_counts
from mmviz.capture.result import CaptureResult
from mmviz.types import AttentionRecord

_NEAREST = 3
"""A module, and the two around it, may say how many heads it has."""


def meaning_checks(result: CaptureResult, record: AttentionRecord, batches: Collection[int]) -> list[dict[str, Any]]:
    """Returns what each map of ``record``, which ``result`` returned, is said to show, as plain values.

    ``module``, ``stack``, ``layer``; ``queries`` and ``keys``, the names of the streams, and ``tokens``, their numbers;
    ``heads`` of the map and ``own_heads``, the counts that the module or its configuration names (none where it names
    none); ``samples`` that attention ran over, 1 or one of ``batches``; ``windows``, their number (0 where attention
    runs over all); ``absorbed_by``, see `mmviz.types.AttentionMap`; ``problems``, what contradicts each other:
    ``heads`` or ``samples``; ``passed``, whether there are none.
    """
    checks = []
    for attn_map, call_map in zip(record.maps, result.recorded_maps(record), strict=True):
        own_heads = sorted(own_head_counts(result.model, attn_map.name))
        problems = ["heads"] if own_heads and attn_map.heads not in own_heads else []
        problems += ["samples"] if call_map.samples not in {1, *batches} else []
        checks.append({
            "module": attn_map.name, "stack": attn_map.stack, "layer": attn_map.layer, "queries": attn_map.queries,
            "keys": attn_map.keys, "tokens": list(attn_map.shape), "heads": attn_map.heads, "own_heads": own_heads,
            "samples": call_map.samples, "windows": len(set(attn_map.windows)), "absorbed_by": attn_map.absorbed_by,
            "problems": problems, "passed": not problems,
        })  # fmt: skip
    return checks


def left_out(result: CaptureResult, record: AttentionRecord) -> list[dict[str, str]]:
    """Returns what was captured and is not in ``record``: the ``module`` of each map, and the ``reason``.

    A module that ran several times may have some of its maps in the record.
    """
    reasons: dict[str, list[str]] = {}
    for notice in record.notices:  # those on maps that are left out come first, in the order of the maps
        reasons.setdefault(str(notice.parameters.get("name")), []).append(str(notice))
    missing = [call_map.group.module for call_map in result.maps_left_out(record)]
    return [{"module": module, "reason": (reasons.get(module) or [""]).pop(0)} for module in missing]


def own_head_counts(model: nn.Module, path: str) -> frozenset[int]:
    """Returns the numbers of heads that a module names, or else the nearest module around it that names any."""
    names = path.split(".")
    for depth in range(min(_NEAREST, len(names))):
        try:
            counts = head_counts(model.get_submodule(".".join(names[: len(names) - depth])))
        except AttributeError:  # the path of the model itself is the name of its class
            counts = head_counts(model)
        if counts:
            return counts
    return frozenset()
