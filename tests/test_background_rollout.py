"""Rollout and gradient relevance of runs too long to hold them: parts computed on request, without all by all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import long_reader
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import mmviz
from mmviz.analysis.available_maps import flows
from mmviz.backends.layer_progress import report_layers
from mmviz.backends.local import LocalBackend
from mmviz.backends.wire import record_from_bytes, record_to_bytes, view_from_bytes, view_to_bytes
from mmviz.capture import parallel_map
from mmviz.explain import Run, run_sample
from mmviz.types import MODALITIES, Columns, MapRef, MmvizError, ModalitySums, Rows, Sample, Zoom

pytestmark = pytest.mark.slow

REFS = [MapRef(method, keys=keys) for method in ("rollout", "relevance") for keys in ("", "tower")]
TOLERANCE = 2e-6


@cache
def long_run() -> Run:
    backend = LocalBackend("cpu", {"reader": long_reader.make()})
    return run_sample(Sample(text="a"), model="reader", backend=backend, relevance=True)


@cache
def whole(ref: MapRef) -> NDArray[np.float64]:
    """A flow of the run as one matrix, from a capture of the same model, see `mmviz.capture.call_rollout_relevance`."""
    model = long_reader.make().module
    with torch.enable_grad(), mmviz.capture(model) as result:
        logits = model(*long_reader.inputs())[0]
    result.record(long_reader.streams(Sample(text="a")))
    ends: dict[str, Any] = {"queries": "decoder", "keys": ref.keys or "decoder"}
    if ref.method == "relevance":
        return result.relevance(logits[int(logits.argmax())], **ends).astype(np.float64)
    return result.rollout(range(long_reader.TOKENS), **ends).astype(np.float64)


def is_close(part: NDArray[Any], expected: NDArray[Any], ref: MapRef) -> bool:
    return bool(np.abs(part - expected).max() <= TOLERANCE * max(1.0, float(whole(ref).max())))


@contextmanager
def largest_tensor(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Yields a list that ends with the number of entries of the largest tensor that torch made meanwhile."""
    largest = [0]

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            largest[0] = max([largest[0], *(t.numel() for t in tree_leaves(result) if isinstance(t, torch.Tensor))])
            return result

    class Inline:
        """A pool of this thread alone, since a mode of torch sees no other."""

        map = staticmethod(map)

    with monkeypatch.context() as patched, Sizes():
        patched.setattr(parallel_map, "_pool", lambda threads: Inline)
        yield largest


def test_a_long_record_names_the_flows_that_can_be_computed() -> None:
    record = long_run().record
    assert record.is_long and record.relevance is None and record.relevance_on_request
    assert {name: len(tokens) for name, tokens in record.streams.items()} == long_reader.COUNTS
    assert flows(record) == {ref: ("decoder", ref.keys or "decoder") for ref in REFS}
    assert record_from_bytes(record_to_bytes(record)) == record
    without = run_sample(Sample(text="a"), model="reader", backend=long_run().backend)
    assert not without.record.relevance_on_request and {ref.method for ref in flows(without.record)} == {"rollout"}
    with pytest.raises(MmvizError) as error:
        without.view(Rows(MapRef("relevance"), (3,)))
    assert error.value.code == "view-relevance"


@pytest.mark.parametrize("ref", REFS, ids=str)
def test_parts_of_a_flow_are_those_of_the_whole_matrix(ref: MapRef) -> None:
    run, expected = long_run(), whole(ref)
    queries, keys = expected.shape
    assert expected.max() > 1e-4 and queries == long_reader.TOKENS
    assert is_close(run.view(Rows(ref, (3, queries - 1))), expected[[3, queries - 1]], ref)
    assert is_close(run.view(Columns(ref, (5, keys - 1))), expected[:, [5, keys - 1]], ref)
    assert is_close(run.attention(ref, [7, 9], "to"), expected[:, [7, 9]].mean(1), ref)
    query_edges, key_edges = (0, 1, 100, queries), (2, 3, 40, keys)
    means = [[expected[a:b, c:d].mean() for c, d in pairwise(key_edges)] for a, b in pairwise(query_edges)]
    assert is_close(run.view(Zoom(ref, query_edges, key_edges)), np.array(means), ref)
    sides = [run.record.streams[name] for name in ("decoder", ref.keys or "decoder")]
    members = [np.array([[token.modality is m for m in MODALITIES] for token in tokens]) for tokens in sides]
    for direction, sums in (("from", expected @ members[1]), ("to", expected.T @ members[0])):
        part = run.view(ModalitySums(ref, direction))  # type: ignore[arg-type]
        assert np.abs(part - sums).max() <= 2e-5 * max(1.0, float(sums.max()))


@pytest.mark.parametrize("ref", [REFS[0], REFS[3]], ids=str)
def test_no_part_of_a_flow_makes_a_matrix_of_all_tokens(ref: MapRef, monkeypatch: pytest.MonkeyPatch) -> None:
    run = long_run()
    run.view(Rows(ref, (1,)))  # gradients are kept from here on
    parts = (Rows(ref, (3,)), Columns(ref, (3,)), Zoom(ref, (0, 9, 500), (0, 50, 90)), ModalitySums(ref, "from"))
    monkeypatch.setattr("mmviz.capture.head_weights_by_row_tile.TILE_SIZE", 1 << 12)
    for part in parts:
        with largest_tensor(monkeypatch) as largest:
            run.view(part)
        tile = 64 * max(long_reader.COUNTS.values())
        assert 0 < largest[0] <= 2 * tile < long_reader.TOKENS**2 / 4


def test_a_flow_reports_the_maps_that_it_has_gone_through() -> None:
    reports: list[tuple[int, int]] = []
    with report_layers(lambda done, total: reports.append((done, total))):
        long_run().view(Rows(MapRef("rollout", keys="tower"), (3,)))
    assert reports == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("view", "code"),
    [
        (Rows(MapRef("rollout"), (long_reader.TOKENS,)), "view-tokens"),
        (Columns(MapRef("relevance", keys="tower"), (long_reader.PATCHES,)), "view-tokens"),
        (Zoom(MapRef("rollout"), (0, 5, 5), (0, 9)), "view-edges"),
        (Rows(MapRef("rollout", keys="nothing"), (0,)), "flow-name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_parts_that_do_not_exist_are_refused(view: Any, code: str) -> None:
    with pytest.raises(MmvizError) as error:
        long_run().view(view)
    assert error.value.code == code


def test_a_flow_beyond_a_lost_route_is_refused_with_the_route() -> None:
    from mmviz.capture.lazy_record import RecordAttention, no_gradients
    from mmviz.types import Notice

    run = long_run()
    assert isinstance(run.backend, LocalBackend)
    retained = run.backend._cache.get(run.record.id)
    lost = Notice("flow-lost", {"source": "tower", "stream": "decoder", "function": "fold"})
    record = replace(run.record, notices=(lost,))
    assert {ref.keys for ref in flows(record)} == {""}
    attention = RecordAttention(record, retained.layers, no_gradients)  # type: ignore[attr-defined]
    assert attention.view(Rows(MapRef("rollout"), (3,))).shape == (1, long_reader.TOKENS)
    with pytest.raises(MmvizError, match="fold") as error:
        attention.view(Rows(MapRef("rollout", keys="tower"), (3,)))
    assert error.value.code == "flow-lost"


@pytest.mark.parametrize(
    "view",
    [Rows(MapRef("rollout", keys="a/b"), (1, 2)), Zoom(MapRef("relevance"), (0, 4), (1, 2)),
     ModalitySums(MapRef("rollout"), "to"), ModalitySums(MapRef("attention", 2, 1), "from")],
    ids=str,
)  # fmt: skip
def test_views_of_flows_go_over_the_wire(view: Any) -> None:
    assert view_from_bytes(view_to_bytes(view)) == view


def test_views_show_the_sample_of_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several rows the one of the best answer is shown, by its map and by its views."""
    own = long_reader.make()
    streams = long_reader.streams(Sample(text="a"))
    rows = {name: [tokens, tokens] for name, tokens in streams.items()}
    model = mmviz.CustomModel(
        own.module, lambda sample: (long_reader.inputs(2), rows), ["a", "b"], logits=lambda out: out[:, 0],
        streams={"tower.*": "tower", "decoder.*": "decoder"},
    )  # fmt: skip
    with torch.no_grad(), mmviz.capture(own.module) as result:
        row = int(own.module(*long_reader.inputs(2))[:, 0].argmax())
    run = run_sample(Sample(text="a"), model="rows", backend=LocalBackend("cpu", {"rows": model}))
    shown = run.view(Rows(run.record.map_ref(3, 0), (9,)))
    expected = [result.view(3, batch=k).rows([9], 0) for k in range(2)]
    assert row == 1 and np.abs(expected[0] - expected[1]).max() > 1e-4
    assert np.abs(shown - expected[1]).max() < TOLERANCE


def test_threads_that_started_do_not_wait_for_one_that_the_system_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def refuse_the_third(self: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(self)
        start(self)

    threads = torch.get_num_threads()
    monkeypatch.setattr(threading.Thread, "start", refuse_the_third)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        parallel_map._pool.__wrapped__(4)
    for thread in started:
        thread.join(20)
        assert not thread.is_alive()
    monkeypatch.undo()
    torch.set_num_threads(threads)
    assert parallel_map.thread_map(lambda k: k * k, 5) == [0, 1, 4, 9, 16]
