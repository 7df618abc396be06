"""The maps of a model's towers, captured by themselves, at the end of the record of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mmviz.capture import AttentionCall, CaptureResult
from mmviz.capture.qkv_and_projections import attention_tensors
from mmviz.capture.value_norms import value_norms
from mmviz.capture.windowed_attention import WindowedAttention
from mmviz.models import CaptureTargets, Prepared
from mmviz.types import AttentionRecord, AttentionTensors, CaptureError, Notice

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
    row = 0 if result.samples() > 1 else None
    of_towers = result.record(prepared.towers, pairs=pairs, batch=row)
    notices = [*record.notices, *of_towers.notices]
    norms = norms_of(result, of_towers, row, notices) if record.norms else ()
    steps = steps_of(result, of_towers, row, notices) if record.steps else ()
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


def of_each_map(
    function: Callable[[AttentionCall, int], T], result: CaptureResult, record: AttentionRecord, row: int | None,
    notices: list[Notice], in_windows: str,
) -> tuple[T, ...]:  # fmt: skip
    """Returns ``function`` of the attention call behind each map of ``record``, and of its row that holds sample
    ``row``; nothing, and a notice with the reason, where any fails.

    ``in_windows`` is the code of the notice for attention within windows, each of which is a row of its own.
    """
    try:
        values = []
        for call_map in result.recorded_maps(record):
            attention = call_map.attention(row or 0)
            if isinstance(attention, WindowedAttention):
                raise CaptureError(in_windows, name=call_map.group.module)
            values.append(function(attention.call, attention.batch))
        return tuple(values)
    except CaptureError as error:
        notices.append(Notice(error.code, error.parameters))
        return ()


def norms_of(
    result: CaptureResult, record: AttentionRecord, row: int | None, notices: list[Notice]
) -> tuple[NDArray[np.float32], ...]:
    """Returns the `value_norms` of sample ``row`` for each map of ``record``, as `of_each_map` does."""
    return of_each_map(value_norms, result, record, row, notices, "norms-windows")


def steps_of(
    result: CaptureResult, record: AttentionRecord, row: int | None, notices: list[Notice]
) -> tuple[AttentionTensors, ...]:
    """Returns the `attention_tensors` of sample ``row`` for each map of ``record``, as `of_each_map` does."""
    return of_each_map(attention_tensors, result, record, row, notices, "steps-windows")
