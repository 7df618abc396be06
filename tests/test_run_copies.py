"""Runs are pickled, copied and sent between processes without their backend; every noun has a short ``repr``."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

import mmviz
from mmviz.backends.local import LocalBackend
from mmviz.types import CaptureError, DropTokens, MapRef, MmvizError, Notice, Request, Rows, Sample

pytestmark = pytest.mark.slow

LONGEST = 300


@pytest.fixture(scope="module")
def run(backend: LocalBackend, sample: Sample) -> mmviz.Run:
    request = Request("trio", sample, relevance=True, norms=True, steps=True)
    (record,) = backend.run([request])
    return mmviz.Run(sample, record, backend, request)


@pytest.fixture(scope="module")
def long_run() -> mmviz.Run:
    """A run whose record holds the overview alone."""
    from long_model import make

    backend = LocalBackend("cpu", {"long": make()})
    request = Request("long", mmviz.make_sample(text="a " * 600))
    (record,) = backend.run([request])
    assert record.is_long
    return mmviz.Run(request.sample, record, backend, request)


def explained_elsewhere(text: str) -> mmviz.Run:
    return mmviz.explain(text=text)


def shown_elsewhere(run: mmviz.Run) -> tuple[list[float], int, bytes, mmviz.Run]:
    return run.attention().tolist(), len(run.to_html()), run.png()[:4], run


def test_a_pickle_of_a_run_holds_its_record_and_leaves_the_backend_behind(run: mmviz.Run) -> None:
    loaded = pickle.loads(pickle.dumps(run))
    assert (loaded.sample, loaded.record, loaded.request) == (run.sample, run.record, run.request)
    assert loaded.backend is None and loaded.request.sample is loaded.sample
    assert np.array_equal(loaded.attention(MapRef("relevance")), run.attention(MapRef("relevance")))
    assert loaded.effect(backend=run.backend) == run.effect(), "its request makes it again"


def test_a_copy_of_a_run_keeps_the_backend(run: mmviz.Run, long_run: mmviz.Run) -> None:
    for copied in (copy.copy(run), copy.deepcopy(run), copy.deepcopy({"run": run})["run"]):
        assert copied == run and copied is not run and copied.backend is run.backend
    assert copy.deepcopy(run).record is not run.record
    view = Rows(long_run.record.map_ref(0, 0), (3,))
    assert np.array_equal(copy.deepcopy(long_run).view(view), long_run.view(view))


@pytest.mark.long
def test_a_run_crosses_to_a_spawned_process_and_back(run: mmviz.Run) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        shown = pool.submit(shown_elsewhere, run).result(200)
        explained = pool.submit(explained_elsewhere, "is there a dog").result(200)
    assert np.allclose(shown[0], run.attention()) and shown[1] > 100_000 and shown[2] == b"\x89PNG"
    assert shown[3].record == run.record and shown[3].sample == run.sample
    assert explained.backend is None and explained.record.maps == mmviz.explain(text="is there a dog").record.maps


def test_what_needs_the_backend_says_that_the_run_must_be_made_again(long_run: mmviz.Run) -> None:
    loaded = pickle.loads(pickle.dumps(long_run))
    assert not loaded.is_exact and np.array_equal(loaded.pooled_attention(), long_run.pooled_attention())
    assert loaded.modality_matrix().sums.tolist() == long_run.modality_matrix().sums.tolist()
    with pytest.raises(MmvizError) as error:
        loaded.attention()
    assert error.value.code == "view-gone" and "Run it again" in str(error.value)
    with pytest.raises(MmvizError) as error:  # a model of one's own, which this machine does not list
        loaded.effect()
    assert error.value.code == "effect-model" and "Run it again" in str(error.value)


def test_a_backend_and_a_capture_say_that_they_belong_to_their_process(backend: LocalBackend) -> None:
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    with torch.no_grad(), mmviz.capture(layer) as result:
        layer(torch.randn(1, 4, 8))
    record = result.record()
    assert pickle.loads(pickle.dumps(record)) == record == copy.deepcopy(record)
    with pytest.raises(MmvizError) as error:
        pickle.dumps(backend)
    assert error.value.code == "backend-pickle"
    for duplicate in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(CaptureError) as capture_error:
            duplicate(result)
        assert capture_error.value.code == "capture-pickle" and "result.record()" in str(capture_error.value)


def test_a_repr_tells_what_there_is_and_prints_no_array(run: mmviz.Run, long_run: mmviz.Run) -> None:
    record, answer = run.record, run.record.answers[0]
    texts = {
        "run": (run, ["'trio'", f"{answer.label!r} {answer.probability:.2f}", "130 x 90", "1.25 s", "maps=6"]),
        "sample": (run.sample, ["image=130 x 90", "text='Is there a dog in the picture?'", "audio=1.25 s"]),
        "record": (record, ["'trio'", repr(answer.label), "maps=6", f"'tokens': {len(run.tokens)}", "steps=6"]),
        "image": (run.sample.image, ["uint8[90, 130, 3]"]),
        "audio": (run.sample.audio, ["float32[20000]", "16000", "1.25"]),
        "map": (record.maps[0], ["blocks.0.attention", f"float32[4, {len(run.tokens)}, {len(run.tokens)}]"]),
        "pooled map": (long_run.record.maps[0], ["heads=", f"keys={len(long_run.tokens)}"]),
        "steps": (record.steps[0], ["heads=4", f"keys={len(run.tokens)}", "to_query"]),
        "request": (run.request, ["'trio'", "130 x 90", "relevance=True"]),
        "tokens": (run.tokens, [f"{len(run.tokens)} tokens", "image=144"]),
        "streams": (record.streams, ["image=144"]),
        "card": (LocalBackend("cpu").models()[0], ["'trio'", "202 in all"]),
    }
    for name, (value, expected) in texts.items():
        text = repr(value)
        assert all(part in text for part in expected), f"{name}: {text}"
        assert len(text) <= LONGEST and "array(" not in text and "\n" not in text, f"{name}: {text}"


def test_a_repr_stays_short_whatever_a_noun_holds(run: mmviz.Run) -> None:
    many = tuple(DropTokens(tuple(range(500))) for _ in range(500))
    sample = Sample(text="very long " * 500, notices=(Notice("text-cut", {"limit": 3}),) * 50)
    values: list[Any] = [
        sample,
        Request("m" * 500, sample, many, sweep=(many,) * 50),
        Notice("own-raised", {f"name {k}": "long " * 100 for k in range(50)}),
        mmviz.Token(mmviz.Modality.TEXT, "w" * 5_000),
        mmviz.AttentionMap("path." * 500, 0, "queries", "keys", np.ones((1, 1, 1), np.float32)),
        mmviz.Run(sample, run.record),
    ]
    for value in values:
        assert len(repr(value)) <= LONGEST
    assert eval(repr(MapRef("attention", 3, 1))) == MapRef("attention", 3, 1), "a short noun is written in full"
    assert type(run.tokens[3:]) is tuple and run.tokens == tuple(run.tokens)
