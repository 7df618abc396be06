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


def tokens_entering(module: nn.Module, place: str, run: Callable[[], Any], count: int | None = None) -> Tensor:
    """Returns the tokens ``[row, token, width]`` that stand at ``place`` in one ``run``.

    A place is the path of a submodule, for its output, or ``"PATH:input"``, for the first of its inputs that has three
    axes. Where the number of tokens, ``count``, is known, they may also stand there as ``[token, width]``, as packed
    pictures do; that is one row. Raises ``CaptureError`` (``integrated-place``, ``integrated-input``) where there is no
    such tensor, or the submodule does not run exactly once.
    """
    values: list[Any] = []

    def keep(value: Any) -> None:
        values.append(value.clone() if isinstance(value, Tensor) else value)  # the model may overwrite its own

    with replaced(module, place, keep, count), torch.no_grad():
        run()
    if len(values) != 1 or not _holds_tokens(values[0], count):
        path, _, side = place.partition(":")
        raise CaptureError("integrated-input" if side else "integrated-place", path=path)
    tokens: Tensor = values[0].detach()
    return tokens.reshape(-1, *tokens.shape[-2:])


def _holds_tokens(value: Any, count: int | None) -> bool:
    """Returns whether a value is ``[row, token, width]``, or ``[token, width]`` of ``count`` tokens."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return False
    return value.dim() == 3 or (value.dim() == 2 and len(value) == count)


def integrated_gradients(
    module: nn.Module, place: str, run: Callable[[int], Tensor], answer: int, tokens: Tensor, baseline: Tensor,
    rows: int = 1, count: int | None = None,
) -> TokenAttributions:  # fmt: skip
    """Returns integrated gradients of the log-probability of ``answer``, from ``baseline`` to ``tokens``.

    Formula: ``(x - x0) . integral of dlog p / dx (x0 + t (x - x0)) dt`` over t from 0 to 1, summed over the width of
    each token. Shapes: ``tokens`` and ``baseline`` ``[1, token, width]``. ``run(n)`` returns logits ``[n, answer]`` for
    n rows of the same input, while what stands at ``place`` (see `tokens_entering`, also for ``count``) is replaced;
    ``rows`` are run at a time.
    Source: Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks", section 3; ``gap`` measures
    their completeness axiom. Raises ``CaptureError`` (``integrated-graph``) where no gradients reach the submodule.
    """

    from captum.attr import IntegratedGradients  # slow to import, and rarely used

    def log_probability(x: Tensor) -> Tensor:
        def copied(value: Tensor) -> Tensor:  # as the model may overwrite it
            return x.clone() if value.dim() == 3 else x[0].clone()

        with replaced(module, place, copied, count):
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
            raise CaptureError("integrated-graph", path=place.partition(":")[0])
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
def replaced(
    module: nn.Module, place: str, replace: Callable[[Any], Any], count: int | None = None
) -> Iterator[None]:  # fmt: skip
    """Replaces the value at ``place`` by ``replace(value)``, or keeps it where that is None; see `tokens_entering`."""
    path, _, side = place.partition(":")
    submodule = module.get_submodule(path)

    def replace_input(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        values: dict[int | str, Any] = {**dict(enumerate(args))}
        values.update(kwargs)
        holding = [key for key, value in values.items() if _holds_tokens(value, count)]
        key = min(holding, key=lambda key: -values[key].dim(), default=None)
        new = replace(None if key is None else values[key])
        if new is None or key is None:
            return None
        values[key] = new
        return tuple(values.pop(index) for index in range(len(args))), values

    handle = (
        submodule.register_forward_pre_hook(replace_input, with_kwargs=True)
        if side
        else submodule.register_forward_hook(lambda *call: replace(call[-1]))
    )
    try:
        yield
    finally:
        handle.remove()
