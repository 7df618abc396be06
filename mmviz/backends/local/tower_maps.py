"""The maps of a model's towers, captured by themselves, at the end of the record of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from mmviz.capture import AttentionCall, CaptureResult
from mmviz.capture.extract_attention_tensors import attention_tensors
from mmviz.capture.value_norms import value_norms
from mmviz.models import CaptureTargets, Prepared
from mmviz.types import AttentionRecord, CaptureError, Notice

T = TypeVar("T")


def with_towers(
    record: AttentionRecord, result: CaptureResult, targets: CaptureTargets, prepared: Prepared
) -> AttentionRecord:  # fmt: skip
    """Returns ``record`` with the maps of ``result``, a capture of the modules of ``targets`` alone, after its own.

    Flows stay as they are: they run through the maps before those of towers. ``made_by`` names the stacks under
    ``towers``. Norms and steps are there where the record has them and they can be computed for every map. Raises
    ``CaptureError`` where no map can be shown.
    """
    pairs = dict(zip(targets.modules, targets.pairs, strict=True))
    of_towers = result.record(prepared.towers, pairs=pairs, batch=0 if result.samples() > 1 else None)
    notices = [*record.notices, *of_towers.notices]
    norms = of_each_call(value_norms, result, notices) if record.norms else ()
    steps = of_each_call(attention_tensors, result, notices) if record.steps else ()
    made_by = {
        **record.made_by,
        "routes": [*record.made_by["routes"], *of_towers.made_by["routes"]],
        "parity": max(record.made_by["parity"], of_towers.made_by["parity"]),
        "towers": list(of_towers.stacks),
    }
    return replace(
        record, streams={**record.streams, **of_towers.streams}, maps=(*record.maps, *of_towers.maps),
        notices=tuple(notices), norms=(*record.norms, *norms) if norms else (),
        steps=(*record.steps, *steps) if steps else (), made_by=made_by,
    )  # fmt: skip


def of_each_call(
    function: Callable[[AttentionCall], T], result: CaptureResult, notices: list[Notice]
) -> tuple[T, ...]:  # fmt: skip
    """Returns ``function`` of each attention call; nothing, and a notice with the reason, where any fails."""
    try:
        return tuple(function(call) for call in result.attention_calls())
    except CaptureError as error:
        notices.append(Notice(error.code, error.parameters))
        return ()
