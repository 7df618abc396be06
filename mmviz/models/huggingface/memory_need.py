"""The memory that a checkpoint needs, and the type of numbers that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import torch

from mmviz.models.huggingface.checkpoint_files import gigabytes
from mmviz.types import MmvizError

RESERVE = 1.2
"""How much more memory than its weights a model needs for a run of a few hundred tokens."""
_STORED = {"BF16": torch.bfloat16, "F16": torch.float16}


class Weights(Protocol):
    """What tells how much memory weights need."""

    @property
    def parameters(self) -> int:
        """Number of weights."""
        ...

    @property
    def dtype(self) -> str:
        """The type of most weights, as safetensors names it, such as ``BF16``."""
        ...


@dataclass(frozen=True)
class MemoryNeed:
    """What memory a model needs, and in which type it would run on a device. Sizes are in bytes."""

    stored_dtype: str
    """The type on a GPU."""
    stored: int
    """Memory in that type."""
    full: int
    """Memory in float32."""
    free: int | None
    """What is free on the device; None where the system does not tell."""
    dtype: str
    """The type on the device, by the rule of `choose_dtype`; "" where the model is too large for it."""
    needed: int
    """Memory in that type; 0 where it is too large."""


def memory_need(weights: Weights, device: str) -> MemoryNeed:
    """Returns the memory that a model needs, by the rule that is checked when it is loaded."""
    stored = stored_dtype(weights)
    try:
        dtype = choose_dtype(weights, device, "")
    except MmvizError:
        dtype = None
    return MemoryNeed(
        dtype_name(stored), bytes_needed(weights, stored), bytes_needed(weights, torch.float32), free_memory(device),
        dtype_name(dtype) if dtype else "", bytes_needed(weights, dtype) if dtype else 0,
    )  # fmt: skip


def dtype_name(dtype: torch.dtype) -> str:
    """Returns the name of a type for people, such as ``bfloat16``."""
    return str(dtype).removeprefix("torch.")


def stored_dtype(weights: Weights) -> torch.dtype:
    """Returns the type in which a checkpoint is loaded on a GPU: its own, or float32 for all but 16-bit types."""
    return _STORED.get(weights.dtype, torch.float32)


def bytes_needed(weights: Weights, dtype: torch.dtype) -> int:
    """Returns the bytes of memory for the weights in this type and a run of a few hundred tokens, see `RESERVE`."""
    return int(weights.parameters * dtype.itemsize * RESERVE)


def choose_dtype(weights: Weights, device: str, name: str) -> torch.dtype:
    """Returns the type of numbers: on a GPU that of the checkpoint; on a CPU float32, or its own where only that fits.

    Raises ``MmvizError`` (``hf-memory``) where neither fits.
    """
    free = free_memory(device)
    stored = stored_dtype(weights)
    for dtype in (stored,) if device.startswith("cuda") else (torch.float32, stored):
        if free is None or bytes_needed(weights, dtype) <= free:
            return dtype
    assert free is not None
    smallest = gigabytes(bytes_needed(weights, stored))
    raise MmvizError("hf-memory", name=name, needed=smallest, free=gigabytes(free), device=device)


@dataclass(frozen=True)
class Placement:
    """Where a model lies, and in which type of numbers."""

    dtype: torch.dtype
    """The type of the weights in memory."""
    device: str
    """The device, or those that it is spread over, for people."""
    device_map: str | None = None
    """What ``from_pretrained`` is told: None for a single device."""


def choose_placement(weights: Weights, device: str, name: str) -> Placement:
    """Returns where a model lies: on ``device`` where it fits, see `choose_dtype`, else spread by accelerate.

    A model that is too large for its GPU, but not for all GPUs and the CPU together, is spread over them.

    Raises ``MmvizError``: ``hf-memory`` where it fits nowhere, ``hf-spread`` where accelerate is not installed.
    """
    try:
        return Placement(choose_dtype(weights, device, name), device)
    except MmvizError:
        gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if device.startswith("cuda") else []
        dtype = stored_dtype(weights)
        needed, free = bytes_needed(weights, dtype), sum(free_memory(part) or 0 for part in (*gpus, "cpu"))
        if not gpus or needed > free:
            raise
    if find_spec("accelerate") is None:
        raise MmvizError("hf-spread", name=name, needed=gigabytes(needed), device=device, free=gigabytes(free))
    return Placement(dtype, " + ".join((*gpus, "cpu")), "auto")


def free_memory(device: str) -> int | None:
    """Returns the bytes of memory that are free on a device; None where the system does not tell."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
