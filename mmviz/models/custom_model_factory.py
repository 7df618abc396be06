"""The factory that makes a custom model, named on the command line, and what can be wrong with it."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmviz.models.custom import CustomModel
from mmviz.models.huggingface.checkpoint_spec import is_checkpoint, parse_checkpoint
from mmviz.models.loading_watch import check_stop, loading_watch, one_at_a_time
from mmviz.models.protocol import Model
from mmviz.models.user_code_errors import description, user_code
from mmviz.types import MmvizError, Notice

WEIGHTS = "weights.safetensors"
MAX_BYTES = 100_000_000
"""Bytes of a weights file; the weights of trio are a tenth of it."""


def is_custom(spec: str) -> bool:
    """Returns whether ``spec`` names a factory or a folder of weights, not a model of the catalogue."""
    return ":" in spec or Path(spec).is_dir()


def check_spec(spec: str) -> None:
    """Refuses a ``spec`` that can be neither a factory nor a folder of weights, before anything is loaded.

    Raises ``MmvizError``: ``own-spec`` for what is not ``package.module:factory``, ``own-missing`` where there is no
    such module, ``weights-missing`` for a folder without weights.
    """
    if is_checkpoint(spec):
        parse_checkpoint(spec)
        return
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
    if is_checkpoint(spec):
        from mmviz.models.huggingface.load_checkpoint import load_checkpoint

        with one_at_a_time():
            return load_checkpoint(spec, device, _tell)
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
        raise MmvizError("own-made", name=name, kind=description(model))
    loaded: Model = model
    return loaded


def _tell(code: str, parameters: Mapping[str, Any]) -> None:
    """Prints a notice about a model that is loaded, and tells it who watches. Raises ``MmvizError`` where it stops."""
    notice, watch = Notice(code, parameters), loading_watch()
    print(notice, file=sys.stderr)
    if watch is not None:
        watch.report(notice)
    check_stop()


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
