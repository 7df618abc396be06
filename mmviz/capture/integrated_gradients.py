"""Integrated gradients of an answer with respect to the tokens that enter the attention layers, by captum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmviz.types import CaptureError

STEPS = 32
"""Gauss-Legendre points on the straight line from baseline to input. The segment with the largest gap is halved, with
as many points again on each half, until the gap is small."""
MAX_STEPS = 512
MAX_GAP = 0.01
"""Largest gap, relative to the total, or to `MIN_TOTAL` where that is more."""
MIN_TOTAL = 0.1
"""In nats of log-probability."""


@dataclass(frozen=True, eq=False)
class TokenAttributions:
    """Attributions of one answer to the tokens of one input."""

    amounts: NDArray[np.float32]
    """Signed attributions in nats, ``[token]``."""
    total: float
    """Log-probability at the input minus that at the baseline: what ``amounts`` sum to, except for ``gap``."""
    gap: float
    """Convergence delta: the sum of ``amounts`` minus ``total``."""
    steps: int
    """Number of points at which gradients were taken."""


@dataclass(frozen=True)
class _Segment:
    """A part of the straight line from baseline to input."""

    start: Tensor
    end: Tensor
    amounts: Tensor
    """Attributions on this segment, float64 ``[token]``."""
    gap: float


def tokens_entering(module: nn.Module, path: str, run: Callable[[], Any]) -> Tensor:
    """Returns the output of the submodule at ``path`` in one ``run``: the tokens, ``[row, token, width]``.

    Raises ``CaptureError`` (``integrated-place``) where its output is anything else, or it does not run exactly once.
    """
    outputs: list[Any] = []

    def keep(output: Any) -> None:
        outputs.append(output.clone() if isinstance(output, Tensor) else output)  # the model may overwrite its own

    with _output_hook(module, path, keep), torch.no_grad():
        run()
    if len(outputs) != 1 or not isinstance(outputs[0], Tensor) or outputs[0].dim() != 3:
        raise CaptureError("integrated-place", path=path)
    return outputs[0].detach()


def integrated_gradients(
    module: nn.Module, path: str, run: Callable[[int], Tensor], answer: int, tokens: Tensor, baseline: Tensor,
    rows: int = 1,
) -> TokenAttributions:  # fmt: skip
    """Returns integrated gradients of the log-probability of ``answer``, from ``baseline`` to ``tokens``.

    Formula: ``(x - x0) . integral of dlog p / dx (x0 + t (x - x0)) dt`` over t from 0 to 1, summed over the width of
    each token. Shapes: ``tokens`` and ``baseline`` ``[1, token, width]``. ``run(n)`` returns logits ``[n, answer]`` for
    n rows of the same input, while the output of the submodule at ``path`` is replaced; ``rows`` are run at a time.
    Source: Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks", section 3; ``gap`` measures
    their completeness axiom. Raises ``CaptureError`` (``integrated-graph``) where no gradients reach the submodule.
    """

    from captum.attr import IntegratedGradients  # slow to import, and rarely used

    def log_probability(x: Tensor) -> Tensor:
        with _output_hook(module, path, lambda _: x.clone()):  # a copy, as the model may overwrite it
            return run(len(x)).double().log_softmax(-1)[:, answer]

    def integrate(start: Tensor, end: Tensor) -> _Segment:
        amounts, gap = method.attribute(
            end, baselines=start, n_steps=STEPS, internal_batch_size=rows, return_convergence_delta=True
        )
        return _Segment(start, end, amounts[0].double().sum(-1), float(gap))

    with torch.enable_grad():
        inputs = tokens.clone().requires_grad_()
        log_p = log_probability(inputs)[0]
        if not log_p.requires_grad or torch.autograd.grad(log_p, inputs, allow_unused=True)[0] is None:
            raise CaptureError("integrated-graph", path=path)
        with torch.no_grad():
            total = float(log_p - log_probability(baseline)[0])
        method = IntegratedGradients(log_probability)
        segments, steps = [integrate(baseline, tokens)], STEPS
        allowed = MAX_GAP * max(abs(total), MIN_TOTAL)
        while sum(abs(segment.gap) for segment in segments) > allowed and steps < MAX_STEPS:
            worst = segments.pop(max(range(len(segments)), key=lambda k: abs(segments[k].gap)))
            middle = (worst.start + worst.end) / 2
            segments += [integrate(worst.start, middle), integrate(middle, worst.end)]
            steps += 2 * STEPS
    amounts = torch.stack([segment.amounts for segment in segments]).sum(0)
    return TokenAttributions(amounts.float().cpu().numpy(), total, sum(segment.gap for segment in segments), steps)


@contextmanager
def _output_hook(module: nn.Module, path: str, replace: Callable[[Any], Any]) -> Iterator[None]:
    """Replaces the output of the submodule at ``path`` by ``replace(output)``, or keeps it where that is None."""
    handle = module.get_submodule(path).register_forward_hook(lambda *call: replace(call[-1]))
    try:
        yield
    finally:
        handle.remove()
