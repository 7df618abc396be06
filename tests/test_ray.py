"""The service on a real local Ray: replicas share the runs, one is killed amid them, and nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
from serving import served

from mmviz.backends import ray as on_ray
from mmviz.backends.local import LocalBackend
from mmviz.backends.remote import RemoteBackend
from mmviz.backends.server import Limits
from mmviz.models import CATALOGUE
from mmviz.types import InputError, MapRef, MmvizError, Request, Rows, Sample

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra serve"),
]
SPEC = "slow_model:make"


@pytest.fixture(scope="module")
def remote() -> Iterator[RemoteBackend]:
    backend = on_ray.start(SPEC, None, (3, 3))
    try:
        with served(backend, limits=Limits(at_once=32)) as url:
            yield RemoteBackend(url)
    finally:
        on_ray.stop()


def _runs(remote: RemoteBackend, texts: list[str]) -> list[tuple[str, str]]:
    """The answer to each text, and the replica that gave it."""
    with ThreadPoolExecutor(len(texts)) as pool:
        found = pool.map(lambda text: remote.run([Request(SPEC, Sample(text=text))])[0], texts)
        return [(record.answers[0].label, record.made_by["replica"]) for record in found]


def test_replicas_share_the_runs_and_never_mix_them(remote: RemoteBackend) -> None:
    texts = [f"{letter} asks" for letter in "abcdefghijklmnopqrst"]
    found = _runs(remote, texts)
    assert [answer for answer, _ in found] == [text[0] for text in texts]
    assert len({replica for _, replica in found}) == 3


def test_records_are_those_of_one_machine(remote: RemoteBackend) -> None:
    request = Request("toy", Sample(text="left both"), relevance=True)
    there, here = remote.run([request])[0], LocalBackend("cpu").run([request])[0]
    assert there.answers == here.answers and there.streams == here.streams
    assert np.array_equal(there.maps[0].weights, here.maps[0].weights)
    assert {card.id for card in remote.models()} == {*CATALOGUE, SPEC}


def test_a_bad_request_in_a_batch_does_no_harm_to_the_others(remote: RemoteBackend) -> None:
    good, bad = Request(SPEC, Sample(text="good")), Request(SPEC, Sample())

    def ask(request: Request) -> str:
        try:
            return remote.run([request])[0].answers[0].label
        except InputError as refusal:
            return refusal.code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, [good, bad] * 4)) == ["g", "input-none"] * 4
    with pytest.raises(MmvizError, match="no model called 'other'"):
        remote.run([Request("other", Sample(text="x"))])


def test_a_replica_killed_amid_its_runs_loses_nothing(remote: RemoteBackend) -> None:
    texts = [f"{letter} asks" for letter in "abcdefghij"]
    victim = int(_runs(remote, texts[:1])[0][1].rpartition(" ")[2])
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_runs, remote, texts)
        time.sleep(0.3)  # each run takes half a second
        os.kill(victim, signal.SIGKILL)
        found = running.result(60)
    assert [answer for answer, _ in found] == [text[0] for text in texts]
    assert not any(replica.endswith(f" {victim}") for _, replica in found)


def test_ray_can_be_reached_by_nobody_without_its_token(remote: RemoteBackend) -> None:
    import ray

    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert not ray._private.worker.global_worker.node.webui_url  # no dashboard
    assert ray.serve.status().proxies == {}  # no HTTP but ours


def test_views_of_a_long_run_come_from_the_replica_that_keeps_it(remote: RemoteBackend) -> None:
    record = remote.run([Request(SPEC, Sample(text="long " * 150))])[0]
    assert record.is_long
    for _ in range(6):  # whichever replica the router would choose
        row = remote.view(record.id, Rows(MapRef("attention", 0, 0), (3,)))
        assert row.shape == (1, 750) and row.sum() == pytest.approx(1, abs=1e-5)
    with pytest.raises(MmvizError, match="no longer kept"):
        remote.view("0" * 32, Rows(MapRef("attention", 0, 0), (3,)))
