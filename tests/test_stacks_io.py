"""Stacks, calls, windows and what takes a share of rows, through run files, recordings and the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import READS, SEES, towers

from mmviz.backends import wire
from mmviz.explain import Run
from mmviz.io.recording_file import STEP, from_recording, to_recording
from mmviz.io.run_file import from_bytes
from mmviz.types import AttentionRecord, MapRef, MmvizError, PooledMap, Request, Rows, Sample, Zoom

FIELDS = ("name", "layer", "queries", "keys", "dtype", "stack", "call", "absorbed_by", "windows")


def planted() -> AttentionRecord:
    """The record of `towers`, its decoder in the second call, and the token that answers named by the model."""
    record = towers().record
    maps = [replace(m, call=0 if m.stack == SEES else 1) for m in record.maps]
    return replace(record, maps=tuple(maps), made_by={"model": "planted", "answer_token": ["text", 3]})


def pooled() -> PooledMap:
    """A map of two windows without all its weights, whose rows a sink takes a share of."""
    sums = np.full((1, 4, 4), 0.125, np.float32)
    return PooledMap(
        "tower.blocks.0.attn", 0, "picture", "picture", np.full((1, 2, 2), 0.1, np.float32), (0, 2, 4), (0, 2, 4),
        sums, sums, np.ones(1, np.float32), stack="tower.blocks.attn", call=2, absorbed_by="sink", windows=(0, 0, 1, 1),
    )  # fmt: skip


def test_a_run_file_and_the_wire_keep_what_a_map_is() -> None:
    run = Run(towers().sample, planted())
    assert from_bytes(run.to_bytes())[1] == run.record
    assert wire.record_from_bytes(wire.record_to_bytes(run.record)) == run.record
    picture = run.record.streams["picture"][:4]
    long_record = replace(run.record, maps=(pooled(),), streams={"picture": picture}, made_by={})
    assert wire.record_from_bytes(wire.record_to_bytes(long_record)) == long_record


def test_a_recording_keeps_what_a_map_is_and_the_sums_of_its_rows(tmp_path: Path) -> None:
    record = planted()
    (tmp_path / "run.npz").write_bytes(to_recording(record))
    loaded = from_recording(tmp_path / "run.npz")
    for attn_map, before in zip(loaded.maps, record.maps, strict=True):
        assert [getattr(attn_map, name) for name in FIELDS] == [getattr(before, name) for name in FIELDS]
        np.testing.assert_allclose(attn_map.weights, before.weights, atol=STEP)
        np.testing.assert_allclose(attn_map.weights.sum(-1), before.weights.sum(-1), atol=1e-6)


def test_views_name_a_stack_on_the_wire() -> None:
    ref = MapRef("attention", 1, 2, stack="a/b:1")
    for view in (Rows(ref, (3,)), Zoom(ref, (0, 1), (2, 4))):
        assert wire.view_from_bytes(wire.view_to_bytes(view)) == view


def _with_map(position: int, **fields: Any) -> Callable[[AttentionRecord], AttentionRecord]:
    def change(record: AttentionRecord) -> AttentionRecord:
        maps = list(record.maps)
        maps[position] = replace(maps[position], **fields)
        return replace(record, maps=tuple(maps))

    return change


@pytest.mark.parametrize(
    "change",
    [
        _with_map(0, windows=(0,) * 11),
        _with_map(0, windows=(0.5,) * 12),
        _with_map(0, windows=(-1,) * 12),
        _with_map(1, windows=(0,) * 6 + (1,) * 6),
        _with_map(3, windows=(0,) * 12),
        _with_map(0, absorbed_by="much"),
        _with_map(0, call=-1),
        _with_map(0, stack=7),
        lambda record: replace(record, made_by={"answer_token": ["text", 99]}),
        lambda record: replace(record, made_by={"answer_token": ["sound", 0]}),
        lambda record: replace(record, made_by={"answer_token": 3}),
    ],
)
def test_what_no_run_leaves_behind_is_refused(change: Callable[[AttentionRecord], AttentionRecord]) -> None:
    data = wire.record_to_bytes(change(planted()))
    with pytest.raises(MmvizError) as refusal:
        wire.record_from_bytes(data)
    assert refusal.value.code == "wire-unreadable"


def test_a_row_that_sums_to_less_needs_a_reason() -> None:
    record = planted()
    number = next(k for k, attn_map in enumerate(record.maps) if attn_map.stack == READS)
    data = wire.record_to_bytes(record)
    assert wire.record_from_bytes(data).maps[number].weights.sum(-1).max() < 0.8
    with pytest.raises(MmvizError):
        _with_map(number, absorbed_by="")(record)


def test_names_of_streams_cross_the_wire_and_others_are_refused() -> None:
    request = Request("towers", Sample(text="hi"), pairs=(("see.*", "seen", "seen"), ("*", "text", "seen")))
    assert wire.request_from_bytes(wire.request_to_bytes(request)).pairs == request.pairs
    too_many = (("a", "b", "c"),) * 1001
    for wrong in ((("see.*", "seen"),), (("see.*", "", "seen"),), (("see.*", 1, "seen"),), "see", too_many):
        with pytest.raises(MmvizError) as refused:
            wire.request_from_bytes(wire.request_to_bytes(replace(request, pairs=wrong)))  # type: ignore[arg-type]
        assert refused.value.code == "wire-unreadable"
