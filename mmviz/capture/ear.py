"""The ear: what a watched module does with attention, seen function by function.

Three routes. A fused kernel (``F.scaled_dot_product_attention``) is called through the operator that also returns its
row log-sum-exp, where there is one. ``F.multi_head_attention_forward`` hides its inside from the mode that hears it, so
the same code is run again with that check turned off. Attention written by hand is a softmax whose output feeds a
matrix product, perhaps after dropout or another dtype.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mmviz.capture.heard import Heard

FUSED = "fused kernel"
FUSED_LSE = "fused kernel with its log-sum-exp"
BY_HAND = "softmax feeding a matrix product"

_SOFTMAX: set[Callable[..., Any]] = {torch.softmax, F.softmax, Tensor.softmax}
_PRODUCT: set[Callable[..., Any]] = {torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__}
_CARRIES: set[Callable[..., Any]] = {
    F.dropout, torch.dropout, Tensor.to, Tensor.type_as, Tensor.float, Tensor.half, Tensor.bfloat16, Tensor.type,
    Tensor.contiguous, Tensor.view, Tensor.reshape,
}  # fmt: skip
"""What may lie between the softmax and the product."""
_FLASH = 1
_PARAMETERS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")

_INSIDE = types.FunctionType(
    F.multi_head_attention_forward.__code__,
    {**vars(F), "has_torch_function": lambda *_: False},
    "multi_head_attention_forward",
    F.multi_head_attention_forward.__defaults__,
)
_INSIDE.__kwdefaults__ = F.multi_head_attention_forward.__kwdefaults__
"""The same code with globals of its own: nothing of torch is changed."""


class Ear(TorchFunctionMode):
    """Hears what happens in this thread while it is entered; ``where`` is the stack of modules, by path.

    ``replace``: what the model is to use instead of weights that it made by hand.
    """

    def __init__(self, where: list[str], replace: Callable[[Tensor], Tensor] | None = None):
        super().__init__()
        self.where = where
        self.replace = replace
        self.heard: list[Heard] = []
        self._waiting: list[Tensor] = []
        self._heads = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func is F.multi_head_attention_forward and self.where:
            return self._inside(args, given)
        if func is F.scaled_dot_product_attention and self.where:
            return self._fused(dict(zip(_PARAMETERS, args, strict=False)) | given)
        result = func(*args, **given)
        if func in _SOFTMAX and self.where:
            if self.replace is not None:
                result = self.replace(result)
            self._waiting.append(result)
        elif func in _CARRIES and self._is_waiting(args):
            self._waiting.append(result)
        elif func in _PRODUCT and self._is_waiting(args):
            self._by_hand(args[0], args[1], result)
        elif func is torch.einsum and len(args) == 3 and any(self._is_waiting(args[at:]) for at in (1, 2)):
            self._by_letters(args[0], args[1:], result)
        return result

    def _is_waiting(self, args: Sequence[Any]) -> bool:
        return bool(args) and any(args[0] is weights for weights in self._waiting)

    def _inside(self, args: Sequence[Any], given: dict[str, Any]) -> Any:
        before, self._heads = self._heads, given.get("num_heads", args[4] if len(args) > 4 else 0)
        try:
            with self:
                return _INSIDE(*args, **given)
        finally:
            self._heads = before

    def _hear(self, route: str, **parts: Any) -> None:
        self.heard.append(Heard(self.where[-1] if self.where else "", route=route, **parts))

    def _by_hand(self, weights: Tensor, value: Tensor, mixed: Tensor) -> None:
        """``[batch, head, query, key]``; of three dimensions the first are heads, of each row of the batch in turn."""
        self._forget(weights)
        if not weights.dim() == value.dim() == mixed.dim() <= 4:
            return
        heads = self._heads or (weights.shape[0] if weights.dim() == 3 else 1)
        parts = (weights, value, mixed)
        if weights.dim() < 4:
            parts = tuple(part.reshape(-1, heads, *part.shape[-2:]) for part in parts)  # type: ignore[assignment]
        self._hear(BY_HAND, weights=parts[0], value=parts[1], mixed=parts[2])

    def _by_letters(self, equation: str, operands: Sequence[Tensor], mixed: Tensor) -> None:
        """An einsum: the letter that is summed over is the key, the one that only the weights bring is the query."""
        first = self._is_waiting(operands)
        weights, value = operands if first else operands[::-1]
        self._forget(weights)
        inputs, _, output = equation.replace(" ", "").partition("->")
        names = inputs.split(",")
        of_weights, of_value = names if first else names[::-1]
        keys = [name for name in of_weights if name in of_value and name not in output]
        queries = [name for name in of_weights if name not in of_value and name in output]
        sizes = [name for name in of_value if name not in of_weights and name in output]
        shared = [name for name in output if name in of_weights and name in of_value]
        if "." in equation or (len(keys), len(queries), len(sizes)) != (1, 1, 1) or len(shared) > 2:
            return

        def ordered(tensor: Tensor, letters: str, last: list[str]) -> Tensor:
            moved = tensor.permute([letters.index(name) for name in [*shared, *last]])
            return moved.reshape(*[1] * (2 - len(shared)), *moved.shape)

        self._hear(
            BY_HAND, weights=ordered(weights, of_weights, queries + keys), value=ordered(value, of_value, keys + sizes),
            mixed=ordered(mixed, output, queries + sizes),
        )  # fmt: skip

    def _forget(self, weights: Tensor) -> None:
        self._waiting = [other for other in self._waiting if other is not weights]

    def _fused(self, given: dict[str, Any]) -> Tensor:
        query, key, value = given["query"], given["key"], given["value"]
        mask, causal, scale = given.get("attn_mask"), given.get("is_causal", False), given.get("scale")
        kind = query.device.type
        if torch.is_autocast_enabled(kind):  # as autocast itself would, so that what is kept is what was used
            dtype = torch.get_autocast_dtype(kind)
            query, key, value = (part.to(dtype) for part in (query, key, value))
            mask = mask.to(dtype) if mask is not None and mask.is_floating_point() else mask
        used = given | {"query": query, "key": key, "value": value, "attn_mask": mask}
        lse = None
        with torch.autocast(kind, enabled=False):
            if _returns_lse(used):
                bias = mask
                if mask is not None and mask.dtype is torch.bool:
                    bias = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(~mask, -torch.inf)
                mixed, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                    query, key, value, 0.0, causal, attn_mask=bias, scale=scale
                )
            else:
                mixed = F.scaled_dot_product_attention(**used)
        found: Tensor = mixed
        parts = [part.reshape(*[1] * (4 - part.dim()), *part.shape) for part in (query, key, value, mixed)]
        self._hear(
            FUSED if lse is None else FUSED_LSE,
            query=parts[0], key=parts[1], value=parts[2], mixed=parts[3], mask=mask, causal=causal,
            scale=query.shape[-1] ** -0.5 if scale is None else scale, lse=lse,
        )  # fmt: skip
        return found


def _returns_lse(used: dict[str, Any]) -> bool:
    """Whether the kernel that torch would choose is the one for CPUs that also returns the log-sum-exp."""
    query, key, value, mask = (used[name] for name in ("query", "key", "value", "attn_mask"))
    if query.device.type != "cpu" or used.get("dropout_p") or used.get("enable_gqa") or query.dim() != 4:
        return False
    if query.shape[-1] != value.shape[-1] or (mask is not None and mask.requires_grad):
        return False
    choice = torch.ops.aten._fused_sdp_choice(
        query, key, value, mask, 0.0, used.get("is_causal", False), scale=used.get("scale")
    )
    return bool(choice == _FLASH)
