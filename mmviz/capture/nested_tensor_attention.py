"""Fused attention of jagged nested tensors, padded to the longest sample so that it is one attention call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


def padded_call(kwargs: Mapping[str, Any], attn_output: Tensor) -> dict[str, Any]:
    """Returns the fields of `AttentionCall`, and the output, of ``F.scaled_dot_product_attention`` on nested tensors.

    The tensors are ``[sample, head, token, d]``, 0 after the last token of a sample; the mask
    ``[sample, 1, query, key]`` is True for pairs of real tokens. Gradients do not reach the model.
    """
    tensors = {name: _padded(kwargs[name]) for name in ("query", "key", "value")} | {"output": _padded(attn_output)}
    real = {name: _real(kwargs[name]) for name in ("query", "key")}
    scale = kwargs.get("scale")
    return {
        **tensors,
        "mask": (real["query"][:, :, None] & real["key"][:, None, :])[:, None],
        "causal": kwargs.get("is_causal", False), "has_dropout": bool(kwargs.get("dropout_p")),
        "scale": tensors["query"].shape[-1] ** -0.5 if scale is None else scale,
    }  # fmt: skip


def _padded(nested: Tensor) -> Tensor:
    samples = [sample.detach().transpose(0, 1) for sample in nested.unbind()]
    return pad_sequence(samples, batch_first=True).transpose(1, 2)


def _real(nested: Tensor) -> Tensor:
    """Returns which tokens ``[sample, token]`` are real."""
    return pad_sequence([torch.ones(sample.shape[-2], dtype=torch.bool) for sample in nested.unbind()], True).to(
        nested.device
    )
