"""A model of your own, and the factory that makes it: any torch module, with a function that prepares its inputs."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmviz.models import CaptureTargets, Model, Prepared
from mmviz.types import Card, MmvizError, Sample, Token

WEIGHTS = "weights.safetensors"
LARGEST = 100_000_000
"""Bytes; the weights of trio are a tenth of it."""
Tokens = Sequence[str | Token] | Mapping[str, Sequence[str | Token]]


class CustomModel:
    """A torch module as a model of mmviz; whatever attention is heard in it becomes its record.

    ``prepare(sample)`` gives ``(inputs, tokens)``: inputs for the module, a tensor, a tuple (its arguments) or a
    mapping (by name), with a batch of one; and the tokens that attend, strings or `mmviz.Token`, of one stream, or a
    mapping of several. ``answers``: a label for each logit. ``logits(output)`` picks the logits ``[answer]``; without
    it the output is a tensor, or has ``.logits``, and axes of length 1 before the last are dropped. ``embedding``: the
    path of the part whose output ``[1, token, width]`` is the tokens that enter the layers, for integrated gradients.
    """

    capture_targets: CaptureTargets | None = None

    def __init__(
        self, module: nn.Module, prepare: Callable[[Sample], tuple[Any, Tokens]], answers: Sequence[str], *,
        name: str = "own", about: str = "", trained: bool = True, logits: Callable[[Any], Tensor] | None = None,
        embedding: str | None = None,
    ):  # fmt: skip
        if not isinstance(module, nn.Module):
            raise MmvizError("own-module", kind=type(module).__name__)
        if isinstance(answers, str) or not answers or not all(isinstance(one, str) for one in answers):
            raise MmvizError("own-answers")
        if embedding is not None and embedding not in dict(module.named_modules()):
            raise MmvizError("own-embedding", path=embedding)
        self.module = module.eval()
        self.embedding = embedding
        self.device = "cpu"
        self._prepare, self._logits = prepare, logits
        self.card = Card(name, name, about, trained, tuple(answers), _digest(module))

    def to(self, device: str) -> CustomModel:
        """Move the module to ``device``."""
        self.device = device
        self.module.to(device)
        return self

    def prepare(self, sample: Sample) -> Prepared:
        """Inputs and tokens for one sample. Raises ``MmvizError`` (``own-raised``, ``own-prepare``)."""
        try:
            found = self._prepare(sample)
        except MmvizError:
            raise
        except Exception as problem:
            raise _raised("prepare", problem) from problem
        if not isinstance(found, tuple) or len(found) != 2 or not isinstance(found[1], Sequence | Mapping):
            raise MmvizError("own-prepare", kind=_described(found))
        inputs, tokens = found
        return Prepared(self._moved(inputs), tokens)

    def __call__(self, tensors: Any) -> Tensor:
        """Logits ``[answer]``. Raises ``MmvizError`` (``own-raised``, ``own-output``, ``own-logits``)."""
        found = self._logits_of(tensors)
        while found.dim() > 1 and found.shape[0] == 1:
            found = found[0]
        if found.shape != (len(self.card.answers),):
            raise MmvizError("own-logits", shape=list(found.shape), answers=len(self.card.answers))
        return found

    def join(self, rows: Sequence[Prepared]) -> Any:
        """The inputs of all rows one below the other; None where their shapes differ."""
        return _joined([row.tensors for row in rows])

    def batch(self, tensors: Any, rows: int) -> Tensor | None:
        """Logits ``[row, answer]``; None where the model does not give one for each row. Raises as a call does."""
        found, answers = self._logits_of(tensors), len(self.card.answers)
        if found.shape[:1] != (rows,) or found.numel() != rows * answers or found.shape[-1] != answers:
            return None
        return found.reshape(rows, answers)

    def _logits_of(self, tensors: Any) -> Tensor:
        try:
            if isinstance(tensors, Mapping):
                output = self.module(**tensors)
            else:
                output = self.module(*tensors) if isinstance(tensors, tuple) else self.module(tensors)
            found = self._logits(output) if self._logits else getattr(output, "logits", output)
        except MmvizError:
            raise
        except Exception as problem:
            raise _raised("the model", problem) from problem
        if not isinstance(found, Tensor):
            raise MmvizError("own-output", kind=_described(found))
        return found

    def _moved(self, inputs: Any) -> Any:
        if isinstance(inputs, Tensor):
            return inputs.to(self.device)
        if isinstance(inputs, Mapping):
            return {name: self._moved(one) for name, one in inputs.items()}
        return tuple(self._moved(one) for one in inputs) if isinstance(inputs, tuple) else inputs


def _joined(parts: Sequence[Any]) -> Any:
    """Inputs of a batch of one each, as one batch; None where they do not fit, or are no inputs of one."""
    first = parts[0]
    if isinstance(first, Tensor):
        fits = first.dim() > 0 and all(part.shape == first.shape and part.shape[0] == 1 for part in parts)
        return torch.cat(list(parts)) if fits else None
    if isinstance(first, Mapping | tuple):
        names = list(first) if isinstance(first, Mapping) else range(len(first))
        if any(type(part) is not type(first) or len(part) != len(first) for part in parts):
            return None
        made = [_joined([part[name] for part in parts]) for name in names]
        if any(one is None for one in made):
            return None
        return dict(zip(names, made, strict=True)) if isinstance(first, Mapping) else tuple(made)
    plain = (str, int, float, bool)  # of anything else it is not known what being equal says
    return first if all(part is first or (isinstance(part, plain) and part == first) for part in parts) else None


def is_own(spec: str) -> bool:
    """Whether a model is named that does not come with mmviz: a factory, or a folder of weights."""
    return ":" in spec or Path(spec).is_dir()


def check_spec(spec: str) -> None:
    """Refuse what can be neither a factory nor a folder of weights, before anything is loaded.

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
    _importable()
    try:
        found = importlib.util.find_spec(module)
    except Exception:  # a package above it is missing, or fails: loading it tells which
        found = None
        if importlib.util.find_spec(module.partition(".")[0]):
            return
    if found is None:
        raise MmvizError("own-missing", module=module, folder=Path.cwd().name)


def load(spec: str, device: str) -> Model:
    """The model that the factory ``package.module:factory`` makes, on ``device``; the working directory is searched
    too. Or `trio` with the weights in a folder, as ``mmviz train`` writes them (safetensors, no code).

    Only for what an operator configured: it runs code. Raises ``MmvizError`` with one sentence for each way in which
    it can be wrong.
    """
    check_spec(spec)
    if Path(spec).is_dir():
        return _trained(Path(spec) / WEIGHTS, device)
    path, _, name = spec.partition(":")
    try:
        module = importlib.import_module(path)
    except Exception as problem:
        raise _raised(f"import {path}", problem) from problem
    if not hasattr(module, name):
        near = difflib.get_close_matches(name, vars(module), 3) or [one for one in vars(module) if one[0] != "_"][:8]
        raise MmvizError("own-name", module=path, name=name, near=", ".join(near) or "nothing")
    factory = getattr(module, name)
    if not callable(factory):
        raise MmvizError("own-factory", name=name, kind=type(factory).__name__)
    try:
        made = factory()
    except MmvizError:
        raise
    except Exception as problem:
        raise _raised(f"{name}()", problem) from problem
    if isinstance(made, CustomModel):
        return made.to(device)
    if not all(hasattr(made, part) for part in ("card", "listen", "module", "prepare")) or not callable(made):
        raise MmvizError("own-made", name=name, kind=_described(made))
    model: Model = made
    return model


def _trained(weights: Path, device: str) -> Model:
    from mmviz.models.bundled import BundledTrio

    if weights.stat().st_size > LARGEST:
        raise MmvizError("weights-unreadable", name=weights.name)
    return BundledTrio(device, weights.read_bytes())


def _importable() -> None:
    """As for a script, modules beside the working directory can be imported."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def _raised(what: str, problem: Exception) -> MmvizError:
    """What went wrong in somebody's code, and where."""
    frames = traceback.extract_tb(problem.__traceback__)
    own = [frame for frame in frames if not any(part in frame.filename for part in ("mmviz", "site-packages", "<"))]
    place = own[-1] if own else frames[-1]
    where = f"{Path(place.filename).name}, line {place.lineno}"
    words = " ".join(str(problem).split()) or "no message"
    return MmvizError("own-raised", what=what, kind=type(problem).__name__, words=words[:300], where=where)


def _described(thing: Any) -> str:
    shape = getattr(thing, "shape", None)
    if isinstance(thing, tuple):
        return f"a tuple of {len(thing)}"
    return type(thing).__name__ + (f" of shape {list(shape)}" if shape is not None else "")


def _digest(module: nn.Module) -> str:
    """SHA-256 over all parameters."""
    digest = hashlib.sha256()
    for parameter in module.parameters():
        digest.update(parameter.detach().flatten().view(torch.uint8).cpu().numpy().tobytes())
    return digest.hexdigest()
