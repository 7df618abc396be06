"""The backend that runs models in this process."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmviz.backends import Progress, Stop, ignore_progress, never_stop
from mmviz.backends.layer_progress import layer_listener
from mmviz.backends.local.batched_requests import run_together
from mmviz.backends.local.batches import SAMPLES, call_settings
from mmviz.backends.local.capture_cache import Retained, RetainedCaptures
from mmviz.backends.local.doctor_checks import model_checks
from mmviz.backends.local.loaded_models import LoadedModels
from mmviz.backends.local.machine import free_memory, lacks_memory, machine
from mmviz.backends.local.run_request import run_request
from mmviz.backends.local.torch_global_state import full_float32, isolated_run
from mmviz.capture.process_fork_check import refuse_after_fork
from mmviz.models import CATALOGUE, Model
from mmviz.models.content_caches import forget_contents
from mmviz.models.custom_model_factory import load
from mmviz.models.user_code_errors import user_error
from mmviz.types import AttentionRecord, Card, MmvizError, Notice, Request, Sample, View
from mmviz.types.exact_attention import ExactAttention

_log = logging.getLogger(__name__)


def best_device() -> str:
    """Returns ``cuda`` where torch can use a GPU, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def this_machine(spec: str | None = None) -> LocalBackend:
    """Returns a backend with the models of the catalogue, and with the model of ``spec`` (``module:factory``).

    Raises ``MmvizError`` where the factory fails.
    """
    device = best_device()
    return LocalBackend(device, {spec: load(spec, device)} if spec and spec not in CATALOGUE else None)


class LocalBackend:
    """Runs models in this process, one run at a time, whatever the number of backends: torch's seed and the GPU's
    memory are shared by all threads. A run leaves torch's random generators, and its setting of TF32, as they were.

    ``device`` is a torch device, None for the best one. ``models`` are custom models by the id under which they are
    requested, beside those of the catalogue.

    The models of the catalogue compute the same under every mode that the caller has set: no gradients, inference mode,
    autocast, a default dtype or device. A custom model runs under the caller's autocast and default device. All methods
    raise ``MmvizError`` (``fork-torch``) in a process that was forked after torch had computed.

    Examples:
        >>> backend = mmviz.LocalBackend("cpu")
        >>> (record,) = backend.run([mmviz.Request("toy", mmviz.make_sample(text="left right"))])
        >>> record.maps[0].weights[0].astype(float).round(2)  # e^(1/sqrt 2) / (e^(1/sqrt 2) + 1) is 0.67
        array([[0.67, 0.33],
               [0.33, 0.67]])
    """

    def __init__(self, device: str | None = None, models: Mapping[str, Model] | None = None):
        self.device = device or best_device()
        self._cpu: LocalBackend | None = None
        self._models = LoadedModels(models or {}, self.device)
        self._cache = RetainedCaptures()
        self._most_samples = SAMPLES

    def __reduce__(self) -> str:
        """Raises ``MmvizError`` (``backend-pickle``): locks and the captures of this process cannot leave it."""
        raise MmvizError("backend-pickle")

    def models(self) -> tuple[Card, ...]:
        """Returns the cards of the models, each with the id under which it is requested.

        ``details`` have ``takes_several`` where a model takes several pictures or sounds.
        """
        refuse_after_fork()
        return self._models.cards()

    def run(
        self, requests: Sequence[Request], progress: Progress = ignore_progress, stop: Stop = never_stop
    ) -> tuple[AttentionRecord, ...]:
        """See `Backend.run`. A sweep also ends between two of its batches where ``stop`` returns True.

        Requests that follow each other and can share a call of the model do, at most `SAMPLES` of them. They end
        together, so that ``progress`` and ``stop`` are called for all of them once their call has ended.
        """
        records: list[AttentionRecord] = []
        while len(records) < len(requests):
            members = self._next_members(requests[len(records) :])
            if len(members) > 1 and stop():
                break
            for outcome in self.outcomes(members, [stop] * len(members)):
                if isinstance(outcome, Exception):
                    raise outcome
                if outcome is None:
                    return tuple(records)
                records.append(outcome)
                progress(len(records), len(requests))
        return tuple(records)

    @property
    def most_samples(self) -> int:
        """See `mmviz.backends.SharesCalls`. Half as many after a call for which the GPU had too little memory."""
        return self._most_samples

    def call_settings(self, request: Request) -> Hashable | None:
        """See `mmviz.backends.SharesCalls`."""
        with suppress(Exception):  # a model that cannot be loaded is refused when it is to run
            refuse_after_fork()
            return call_settings(self._models[request.model], request)  # waits for a run to end where it must be loaded
        return None

    def outcomes(
        self, requests: Sequence[Request], stops: Sequence[Stop]
    ) -> Iterator[AttentionRecord | Exception | None]:
        """See `mmviz.backends.SharesCalls`. Where the call fails, each request runs by itself."""
        shared = self._shared_call(requests, stops) if len(requests) > 1 else {}
        for number, (request, stop) in enumerate(zip(requests, stops, strict=True)):
            try:
                yield None if stop() else shared.get(number) or self._run_alone(request, stop)
            except Exception as problem:
                yield problem

    def _next_members(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Returns the first of ``requests``, and those right behind it that can share its call."""
        settings = self.call_settings(requests[0]) if len(requests) > 1 else None
        if settings is None:
            return requests[:1]
        count = 1
        while count < min(self._most_samples, len(requests)) and self.call_settings(requests[count]) == settings:
            count += 1
        return requests[:count]

    def _shared_call(self, requests: Sequence[Request], stops: Sequence[Stop]) -> dict[int, AttentionRecord]:
        """Returns the records of the requests that could share a call, by number, while no other runs."""
        refuse_after_fork()
        running = {number: request for number, request in enumerate(requests) if not stops[number]()}
        if len(running) < 2:
            return {}
        with isolated_run(self.device), self._models.modes(requests[0].model):
            try:
                return run_together(
                    lambda changes: self._models.for_request(requests[0], changes), running,
                    lambda: all(stops[number]() for number in running),
                )  # fmt: skip
            except KeyboardInterrupt:
                raise
            except BaseException as problem:  # each then runs by itself, which tells whose it is
                if lacks_memory(problem):
                    self._most_samples = max(1, len(running) // 2)
                _log.info("a shared call failed: %s", type(problem).__name__)
        return {}

    def machine(self) -> dict[str, Any]:
        """Returns the machine's ``name`` and ``system``, torch's ``devices`` and ``threads``, and the ``device`` of
        runs."""
        return machine(self.device)

    def model_checks(self, name: str, sample: Sample) -> dict[str, Any]:
        """Runs model ``name`` once, and returns what `mmviz.backends.local.doctor_checks.model_checks` finds."""
        refuse_after_fork()
        with isolated_run(self.device), self._models.modes(name):
            return model_checks(self._models[name], sample)

    def view(self, record_id: str, view: View) -> NDArray[np.float32]:
        """See `Backend.view`. Raises ``CaptureError`` for a part that the record does not have.

        A flow reports the maps that it has gone through to the callback of
        `mmviz.backends.layer_progress.report_layers`.
        """
        with full_float32():
            return self._retained(record_id).view(view, layer_listener())

    def exact(self, record_id: str) -> ExactAttention:
        """See `mmviz.backends.KeepsExact`. Raises ``CaptureError`` as `mmviz.capture.exact_attention` does."""
        with full_float32():
            return self._retained(record_id).exact()

    def exact_nbytes(self, record_id: str) -> int:
        """See `mmviz.backends.KeepsExact`."""
        return self._retained(record_id).exact_nbytes()

    def forget_inputs(self, record_ids: Sequence[str]) -> None:
        """See `Backend.forget_inputs`. The caches are those of this process, whichever backend filled them."""
        refuse_after_fork()
        self._cache.drop(record_ids)
        forget_contents()
        if self._cpu is not None:
            self._cpu.forget_inputs(record_ids)

    def _retained(self, record_id: str) -> Retained:
        """Returns what is kept of a run. Raises ``MmvizError`` (``view-gone``) where that was dropped."""
        refuse_after_fork()
        try:
            return self._cache.get(record_id)
        except MmvizError:
            if self._cpu is None:
                raise
            return self._cpu._retained(record_id)

    def _run_alone(self, request: Request, stop: Stop) -> AttentionRecord | None:
        """Runs one request while no other runs. A model that ends the interpreter is reported as an error."""
        refuse_after_fork()
        with isolated_run(self.device), self._models.modes(request.model):
            try:
                return self._run_in_memory(request, stop)
            except (Exception, KeyboardInterrupt):
                raise
            except BaseException as problem:
                raise user_error(request.model, problem) from problem

    def _run_in_memory(self, request: Request, stop: Stop) -> AttentionRecord | None:
        """Runs one request. Where the GPU has too little memory it is run again without relevance, then on the CPU.

        A sweep has then been tried in calls of a single row. Each attempt begins outside the ``except`` block, whose
        traceback would keep the tensors of the failed attempt.
        """
        for smaller in (request, replace(request, relevance=False, depends_on=False)):
            try:
                record = run_request(self._models, smaller, stop, self._cache.put)
            except Exception as problem:
                if not lacks_memory(problem):
                    raise
            else:
                return record if record is None or smaller is request else _with_notice(record, "memory-smaller")
            self._cache.clear()
            self._models.drop_shuffled()
            free_memory()
        if request.model not in CATALOGUE:
            raise MmvizError("memory-own")
        self._cpu = self._cpu or LocalBackend("cpu")
        records = self._cpu.run([request], stop=stop)
        return _with_notice(records[0], "memory-cpu") if records else None


def _with_notice(record: AttentionRecord, code: str) -> AttentionRecord:
    return replace(record, notices=(*record.notices, Notice(code)))
