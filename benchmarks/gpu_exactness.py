"""Exactness of capture on a device: every route in every precision, with each kernel of torch's attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import mmviz
from mmviz.capture import AttentionCall
from mmviz.capture.capture_route_probe import eager_weights

HEADS, WIDTH = 4, 64
"""Heads, and features of each head."""
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION, "efficient": SDPBackend.EFFICIENT_ATTENTION, "math": SDPBackend.MATH,
}  # fmt: skip
LIMITS = {"float32": 2e-6, "float16": 1e-4, "bfloat16": 1e-4}
"""Largest difference of a recomputed weight from a float64 softmax of the same queries and keys."""
EXACT, OWN = "float64 softmax", "module's own"
Row = dict[str, object]
Case = tuple[nn.Module, tuple[Tensor, ...], dict[str, Any]]


class Attend(nn.Module):
    """A module around one implementation of attention."""

    def __init__(self, attend: Callable[..., Tensor]) -> None:
        super().__init__()
        self.attend = attend

    def forward(self, *tensors: Tensor, **options: Any) -> Tensor:
        return self.attend(*tensors, **options)


def parity_rows(device: str, count: int) -> Iterator[Row]:
    """Yields a row for each kernel, precision and case, with ``count`` tokens."""
    for dtype in DTYPES:
        for kernel, backend in KERNELS.items():
            for name, case in fused_cases(device, dtype, count).items():
                row = {"kernel": kernel, "dtype": dtype, "case": name}
                try:
                    with sdpa_kernel(backend):
                        yield row | compared(case, dtype)
                except RuntimeError as problem:
                    if "kernel" not in str(problem):
                        raise
                    yield row | {"verdict": "no such kernel here"}
        for name, case in module_cases(device, dtype, count).items():
            yield {"kernel": "as torch chooses", "dtype": dtype, "case": name} | compared(case, dtype)


def compared(case: Case, dtype: str) -> Row:
    """Returns route, largest error of the weights, whether the output is the same to the bit, and the verdict."""
    module, tensors, options = case
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # capture does not take it, so its output differs by rounding
    try:
        return _compared(module, tensors, options, dtype)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


def _compared(module: nn.Module, tensors: tuple[Tensor, ...], options: dict[str, Any], dtype: str) -> Row:
    with torch.no_grad():
        plain = module(*tensors, **options)
        with mmviz.capture(module) as result:
            captured = module(*tensors, **options)
        (call,) = result.attention_calls()
        error, reference = worst_error(result, call)
    is_same = all(torch.equal(a, b) for a, b in zip(_tensors(plain), _tensors(captured), strict=True))
    limit = LIMITS[dtype] if reference == EXACT else 0.0  # a softmax of the module itself is kept as it is
    return {
        "route": call.route, "reference": reference, "error": error, "same output": "yes" if is_same else "**no**",
        "verdict": "met" if error <= limit and is_same else "**missed**",
    }  # fmt: skip


def worst_error(result: mmviz.CaptureResult, call: AttentionCall) -> tuple[float, str]:
    """Returns the largest difference of all weights of the first sample from their reference, and its name."""
    weights = torch.from_numpy(result.view(0, batch=0).full()).double()
    if call.weights is None:
        return float((weights - eager_weights(call, 0).cpu()).abs().max()), EXACT
    return float((weights - call.weights[0].double().cpu()).abs().max()), OWN


def fused_cases(device: str, dtype: str, count: int) -> dict[str, Case]:
    """Returns calls of ``F.scaled_dot_product_attention`` by name."""
    query, key, value = operands(device, dtype, count)
    valid = (torch.arange(count, device=device) < count * 7 // 8).expand(1, 1, count, count)
    bias = torch.linspace(-2, 2, count, device=device).to(query.dtype).expand(1, 1, count, count)
    fused = Attend(F.scaled_dot_product_attention)
    return {
        "no mask": (fused, (query, key, value), {}),
        "causal": (fused, (query, key, value), {"is_causal": True}),
        "padding mask": (fused, (query, key, value), {"attn_mask": valid}),
        "bias": (fused, (query, key, value), {"attn_mask": bias}),
        "grouped queries": (fused, (query, key[:, :2], value[:, :2]), {"enable_gqa": True}),
        "cross-attention": (fused, (query, key[:, :, : count // 3], value[:, :, : count // 3]), {}),
    }


def module_cases(device: str, dtype: str, count: int) -> dict[str, Case]:
    """Returns modules of torch and eager code by name."""
    query, key, value = operands(device, dtype, count)
    torch.manual_seed(0)
    size = HEADS * WIDTH
    multi_head = nn.MultiheadAttention(size, HEADS, batch_first=True).to(device, DTYPES[dtype]).eval()
    x = torch.randn(2, count, size, generator=torch.Generator().manual_seed(1)).to(device, DTYPES[dtype])

    def matmul(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return (query @ key.mT / 8).softmax(-1) @ value

    def einsum(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        weights = (torch.einsum("bhqd,bhkd->bhqk", query, key) / 8).softmax(-1)
        return torch.einsum("bhqk,bhkd->bhqd", weights, value)

    return {
        "nn.MultiheadAttention": (multi_head, (x, x, x), {"need_weights": False}),
        "nn.MultiheadAttention, weights": (multi_head, (x, x, x), {}),
        "softmax and matmul": (Attend(matmul), (query, key, value), {}),
        "softmax and einsum": (Attend(einsum), (query, key, value), {}),
    }


def operands(device: str, dtype: str, count: int) -> list[Tensor]:
    """Returns queries, keys and values ``[2, head, token, feature]``, the same ones on every device."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, HEADS, count, WIDTH, generator=generator).to(device, DTYPES[dtype]) for _ in range(3)]


def _tensors(output: Any) -> list[Tensor]:
    parts = output if isinstance(output, tuple) else (output,)
    return [part for part in parts if isinstance(part, Tensor)]
