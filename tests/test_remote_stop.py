"""Stopping a run on another machine: a real service on this one, whose work ends when nobody waits for it any more."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import tiny_checkpoints  # first: it sets what transformers reads
from processes import DEADLINE, wait_until
from serving import SlowBackend, running_service

from mmviz.app.jobs import Job
from mmviz.backends.fallback import FallbackBackend
from mmviz.backends.local import LocalBackend
from mmviz.backends.remote import RemoteBackend
from mmviz.backends.server import Limits
from mmviz.explain import Run, run_sample
from mmviz.models.custom_model_factory import load
from mmviz.models.huggingface.chat_model import ChatModel
from mmviz.types import MmvizError, Request, Sample

pytestmark = pytest.mark.slow
QUICKLY = 5.0
"""Seconds within which a stop must have an effect on a loaded machine; the answer would take far longer."""
WORDS = 3_000


class Patient(SlowBackend):
    """A backend whose runs last until they are stopped, or released."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = 0

    def wait(self, stop: Callable[[], bool]) -> bool:
        end = time.monotonic() + DEADLINE
        while not self.release.wait(0.02) and time.monotonic() < end:
            if stop():
                self.stopped += 1
                return False
        return True


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ChatModel:
    folder = tiny_checkpoints.save_checkpoint("llava", tmp_path_factory.mktemp("stop"))
    loaded = load(f"hf:{folder}", "cpu")
    assert isinstance(loaded, ChatModel)
    loaded.module.generation_config.eos_token_id = None  # it never ends by itself
    return loaded


def test_a_stop_ends_the_run_on_the_server_and_frees_its_place() -> None:
    backend = Patient()
    request, stop = Request("slow", Sample(text="hi")), threading.Event()
    with running_service(backend, limits=Limits(queue=1)) as url, ThreadPoolExecutor(1) as pool:
        remote = RemoteBackend(url)
        result = pool.submit(remote.run, [request], stop=stop.is_set)
        wait_until(lambda: backend.started == 1, "the run did not start")
        with pytest.raises(MmvizError) as refused:
            RemoteBackend(url).run([request])
        assert refused.value.code == "backend-busy" and not result.done()
        stop.set()
        assert result.result(QUICKLY) == (), "the client does not wait for the server"
        wait_until(lambda: backend.stopped == 1, "the run on the server goes on")
        backend.release.set()
        assert len(remote.run([request])) == 1, "the next run has its place, and the circuit breaker is closed"


def test_a_run_that_waits_leaves_the_queue_at_once() -> None:
    backend = Patient()
    request, stop = Request("slow", Sample(text="hi")), threading.Event()
    with running_service(backend, limits=Limits(queue=2)) as url, ThreadPoolExecutor(2) as pool:
        first = pool.submit(RemoteBackend(url).run, [request])
        wait_until(lambda: backend.started == 1, "the run did not start")
        second = pool.submit(RemoteBackend(url).run, [request], stop=stop.is_set)
        wait_until(lambda: not is_ready(url), "the queue did not fill")
        stop.set()
        assert second.result(QUICKLY) == ()
        wait_until(lambda: is_ready(url), "the queue stays full")
        backend.release.set()
        assert len(first.result(QUICKLY)) == 1 and backend.started == 1


def is_ready(url: str) -> bool:
    """Returns whether the queue of a service has room."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=QUICKLY)
    connection.request("GET", "/ready")
    return connection.getresponse().status == 200


def test_a_long_answer_is_stopped_from_the_page(model: ChatModel, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    has_ended = threading.Event()
    generate = ChatModel.generate

    def watched(self: ChatModel, prepared: Any, stop: Any, step: Any) -> tuple[int, ...]:
        try:
            return generate(self, prepared, stop, lambda done, of: (written.append(done), step(done, of))[1])
        finally:
            has_ended.set()

    monkeypatch.setattr(ChatModel, "generate", watched)
    backend = LocalBackend("cpu", {"m": model})
    with running_service(backend, limits=Limits(seconds=300)) as url:
        both = FallbackBackend(
            RemoteBackend(url, deadline=300), lambda: pytest.fail("the page must not compute itself")
        )

        def work(progress: Any, stop: Any) -> Run:
            return run_sample(
                Sample(text="What is this?"), model="m", backend=both, options={"new_tokens": WORDS}, stop=stop
            )

        job: Job[Run] = Job(work)
        wait_until(lambda: len(written) > 2, "no word was written")
        job.stop()
        assert job.wait(QUICKLY) and isinstance(job.error, MmvizError) and job.error.code == "run-stopped"
        assert has_ended.wait(QUICKLY) and len(written) < WORDS, "the server writes no further word"
        count = len(written)
        assert both.run([Request("m", Sample(text="And this?"), maps=False, options=(("new_tokens", 2),))])
        assert len(written) == count + 2, "and it goes on with the next one"
