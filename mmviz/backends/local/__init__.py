"""Models on this machine: on the GPU when there is one, else on the CPU."""

from __future__ import annotations

import copy
import gc
import platform
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import mmviz
from mmviz.backends import Progress, Stop, never, one_by_one, quiet
from mmviz.backends.local.gradients import integrated_amounts, relevance_rows
from mmviz.backends.local.variants import altered, places, prepared, sweep, uniform
from mmviz.backends.record_cache import RecordCache
from mmviz.capture import AttentionCall, CaptureResult, capture
from mmviz.capture.attention_steps import steps
from mmviz.capture.retained import RetainedCapture
from mmviz.capture.route_probe import finding
from mmviz.capture.value_norms import norms
from mmviz.models import CATALOGUE, Model, Prepared, load_model
from mmviz.models.cards import COMPARED, kind_card
from mmviz.models.custom import load
from mmviz.types import (
    Answer,
    AttentionRecord,
    CaptureError,
    Card,
    Change,
    MmvizError,
    Notice,
    Request,
    Sample,
    ShuffleWeights,
    Token,
    UniformAttention,
    View,
    as_tokens,
)

T = TypeVar("T")


def best_device() -> str:
    """``cuda`` where torch can use one, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def this_machine(spec: str | None = None) -> LocalBackend:
    """Models on this machine; beside the catalogue the one of ``spec``, ``module:factory``. Raises ``MmvizError`` where
    there is something wrong with the factory."""
    device = best_device()
    return LocalBackend(device, {spec: load(spec, device)} if spec else None)


class LocalBackend:
    """Runs models in this process; one run at a time, since torch's seed and the GPU's memory are shared by all."""

    def __init__(self, device: str | None = None, models: Mapping[str, Model] | None = None):
        """``models``: models of one's own by the id under which they are requested, beside the catalogue's."""
        self.device = device or best_device()
        if self.device != "cpu":  # parity is promised in full float32
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        self._cpu: LocalBackend | None = None
        self._models: dict[str, Model] = dict(models or {})
        self._controls: dict[tuple[str, int], Model] = {}
        self._shelf = RecordCache()
        self._lock = threading.Lock()

    def models(self) -> tuple[Card, ...]:
        """Cards of the models that can be run here, each with the id under which it is requested."""
        return tuple(replace(self._card(name), id=name) for name in dict.fromkeys([*CATALOGUE, *self._models]))

    def run(
        self, requests: Sequence[Request], progress: Progress = quiet, stop: Stop = never
    ) -> tuple[AttentionRecord, ...]:
        """One record a request, in order; fewer where ``stop`` said so between two of them."""
        return one_by_one(requests, lambda request: self._alone(request, stop), progress, stop)

    def about(self) -> dict[str, Any]:
        """This machine: its name, system, torch's devices and threads, and the device on which runs are made."""
        cuda = [f"cuda:{k}" for k in range(torch.cuda.device_count())]
        return {
            "name": _device_name(self.device), "system": platform.platform(), "devices": ["cpu", *cuda],
            "device": self.device, "threads": torch.get_num_threads(),
        }  # fmt: skip

    def findings(self, name: str, sample: Sample) -> tuple[list[dict[str, Any]], tuple[Notice, ...]]:
        """What `mmviz.capture.route_probe.finding` says of each attention of a model in one run, and what was not caught."""
        with self._lock:
            model = self._model(name)
            prepared = model.prepare(sample)
            with torch.no_grad(), capture(model.module) as seen:
                model(prepared.tensors)
            return [finding(one) for one in seen.heard()], seen.notices

    def view(self, record_id: str, view: View) -> NDArray[np.float32]:
        """A part of the attention of a record that was made here and is too long to hold all its weights.

        Raises ``MmvizError``: ``view-gone`` where it is no longer kept, ``CaptureError`` for what is not there.
        """
        try:
            kept = self._shelf.get(record_id)
        except MmvizError:
            if self._cpu is None:
                raise
            return self._cpu.view(record_id, view)
        return kept.view(view)

    def _alone(self, request: Request, stop: Stop) -> AttentionRecord | None:
        with self._lock:
            return self._recovered(request, stop)

    def _recovered(self, request: Request, stop: Stop) -> AttentionRecord | None:
        """A run; where the GPU has too little memory a smaller one, then one on the CPU.

        Each is begun outside the ``except``, where the failed one's tensors are no longer held by its traceback.
        """
        for smaller in (request, replace(request, relevance=False)):
            try:
                record = self._run(smaller, stop)
            except torch.OutOfMemoryError:
                pass
            else:
                return record if record is None or smaller is request else _noted(record, "memory-smaller")
            self._shelf.clear()
            self._controls.clear()
            gc.collect()
            torch.cuda.empty_cache()
        if request.model not in CATALOGUE:
            raise MmvizError("memory-own")
        self._cpu = self._cpu or LocalBackend("cpu")
        found = self._cpu.run([request], stop=stop)
        return _noted(found[0], "memory-cpu") if found else None

    def _card(self, name: str) -> Card:
        """The card of a model; for those of the comparison, which few will run, it is not loaded."""
        return kind_card(name) if name in COMPARED and name not in self._models else self._model(name).card

    def _model(self, name: str) -> Model:
        if name not in self._models:
            self._models[name] = load_model(name, self.device)
        return self._models[name]

    def _shuffled(self, name: str, seed: int) -> Model:
        if (name, seed) not in self._controls:
            model = copy.copy(self._model(name))
            model.module = copy.deepcopy(model.module)
            _shuffle(model.module, seed)
            self._controls = {(name, seed): model}
        return self._controls[name, seed]

    def _model_for(self, request: Request, changes: Sequence[Change]) -> Model:
        """The model that is asked for, its weights shuffled where a change wants that."""
        seeds = [change.seed for change in (*request.changes, *changes) if isinstance(change, ShuffleWeights)]
        return self._shuffled(request.model, seeds[-1]) if seeds else self._model(request.model)

    def _run(self, request: Request, stop: Stop) -> AttentionRecord | None:
        """The record of one request; None where ``stop`` ended its sweep."""
        changes = request.changes
        model = self._model_for(request, ())
        torch.manual_seed(request.seed)
        clock = [time.perf_counter()]
        ready = prepared(model, request.sample, changes, request.seed)
        clock.append(time.perf_counter())
        if request.maps:
            found = self._watched(model, ready, request, clock)
        else:
            with torch.no_grad(), altered(model, changes):
                logits = model(ready.tensors)
            found = AttentionRecord(uuid.uuid4().hex, _tokens(ready), (), (), {"routes": [], "parity": None})
            found = replace(found, answers=_answers(model, logits), notices=ready.notices)
            clock.append(time.perf_counter())
        clock.append(time.perf_counter())
        stages = ["prepare", "model", "capture"]
        made: dict[str, Any] = dict(found.made_by)
        if request.integrated:
            answer = model.card.answers.index(found.answers[0].label)
            extra, made["integrated"] = integrated_amounts(model, ready, answer, changes)
            found = replace(found, integrated=extra, notices=(*found.notices, *_why_not(made["integrated"])))
            clock.append(time.perf_counter())
            stages.append("gradients")
        if request.sweep:
            variants = [(*changes, *one) for one in request.sweep]
            swept = sweep(lambda some: self._model_for(request, some), request.sample, variants, request.seed, stop)
            if swept is None:
                return None
            order = [model.card.answers.index(answer.label) for answer in found.answers]
            found = replace(found, sweep=swept[:, order])
            clock.append(time.perf_counter())
            stages.append("sweep")
        seeds = [change for change in changes if isinstance(change, ShuffleWeights)]
        return replace(found, made_by={
            "model": model.card.id,
            "weights": model.card.weights_digest,
            "trained": model.card.trained and not seeds,
            "map_ref": model.card.details.get("map_ref") if request.maps else None,
            "changes": [str(change) for change in changes],
            "device": self.device,
            "device_name": _device_name(self.device),
            "dtype": "float32",
            "seed": request.seed,
            "versions": {"mmviz": mmviz.__version__, "torch": torch.__version__, "python": platform.python_version()},
            "milliseconds": {
                name: round((end - start) * 1e3, 2) for name, start, end in zip(stages, clock, clock[1:], strict=False)
            },
            **made,
        })  # fmt: skip

    def _watched(self, model: Model, ready: Prepared, request: Request, clock: list[float]) -> AttentionRecord:
        """One call of the model while its attention is heard; its end goes onto the ``clock``."""
        capture_targets, changes = model.capture_targets, request.changes
        even = uniform if any(isinstance(change, UniformAttention) for change in changes) else None
        with (
            torch.set_grad_enabled(request.relevance),
            capture(
                model.module,
                expected=capture_targets.modules if capture_targets else (),
                replace=even,
                ablate=[places(changes)],
                steps=request.steps,
            ) as seen,
        ):
            logits = model(ready.tensors)
        answers = _answers(model, logits)
        clock.append(time.perf_counter())
        pairs = dict(zip(capture_targets.modules, capture_targets.pairs, strict=True)) if capture_targets else None
        taken = seen.record(ready.streams, pairs=pairs)
        if taken.is_long:
            for one in seen.heard():
                if one.making:  # which nobody asks for any more, and which is more than what is kept
                    one.making.let_go()
            self._shelf.put(taken.id, RetainedCapture(seen, taken))
        notices = [*ready.notices, *taken.notices]
        brought = _of_each(norms, seen, notices) if request.norms and not taken.is_long else ()
        vectors = _of_each(steps, seen, notices) if request.steps else ()
        return replace(
            taken, answers=answers, notices=tuple(notices), norms=brought, steps=vectors,
            relevance=relevance_rows(seen, logits, taken) if request.relevance else None,
            made_by={name: taken.made_by[name] for name in ("dtype", "routes", "parity")},
        )  # fmt: skip


def _answers(model: Model, logits: Tensor) -> tuple[Answer, ...]:
    """All answers, the likeliest first; probabilities in double precision, so that small ones keep their logarithm."""
    probabilities = logits.detach().double().softmax(-1).cpu().numpy()
    order = np.argsort(-probabilities, kind="stable")
    return tuple(Answer(model.card.answers[k], float(probabilities[k])) for k in order)


def _tokens(ready: Prepared) -> dict[str, tuple[Token, ...]]:
    """The streams of a run whose attention was not heard."""
    streams = ready.streams if isinstance(ready.streams, Mapping) else {"tokens": ready.streams}
    return {name: as_tokens(tokens) for name, tokens in streams.items()}


def _why_not(made: Mapping[str, Any]) -> tuple[Notice, ...]:
    rest = {name: value for name, value in made.items() if name != "refused"}
    return (Notice(made["refused"], rest),) if "refused" in made else ()


def _of_each(what: Callable[[AttentionCall], T], seen: CaptureResult, notices: list[Notice]) -> tuple[T, ...]:
    """What can be told of each attention; nothing, and a notice why, where it cannot be told of one."""
    try:
        return tuple(what(one) for one in seen.heard())
    except CaptureError as refusal:
        notices.append(Notice(refusal.code, refusal.parameters))
        return ()


def _noted(record: AttentionRecord, code: str) -> AttentionRecord:
    return replace(record, notices=(*record.notices, Notice(code)))


def _shuffle(module: torch.nn.Module, seed: int) -> None:
    """Every parameter keeps its values but not their places (after Adebayo et al. 2018): nothing learned is left."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    threads = torch.get_num_threads()
    return f"{platform.machine()} CPU, {threads} thread" + ("s" if threads != 1 else "")
