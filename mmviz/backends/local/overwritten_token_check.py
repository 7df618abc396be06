"""Notices tokens that a model writes over after they were embedded, of which integrated gradients would show zero."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmviz.backends.local.capture_scope import capture_options
from mmviz.capture import AttentionCall, capture
from mmviz.capture.integrated_gradients import replaced
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.models import Model, Prepared
from mmviz.types import CaptureError, Token

_LISTED = 3
"""Tokens that the error names."""


def check_overwritten(model: Model, prepared: Prepared, place: str, tokens: Tensor) -> None:
    """Raises ``CaptureError`` (``integrated-overwritten``) where some of ``tokens`` do not reach the attention.

    ``tokens`` ``[1, token, width]`` are those at ``place``, see `mmviz.capture.integrated_gradients.tokens_entering`.
    The values of the first attention that depends on them tell: a token whose key is attended to, while no value
    changes with the token, was replaced by something else on the way, such as a patch of an image.
    """
    with torch.enable_grad(), capture(model.module, **capture_options(model)) as result:
        inputs = tokens.clone().requires_grad_()
        with replaced(model.module, place, lambda _: inputs.clone()):
            model(prepared.tensors)
        for call in result.all_attention_calls:
            gradient = _gradient(call, inputs)
            if gradient is not None and gradient.any() and call.shape[3] == tokens.shape[1]:
                unread = (gradient[0] == 0).all(-1).nonzero().flatten().tolist()
                attended = LazyAttention(call).columns(unread).sum(0) > 0 if unread else []
                indices = [token for token, is_attended in zip(unread, attended, strict=True) if is_attended]
                if indices:
                    labels = ", ".join(_label(prepared, index, tokens.shape[1]) for index in indices[:_LISTED])
                    raise CaptureError(
                        "integrated-overwritten", path=place, count=len(indices), of=tokens.shape[1], labels=labels
                    )
                return


def _gradient(call: AttentionCall, inputs: Tensor) -> Tensor | None:
    """Returns the gradient of a random sum of the values of an attention with respect to ``inputs``."""
    if not call.value.requires_grad:
        return None
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(call.value.shape, generator=generator).to(call.value)
    (gradient,) = torch.autograd.grad((call.value * direction).sum(), inputs, retain_graph=True, allow_unused=True)
    return gradient


def _label(prepared: Prepared, index: int, count: int) -> str:
    """Returns the label of a token, where one stream has as many tokens; else its number."""
    streams = prepared.streams.values() if isinstance(prepared.streams, Mapping) else [prepared.streams]
    fitting = [stream for stream in streams if len(stream) == count]
    token = fitting[0][index] if len(fitting) == 1 else f"token {index}"
    return token.label if isinstance(token, Token) else token
