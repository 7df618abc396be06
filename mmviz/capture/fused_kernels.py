"""Fused attention through the operator that also returns the log-sum-exp of its rows, where torch would choose it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_FLASH, _EFFICIENT = 1, 2
_ALIGNED = 8
"""Sizes of heads that torch's CUDA kernels take as they are; it pads others before it calls them."""


def fused(given: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
    """What ``F.scaled_dot_product_attention(**given)`` gives, to the bit, and the log-sum-exp of its rows
    ``[batch, head, query]``; None where the kernel that torch would choose keeps it to itself."""
    query, mask = given["query"], given.get("attn_mask")
    if query.dim() != 4 or given.get("dropout_p") or (mask is not None and mask.requires_grad):
        return F.scaled_dot_product_attention(**given), None
    found = _on_cpu(given) if query.device.type == "cpu" else _on_cuda(given) if query.is_cuda else None
    return found or (F.scaled_dot_product_attention(**given), None)


def _choice(query: Tensor, key: Tensor, value: Tensor, given: dict[str, Any]) -> int:
    causal, scale = given.get("is_causal", False), given.get("scale")
    return int(torch.ops.aten._fused_sdp_choice(query, key, value, given.get("attn_mask"), 0.0, causal, scale=scale))


def _grouped(given: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Key and value with as many heads as the query, as torch itself repeats them."""
    key, value = given["key"], given["value"]
    if not given.get("enable_gqa"):
        return key, value
    heads = given["query"].shape[-3]
    return key.repeat_interleave(heads // key.shape[-3], -3), value.repeat_interleave(heads // value.shape[-3], -3)


def _on_cpu(given: dict[str, Any]) -> tuple[Tensor, Tensor] | None:
    query, mask = given["query"], given.get("attn_mask")
    key, value = _grouped(given)
    if query.shape[-1] != value.shape[-1] or _choice(query, key, value, given) != _FLASH:
        return None
    if mask is not None and mask.dtype is torch.bool:
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(~mask, -torch.inf)
    attn_output, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, given.get("is_causal", False), attn_mask=mask, scale=given.get("scale")
    )
    return attn_output, lse


def _on_cuda(given: dict[str, Any]) -> tuple[Tensor, Tensor] | None:
    """Masks go to torch's own call, which pads them; their rows are then summed up when they are looked at."""
    query, key, value = given["query"], given["key"], given["value"]
    sizes = {query.shape[-1], key.shape[-1], value.shape[-1]}
    if given.get("attn_mask") is not None or given.get("enable_gqa") or len(sizes) > 1 or query.shape[-1] % _ALIGNED:
        return None
    causal, scale = given.get("is_causal", False), given.get("scale")
    chosen = _choice(query, key, value, given)
    if chosen == _FLASH:
        attn_output, lse, *_ = torch.ops.aten._scaled_dot_product_flash_attention(
            query, key, value, 0.0, causal, return_debug_mask=False, scale=scale
        )
        return attn_output, lse
    if chosen == _EFFICIENT:
        attn_output, lse, *_ = torch.ops.aten._scaled_dot_product_efficient_attention(
            query, key, value, None, True, 0.0, causal, scale=scale
        )
        return attn_output, lse
    return None


def weights_of(given: dict[str, Any]) -> Tensor:
    """All weights of ``F.scaled_dot_product_attention(**given)``, ``[..., head, query, key]``, by their definition."""
    query, mask = given["query"], given.get("attn_mask")
    key, _ = _grouped(given)
    scale = query.shape[-1] ** -0.5 if given.get("scale") is None else given["scale"]
    scores = query @ key.transpose(-2, -1) * scale
    if given.get("is_causal"):
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], device=scores.device).triu(1).bool(), -torch.inf)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype is torch.bool else scores + mask
    weights: Tensor = scores.softmax(-1).nan_to_num(0.0)
    return weights
