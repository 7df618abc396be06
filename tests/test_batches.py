"""Samples that share a call: each has the record of a run by itself, and none fails or stops another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from processes import wait_until
from same_notices import assert_same_notices
from serving import SlowBackend, running_service
from torch import Tensor, nn

from mmviz.backends import wire
from mmviz.backends.local import LocalBackend
from mmviz.backends.local.padding import without_padding
from mmviz.backends.local.torch_global_state import isolated_run
from mmviz.backends.ray import Replica
from mmviz.backends.remote import RemoteBackend
from mmviz.backends.run_queue import RunQueue, outcomes
from mmviz.inputs import make_sample
from mmviz.models import CATALOGUE
from mmviz.models.custom import CustomModel
from mmviz.types import (
    AblateHead,
    AttentionMap,
    AttentionRecord,
    Chars,
    DropModality,
    DropTokens,
    MmvizError,
    Modality,
    ReplaceInput,
    Request,
    Sample,
    ShuffleWeights,
    StreamLink,
    Token,
    UniformAttention,
)

pytestmark = pytest.mark.slow

IMAGE, TEXT, AUDIO = Modality.IMAGE, Modality.TEXT, Modality.AUDIO
LIMIT = 1e-6
SHARP = 5e-6
"""For attention with scores of some tens, as that of the compared fusions: float32 keeps seven digits of a score."""
QUESTIONS = ("a", "Is there a dog?", "What is left of the thing that you hear, in the picture?")


def samples() -> list[Sample]:
    """Seven samples that differ in the lengths of text and sound, and in the modalities that they have."""
    rng = np.random.default_rng(3)
    whole = [
        make_sample(
            image=rng.integers(0, 255, (40 + 30 * k, 90, 3), dtype=np.uint8), text=QUESTIONS[k],
            audio=((rng.standard_normal(6_000 + 16_000 * k) * 0.1).astype(np.float32), 16_000),
        )
        for k in range(3)
    ]  # fmt: skip
    first, second, third = whole
    without = [replace(second, audio=None), replace(third, image=None), replace(second, text=None)]
    return [*whole, *without, replace(first, image=None, audio=None)]


def assert_equal(record: AttentionRecord, alone: AttentionRecord, limit: float = LIMIT) -> None:
    """Checks a record against that of a run by itself: weights and relevance to ``limit``, other numbers to `LIMIT`."""
    assert record.streams == alone.streams
    assert_same_notices(record, alone, LIMIT)
    assert [answer.index for answer in record.answers[:1]] == [answer.index for answer in alone.answers[:1]]
    for attn_map, other in zip(record.maps, alone.maps, strict=True):
        assert_close(attn_map.weights, other.weights, limit)
        names = ("name", "layer", "queries", "keys", "stack", "absorbed_by", "windows", "keys_state", "dtype")
        assert [getattr(attn_map, name) for name in names] == [getattr(other, name) for name in names]
    for norms, other_norms in zip(record.norms, alone.norms, strict=True):
        assert_close(norms, other_norms, relative=LIMIT)
    assert (record.relevance is None) == (alone.relevance is None)
    if record.relevance is not None and alone.relevance is not None:
        assert_close(record.relevance, alone.relevance, limit)
    assert record.relevance_to.keys() == alone.relevance_to.keys() and record.links == alone.links
    for name, rows in record.relevance_to.items():
        assert_close(rows, alone.relevance_to[name], limit)
    assert_close(*(_by_index(some, [answer.probability for answer in some.answers]) for some in (record, alone)))
    assert (record.sweep is None) == (alone.sweep is None)
    if record.sweep is not None and alone.sweep is not None:
        assert_close(*(_by_index(some, np.exp(np.asarray(some.sweep))) for some in (record, alone)), limit=2 * LIMIT)
    same = ("model", "weights", "trained", "map_ref", "changes", "device", "dtype", "seed", "routes", "answer_token")
    assert [record.made_by.get(name) for name in same] == [alone.made_by.get(name) for name in same]
    assert record.id != alone.id


def assert_close(values: Any, expected: Any, limit: float = LIMIT, relative: float = 0) -> None:
    assert values.shape == expected.shape
    assert np.abs(values - expected).max(initial=0) <= limit + relative * np.abs(expected).max(initial=0)


def _by_index(record: AttentionRecord, values: Any) -> Any:
    return np.asarray(values)[..., np.argsort([answer.index or 0 for answer in record.answers])]


def shared(record: AttentionRecord) -> int:
    """Returns with how many samples the run shared its call, itself included."""
    return int(record.made_by.get("batch_size", 1))


@pytest.mark.parametrize(
    "model", ["trio", "toy", *(pytest.param(m, marks=pytest.mark.long) for m in CATALOGUE if m not in ("trio", "toy"))]
)
@pytest.mark.parametrize("maps", [True, pytest.param(False, marks=pytest.mark.long)])
def test_each_sample_of_a_batch_has_the_record_of_a_run_by_itself(
    backend: LocalBackend, model: str, maps: bool
) -> None:
    given = [Sample(text=text) for text in QUESTIONS] if model == "toy" else samples()
    requests = [Request(model, sample, maps=maps, relevance=maps, norms=maps) for sample in given]
    records = backend.run(requests)
    for request, record in zip(requests, records, strict=True):
        assert_equal(record, backend.run([request])[0])
    if model in ("trio", "trio-reduced"):
        assert [shared(record) for record in records] == [5] * 4 + [1, 5, 1], "two are too short to be rounded as alone"


def test_long_samples_share_a_call_with_those_of_their_length(backend: LocalBackend) -> None:
    """Above 192 tokens, a CPU rounds by the length."""
    first, second, third = samples()[:3]
    noise = (np.random.default_rng(4).standard_normal(64_000) * 0.1).astype(np.float32)
    long, longest = (make_sample(audio=(noise[:length], 16_000)).audio for length in (60_000, 64_000))
    given = [
        third, replace(third, audio=long), replace(third, audio=longest),
        replace(third, image=first.image, audio=longest), second,
    ]  # fmt: skip
    requests = [Request("trio", sample) for sample in given]
    records = backend.run(requests)
    assert [shared(record) for record in records] == [2, 1, 2, 2, 2]
    for request, record in zip(requests, records, strict=True):
        assert_equal(record, backend.run([request])[0])


@pytest.mark.parametrize("model", [name for name in CATALOGUE if name not in ("trio", "trio-reduced", "toy")])
def test_samples_of_a_compared_fusion_share_a_call(backend: LocalBackend, model: str) -> None:
    first, second, third = samples()[:3]
    noise = (np.random.default_rng(4).standard_normal(64_000) * 0.1).astype(np.float32)
    sounds = [make_sample(audio=(noise[:length], 16_000)).audio for length in (61_000, 62_500, 64_000)]
    given = [
        replace(second, image=image, audio=sound, text=QUESTIONS[2])
        for image, sound in zip((first.image, second.image, third.image), sounds, strict=True)
    ]
    requests = [Request(model, sample, relevance=True) for sample in given]
    records = backend.run(requests)
    assert len({len(record.streams["audio"]) for record in records}) == 3
    assert [shared(record) for record in records] == [3, 3, 3]
    for request, record in zip(requests, records, strict=True):
        assert_equal(record, backend.run([request])[0], SHARP)


CHANGES = {
    "input": (ReplaceInput(TEXT, "mean", (Chars(0, 2),)), DropTokens((1,))),
    "without": (DropModality(AUDIO),),
    "heads": (AblateHead(0, 1), AblateHead(3, 0)),
    "shuffled": (ShuffleWeights(3),),
    "uniform": (UniformAttention(),),
}


@pytest.mark.parametrize("changes", CHANGES)
def test_changes_hold_in_a_batch(backend: LocalBackend, changes: str) -> None:
    requests = [Request("trio", sample, CHANGES[changes]) for sample in samples()[:2]]
    records = backend.run(requests)
    assert {shared(record) for record in records} == {2}
    for request, record in zip(requests, records, strict=True):
        assert_equal(record, backend.run([request])[0])


def test_variants_of_several_samples_share_calls(backend: LocalBackend) -> None:
    subsets = ((), (DropModality(IMAGE),), (DropModality(TEXT), DropModality(AUDIO)), (AblateHead(1, 1),))
    requests = [
        Request("trio", sample, maps=False, sweep=subsets[: 1 + k]) for k, sample in enumerate(samples()[:4])
    ]  # fmt: skip
    calls: list[int] = []
    module = backend._models["trio"].module
    handle = module.register_forward_hook(lambda _, __, output: calls.append(len(output.logits)))
    try:
        records = backend.run(requests)
    finally:
        handle.remove()
    assert calls == [4, 1 + 2 + 3 + 4], "the samples, and all variants of all of them"
    for request, record in zip(requests, records, strict=True):
        assert_equal(record, backend.run([request])[0])


def test_requests_with_other_settings_do_not_share_a_call(backend: LocalBackend) -> None:
    sample = samples()[0]
    first = Request("trio", sample)
    others = [
        replace(first, model="trio-reduced"), replace(first, seed=1), replace(first, maps=False),
        replace(first, relevance=True), replace(first, changes=(ShuffleWeights(1),)),
        replace(first, changes=(UniformAttention(),)), replace(first, changes=(AblateHead(0, 0),)),
    ]  # fmt: skip
    assert backend.call_settings(first) == backend.call_settings(replace(first, changes=(DropModality(IMAGE),)))
    assert all(backend.call_settings(other) not in (None, backend.call_settings(first)) for other in others)
    alone = [
        replace(first, integrated=True), replace(first, steps=True), replace(first, model="toy"),
        replace(first, towers=True), replace(first, changes=(AblateHead(6, 0),)),
    ]  # fmt: skip
    assert [backend.call_settings(request) for request in alone] == [None] * 5
    without_maps = replace(first, maps=False)
    assert backend.call_settings(replace(without_maps, towers=True)) == backend.call_settings(without_maps)
    assert backend.call_settings(replace(first, model="nonsense")) is None


def test_a_sample_that_fails_does_not_fail_the_others(backend: LocalBackend) -> None:
    good, bad = Request("trio", samples()[0]), Request("trio", samples()[1], (DropTokens((9_999,)),))
    reports: list[tuple[int, int]] = []
    with pytest.raises(MmvizError) as error:
        backend.run([good, bad, good], lambda *report: reports.append(report))
    assert error.value.code == "view-tokens" and reports == [(1, 3)], "as without sharing"
    first, problem, third = outcomes(backend, [good, bad, good], [lambda: False] * 3)
    assert isinstance(problem, MmvizError) and problem.code == "view-tokens"
    assert isinstance(first, AttentionRecord) and isinstance(third, AttentionRecord)
    assert shared(first) == shared(third) == 2


def test_a_call_that_fails_is_made_for_each_sample_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    own = LocalBackend("cpu")
    model = own._models["trio"]
    for problem in (RuntimeError("no batches"), torch.OutOfMemoryError("too many"), SystemExit(3)):

        def fail(tensors: Any, rows: int, problem: BaseException = problem) -> None:
            raise problem

        monkeypatch.setattr(model, "batch_output", fail, raising=False)
        records = own.run([Request("trio", sample, maps=False) for sample in samples()[:2]])
        assert [shared(record) for record in records] == [1, 1]
    assert own.most_samples == 1, "half of the samples that were too many for the memory"


def test_a_stop_ends_the_batch_between_records(backend: LocalBackend) -> None:
    requests = [Request("trio", sample, maps=False) for sample in samples()[:4]]
    done: list[tuple[int, int]] = []
    records = backend.run(requests, lambda *report: done.append(report), lambda: len(done) == 2)
    assert len(records) == 2 and done == [(1, 4), (2, 4)]


class Reader(nn.Module):
    """Reads vectors ``[row, token, 8]``; the answer is scored from the first state."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
        self.head = nn.Linear(8, 2)

    def forward(self, given: Tensor) -> Tensor:
        self.rows = len(given)
        logits: Tensor = self.head(self.layers(given)[:, 0])
        return logits


def reader(batches: bool) -> CustomModel:
    def prepare(sample: Sample) -> tuple[Tensor, list[str]]:
        text = sample.text or ""
        return torch.nn.functional.one_hot(torch.tensor([[ord(c) % 8 for c in text]]), 8).float(), list(text)

    return CustomModel(Reader(), prepare, ["a", "b"], batches=batches)


@pytest.mark.parametrize("batches", [True, False])
def test_a_custom_model_runs_samples_of_one_shape_together_if_it_says_so(batches: bool) -> None:
    own = LocalBackend("cpu", {"own": reader(batches)})
    texts = ("abcdefabcdef", "ghi", "fedcbafedcba", "aaaaaaaaaaaa", "jkl", "m")
    requests = [Request("own", Sample(text=text), relevance=True) for text in texts]
    records = own.run(requests)
    # fewer than twelve tokens are rounded by the number of rows
    assert [shared(record) for record in records] == ([3, 1, 3, 3, 1, 1] if batches else [1] * 6)
    for request, record in zip(requests, records, strict=True):
        assert_equal(record, own.run([request])[0])


class SharingBackend(SlowBackend):
    """A slow backend whose requests share calls by their seeds; a request with the text "bad" fails."""

    most_samples = 3

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[str | None]] = []

    def call_settings(self, request: Request) -> int | None:
        return request.seed or None

    def outcomes(self, requests: Sequence[Request], stops: Sequence[Callable[[], bool]]) -> Any:
        self.calls.append([request.sample.text for request in requests])
        for request, stop in zip(requests, stops, strict=True):
            if request.sample.text == "bad":
                yield MmvizError("view-gone")
            else:
                yield next(iter(self.run([request], stop=stop)), None)


def test_the_queue_runs_together_what_waits_and_can_share_a_call() -> None:
    backend = SharingBackend()
    queue = RunQueue(backend, 1)
    try:
        first = queue.submit(Request("slow", Sample(text="first")), lambda: False)
        wait_until(lambda: backend.started == 1, "the first run did not start")
        waiting = {
            text: queue.submit(Request("slow", Sample(text=text), seed=seed), lambda: False)
            for text, seed in (("a", 1), ("b", 2), ("bad", 1), ("c", 1), ("d", 1), ("gone", 2), ("e", 2))
        }
        assert waiting["gone"].cancel()
        backend.release.set()
        answers = {text: future.result(20) for text, future in waiting.items() if text not in ("bad", "gone")}
        assert {text: record and record.answers[0].label for text, record in answers.items()} == {
            text: text for text in answers
        }
        with pytest.raises(MmvizError):
            waiting["bad"].result(20)
        assert backend.calls == [["first"], ["a", "bad", "c"], ["b", "e"], ["d"]]
        record = first.result(20)
        assert record is not None and record.made_by["milliseconds"]["queue"] >= 0
    finally:
        queue.close()


def test_a_queue_that_closes_finishes_what_runs_and_cancels_what_waits() -> None:
    backend = SharingBackend()
    queue = RunQueue(backend, 1)
    running = queue.submit(Request("slow", Sample(text="runs"), seed=1), lambda: False)
    wait_until(lambda: backend.started == 1, "the run did not start")
    waiting = queue.submit(Request("slow", Sample(text="waits"), seed=1), lambda: False)
    threading.Timer(0.1, backend.release.set).start()
    queue.close()
    assert running.result(0) is not None and waiting.cancelled() and backend.started == 1


def test_clients_of_a_service_share_calls_and_get_their_own_records(backend: LocalBackend) -> None:
    requests = [Request("trio", sample) for sample in samples()[:3]]
    alone = [backend.run([request])[0] for request in requests]
    with running_service(backend) as url, ThreadPoolExecutor(6) as pool:
        with isolated_run("cpu"):  # so that all of them wait before the first run begins
            futures = [pool.submit(RemoteBackend(url, deadline=60).run, [request]) for request in requests * 3]
            wait_until(lambda: pool._work_queue.qsize() == 3, "the clients did not start")
        records = [future.result(60)[0] for future in futures]
    assert max(map(shared, records)) > 1
    for expected, record in zip(alone * 3, records, strict=True):
        assert record.streams == expected.streams
        assert_close(record.maps[-1].weights, expected.maps[-1].weights)


def test_the_requests_of_a_replica_share_a_call_and_one_that_cannot_be_read_fails_alone(
    backend: LocalBackend,
) -> None:
    replica = Replica(None)
    bodies = [wire.request_to_bytes(Request("trio", sample)) for sample in samples()[:3]]
    results = replica._run([*bodies[:2], b"no npz", bodies[2]])
    assert [succeeded for succeeded, _, _ in results] == [True, True, False, True]
    records = [wire.record_from_bytes(data) for succeeded, data, _ in results if succeeded]
    assert [shared(record) for record in records] == [3] * 3
    alone = [backend.run([Request("trio", sample, maps=False)])[0] for sample in samples()[:3]]
    assert [record.streams for record in records] == [record.streams for record in alone]


def test_padding_is_taken_out_of_maps_streams_and_links() -> None:
    tokens = tuple(Token(TEXT, label) for label in "abc")
    weights = np.array([[[0.5, 0, 0.5], [0, 0, 1], [1, 0, 0]]], np.float32)
    link = StreamLink("x", "y", 0, np.array([0, 1, 2]), np.array([2, 1, 0]), np.array([1.0, 0.5, 0.25], np.float32))
    maps = (AttentionMap("m", 0, "x", "x", weights), AttentionMap("n", 0, "x", "y", weights))
    record = AttentionRecord(
        "r", {"x": tokens, "y": tokens}, maps, (), {}, links=(link,),
        relevance=np.arange(9, dtype=np.float32).reshape(3, 3),
    )  # fmt: skip
    own = without_padding(record, {"x": [0, 2]})
    assert [token.label for token in own.streams["x"]] == ["a", "c"] and own.streams["y"] == record.streams["y"]
    assert own.maps[0].weights.tolist() == [[[0.5, 0.5], [1, 0]]]
    assert own.maps[1].weights.tolist() == [[[0.5, 0, 0.5], [1, 0, 0]]]
    assert own.relevance is not None and own.relevance.tolist() == [[0, 1, 2], [6, 7, 8]]
    assert own.links is not None
    (kept,) = own.links
    assert (kept.tokens.tolist(), kept.source_tokens.tolist(), kept.shares.tolist()) == ([0, 1], [2, 0], [1, 0.25])
