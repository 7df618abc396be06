"""Runs a build without and with capture, and collects the weights of its own eager code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import mmviz
from mmviz.capture.capture_route_probe import eager_weights
from mmviz.capture.lazy_attention import LazyAttention
from tools.model_coverage.eager_reference import EagerReference
from tools.model_coverage.model_build import ModelBuild

STEPS = 2
"""Steps of ``generate``."""


@dataclass(frozen=True)
class Trial:
    """One way to run a build."""

    implementation: str
    """``sdpa``, ``eager``, or ``fixed`` where the class has no choice."""
    side: str
    """Where the second text is padded: left, right, or "" nowhere."""
    generates: bool
    """Whether it runs ``generate``, or else a plain forward."""

    def __str__(self) -> str:
        form = f"generate, {STEPS} steps" if self.generates else "forward"
        return f"{self.implementation}, {form}, {f'padded {self.side}' if self.side else 'batched'}"


def trials(build: ModelBuild) -> list[Trial]:
    """Returns all ways in which a build is tried."""
    sides = ("", "left", "right") if build.is_padded else ("",)
    forms = (False, True) if build.generates else (False,)
    return [Trial(name, side, form) for name in build.implementations for side in sides for form in forms]


def run(model: nn.Module, build: ModelBuild, trial: Trial, **more: Any) -> Any:
    """Returns the output of a trial, with the same random numbers each time."""
    inputs = build.padded_inputs(trial.side)
    torch.manual_seed(4)
    with torch.set_grad_enabled(False):
        if not trial.generates:
            return model(**inputs, **build.options, **more)
        options = {"do_sample": False, "return_dict_in_generate": True, "output_logits": True}
        limits = {"max_new_tokens": STEPS, "min_new_tokens": STEPS}
        return model.generate(**inputs, **options, **limits, **build.generate_options)  # type: ignore[operator]


def reference(build: ModelBuild, trial: Trial) -> tuple[EagerReference, list[Tensor]]:
    """Returns the weights of the eager code, and the tensors of its output."""
    model = build.make("fixed" if trial.implementation == "fixed" else "eager")
    weights = EagerReference(model)
    more = {} if trial.generates or not _takes(model, "output_attentions") else {"output_attentions": True}
    with weights.collect():
        output = run(model, build, trial, **more)
    return weights, tensors(output)


def captured(build: ModelBuild, trial: Trial) -> tuple[nn.Module, mmviz.capture.CaptureResult, list[Tensor], bool]:
    """Returns the model, the result of the capture, its output, and whether that is the same to the bit as without."""
    model = build.make(trial.implementation)
    plain = tensors(run(model, build, trial))
    with mmviz.capture(model) as result:
        output = tensors(run(model, build, trial))
    same = len(plain) == len(output) and all(_equal(*pair) for pair in zip(plain, output, strict=True))
    return model, result, output, same


def definition_difference(result: mmviz.capture.CaptureResult) -> float:
    """Returns the largest difference between weights and a float64 softmax of the very queries, keys and mask.

    Eager attention computes its weights itself, and has none.
    """
    worst = 0.0
    for attention in result.all_attention_calls:
        if attention.weights is not None:
            continue
        for sample in range(attention.shape[0]):
            weights = torch.from_numpy(LazyAttention(attention, sample).full()).double()
            worst = max(worst, float((weights - eager_weights(attention, sample).cpu()).abs().max()))
    return worst


def tensors(output: Any) -> list[Tensor]:
    """Returns the tensors of an output, in their order; those of a cache are left out."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, dict):
        output = [value for name, value in output.items() if "past_key_values" not in name]
    if isinstance(output, tuple | list):
        return [tensor for value in output for tensor in tensors(value)]
    return []


def computes_the_same(own: list[Tensor], output: list[Tensor], tolerance: float) -> bool:
    """Returns whether the eager code gave the output of a run, in its first sample, which has no padding.

    Some classes mask differently in eager code, so that their own weights are those of another attention.
    """
    pairs = [(first, second) for first, second in zip(own, output, strict=False) if first.dim() and second.dim()]
    for first, second in pairs if len(own) == len(output) else pairs[:1]:  # attention may come after the first
        if first.shape != second.shape:
            return False
        if float((first[0].double() - second[0].double()).abs().max()) > tolerance * float(second[0].abs().max()):
            return False
    return True


def _equal(left: Tensor, right: Tensor) -> bool:
    return left.shape == right.shape and torch.equal(left.nan_to_num(7), right.nan_to_num(7))


def _takes(model: nn.Module, name: str) -> bool:
    """Returns whether ``forward`` takes an argument, by its name or among others."""
    code = type(model).forward
    while hasattr(code, "__wrapped__"):
        code = code.__wrapped__
    flags = code.__code__
    return name in flags.co_varnames[: flags.co_argcount + flags.co_kwonlyargcount] or bool(flags.co_flags & 0x08)
