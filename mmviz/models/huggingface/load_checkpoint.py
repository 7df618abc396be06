"""Loads a checkpoint of Hugging Face: which class, which type of numbers, on which device, and what can be missing."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from mmviz.models.huggingface.chat_model import ChatModel
from mmviz.models.huggingface.checkpoint_files import (
    CheckpointFiles,
    Report,
    fetch_checkpoint,
    gigabytes,
    read_checkpoint,
)
from mmviz.models.huggingface.checkpoint_spec import parse_checkpoint
from mmviz.models.huggingface.encoder_decoder_models import PromptEncoderModel, SpeechModel
from mmviz.models.huggingface.encoder_models import EncoderModel
from mmviz.models.huggingface.families import FAMILIES, Family, Task
from mmviz.models.module_weights import weights_digest
from mmviz.models.protocol import Model
from mmviz.types import Card, MmvizError

_ADAPTERS: dict[Task, Callable[[Any, Any, Family, Card, str], Model]] = {
    "chat": ChatModel, "speech": SpeechModel, "encoded": PromptEncoderModel, "matching": EncoderModel,
    "labels": EncoderModel,
}  # fmt: skip
RESERVE = 1.2
"""How much more memory than its weights a model needs for a run of a few hundred tokens."""
_STORED = {"BF16": torch.bfloat16, "F16": torch.float16}
_PACKAGES = {"torchvision": "torchvision", "timm": "timm", "sentencepiece": "sentencepiece", "librosa": "librosa",
             "torchaudio": "torchaudio", "num2words": "num2words", "PIL": "pillow", "tiktoken": "tiktoken"}  # fmt: skip


def load_checkpoint(spec: str, device: str, report: Report = lambda code, parameters: None) -> Model:
    """Returns the model that ``spec`` (``hf:OWNER/NAME[@REVISION]`` or ``hf:FOLDER``) names, on ``device``.

    Weights are read from safetensors alone, and no code of a checkpoint is run. ``report`` is told what goes on, see
    `fetch_checkpoint`; ``hf-loading`` comes with the memory that is needed.

    The type of numbers: on a GPU that of the checkpoint; on a CPU float32, which has exact parity checks, or that of
    the checkpoint where only that fits into memory.

    Raises ``MmvizError``: as `parse_checkpoint`, `fetch_checkpoint` and `read_checkpoint` do; ``hf-extra`` without
    transformers, ``hf-family`` for a family that is not supported, ``hf-memory`` for a model that is too large,
    ``hf-package`` for a package that its processor needs, ``hf-incomplete`` where weights are missing, ``hf-load``.
    """
    checkpoint = parse_checkpoint(spec)
    if find_spec("transformers") is None:
        raise MmvizError("hf-extra")
    files = read_checkpoint(fetch_checkpoint(checkpoint, report), checkpoint.name)
    family = FAMILIES.get(str(files.config.get("model_type")))
    if family is None:
        known = ", ".join(sorted({entry.title for entry in FAMILIES.values()}))
        raise MmvizError("hf-family", name=checkpoint.name, kind=files.config.get("model_type"), known=known)
    dtype = choose_dtype(files, device, checkpoint.name)
    needed = _bytes_needed(files, dtype)
    report("hf-loading", {"name": checkpoint.name, "size": gigabytes(files.disk_bytes), "memory": gigabytes(needed),
                          "dtype": str(dtype).removeprefix("torch."), "device": device})  # fmt: skip
    module, processor = _loaded(files.folder, family, dtype, checkpoint.name)
    details = {
        "family": family.title, "parameters": files.parameters, "dtype": str(dtype).removeprefix("torch."),
        "disk_bytes": files.disk_bytes,
    }  # fmt: skip
    about = f"{family.title}, {files.parameters / 1e6:,.0f} million weights, {details['dtype']}."
    card = Card(spec, checkpoint.name, about, True, ("", ""), weights_digest(module), details)
    return _ADAPTERS[family.task](module.to(device), processor, family, card, device)


def choose_dtype(files: CheckpointFiles, device: str, name: str) -> torch.dtype:
    """Returns the type of numbers by the rule of `load_checkpoint`. Raises ``MmvizError`` (``hf-memory``)."""
    free = free_memory(device)
    stored = _STORED.get(files.dtype, torch.float32)
    for dtype in (stored,) if device.startswith("cuda") else (torch.float32, stored):
        if free is None or _bytes_needed(files, dtype) <= free:
            return dtype
    assert free is not None
    smallest = gigabytes(_bytes_needed(files, stored))
    raise MmvizError("hf-memory", name=name, needed=smallest, free=gigabytes(free), device=device)


def free_memory(device: str) -> int | None:
    """Returns the bytes of memory that are free on a device; None where the system does not tell."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _bytes_needed(files: CheckpointFiles, dtype: torch.dtype) -> int:
    return int(files.memory_bytes(dtype.itemsize) * RESERVE)


def _loaded(folder: Path, family: Family, dtype: torch.dtype, name: str) -> tuple[Any, Any]:
    """Returns the module, in eval mode, and the processor."""
    import transformers

    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    auto: Any = transformers.AutoProcessor
    processor = _tried(lambda: auto.from_pretrained(folder, **options), name)
    model_class = getattr(transformers, family.model_class)
    module, info = _tried(
        lambda: model_class.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
        ),
        name,
    )
    missing = sorted(info["missing_keys"])
    if missing or info.get("mismatched_keys"):
        keys = missing or [str(entry[0]) for entry in info["mismatched_keys"]]
        raise MmvizError("hf-incomplete", name=name, count=len(keys), keys=", ".join(keys[:3]))
    return module.eval(), processor


def _tried(load: Callable[[], Any], name: str) -> Any:
    """Returns what ``load`` does. Raises ``MmvizError`` (``hf-package``, ``hf-load``) where it fails."""
    try:
        return load()
    except ImportError as problem:
        text = str(problem).strip()
        package = next((pip for module, pip in _PACKAGES.items() if module.lower() in text.lower()), None)
        if package is None:
            raise MmvizError("hf-load", name=name, why=(text.splitlines() or ["ImportError"])[0][:200]) from problem
        raise MmvizError("hf-package", name=name, package=package) from problem
    except Exception as problem:  # transformers raises what it likes
        why = f"{type(problem).__name__}: {str(problem).strip().splitlines()[0] if str(problem).strip() else ''}"
        raise MmvizError("hf-load", name=name, why=why[:200]) from problem
