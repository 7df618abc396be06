"""The cache of long records: its bounds in bytes and age, and the views that a backend answers from it."""

from __future__ import annotations

import base64
import gc
import weakref
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from planted import HEADS, KINDS, Planted, expected, kinds
from torch import Tensor, nn

from mmviz.backends.local import LocalBackend, remembered_sites
from mmviz.backends.local.capture_cache import RetainedCaptures
from mmviz.explain import Run, run_sample
from mmviz.models import Prepared
from mmviz.report import ViewerData
from mmviz.types import Card, Columns, MapRef, MmvizError, Modality, PooledMap, Rows, Sample, Token, View, Zoom
from mmviz.viewer.binary_format import decode


class Entry:
    """An entry of a given size."""

    def __init__(self, nbytes: int):
        self.nbytes = nbytes

    def view(self, view: View) -> NDArray[np.float32]:
        raise NotImplementedError


def kept(cache: RetainedCaptures, names: str) -> str:
    """Returns those of the names that the cache still has."""
    result = ""
    for name in names:
        try:
            cache.get(name)
        except MmvizError as error:
            assert error.code == "view-gone"
        else:
            result += name
    return result


def test_the_least_recently_used_entry_is_dropped_and_the_newest_stays() -> None:
    cache = RetainedCaptures(max_bytes=100)
    for name in "abc":
        cache.put(name, Entry(40))
    assert kept(cache, "abc") == "bc"
    cache.get("b")
    cache.put("d", Entry(40))
    assert kept(cache, "bcd") == "bd"
    cache.put("e", Entry(1000))
    assert kept(cache, "bde") == "e"


def test_an_entry_that_is_not_used_is_dropped_after_a_while() -> None:
    now = [0.0]
    cache = RetainedCaptures(max_age=10, clock=lambda: now[0])
    for name in "ab":
        cache.put(name, Entry(1))
    now[0] = 9
    cache.get("a")
    now[0] = 12
    assert kept(cache, "ab") == "a"


class LongModel:
    """`Planted` as a model, over the words of the text."""

    capture_targets = None

    def __init__(self) -> None:
        self.module = Planted()
        self.card = Card("long", "long", "", trained=False, answers=("yes", "no"), weights_digest="none")

    def prepare(self, sample: Sample) -> Prepared:
        count = len((sample.text or "").split())
        tokens = tuple(Token(Modality.TEXT, str(k)) for k in range(count))
        return Prepared(kinds(count)[None], {"words": tokens})

    def __call__(self, tensors: Tensor) -> Tensor:
        output: Tensor = self.module(tensors)
        return output.mean((0, 1, 2))[:2]


@pytest.fixture(scope="module")
def backend() -> LocalBackend:
    torch.manual_seed(0)
    return LocalBackend("cpu", {"long": LongModel()})


def test_views_of_a_long_record_are_exact_while_it_is_cached(backend: LocalBackend) -> None:
    run = run_sample(Sample(text="word " * 700), model="long", backend=backend, relevance=True)
    assert run.record.is_long and isinstance(run.record.maps[0], PooledMap) and run.record.relevance is None
    truth = expected(kinds(700))
    assert np.abs(run.view(Rows(MapRef("attention", 0, 1), (3, 650))) - truth[1][[3, 650]]).max() < 1e-6
    assert np.abs(run.view(Columns(MapRef("attention", 0, None), (4,))) - truth[:, :, [4]].mean(0)).max() < 1e-6
    window = run.view(Zoom(MapRef("attention", 0, 0), tuple(range(600, 620)), tuple(range(10, 30))))
    assert np.abs(window - truth[0][600:619, 10:29]).max() < 1e-6
    rolled = (truth.mean(0) + np.eye(700)) / 2
    assert np.abs(run.view(Rows(MapRef("rollout"), (5,))) - rolled[[5]]).max() < 1e-6
    assert np.abs(run.view(Columns(MapRef("rollout"), (5,))) - rolled[:, [5]]).max() < 1e-6
    backend._cache = RetainedCaptures()
    with pytest.raises(MmvizError) as error:
        run.view(Rows(MapRef("attention", 0, 1), (3,)))
    assert error.value.code == "view-gone"


def test_a_document_holds_the_flow_of_a_long_run_that_it_opens_on(backend: LocalBackend) -> None:
    data = ViewerData(run_sample(Sample(text="word " * 600), model="long", backend=backend))
    view = data.initial_view | {"map": "rollout", "tokens": [3]}
    assert "overview/rollout" not in decode(data.to_bytes(view))[1]
    packed = data.to_html(view=view).split('id="mmviz-data">')[1].split("<")[0]
    assert {"overview/rollout", "row/rollout/from/3"} <= {*decode(zlib.decompress(base64.b64decode(packed)))[1]}


def test_forgotten_inputs_leave_the_caches_and_the_long_runs_of_others_stay(backend: LocalBackend) -> None:
    run_sample(Sample(text="word " * 40), model="long", backend=backend)
    forgotten, kept = (run_sample(Sample(text="word " * n), model="long", backend=backend) for n in (600, 650))
    module = backend._models["long"].module
    assert remembered_sites._SITES[module], "the tokens of the short run are remembered"
    backend.forget_inputs((forgotten.record.id, "unknown"))
    assert module not in remembered_sites._SITES
    assert not forgotten.is_exact and kept.is_exact


def test_a_short_record_answers_the_same_views_without_the_cache(backend: LocalBackend) -> None:
    run = run_sample(Sample(text="word " * 40), model="long", backend=backend)
    truth = expected(kinds(40))
    backend._cache = RetainedCaptures()
    assert run.record.maps[0].weights.shape == (HEADS, 40, 40) and KINDS == 4
    assert np.abs(run.view(Rows(MapRef("attention", 0, None), (3, 35))) - truth.mean(0)[[3, 35]]).max() < 1e-6
    assert np.abs(run.view(Columns(MapRef("attention", 0, 1), (3, 35))) - truth[1][:, [3, 35]]).max() < 1e-6
    means = truth[0][10:30].reshape(2, 10, 40)[:, :, 4:24].mean(1).reshape(2, 4, 5).mean(2)
    assert np.abs(run.view(Zoom(MapRef("attention", 0, 0), (10, 20, 30), (4, 9, 14, 19, 24))) - means).max() < 1e-6
    assert np.abs(run.view(Columns(MapRef("rollout"), (5,))) - ((truth.mean(0) + np.eye(40)) / 2)[:, [5]]).max() < 1e-6


class _Marker:
    """Lives as long as the graph of a model."""


class _Marked(torch.autograd.Function):
    """The identity, whose node in the graph holds a marker."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, markers: list[weakref.ref[_Marker]]) -> Tensor:  # type: ignore[override]
        ctx.marker = _Marker()
        markers.append(weakref.ref(ctx.marker))
        return x * 1

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return gradient, None


class LearnedNetwork(nn.Module):
    """Attention of one head over learned queries and keys, and two logits, of which gradients may be cut."""

    def __init__(self, is_fused: bool, cuts_gradients: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.query, self.key = nn.Linear(KINDS, 8), nn.Linear(KINDS, 8)
        self.is_fused, self.cuts_gradients = is_fused, cuts_gradients
        self.markers: list[weakref.ref[_Marker]] = []

    def forward(self, kind: Tensor) -> Tensor:
        x = F.one_hot(kind, KINDS).float()
        query, key = _Marked.apply(self.query(x), self.markers)[:, None], self.key(x)[:, None]
        if self.is_fused:
            output = F.scaled_dot_product_attention(query, key, key)[:, 0]
        else:
            output = ((query @ key.mT / 8**0.5).softmax(-1) @ key)[:, 0]
        return (output.detach() if self.cuts_gradients else output)[0, -1, :2]


class LearnedModel(LongModel):
    """`LearnedNetwork` as a model."""

    def __init__(self, is_fused: bool, cuts_gradients: bool = False) -> None:
        super().__init__()
        self.module: nn.Module = LearnedNetwork(is_fused, cuts_gradients)

    def __call__(self, tensors: Tensor) -> Tensor:
        logits: Tensor = self.module(tensors)
        return logits


def lives(model: LearnedModel) -> bool:
    """Whether the graph of the last run does."""
    gc.collect()
    return model.module.markers[-1]() is not None


@pytest.mark.parametrize("is_fused", [True, False])
def test_a_long_run_keeps_the_graph_of_its_model_until_its_gradients_are_known(is_fused: bool, tmp_path: Path) -> None:
    model = LearnedModel(is_fused)
    backend = LocalBackend("cpu", {"long": model})
    run = run_sample(Sample(text="word " * 600), model="long", backend=backend, relevance=True)
    rows, relevance = Rows(MapRef("attention", 0, 0), (3, 580)), Rows(MapRef("relevance"), (599,))
    assert run.record.relevance_on_request and lives(model)
    before = run.view(rows)
    first = run.view(relevance)
    assert first.any() and not lives(model)
    x = F.one_hot(kinds(600), KINDS).float()
    with torch.no_grad():
        scores = (model.module.query(x) @ model.module.key(x).T).double() / 8**0.5
    assert np.abs(run.view(rows) - scores.softmax(-1).numpy()[[3, 580]]).max() < 1e-6
    assert (run.view(rows) == before).all() and (run.view(relevance) == first).all()
    run.save(tmp_path / "run.npz", keep="exact")
    assert np.abs(Run.load(tmp_path / "run.npz").view(relevance) - first).max() < 1e-6


@pytest.mark.parametrize("is_fused", [True, False])
def test_a_long_run_without_gradients_of_its_answer_keeps_no_graph(is_fused: bool) -> None:
    model = LearnedModel(is_fused, cuts_gradients=True)
    run = run_sample(
        Sample(text="word " * 600), model="long", backend=LocalBackend("cpu", {"long": model}), relevance=True
    )
    assert not run.record.relevance_on_request and not lives(model)
    assert np.abs(run.view(Rows(MapRef("attention", 0, 0), (3,))).sum() - 1) < 1e-6
