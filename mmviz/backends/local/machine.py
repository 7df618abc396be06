"""The machine that models run on, as records and ``mmviz doctor`` name it."""

from __future__ import annotations

import gc
import platform
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mmviz.models.weight_devices import input_device


def machine(device: str) -> dict[str, Any]:
    """Returns the machine's ``name`` and ``system``, torch's ``devices`` and ``threads``, and the ``device`` of
    runs."""
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return {
        "name": device_name(device), "system": platform.platform(), "devices": ["cpu", *gpus],
        "device": device, "threads": torch.get_num_threads(),
    }  # fmt: skip


def device_name(device: str) -> str:
    """Returns the name of the GPU, or of the processor with the number of threads."""
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    threads = torch.get_num_threads()
    return f"{platform.machine()} CPU, {threads} thread" + ("s" if threads != 1 else "")


def made_on(module: nn.Module, milliseconds: Mapping[str, float]) -> dict[str, Any]:
    """Returns what a record tells of the machine: where ``module`` ran, and the times of the stages of its run."""
    device = str(input_device(module))
    return {"device": device, "device_name": device_name(device), "milliseconds": dict(milliseconds)}


def free_memory() -> None:
    """Gives what no tensor holds any more back to the GPU, after a call that had too little memory."""
    gc.collect()
    torch.cuda.empty_cache()


def lacks_memory(problem: BaseException) -> bool:
    """Returns whether a GPU had too little memory, as torch says it or as the error in a user's code that it caused."""
    return isinstance(problem, torch.OutOfMemoryError) or isinstance(problem.__cause__, torch.OutOfMemoryError)
