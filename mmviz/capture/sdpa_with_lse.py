"""Runs torch's own fused attention and takes the log-sum-exp of its rows from the kernel that torch chose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.amp import is_autocast_available

from mmviz.capture.compute_attention_weights import attention_weights
from mmviz.capture.quick_dispatch_mode import QuickDispatchMode

_COMPUTES_LSE = {
    "_scaled_dot_product_flash_attention_for_cpu": None,
    "_scaled_dot_product_flash_attention": None,
    "_scaled_dot_product_efficient_attention": 4,
    "_scaled_dot_product_cudnn_attention": 4,
}
"""Kernels that return the log-sum-exp second, and the position of the argument that requests it, if any."""


class _KernelLse(QuickDispatchMode):
    """Keeps the log-sum-exp that a kernel returns beside its output, below autograd: the model's graph is its own."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lse: Tensor | None = None

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = str(getattr(func, "_opname", ""))
        if func is torch.ops.aten.scaled_dot_product_attention.default:  # in inference mode it arrives whole
            with self:
                return torch.ops.aten.scaled_dot_product_attention.default.decompose(*args, **(kwargs or {}))
        if name not in _COMPUTES_LSE:
            return func(*args, **(kwargs or {}))
        place = _COMPUTES_LSE[name]
        if place is not None and len(args) > place:  # without gradients torch does not ask for it
            args = (*args[:place], True, *args[place + 1 :])
        result = func(*args, **(kwargs or {}))
        self.lse = result[1]
        return result


def as_autocast_would(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments of ``F.scaled_dot_product_attention`` cast as autocast casts them where it is on."""
    device, mask = kwargs["query"].device.type, kwargs.get("attn_mask")
    if not (is_autocast_available(device) and torch.is_autocast_enabled(device)):
        return kwargs
    dtype = torch.get_autocast_dtype(device)
    cast = {name: kwargs[name].to(dtype) for name in ("query", "key", "value")}
    mask = mask.to(dtype) if mask is not None and mask.is_floating_point() else mask
    return kwargs | cast | {"attn_mask": mask}


def sdpa_with_lse(kwargs: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
    """Returns ``F.scaled_dot_product_attention(**kwargs)``, without autocast, and the log-sum-exp of its rows.

    The log-sum-exp is ``[batch, head, query]``; None where the kernel that torch chooses does not return it.
    """
    device = kwargs["query"].device.type
    casts = is_autocast_available(device) and torch.is_autocast_enabled(device)
    with torch.autocast(device, enabled=False) if casts else nullcontext(), _KernelLse() as kernel:
        attn_output = F.scaled_dot_product_attention(**kwargs)
    lse = kernel.lse
    if lse is None or attn_output.dim() != 4 or kwargs.get("dropout_p"):
        return attn_output, None
    if lse.dim() == 4 and lse.shape[-1] == 1:
        lse = lse[..., 0]
    queries = attn_output.shape[-2]
    if lse.dim() != 3 or lse.shape[:2] != attn_output.shape[:2] or lse.shape[2] < queries:
        return attn_output, None
    return attn_output, lse[..., :queries].detach()


def sdpa_weights(kwargs: dict[str, Any]) -> Tensor:
    """Returns the weights of ``F.scaled_dot_product_attention(**kwargs)`` by definition, ``[..., query, key]``."""
    query, key, mask = kwargs["query"], kwargs["key"], kwargs.get("attn_mask")
    if kwargs.get("enable_gqa"):
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    scale = query.shape[-1] ** -0.5 if kwargs.get("scale") is None else kwargs["scale"]
    return attention_weights(query, key, mask, kwargs.get("is_causal", False), scale)
