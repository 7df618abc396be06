"""Where the weights of a module lie, and their digest."""

from __future__ import annotations

import hashlib
from itertools import chain

import torch
from torch import nn


def weights_digest(module: nn.Module) -> str:
    """Returns the SHA-256 of all parameters, hexadecimal; offloaded ones, which have no data, count by their shape."""
    digest = hashlib.sha256()
    for parameter in module.parameters():
        if parameter.is_meta:
            digest.update(str(tuple(parameter.shape)).encode())
        else:
            digest.update(parameter.detach().flatten().view(torch.uint8).cpu().numpy().tobytes())
    return digest.hexdigest()


def is_spread(module: nn.Module) -> bool:
    """Returns whether the weights lie on several devices, or are offloaded, so that the module must not be moved."""
    devices = {tensor.device for tensor in chain(module.parameters(), module.buffers())}
    return len(devices) > 1 or torch.device("meta") in devices


def input_device(module: nn.Module) -> torch.device:
    """Returns the device that takes the inputs of a module: that of the first parameter, without any of a buffer.

    An offloaded parameter, as the hooks of accelerate leave it, is computed with on the device that its hook names.
    """
    for part in module.modules():
        hook_device = getattr(getattr(part, "_hf_hook", None), "execution_device", None)
        for parameter in part.parameters(recurse=False):
            if not parameter.is_meta:
                return parameter.device
            if hook_device is not None:
                return torch.device(hook_device)
    return next((buffer.device for buffer in module.buffers() if not buffer.is_meta), torch.device("cpu"))
