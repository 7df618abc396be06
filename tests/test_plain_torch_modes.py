"""What the caller has set in torch around mmviz changes no result, and stands afterwards as it stood before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
import torch

import mmviz
from mmviz.backends.local import LocalBackend
from mmviz.types import AttentionRecord, CaptureError, MapRef, PooledMap, Request, Rows, Sample, ShuffleWeights

pytestmark = pytest.mark.slow


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "no_grad": torch.no_grad,
    "set_grad_enabled": lambda: torch.set_grad_enabled(False),
    "inference_mode": torch.inference_mode,
    "float64": lambda: default_dtype(torch.float64),
    "float16": lambda: default_dtype(torch.float16),
    "meta context": lambda: torch.device("meta"),
    "meta default": lambda: default_device("meta"),
    "cpu default": lambda: default_device("cpu"),
    "deterministic": deterministic,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


def state() -> tuple[Any, ...]:
    return (
        torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype(),
        torch.get_default_device(), torch.is_autocast_enabled("cpu"), torch.are_deterministic_algorithms_enabled(),
    )  # fmt: skip


PATH_MODES = ("inference_mode", "float64", "float16")
"""The modes under which integrated gradients, which take many passes, are computed too."""


def requests(sample: Sample, integrated: bool = True) -> list[Request]:
    words = Sample(text=sample.text, audio=sample.audio)  # as each pass over a picture takes long
    return [
        Request("trio", sample, relevance=True, norms=True, steps=True),
        Request("trio", words, integrated=integrated),
        Request("trio", words, (ShuffleWeights(3),), maps=False),
    ]


@pytest.fixture(scope="module")
def expected(backend: LocalBackend, sample: Sample) -> tuple[AttentionRecord, ...]:
    return backend.run(requests(sample))


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in ("set_grad_enabled", "cpu default")])
def test_every_mode_gives_the_same_record(
    mode: str, backend: LocalBackend, sample: Sample, expected: tuple[AttentionRecord, ...]
) -> None:
    with MODES[mode]():
        before = state()
        records = backend.run(requests(sample, mode in PATH_MODES))
        assert state() == before
    for record, reference in zip(records, expected, strict=True):
        assert (record.maps, record.answers, record.steps) == (reference.maps, reference.answers, reference.steps)
        tolerances = {"relevance": 0.0}
        if mode in PATH_MODES:  # captum keeps the steps of its path in the default dtype
            tolerances["integrated"] = 1e-3 if mode == "float16" else 0.0
        for name, tolerance in tolerances.items():
            array, wanted = getattr(record, name), getattr(reference, name)
            assert (array is None) == (wanted is None), name
            assert array is None or np.allclose(array, wanted, rtol=0, atol=tolerance), name


def test_relevance_is_explained_with_gradients_off() -> None:
    expected = mmviz.explain(text="is there a dog", relevance=True).record.relevance
    assert expected is not None and np.abs(expected).max() > 0
    for mode in ("no_grad", "set_grad_enabled", "inference_mode"):
        with MODES[mode]():
            run = mmviz.explain(text="is there a dog", relevance=True)
        assert run.record.relevance is not None and np.array_equal(run.record.relevance, expected)


@pytest.mark.parametrize("mode", ["inference_mode", "meta context", "float64", "autocast"])
def test_a_model_that_is_loaded_under_a_mode_runs_without_it(mode: str, expected: tuple[AttentionRecord, ...]) -> None:
    backend = LocalBackend("cpu")
    with MODES[mode]():
        cards = backend.models()
    run = mmviz.explain(text="is there a dog", relevance=True, backend=backend)
    assert run.record.relevance is not None and cards[0].weights_digest == expected[0].made_by["weights"]


@pytest.fixture(scope="module", params=[20, 700], ids=["short", "long"])
def captured(request: pytest.FixtureRequest) -> tuple[torch.nn.Module, torch.Tensor, Any, torch.Tensor]:
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    x = torch.randn(1, request.param, 16)
    with mmviz.capture(layer) as result:
        out = layer(x)
    return layer, x, result, out.sum()


def first_map(record: AttentionRecord) -> np.ndarray:
    attn_map = record.maps[0]
    return attn_map.overview if isinstance(attn_map, PooledMap) else attn_map.weights


READINGS: dict[str, Callable[[Any, torch.Tensor], Any]] = {
    "record": lambda result, _: first_map(result.record()),
    "rows": lambda result, _: result.view(0).rows([1, 3]),
    "columns": lambda result, _: result.view(0).columns([1, 3], head=1),
    "zoom": lambda result, _: result.view(0).zoom([0, 5, 9], [0, 4, 8]),
    "rollout": lambda result, _: result.rollout([1]),
    "rollout to": lambda result, _: result.rollout([1], "to"),
    "relevance": lambda result, logit: result.relevance(logit, [1]),
}


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("mode", MODES)
def test_a_capture_is_read_the_same_under_every_mode(mode: str, reading: str, captured: tuple[Any, ...]) -> None:
    _, _, result, logit = captured
    expected = READINGS[reading](result, logit)
    with MODES[mode]():
        before = state()
        values = READINGS[reading](result, logit)
        assert state() == before
    assert values.dtype == np.float32 and np.array_equal(values, expected)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "autocast"])
def test_a_capture_within_a_mode_has_the_same_maps(mode: str, captured: tuple[Any, ...]) -> None:
    layer, x, result, logit = captured
    with MODES[mode](), mmviz.capture(layer) as again:
        layer(x)
    assert np.array_equal(READINGS["record"](again, logit), READINGS["record"](result, logit))


def test_relevance_of_a_model_that_ran_without_gradients_is_refused_in_a_sentence(captured: tuple[Any, ...]) -> None:
    layer, x, _, _ = captured
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), mmviz.capture(layer) as result:
            logit = layer(x).sum()
        with pytest.raises(CaptureError) as error:
            result.relevance(logit, [1])
        assert error.value.code == "relevance-graph" and "torch.no_grad" in str(error.value)


class _DeviceOfTheCaller(torch.nn.Module):
    """A module of one's own that makes tensors on the default device, as its author's machine has one set."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = torch.nn.Linear(8, 2)
        self.seen_dtypes: set[torch.dtype] = set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.layer(x)
        self.seen_dtypes.add((hidden @ torch.ones(8, 8, device=x.device)).dtype)
        return self.head(hidden).mean(1)[0]


def test_a_custom_model_keeps_autocast_and_loses_inference_mode() -> None:
    module = _DeviceOfTheCaller()
    model = mmviz.CustomModel(module, lambda sample: ((torch.randn(1, 3, 8),), ["a", "b", "c"]), ["yes", "no"])
    backend = LocalBackend("cpu", {"own": model})
    request = Request("own", mmviz.make_sample(text="a b c"), relevance=True)
    with torch.inference_mode():
        (record,) = backend.run([request])
    assert record.relevance is not None and module.seen_dtypes == {torch.float32}
    with torch.autocast("cpu", torch.bfloat16):
        (record,) = backend.run([request])
    assert torch.bfloat16 in module.seen_dtypes and record.made_by["dtype"] == "bfloat16"


def test_the_view_of_a_long_run_is_the_same_in_inference_mode() -> None:
    from long_reader import make

    backend = LocalBackend("cpu", {"long": make()})
    (record,) = backend.run([Request("long", mmviz.make_sample(text="a"))])
    assert record.is_long
    for view in (Rows(record.map_ref(0), (5,)), Rows(MapRef("rollout"), (5,))):
        expected = backend.view(record.id, view)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
            assert np.array_equal(backend.view(record.id, view), expected)
