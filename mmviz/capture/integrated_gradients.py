"""Integrated gradients of an answer, token by token, where tokens enter the layers that attend; by captum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients
from numpy.typing import NDArray
from torch import Tensor, nn

from mmviz.types import CaptureError

STEPS = 32
"""Points on the straight line from nothing to the input, by Gauss and Legendre; and as many again on both halves of
the stretch of it where the amounts are farthest from adding up."""
MOST_STEPS = 512
GAP = 0.01
"""How far the amounts may be from adding up, as a share of what they add up to, or of `LEAST` where that is more."""
LEAST = 0.1


@dataclass(frozen=True)
class TokenAttributions:
    """``amounts`` float32 ``[token]``, signed; ``total``: how far the log-probability rises from the baseline to the
    input, which the amounts add up to but for ``gap``; ``steps``: points that were looked at."""

    amounts: NDArray[np.float32]
    total: float
    gap: float
    steps: int


@dataclass(frozen=True)
class _Segment:
    """A part of the line, ``amounts`` float64 ``[token]`` on it, and how far they are from adding up."""

    start: Tensor
    end: Tensor
    amounts: Tensor
    gap: float


def tokens_entering(module: nn.Module, path: str, run: Callable[[], Any]) -> Tensor:
    """What the part at ``path`` gives in one ``run``: the tokens, ``[row, token, width]``.

    Raises ``CaptureError`` (``integrated-place``) where it gives anything else.
    """
    found: list[Any] = []

    def keep(output: Any) -> None:
        found.append(output.clone() if isinstance(output, Tensor) else output)  # the model may write over its own

    with _hooked(module, path, keep), torch.no_grad():
        run()
    if len(found) != 1 or not isinstance(found[0], Tensor) or found[0].dim() != 3:
        raise CaptureError("integrated-place", path=path)
    return found[0].detach()


def integrated_gradients(
    module: nn.Module, path: str, run: Callable[[int], Tensor], answer: int, tokens: Tensor, baseline: Tensor,
    rows: int = 1,
) -> TokenAttributions:  # fmt: skip
    """Integrated gradients of the log-probability of ``answer``, from ``baseline`` to ``tokens`` ``[1, token, width]``.

    Formula: ``(x - x0) . integral of dlog p / dx (x0 + t (x - x0)) dt`` over t from 0 to 1, summed over the width of
    each token; `STEPS` points, and more where the answer turns sharply. ``run(n)`` gives logits ``[n, answer]`` of n
    rows of the same input, in which what the part at ``path`` gives is then replaced; ``rows`` at a time.
    Source: Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks", section 3; completeness,
    section 3, is what ``gap`` measures. Raises ``CaptureError`` (``integrated-graph``) where no gradients reach it.
    """

    def log_probability(x: Tensor) -> Tensor:
        with _hooked(module, path, lambda _: x.clone()):  # a copy for the same reason
            return run(len(x)).double().log_softmax(-1)[:, answer]

    def stretch(start: Tensor, end: Tensor) -> _Segment:
        amounts, gap = method.attribute(
            end, baselines=start, n_steps=STEPS, internal_batch_size=rows, return_convergence_delta=True
        )
        return _Segment(start, end, amounts[0].double().sum(-1), float(gap))

    with torch.enable_grad():
        there = tokens.clone().requires_grad_()
        reached = log_probability(there)[0]
        if not reached.requires_grad or torch.autograd.grad(reached, there, allow_unused=True)[0] is None:
            raise CaptureError("integrated-graph", path=path)
        with torch.no_grad():
            total = float(reached - log_probability(baseline)[0])
        method = IntegratedGradients(log_probability)
        found, steps = [stretch(baseline, tokens)], STEPS
        while sum(abs(one.gap) for one in found) > GAP * max(abs(total), LEAST) and steps < MOST_STEPS:
            worst = found.pop(max(range(len(found)), key=lambda k: abs(found[k].gap)))
            middle = (worst.start + worst.end) / 2
            found += [stretch(worst.start, middle), stretch(middle, worst.end)]
            steps += 2 * STEPS
    amounts = torch.stack([one.amounts for one in found]).sum(0)
    return TokenAttributions(amounts.float().cpu().numpy(), total, sum(one.gap for one in found), steps)


@contextmanager
def _hooked(module: nn.Module, path: str, change: Callable[[Any], Any]) -> Iterator[None]:
    """While it lasts, the part at ``path`` gives what ``change`` makes of its output (None: as it is)."""
    handle = module.get_submodule(path).register_forward_hook(lambda *call: change(call[-1]))
    try:
        yield
    finally:
        handle.remove()
