"""Whether a device can train, before anything is synthesised for it."""

from __future__ import annotations

import torch

from mmviz.types import MmvizError


def check_device(device: str) -> None:
    """Raises ``MmvizError`` (``device-unknown``) for what torch cannot compute on here."""
    try:
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as problem:  # as torch's builds without CUDA raise
        why = str(problem).partition("\n")[0].partition(":")[0]
        raise MmvizError("device-unknown", device=device, why=why) from None
