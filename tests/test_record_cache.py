"""Runs that are kept for views of their parts: bounded, gone after a while, and answered by the backend."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import HEADS, KINDS, Planted, expected, kinds
from torch import Tensor

from mmviz.backends.local import LocalBackend
from mmviz.backends.record_cache import RecordCache
from mmviz.explain import run_sample
from mmviz.models import Prepared
from mmviz.types import Card, Columns, MapRef, MmvizError, Modality, PooledMap, Rollout, Rows, Sample, Token, Zoom


class Thing:
    """What takes room and nothing else."""

    def __init__(self, nbytes: int):
        self.nbytes = nbytes


def here(shelf: RecordCache, names: str) -> str:
    found = ""
    for name in names:
        try:
            shelf.get(name)
        except MmvizError as refusal:
            assert refusal.code == "view-gone"
        else:
            found += name
    return found


def test_the_oldest_make_room_and_the_newest_always_stays() -> None:
    shelf = RecordCache(limit=100)
    for name in "abc":
        shelf.put(name, Thing(40))
    assert here(shelf, "abc") == "bc"
    shelf.get("b")
    shelf.put("d", Thing(40))
    assert here(shelf, "bcd") == "bd", "what was looked at last stays longer"
    shelf.put("e", Thing(1000))
    assert here(shelf, "bde") == "e"


def test_what_nobody_looks_at_goes_after_a_while() -> None:
    now = [0.0]
    shelf = RecordCache(seconds=10, clock=lambda: now[0])
    for name in "ab":
        shelf.put(name, Thing(1))
    now[0] = 9
    shelf.get("a")
    now[0] = 12
    assert here(shelf, "ab") == "a"


class Long:
    """`Planted` as a model of mmviz, over as many words as the text has."""

    capture_targets = None

    def __init__(self) -> None:
        self.module = Planted()
        self.card = Card("long", "long", "", trained=False, answers=("yes", "no"), weights_digest="none")

    def prepare(self, sample: Sample) -> Prepared:
        count = len((sample.text or "").split())
        tokens = tuple(Token(Modality.TEXT, str(k)) for k in range(count))
        return Prepared(kinds(count)[None], {"words": tokens})

    def __call__(self, tensors: Tensor) -> Tensor:
        found: Tensor = self.module(tensors)
        return found.mean((0, 1, 2))[:2]


@pytest.fixture(scope="module")
def backend() -> LocalBackend:
    torch.manual_seed(0)
    return LocalBackend("cpu", {"long": Long()})


def test_a_long_run_is_looked_at_where_it_was_made(backend: LocalBackend) -> None:
    run = run_sample(Sample(text="word " * 700), model="long", backend=backend, relevance=True)
    assert run.record.is_long and isinstance(run.record.maps[0], PooledMap) and run.record.relevance is None
    truth = expected(kinds(700))
    assert np.abs(run.view(Rows(MapRef("attention", 0, 1), (3, 650))) - truth[1][[3, 650]]).max() < 1e-6
    assert np.abs(run.view(Columns(MapRef("attention", 0, None), (4,))) - truth[:, :, [4]].mean(0)).max() < 1e-6
    window = run.view(Zoom(MapRef("attention", 0, 0), tuple(range(600, 620)), tuple(range(10, 30))))
    assert np.abs(window - truth[0][600:619, 10:29]).max() < 1e-6
    rolled = (truth.mean(0) + np.eye(700)) / 2
    assert np.abs(run.view(Rollout((5,), "from")) - rolled[[5]]).max() < 1e-6
    assert np.abs(run.view(Rollout((5,), "to")) - rolled[:, [5]]).max() < 1e-6
    backend._shelf = RecordCache()
    with pytest.raises(MmvizError) as refusal:
        run.view(Rows(MapRef("attention", 0, 1), (3,)))
    assert refusal.value.code == "view-gone"


def test_a_short_run_answers_the_same_views_from_itself(backend: LocalBackend) -> None:
    run = run_sample(Sample(text="word " * 40), model="long", backend=backend)
    truth = expected(kinds(40))
    backend._shelf = RecordCache()
    assert run.record.maps[0].weights.shape == (HEADS, 40, 40) and KINDS == 4
    assert np.abs(run.view(Rows(MapRef("attention", 0, None), (3, 35))) - truth.mean(0)[[3, 35]]).max() < 1e-6
    assert np.abs(run.view(Columns(MapRef("attention", 0, 1), (3, 35))) - truth[1][:, [3, 35]]).max() < 1e-6
    means = truth[0][10:30].reshape(2, 10, 40)[:, :, 4:24].mean(1).reshape(2, 4, 5).mean(2)
    assert np.abs(run.view(Zoom(MapRef("attention", 0, 0), (10, 20, 30), (4, 9, 14, 19, 24))) - means).max() < 1e-6
    assert np.abs(run.view(Rollout((5,), "to")) - ((truth.mean(0) + np.eye(40)) / 2)[:, [5]]).max() < 1e-6
