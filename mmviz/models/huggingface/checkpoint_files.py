"""The files of a checkpoint: where they are, how large they are, whether they are whole, and what memory they need."""

from __future__ import annotations

import errno
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmviz.models.huggingface.checkpoint_spec import CheckpointSpec
from mmviz.models.huggingface.families import family_of
from mmviz.models.huggingface.progress_bars import download_bar
from mmviz.types import MmvizError

PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.tiktoken")
"""Files that a checkpoint is loaded from. No pickle is among them."""
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
_LOGIN_STATUS = (401, 403)
"""What a hub answers to a login that has ended, or that may not read a repository."""
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
NETWORK_LIBRARIES = ("httpx", "httpcore", "requests", "urllib3")
"""How the modules begin whose errors huggingface_hub lets through: its version 2 uses httpx2."""
Report = Callable[[str, dict[str, Any]], None]
"""Called with the code of a message and its parameters, to tell what goes on."""


@dataclass(frozen=True)
class CheckpointFiles:
    """A checkpoint on disk."""

    folder: Path
    """Holds the configuration, the files of the processor and the weights."""
    config: dict[str, Any]
    """What ``config.json`` holds."""
    weight_files: tuple[Path, ...]
    """The safetensors files of all weights, one or several."""
    disk_bytes: int
    """Size of the weights on disk."""
    parameters: int
    """Number of weights of the part that is loaded, see `Family.part`."""
    dtype: str
    """The type of most of these weights, as safetensors names it, such as ``BF16``."""


def fetch_checkpoint(spec: CheckpointSpec, report: Report) -> Path:
    """Returns the folder of a checkpoint; one of the hub is downloaded unless it is on disk.

    ``report`` is told the size of a download before it begins (``hf-download``). Raises ``MmvizError``:
    ``hf-offline``, ``hf-login``, ``hf-unknown``, ``hf-disk`` where there is too little space, ``file-unwritable``
    where the cache cannot be written to, ``hf-pickle`` for a repository without safetensors.
    """
    if spec.folder is not None:
        return spec.folder
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    options: dict[str, Any] = {"revision": spec.revision, "allow_patterns": list(PATTERNS)}
    try:
        folder = Path(snapshot_download(spec.name, local_files_only=True, **options))
        weights = _weight_files(folder)
        if weights and all(path.is_file() for path in weights):  # else a download was stopped, and goes on
            return folder
    except LocalEntryNotFoundError:
        pass
    try:
        files = HfApi().model_info(spec.name, revision=spec.revision, files_metadata=True).siblings or []
        needed = [file for file in files if any(Path(file.rfilename).match(pattern) for pattern in PATTERNS)]
        if not any(file.rfilename.endswith(".safetensors") for file in needed):
            raise MmvizError("hf-pickle", name=spec.name)
        size = sum(file.size or 0 for file in needed)
        cache = Path(constants.HF_HUB_CACHE)
        free = shutil.disk_usage(next(path for path in (cache, *cache.parents) if path.exists())).free
        if size > free:
            raise MmvizError("hf-disk", name=spec.name, size=gigabytes(size), free=gigabytes(free))
        report("hf-download", {"name": spec.name, "size": gigabytes(size)})
        return Path(snapshot_download(spec.name, tqdm_class=download_bar(), **options))
    except GatedRepoError as problem:
        raise MmvizError("hf-login", name=spec.name) from problem
    except (RepositoryNotFoundError, RevisionNotFoundError) as problem:
        raise MmvizError("hf-unknown", name=spec.name, revision=spec.revision or "main") from problem
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as problem:
        if getattr(getattr(problem, "response", None), "status_code", 0) in _LOGIN_STATUS:
            raise MmvizError("hf-unknown", name=spec.name, revision=spec.revision or "main") from problem
        if isinstance(problem, OSError) and problem.errno in _DISK_ERRORS:
            raise MmvizError("file-unwritable", name=str(constants.HF_HUB_CACHE), why=problem.strerror) from problem
        raise MmvizError("hf-offline", name=spec.name) from problem
    except Exception as problem:  # whatever the network library of this version raises
        if type(problem).__module__.startswith(NETWORK_LIBRARIES):
            raise MmvizError("hf-offline", name=spec.name) from problem
        raise


def read_checkpoint(folder: Path, name: str) -> CheckpointFiles:
    """Returns what a folder holds, read from the headers of its files alone.

    Raises ``MmvizError``: ``hf-no-config``, ``hf-pickle`` for weights that are not safetensors, ``hf-shard`` for a
    missing file of weights, ``hf-damaged`` for one that is not whole.
    """
    from safetensors import SafetensorError, safe_open

    config = read_config(folder, name)
    family = family_of(config)
    part = family.part if family else ""
    files = _weight_files(folder)
    if not files:
        is_pickle = any(True for pattern in _PICKLES for _ in folder.glob(pattern))
        raise MmvizError("hf-pickle" if is_pickle else "hf-no-weights", name=name)
    counts: dict[str, int] = {}
    for path in files:
        if not path.is_file():
            raise MmvizError("hf-shard", name=name, file=path.name)
        try:
            with safe_open(path, "np") as tensors:  # checks the header against the size of the file
                for key in tensors.keys():  # noqa: SIM118  # it is no mapping
                    if key.startswith(part):
                        weight = tensors.get_slice(key)
                        dtype = str(weight.get_dtype())
                        counts[dtype] = counts.get(dtype, 0) + math.prod(weight.get_shape())
        except (SafetensorError, OSError) as problem:
            raise MmvizError("hf-damaged", name=name, file=path.name) from problem
    size = sum(path.stat().st_size for path in files)
    dtype = max(counts, key=lambda kind: counts[kind], default="F32")
    return CheckpointFiles(folder, config, tuple(files), size, sum(counts.values()), dtype)


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """Returns what ``config.json`` holds. Raises ``MmvizError`` (``hf-no-config``, ``hf-damaged``)."""
    return _read_json(folder / "config.json", name)


def gigabytes(count: int) -> str:
    """Returns a number of bytes for people, such as ``2.1 GB``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _weight_files(folder: Path) -> list[Path]:
    """Returns the files of the weights, as the index lists them."""
    index = folder / INDEX
    if index.is_file():
        shards = _read_json(index, folder.name).get("weight_map", {})
        if not isinstance(shards, dict):
            raise MmvizError("hf-damaged", name=folder.name, file=index.name)
        return [folder / name for name in dict.fromkeys(Path(str(shard)).name for shard in shards.values())]
    return [folder / SINGLE] if (folder / SINGLE).is_file() else []


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as problem:
        raise MmvizError("hf-no-config", name=name, file=path.name) from problem
    except (OSError, ValueError, RecursionError) as problem:
        raise MmvizError("hf-damaged", name=name, file=path.name) from problem
    if not isinstance(values, dict):
        raise MmvizError("hf-damaged", name=name, file=path.name)
    return values
