"""Weights without anything learned, as a control."""

from __future__ import annotations

import torch


def shuffle_parameters(module: torch.nn.Module, seed: int) -> None:
    """Permutes the entries of every parameter in place, so that nothing learned is left (Adebayo et al. 2018)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            order = torch.randperm(parameter.numel(), generator=generator, device="cpu").to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
