"""Models on this machine: on the GPU when there is one, else on the CPU."""

from __future__ import annotations

import copy
import gc
import platform
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import mmviz
from mmviz.backends import Progress, Stop, never, one_by_one, quiet
from mmviz.backends.shelf import Shelf
from mmviz.capture import Seen, capture
from mmviz.capture.kept import Kept
from mmviz.capture.probe import finding
from mmviz.models import CATALOGUE, Model, load_model
from mmviz.models.yours import load
from mmviz.types import (
    Answer,
    AttentionRecord,
    CaptureError,
    Card,
    Drop,
    MmvizError,
    Modality,
    Notice,
    Randomise,
    Request,
    Sample,
    Uniform,
    View,
)


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
        self._shelf = Shelf()
        self._lock = threading.Lock()

    def models(self) -> tuple[Card, ...]:
        """Cards of the models that can be run here, each with the id under which it is requested."""
        return tuple(replace(self._model(name).card, id=name) for name in dict.fromkeys([*CATALOGUE, *self._models]))

    def run(
        self, requests: Sequence[Request], progress: Progress = quiet, stop: Stop = never
    ) -> tuple[AttentionRecord, ...]:
        """One record a request, in order; fewer where ``stop`` said so between two of them."""
        return one_by_one(requests, self._alone, progress, stop)

    def about(self) -> dict[str, Any]:
        """This machine: its name, system, torch's devices and threads, and the device on which runs are made."""
        cuda = [f"cuda:{k}" for k in range(torch.cuda.device_count())]
        return {
            "name": _device_name(self.device), "system": platform.platform(), "devices": ["cpu", *cuda],
            "device": self.device, "threads": torch.get_num_threads(),
        }  # fmt: skip

    def findings(self, name: str, sample: Sample) -> tuple[list[dict[str, Any]], tuple[Notice, ...]]:
        """What `mmviz.capture.probe.finding` says of each attention of a model in one run, and what was not caught."""
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

    def _alone(self, request: Request) -> AttentionRecord:
        with self._lock:
            return self._recovered(request)

    def _recovered(self, request: Request) -> AttentionRecord:
        """A run; where the GPU has too little memory a smaller one, then one on the CPU.

        Each is begun outside the ``except``, where the failed one's tensors are no longer held by its traceback.
        """
        for smaller in (request, replace(request, relevance=False)):
            try:
                record = self._run(smaller)
            except torch.OutOfMemoryError:
                pass
            else:
                return record if smaller is request else _noted(record, "memory-smaller")
            self._shelf.clear()
            self._controls.clear()
            gc.collect()
            torch.cuda.empty_cache()
        if request.model not in CATALOGUE:
            raise MmvizError("memory-own")
        self._cpu = self._cpu or LocalBackend("cpu")
        return _noted(self._cpu.run([request])[0], "memory-cpu")

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

    def _run(self, request: Request) -> AttentionRecord:
        seeds = [change.seed for change in request.changes if isinstance(change, Randomise)]
        model = self._shuffled(request.model, seeds[-1]) if seeds else self._model(request.model)
        torch.manual_seed(request.seed)
        clock = [time.perf_counter()]
        prepared = model.prepare(_without(request))
        clock.append(time.perf_counter())
        uniform = _uniform if any(isinstance(change, Uniform) for change in request.changes) else None
        listen = model.listen
        with (
            torch.set_grad_enabled(request.relevance),
            capture(model.module, expected=listen.modules if listen else (), replace=uniform) as seen,
        ):
            logits = model(prepared.tensors)
        probabilities = logits.detach().float().softmax(-1).cpu().numpy()
        clock.append(time.perf_counter())
        taken = seen.record(prepared.streams)
        if taken.is_long:
            self._shelf.put(taken.id, Kept(seen))
        relevant = _relevance(seen, logits, taken) if request.relevance else None
        clock.append(time.perf_counter())
        order = np.argsort(-probabilities, kind="stable")
        stages = ("prepare", "model", "capture")
        made_by: dict[str, Any] = {
            "model": model.card.id,
            "weights": model.card.weights_digest,
            "trained": model.card.trained and not seeds,
            "way": model.card.details.get("way"),
            "changes": [str(change) for change in request.changes],
            "device": self.device,
            "device_name": _device_name(self.device),
            "dtype": taken.made_by["dtype"],
            "seed": request.seed,
            "versions": {"mmviz": mmviz.__version__, "torch": torch.__version__, "python": platform.python_version()},
            "milliseconds": {
                name: round((end - start) * 1e3, 2) for name, start, end in zip(stages, clock, clock[1:], strict=False)
            },
            "routes": taken.made_by["routes"],
            "parity": taken.made_by["parity"],
        }
        return replace(
            taken,
            answers=tuple(Answer(model.card.answers[k], float(probabilities[k])) for k in order),
            made_by=made_by,
            notices=(*prepared.notices, *taken.notices),
            relevance=relevant,
        )


def _noted(record: AttentionRecord, code: str) -> AttentionRecord:
    return replace(record, notices=(*record.notices, Notice(code)))


def _relevance(seen: Seen, logits: Tensor, record: AttentionRecord) -> NDArray[np.float32] | None:
    """Relevance for the winning answer; None where the record is too long for it, or the model does not allow it."""
    if record.is_long:
        return None
    try:
        return seen.relevance(logits[int(logits.argmax())])
    except CaptureError as refusal:
        if refusal.code in ("relevance-graph", "flow-streams"):
            return None
        raise


def _without(request: Request) -> Sample:
    """The sample without the modalities that the request drops."""
    dropped = {change.modality for change in request.changes if isinstance(change, Drop)}
    sample = request.sample
    return replace(
        sample,
        image=None if Modality.IMAGE in dropped else sample.image,
        text=None if Modality.TEXT in dropped else sample.text,
        audio=None if Modality.AUDIO in dropped else sample.audio,
    )


def _uniform(weights: Tensor) -> Tensor:
    """The same weight for every key that had any."""
    allowed = (weights > 0).to(weights.dtype)
    return allowed / allowed.sum(-1, keepdim=True)


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
