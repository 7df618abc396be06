"""A custom model, any torch module with a function that prepares its inputs, and the factory that makes it."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmviz.models.protocol import CaptureTargets, Model, Prepared
from mmviz.types import Card, MmvizError, Sample, Token

WEIGHTS = "weights.safetensors"
MAX_BYTES = 100_000_000
"""Bytes of a weights file; the weights of trio are a tenth of it."""
Tokens = Sequence[str | Token] | Mapping[str, Sequence[str | Token]]


class CustomModel:
    """A torch module as a model of mmviz. Every attention that is captured in it is recorded.

    Args:
        module: The model; it is put into eval mode.
        prepare: ``prepare(sample)`` returns ``(inputs, tokens)``. Inputs are what the module is called with: a tensor,
            a tuple (positional arguments) or a mapping (keyword arguments), with a batch of one. Tokens are those that
            attention runs over, strings or `mmviz.Token`, of one stream, or a mapping of several streams.
        answers: A label for each logit.
        logits: ``logits(output)`` returns the logits ``[answer]`` of the module's output. Without it the output is a
            tensor, or has ``.logits``; axes of length 1 before the last are dropped.
        embedding: Path of the module whose output ``[1, token, width]`` are the tokens that enter the layers, for
            integrated gradients.
        include: Glob patterns on module paths: attention is captured only in modules that match, and the modules in
            them, see `mmviz.capture`. By default it is captured in all.
        exclude: Glob patterns of modules in which attention is not captured, such as ``"*.router"``.

    Raises ``MmvizError``: ``own-module``, ``own-answers``, ``own-embedding``.
    """

    capture_targets: CaptureTargets | None = None

    def __init__(
        self, module: nn.Module, prepare: Callable[[Sample], tuple[Any, Tokens]], answers: Sequence[str], *,
        name: str = "own", about: str = "", trained: bool = True, logits: Callable[[Any], Tensor] | None = None,
        embedding: str | None = None, include: str | Sequence[str] = (), exclude: str | Sequence[str] = (),
    ):  # fmt: skip
        if not isinstance(module, nn.Module):
            raise MmvizError("own-module", kind=type(module).__name__)
        if isinstance(answers, str) or not answers or not all(isinstance(label, str) for label in answers):
            raise MmvizError("own-answers")
        if embedding is not None and embedding not in dict(module.named_modules()):
            raise MmvizError("own-embedding", path=embedding)
        self.module = module.eval()
        self.embedding = embedding
        self.include, self.exclude = include, exclude
        self.device = "cpu"
        self._prepare, self._logits = prepare, logits
        self.card = Card(name, name, about, trained, tuple(answers), _digest(module))

    def to(self, device: str) -> CustomModel:
        """Moves the module to ``device`` and returns the model."""
        self.device = device
        self.module.to(device)
        return self

    def prepare(self, sample: Sample) -> Prepared:
        """Returns inputs and tokens of one sample. Raises ``MmvizError`` (``own-raised``, ``own-prepare``)."""
        with user_code("prepare"):
            prepared = self._prepare(sample)
        if not isinstance(prepared, tuple) or len(prepared) != 2 or not isinstance(prepared[1], Sequence | Mapping):
            raise MmvizError("own-prepare", kind=_description(prepared))
        inputs, tokens = prepared
        return Prepared(self._to_device(inputs), tokens)

    def __call__(self, tensors: Any) -> Tensor:
        """Returns logits ``[answer]``. Raises ``MmvizError`` (``own-raised``, ``own-output``, ``own-logits``)."""
        logits = self._logits_of(tensors)
        while logits.dim() > 1 and logits.shape[0] == 1:
            logits = logits[0]
        if logits.shape != (len(self.card.answers),):
            raise MmvizError("own-logits", shape=list(logits.shape), answers=len(self.card.answers))
        return logits

    def join(self, rows: Sequence[Prepared]) -> Any:
        """Returns the inputs of all rows as one batch; None where their shapes differ."""
        return _concatenated([row.tensors for row in rows])

    def batch(self, tensors: Any, rows: int) -> Tensor | None:
        """Returns logits ``[row, answer]``; None where the model does not return one row per sample."""
        logits, answers = self._logits_of(tensors), len(self.card.answers)
        if logits.shape[:1] != (rows,) or logits.numel() != rows * answers or logits.shape[-1] != answers:
            return None
        return logits.reshape(rows, answers)

    def _logits_of(self, tensors: Any) -> Tensor:
        with user_code("the model"):
            if isinstance(tensors, Mapping):
                output = self.module(**tensors)
            else:
                output = self.module(*tensors) if isinstance(tensors, tuple) else self.module(tensors)
            logits = self._logits(output) if self._logits else getattr(output, "logits", output)
        if not isinstance(logits, Tensor):
            raise MmvizError("own-output", kind=_description(logits))
        return logits

    def _to_device(self, inputs: Any) -> Any:
        if isinstance(inputs, Tensor):
            return inputs.to(self.device)
        if isinstance(inputs, Mapping):
            return {name: self._to_device(value) for name, value in inputs.items()}
        return tuple(self._to_device(value) for value in inputs) if isinstance(inputs, tuple) else inputs


def _concatenated(parts: Sequence[Any]) -> Any:
    """Returns inputs with a batch of one each as one batch; None where they do not fit together."""
    first = parts[0]
    if isinstance(first, Tensor):
        fits = first.dim() > 0 and all(part.shape == first.shape and part.shape[0] == 1 for part in parts)
        return torch.cat(list(parts)) if fits else None
    if isinstance(first, Mapping | tuple):
        names = list(first) if isinstance(first, Mapping) else range(len(first))
        if any(type(part) is not type(first) or len(part) != len(first) for part in parts):
            return None
        joined = [_concatenated([part[name] for part in parts]) for name in names]
        if any(value is None for value in joined):
            return None
        return dict(zip(names, joined, strict=True)) if isinstance(first, Mapping) else tuple(joined)
    plain = (str, int, float, bool)  # other types may define == in their own way
    return first if all(part is first or (isinstance(part, plain) and part == first) for part in parts) else None


def is_custom(spec: str) -> bool:
    """Returns whether ``spec`` names a factory or a folder of weights, not a model of the catalogue."""
    return ":" in spec or Path(spec).is_dir()


def check_spec(spec: str) -> None:
    """Refuses a ``spec`` that can be neither a factory nor a folder of weights, before anything is loaded.

    Raises ``MmvizError``: ``own-spec`` for what is not ``package.module:factory``, ``own-missing`` where there is no
    such module, ``weights-missing`` for a folder without weights.
    """
    if Path(spec).is_dir():
        if not (Path(spec) / WEIGHTS).is_file():
            raise MmvizError("weights-missing", folder=Path(spec).name)
        return
    module, _, name = spec.partition(":")
    if not all(part.isidentifier() for part in module.split(".")) or not name.isidentifier():
        raise MmvizError("own-spec", spec=spec)
    _add_working_directory()
    try:
        module_spec = importlib.util.find_spec(module)
    except (Exception, SystemExit):  # a parent package is missing, or fails: loading it tells which
        module_spec = None
        if importlib.util.find_spec(module.partition(".")[0]):
            return
    if module_spec is None:
        raise MmvizError("own-missing", module=module, folder=Path.cwd().name)


def load(spec: str, device: str) -> Model:
    """Returns the model that the factory ``package.module:factory`` makes, on ``device``.

    The working directory is searched too. A ``spec`` that is a folder gives `trio` with the weights in it, as ``mmviz
    train`` writes them (safetensors, no code). A factory runs code, so only the operator may name it. Raises
    ``MmvizError`` with one sentence for each possible mistake.
    """
    check_spec(spec)
    if Path(spec).is_dir():
        return _load_trained(Path(spec) / WEIGHTS, device)
    path, _, name = spec.partition(":")
    with user_code(f"import {path}"):
        module = importlib.import_module(path)
    if not hasattr(module, name):
        near = (
            difflib.get_close_matches(name, vars(module), 3)
            or [member for member in vars(module) if member[0] != "_"][:8]
        )
        raise MmvizError("own-name", module=path, name=name, near=", ".join(near) or "nothing")
    factory = getattr(module, name)
    if not callable(factory):
        raise MmvizError("own-factory", name=name, kind=type(factory).__name__)
    with user_code(f"{name}()"):
        model = factory()
    if isinstance(model, CustomModel):
        return model.to(device)
    required = ("card", "capture_targets", "module", "prepare")
    if not all(hasattr(model, part) for part in required) or not callable(model):
        raise MmvizError("own-made", name=name, kind=_description(model))
    loaded: Model = model
    return loaded


def _load_trained(weights: Path, device: str) -> Model:
    from mmviz.models.trio_model import BundledTrio

    if weights.stat().st_size > MAX_BYTES:
        raise MmvizError("weights-unreadable", name=weights.name)
    return BundledTrio(device, weights.read_bytes())


def _add_working_directory() -> None:
    """Makes modules in the working directory importable, as for a script."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)


@contextmanager
def user_code(what: str) -> Iterator[None]:
    """Turns whatever a user's code raises into an ``MmvizError``: ``own-raised``, or ``own-exit`` where it ends Python.

    An ``MmvizError`` and Ctrl-C (``KeyboardInterrupt``) pass unchanged. ``what`` names the code in the message.
    """
    try:
        yield
    except (MmvizError, KeyboardInterrupt):
        raise
    except BaseException as problem:
        raise user_error(what, problem) from problem


def user_error(what: str, problem: BaseException) -> MmvizError:
    """Returns an error that says what failed in a user's code, and where."""
    frames = traceback.extract_tb(problem.__traceback__)
    library = ("mmviz", "site-packages", sysconfig.get_path("stdlib"), "<")
    user_frames = [frame for frame in frames if not any(part in frame.filename for part in library)]
    last = user_frames[-1] if user_frames else frames[-1]
    location = f"{Path(last.filename).name}, line {last.lineno}"
    words = " ".join(str(problem).split()) or "no message"
    code = "own-raised" if isinstance(problem, Exception) else "own-exit"
    return MmvizError(code, what=what, kind=type(problem).__name__, words=words[:300], where=location)


def _description(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return type(value).__name__ + (f" of shape {list(shape)}" if shape is not None else "")


def _digest(module: nn.Module) -> str:
    """Returns the SHA-256 of all parameters, hexadecimal."""
    digest = hashlib.sha256()
    for parameter in module.parameters():
        digest.update(parameter.detach().flatten().view(torch.uint8).cpu().numpy().tobytes())
    return digest.hexdigest()
