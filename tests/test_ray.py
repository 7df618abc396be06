"""The service on a real local Ray: replicas share the runs, and a run survives the death of its replica."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
from processes import wait_until
from serving import running_service
from slow_model import MARKERS, forward_marker

from mmviz.backends import ray as ray_backend
from mmviz.backends.local import LocalBackend
from mmviz.backends.remote import RemoteBackend
from mmviz.backends.server import Limits
from mmviz.models import CATALOGUE
from mmviz.types import InputError, MapRef, MmvizError, Request, Rows, Sample

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray"),
]
SPEC = "slow_model:make"


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteBackend]:
    os.environ[MARKERS] = str(tmp_path_factory.mktemp("markers"))
    backend = ray_backend.start(SPEC, None, (2, 2))
    try:
        with running_service(backend, limits=Limits(workers=32)) as url:
            yield RemoteBackend(url)
    finally:
        ray_backend.stop()


def _runs(remote: RemoteBackend, texts: list[str]) -> list[tuple[str, str]]:
    """Returns the answer to each text, and the replica that computed it."""
    with ThreadPoolExecutor(len(texts)) as pool:
        records = pool.map(lambda text: remote.run([Request(SPEC, Sample(text=text))])[0], texts)
        return [(record.answers[0].label, record.made_by["replica"]) for record in records]


def test_replicas_share_the_runs_and_each_text_gets_its_answer(remote: RemoteBackend) -> None:
    texts = [f"{letter} runs" for letter in "abcdefghijklmnopqrst"]
    runs = _runs(remote, texts)
    assert [answer for answer, _ in runs] == [text[0] for text in texts]
    assert len({replica for _, replica in runs}) == 2


def test_records_equal_those_of_the_local_backend(remote: RemoteBackend) -> None:
    request = Request("toy", Sample(text="left both"), relevance=True)
    record, local = remote.run([request])[0], LocalBackend("cpu").run([request])[0]
    assert record.answers == local.answers and record.streams == local.streams
    assert np.array_equal(record.maps[0].weights, local.maps[0].weights)
    assert {card.id for card in remote.models()} == {*CATALOGUE, SPEC}


def test_a_bad_request_in_a_batch_does_not_fail_the_others(remote: RemoteBackend) -> None:
    good, bad = Request(SPEC, Sample(text="good")), Request(SPEC, Sample())

    def answer_or_code(request: Request) -> str:
        try:
            return remote.run([request])[0].answers[0].label
        except InputError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(answer_or_code, [good, bad] * 4)) == ["g", "input-none"] * 4
    with pytest.raises(MmvizError) as error:
        remote.run([Request("other", Sample(text="x"))])
    assert error.value.code == "model-unknown"


def test_a_run_is_sent_again_where_its_replica_is_killed(remote: RemoteBackend) -> None:
    texts = [f"{letter} runs" for letter in "abcdefghij"]
    victim = int(_runs(remote, texts[:1])[0][1].rpartition(" ")[2])
    started = forward_marker(victim)
    started.unlink()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_runs, remote, texts)
        wait_until(started.exists, "the replica did not begin a run")
        os.kill(victim, signal.SIGKILL)
        runs = running.result(60)
    assert [answer for answer, _ in runs] == [text[0] for text in texts]
    assert not any(replica.endswith(f" {victim}") for _, replica in runs)


def test_ray_cannot_be_reached_without_its_token(remote: RemoteBackend) -> None:
    import ray

    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert not ray._private.worker.global_worker.node.webui_url  # no dashboard
    assert ray.serve.status().proxies == {}  # no HTTP but ours


def test_views_of_a_long_record_come_from_the_replica_that_keeps_it(remote: RemoteBackend) -> None:
    record = remote.run([Request(SPEC, Sample(text="long " * 150))])[0]
    assert record.is_long
    for _ in range(6):  # whichever replica the router would choose
        row = remote.view(record.id, Rows(MapRef("attention", 0, 0), (3,)))
        assert row.shape == (1, 750) and row.sum() == pytest.approx(1, abs=1e-5)
    exact = remote.exact(record.id)
    assert exact.nbytes == remote.exact_nbytes(record.id) > 0 and "exact_nbytes" not in record.made_by
    exact.check_fit(record)
    other = remote.run([Request(SPEC, Sample(text="other " * 150))])[0]
    remote.forget_inputs((record.id,))
    assert remote.view(other.id, Rows(MapRef("attention", 0, 0), (3,))).shape == (1, 900)
    for record_id in (record.id, "0" * 32):
        with pytest.raises(MmvizError) as error:
            remote.view(record_id, Rows(MapRef("attention", 0, 0), (3,)))
        assert error.value.code == "view-gone"
