"""The same service over many processes, GPUs and machines: Ray Serve runs the models, the ASGI front stays as it is.

Ray's own HTTP proxy and dashboard are off, and its token authentication is on: only the front can be reached.
"""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.backends import Progress, Stop, never, one_by_one, quiet, wire
from mmviz.backends.local import this_machine
from mmviz.io.error_codec import refusal_from_bytes, refusal_to_bytes
from mmviz.types import AttentionRecord, Card, MmvizError, Request, View

APP = "mmviz"
RETRIES = 2
"""How often a run is made again whose replica died."""
SECONDS = 25.0
_BATCH = 8
_WAIT = 0.005
"""Seconds that a request may wait for others to share its call."""
_LOOK = 0.3
"""Seconds until Ray Serve's routers know which replica keeps a run, and a little more each time."""


class Runner:
    """One replica: a backend on its machine, behind bytes. A refusal is an answer as well, so that one bad request in a
    batch does no harm to the others."""

    def __init__(self, spec: str | None):
        self._backend = this_machine(spec)
        self._backend.models()  # a replica that cannot load them never becomes ready
        self._name = f"{platform.node()}, process {os.getpid()}"

    async def run(self, asked: list[bytes]) -> list[tuple[bool, bytes]]:
        """Each request's record, or its refusal; several at once, as they came."""
        found = await asyncio.to_thread(lambda: [self._answer(one) for one in asked])
        for _, _, kept in found:
            if kept is not None:
                await self.kept(kept)
        return [(is_record, data) for is_record, data, _ in found]

    async def kept(self, record_id: str) -> str:
        """Marks this replica as the one that keeps a run."""
        return record_id

    async def view(self, record_id: str, view: bytes) -> tuple[bool, bytes]:
        """A part of a run, where it is kept here."""
        return await asyncio.to_thread(self._view, record_id, view)

    async def models(self) -> bytes:
        """The cards."""
        return wire.cards_to_bytes(self._backend.models())

    def _answer(self, asked: bytes) -> tuple[bool, bytes, str | None]:
        try:
            (record,) = self._backend.run([wire.request_from_bytes(asked)])
        except MmvizError as refusal:
            return False, refusal_to_bytes(refusal), None
        record = replace(record, made_by={**record.made_by, "replica": self._name})
        return True, wire.record_to_bytes(record), record.id if record.is_long else None

    def _view(self, record_id: str, view: bytes) -> tuple[bool, bytes]:
        try:
            return True, wire.array_to_bytes(self._backend.view(record_id, wire.view_from_bytes(view)))
        except MmvizError as refusal:
            return False, refusal_to_bytes(refusal)


class RayBackend:
    """Asks the replicas; a run whose replica died is made again by another, since runs change nothing."""

    def __init__(self, handle: Any):
        self._handle = handle
        self._cards: tuple[Card, ...] | None = None

    def models(self) -> tuple[Card, ...]:
        """The cards of the models of the replicas."""
        if self._cards is None:
            self._cards = wire.cards_from_bytes(self._handle.models.remote().result(timeout_s=300))
        return self._cards

    def run(
        self, requests: Sequence[Request], progress: Progress = quiet, stop: Stop = never
    ) -> tuple[AttentionRecord, ...]:
        """One record a request, in order; fewer where ``stop`` said so between two of them. Raises ``MmvizError``."""
        return one_by_one(requests, self._run, progress, stop)

    def view(self, record_id: str, view: View) -> NDArray[np.float32]:
        """A part of a run, from the replica that keeps it. Raises ``MmvizError`` (``view-gone``) where it died."""
        data = wire.view_to_bytes(view)
        keeper = self._handle.options(multiplexed_model_id=record_id)
        for wait in (_LOOK, 2 * _LOOK, 3 * _LOOK, 0.0):
            is_array, found = keeper.view.remote(record_id, data).result(timeout_s=SECONDS)
            if is_array:
                return wire.array_from_bytes(found)
            refusal = refusal_from_bytes(found, "backend-failed")
            if refusal.code != "view-gone":
                raise refusal
            time.sleep(wait)
        raise refusal

    def _run(self, request: Request) -> AttentionRecord:
        is_record, data = self._asked(wire.request_to_bytes(request))
        if not is_record:
            raise refusal_from_bytes(data, "backend-failed")
        return wire.record_from_bytes(data)

    def _asked(self, data: bytes) -> tuple[bool, bytes]:
        from ray.exceptions import RayActorError
        from ray.serve.exceptions import BackPressureError

        ends = time.monotonic() + SECONDS
        for turn in range(RETRIES + 1):
            try:
                found: tuple[bool, bytes] = self._handle.run.remote(data).result(timeout_s=ends - time.monotonic())
            except TimeoutError:
                raise MmvizError("backend-late", host="", seconds=SECONDS) from None
            except BackPressureError:
                raise MmvizError("backend-busy", host="", count="too many") from None
            except RayActorError:
                if turn == RETRIES or time.monotonic() >= ends:
                    raise MmvizError("backend-failed", host="") from None
            else:
                return found
        raise AssertionError  # the last turn returns or raises


def start(spec: str | None, address: str | None, replicas: tuple[int, int]) -> RayBackend:
    """The replicas, from the fewest to the most as requests come, on this machine or on the cluster at ``address``
    (``auto``: the one that this machine is part of). Raises ``MmvizError`` (``extra-missing``)."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # read when ray is imported
    if address is None:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray writes one to disk, for all to read
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        from ray import serve
    except ImportError as missing:
        raise MmvizError("extra-missing", extra="serve") from missing
    here: dict[str, Any] = {}
    if address is None:
        path = os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))  # where the operator's own model is found
        here = {
            "include_dashboard": False,
            "num_cpus": replicas[1] + 2,
            "runtime_env": {"env_vars": {"PYTHONPATH": path}},
        }
    ray.init(address=address, log_to_driver=False, logging_level="warning", namespace=APP, **here)
    serve.start(
        http_options={"location": "NoServer"}, logging_config={"log_level": "WARNING", "enable_access_log": False}
    )
    fewest, most = replicas
    gpus = 1 if ray.cluster_resources().get("GPU") else 0
    deployed = serve.deployment(
        batched(serve),
        name="Runner",
        autoscaling_config={"min_replicas": fewest, "max_replicas": most, "target_ongoing_requests": 2},
        ray_actor_options={"num_cpus": 1, "num_gpus": gpus},
        max_ongoing_requests=2 * _BATCH,
        max_queued_requests=256,
        graceful_shutdown_timeout_s=SECONDS,
        health_check_period_s=2,
    )
    return RayBackend(serve.run(deployed.bind(spec), name=APP, route_prefix=None))


def stop() -> None:
    """End the replicas, and Ray where it was started here."""
    import ray
    from ray import serve

    serve.delete(APP)
    ray.shutdown()


def batched(serve: Any) -> type[Runner]:
    """`Runner` with what Ray Serve adds: requests that came together share a call, and long runs have an address."""

    class Batched(Runner):
        run = serve.batch(max_batch_size=_BATCH, batch_wait_timeout_s=_WAIT)(Runner.run)
        kept = serve.multiplexed(max_num_models_per_replica=256)(Runner.kept)

    return Batched
