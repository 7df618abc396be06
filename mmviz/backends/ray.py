"""The service over many processes, GPUs and machines: Ray Serve runs the models behind the same ASGI application.

Ray's own HTTP proxy and dashboard are off and its token authentication is on: only the ASGI application is reachable.
"""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.backends import Progress, Stop, ignore_progress, never_stop, run_each, run_queue, wire
from mmviz.backends.exact_runs import ExactSizes, with_exact_size
from mmviz.backends.local.backend import this_machine
from mmviz.io.error_codec import error_from_bytes, error_to_bytes
from mmviz.io.exact_attention_arrays import exact_from_bytes, exact_to_bytes
from mmviz.types import AttentionRecord, Card, MmvizError, Request, View
from mmviz.types.exact_attention import ExactAttention

APP = "mmviz"
RETRIES = 2
"""How often a run is sent again after its replica died."""
DEADLINE = 25.0
"""Seconds for one run, retries included."""
_BATCH = 8
"""Requests in one call of a replica at most."""
_BATCH_WAIT = 0.005
"""Seconds for which a request may wait for others to share its call."""
_ROUTING_DELAY = 0.3
"""Seconds until Ray Serve's routers know which replica keeps a record. Each retry waits longer."""


class Replica:
    """One replica: a backend on its own machine, with bytes in and out.

    An error is a result like any other, so that one bad request in a batch does not fail the others.
    """

    def __init__(self, spec: str | None):
        self._backend = this_machine(spec)
        self._backend.models()  # a replica that cannot load its models never becomes ready
        self._name = f"{platform.node()}, process {os.getpid()}"

    async def run(self, requests: list[bytes]) -> list[tuple[bool, bytes]]:
        """Returns for each request whether it succeeded, and its record or its error, in order."""
        results = await asyncio.to_thread(self._run, requests)
        for _, _, record_id in results:
            if record_id is not None:
                await self.keep(record_id)
        return [(succeeded, data) for succeeded, data, _ in results]

    async def keep(self, record_id: str) -> str:
        """Marks this replica as the one that keeps a record, for Ray Serve's routers."""
        return record_id

    async def view(self, record_id: str, view: bytes) -> tuple[bool, bytes]:
        """Returns whether the record is kept here, and the array of the view or the error."""
        return await asyncio.to_thread(
            _outcome, lambda: wire.array_to_bytes(self._backend.view(record_id, wire.view_from_bytes(view)))
        )

    async def exact(self, record_id: str) -> tuple[bool, bytes]:
        """Returns whether the record is kept here, and the tensors behind it or the error."""
        return await asyncio.to_thread(_outcome, lambda: exact_to_bytes(self._backend.exact(record_id)))

    async def forget_inputs(self, record_ids: Sequence[str]) -> None:
        """See `Backend.forget_inputs`."""
        await asyncio.to_thread(self._backend.forget_inputs, record_ids)

    async def models(self) -> bytes:
        """Returns the cards of the models."""
        return wire.cards_to_bytes(self._backend.models())

    def _run(self, data: Sequence[bytes]) -> list[tuple[bool, bytes, str | None]]:
        """Returns as `run` does, with the ids of records of which views may be wanted.

        Requests that can share a call of a model do.
        """
        requests = [_parsed(request) for request in data]
        runnable = [request for request in requests if isinstance(request, Request)]
        outcomes = run_queue.outcomes(self._backend, runnable, [never_stop] * len(runnable))
        return [self._result(next(outcomes) if isinstance(request, Request) else request) for request in requests]

    def _result(self, outcome: run_queue.Outcome) -> tuple[bool, bytes, str | None]:
        """Returns what is sent of one request. Raises what is no ``MmvizError``."""
        if isinstance(outcome, MmvizError):
            return False, error_to_bytes(outcome), None
        if isinstance(outcome, Exception):
            raise outcome
        assert outcome is not None  # nothing stops a run here
        record = with_exact_size(outcome, self._backend)
        record = replace(record, made_by={**record.made_by, "replica": self._name})
        return True, wire.record_to_bytes(record), record.id if record.is_long else None


def _parsed(data: bytes) -> Request | MmvizError:
    try:
        return wire.request_from_bytes(data)
    except MmvizError as error:
        return error


def _outcome(compute: Callable[[], bytes]) -> tuple[bool, bytes]:
    """Returns True and what ``compute`` returns, or False and the error that it raises."""
    try:
        return True, compute()
    except MmvizError as error:
        return False, error_to_bytes(error)


class RayBackend:
    """Sends requests to the replicas. A run whose replica died is sent to another one, since a run changes nothing."""

    def __init__(self, handle: Any):
        self._handle = handle
        self._cards: tuple[Card, ...] | None = None
        self._sizes = ExactSizes()

    def models(self) -> tuple[Card, ...]:
        """Returns the cards of the models of the replicas."""
        if self._cards is None:
            self._cards = wire.cards_from_bytes(self._handle.models.remote().result(timeout_s=300))
        return self._cards

    def run(
        self, requests: Sequence[Request], progress: Progress = ignore_progress, stop: Stop = never_stop
    ) -> tuple[AttentionRecord, ...]:
        """See `Backend.run`."""
        return run_each(requests, self._run, progress, stop)

    def view(self, record_id: str, view: View) -> NDArray[np.float32]:
        """See `Backend.view`. Raises ``MmvizError`` (``view-gone``) where the replica that made the record died."""
        data = wire.view_to_bytes(view)
        return wire.array_from_bytes(self._of_keeper(record_id, lambda keeper: keeper.view.remote(record_id, data)))

    def exact(self, record_id: str) -> ExactAttention:
        """See `mmviz.backends.KeepsExact`. Raises as `view` does."""
        data = self._of_keeper(record_id, lambda keeper: keeper.exact.remote(record_id))
        return exact_from_bytes(data, "backend-failed")

    def exact_nbytes(self, record_id: str) -> int:
        """See `mmviz.backends.KeepsExact`. The replica tells the size with the record."""
        return self._sizes.of(record_id)

    def forget_inputs(self, record_ids: Sequence[str]) -> None:
        """See `Backend.forget_inputs`. Every replica forgets: each has caches of its own.

        Raises ``MmvizError``: ``backend-late``, or ``backend-failed`` where a replica died meanwhile.
        """
        from ray.exceptions import RayActorError

        try:
            self._handle.broadcast("forget_inputs", tuple(record_ids)).results(timeout_s=DEADLINE)
        except TimeoutError:
            raise MmvizError("backend-late", host="", seconds=DEADLINE) from None
        except RayActorError:
            raise MmvizError("backend-failed", host="") from None

    def _of_keeper(self, record_id: str, call: Callable[[Any], Any]) -> bytes:
        """Returns what the replica that keeps a record answers to ``call``."""
        keeper = self._handle.options(multiplexed_model_id=record_id)
        for delay in (_ROUTING_DELAY, 2 * _ROUTING_DELAY, 3 * _ROUTING_DELAY, 0.0):
            succeeded, result = call(keeper).result(timeout_s=DEADLINE)
            if succeeded:
                return bytes(result)
            error = error_from_bytes(result, "backend-failed")
            if error.code != "view-gone":
                raise error
            time.sleep(delay)
        raise error

    def _run(self, request: Request) -> AttentionRecord:
        succeeded, data = self._send(wire.request_to_bytes(request))
        if not succeeded:
            raise error_from_bytes(data, "backend-failed")
        return self._sizes.without_size(wire.record_from_bytes(data))

    def _send(self, data: bytes) -> tuple[bool, bytes]:
        from ray.exceptions import RayActorError
        from ray.serve.exceptions import BackPressureError

        end = time.monotonic() + DEADLINE
        for attempt in range(RETRIES + 1):
            try:
                result: tuple[bool, bytes] = self._handle.run.remote(data).result(timeout_s=end - time.monotonic())
            except TimeoutError:
                raise MmvizError("backend-late", host="", seconds=DEADLINE) from None
            except BackPressureError:
                raise MmvizError("backend-busy", host="", count="too many") from None
            except RayActorError:
                if attempt == RETRIES or time.monotonic() >= end:
                    raise MmvizError("backend-failed", host="") from None
            else:
                return result
        raise AssertionError  # the last attempt returns or raises


def start(spec: str | None, address: str | None, replicas: tuple[int, int]) -> RayBackend:
    """Starts the replicas and returns their backend.

    ``replicas`` are the fewest and the most, between which Ray Serve scales with the load. ``address`` is that of a Ray
    cluster (``auto``: the one that this machine belongs to), or None for a Ray of its own on this machine.
    ``spec`` is the factory of a model (``module:factory``), beside those of the catalogue.
    Raises ``MmvizError`` (``ray-address``) for an address without a cluster, or one whose token is another.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # ray reads it when it is imported
    if address is None:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray writes one to disk, readable by all
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray import serve

    local_options: dict[str, Any] = {}
    if address is None:
        path = os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))  # where the factory's module is found
        local_options = {
            "include_dashboard": False,
            "num_cpus": replicas[1] + 2,
            "runtime_env": {"env_vars": {"PYTHONPATH": path}},
        }
    try:
        ray.init(address=address, log_to_driver=False, logging_level="warning", namespace=APP, **local_options)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError):
        if address is None:
            raise
        raise MmvizError("ray-address", address=address) from None
    serve.start(
        http_options={"location": "NoServer"}, logging_config={"log_level": "WARNING", "enable_access_log": False}
    )
    fewest, most = replicas
    gpus = 1 if ray.cluster_resources().get("GPU") else 0
    deployment = serve.deployment(
        batched_replica(serve),
        name="Replica",
        autoscaling_config={"min_replicas": fewest, "max_replicas": most, "target_ongoing_requests": 2},
        ray_actor_options={"num_cpus": 1, "num_gpus": gpus},
        max_ongoing_requests=2 * _BATCH,
        max_queued_requests=256,
        graceful_shutdown_timeout_s=DEADLINE,
        health_check_period_s=2,
    )
    return RayBackend(serve.run(deployment.bind(spec), name=APP, route_prefix=None))


def stop() -> None:
    """Ends the replicas, and Ray where `start` started it."""
    import ray
    from ray import serve

    serve.delete(APP)
    ray.shutdown()


def batched_replica(serve: Any) -> type[Replica]:
    """Returns `Replica` with batching of requests that arrive together, and routing by record for `view`."""

    class BatchedReplica(Replica):
        run = serve.batch(max_batch_size=_BATCH, batch_wait_timeout_s=_BATCH_WAIT)(Replica.run)
        keep = serve.multiplexed(max_num_models_per_replica=256)(Replica.keep)

    return BatchedReplica
