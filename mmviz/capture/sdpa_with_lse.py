"""Runs fused attention by the operator that also returns the log-sum-exp of its rows, where torch would choose it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmviz.capture.masked_softmax import attention_weights

_FLASH, _EFFICIENT = 1, 2
_ALIGNED = 8
"""Head sizes that are a multiple of this go to torch's CUDA kernels as they are; torch pads others first."""


def sdpa_with_lse(kwargs: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
    """Returns ``F.scaled_dot_product_attention(**kwargs)``, to the bit, and the log-sum-exp of its rows.

    The log-sum-exp is ``[batch, head, query]``; None where the kernel that torch would choose does not return it.
    """
    query, mask = kwargs["query"], kwargs.get("attn_mask")
    if query.dim() != 4 or kwargs.get("dropout_p") or (mask is not None and mask.requires_grad):
        return F.scaled_dot_product_attention(**kwargs), None
    result = _on_cpu(kwargs) if query.device.type == "cpu" else _on_cuda(kwargs) if query.is_cuda else None
    return result or (F.scaled_dot_product_attention(**kwargs), None)


def _chosen_backend(query: Tensor, key: Tensor, value: Tensor, kwargs: dict[str, Any]) -> int:
    """Returns the number of the kernel that torch would choose, see ``torch.nn.attention.SDPBackend``."""
    causal, scale = kwargs.get("is_causal", False), kwargs.get("scale")
    return int(torch.ops.aten._fused_sdp_choice(query, key, value, kwargs.get("attn_mask"), 0.0, causal, scale=scale))


def _expanded_kv(kwargs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Returns key and value with as many heads as the query, repeated as torch does."""
    key, value = kwargs["key"], kwargs["value"]
    if not kwargs.get("enable_gqa"):
        return key, value
    heads = kwargs["query"].shape[-3]
    return key.repeat_interleave(heads // key.shape[-3], -3), value.repeat_interleave(heads // value.shape[-3], -3)


def _on_cpu(kwargs: dict[str, Any]) -> tuple[Tensor, Tensor] | None:
    """Returns output and log-sum-exp of the flash kernel; None where torch would choose another."""
    query, mask = kwargs["query"], kwargs.get("attn_mask")
    key, value = _expanded_kv(kwargs)
    if query.shape[-1] != value.shape[-1] or _chosen_backend(query, key, value, kwargs) != _FLASH:
        return None
    if mask is not None and mask.dtype is torch.bool:
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(~mask, -torch.inf)
    attn_output, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, kwargs.get("is_causal", False), attn_mask=mask, scale=kwargs.get("scale")
    )
    return attn_output, lse


def _on_cuda(kwargs: dict[str, Any]) -> tuple[Tensor, Tensor] | None:
    """Returns output and log-sum-exp of the flash or efficient kernel; None where torch would choose another.

    Masks, grouped queries and padded head sizes are left to torch's own call, which returns no log-sum-exp.
    """
    query, key, value = kwargs["query"], kwargs["key"], kwargs["value"]
    sizes = {query.shape[-1], key.shape[-1], value.shape[-1]}
    if kwargs.get("attn_mask") is not None or kwargs.get("enable_gqa") or len(sizes) > 1 or query.shape[-1] % _ALIGNED:
        return None
    causal, scale = kwargs.get("is_causal", False), kwargs.get("scale")
    backend = _chosen_backend(query, key, value, kwargs)
    if backend == _FLASH:
        attn_output, lse, *_ = torch.ops.aten._scaled_dot_product_flash_attention(
            query, key, value, 0.0, causal, return_debug_mask=False, scale=scale
        )
        return attn_output, lse
    if backend == _EFFICIENT:
        attn_output, lse, *_ = torch.ops.aten._scaled_dot_product_efficient_attention(
            query, key, value, None, True, 0.0, causal, scale=scale
        )
        return attn_output, lse
    return None


def sdpa_weights(kwargs: dict[str, Any]) -> Tensor:
    """Returns the weights of ``F.scaled_dot_product_attention(**kwargs)`` by definition, ``[..., query, key]``."""
    query, mask = kwargs["query"], kwargs.get("attn_mask")
    key, _ = _expanded_kv(kwargs)
    scale = query.shape[-1] ** -0.5 if kwargs.get("scale") is None else kwargs["scale"]
    return attention_weights(query, key, mask, kwargs.get("is_causal", False), scale)
