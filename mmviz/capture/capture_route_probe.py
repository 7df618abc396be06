"""Probes by which route attention is captured on this machine, and compares it with eager attention in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmviz.capture.attention_call import AttentionCall, checked_rows
from mmviz.capture.compute_attention_weights import attention_weights
from mmviz.capture.context_manager import capture
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.capture.map_check import PARITY, check_call_row
from mmviz.types import TOLERANCE, CaptureError

TOKENS, WIDTH, HEADS = 96, 64, 4


class _Attention(nn.Module):
    """A module around one implementation of attention."""

    def __init__(self, attend: Callable[[Tensor, Tensor, Tensor], Tensor]):
        super().__init__()
        self.attend = attend

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return self.attend(query, key, value)


def probe_routes(device: str) -> list[dict[str, Any]]:
    """Returns the `route_check` of each implementation of attention on ``device``, its name as ``implementation``.

    Leaves torch's random generators as they were.
    """
    gpus = range(torch.cuda.device_count()) if torch.device(device).type == "cuda" else ()
    with torch.random.fork_rng(devices=gpus):
        return _probe_routes(device)


def _probe_routes(device: str) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, HEADS, TOKENS, WIDTH // HEADS, device=device) for _ in range(3))
    valid = (torch.arange(TOKENS, device=device) < TOKENS - 9).expand(1, 1, TOKENS, TOKENS)
    bias = torch.linspace(-2, 2, TOKENS, device=device).expand(1, 1, TOKENS, TOKENS)
    x = torch.randn(2, TOKENS, WIDTH, device=device)
    multi_head = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).to(device).eval()
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(WIDTH, HEADS, batch_first=True), 1).to(device).eval()

    def sdpa(**kwargs: Any) -> nn.Module:
        return _Attention(lambda *tensors: F.scaled_dot_product_attention(*tensors, **kwargs))

    def matmul(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return (query @ key.transpose(-2, -1) / 4).softmax(-1) @ value

    def einsum(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        weights = (torch.einsum("bhqd,bhkd->bhqk", query, key) / 4).softmax(-1)
        return torch.einsum("bhqk,bhkd->bhqd", weights, value)

    half = (query.bfloat16(), key.bfloat16(), value.bfloat16())
    implementations: dict[str, tuple[nn.Module, tuple[Any, ...], dict[str, Any]]] = {
        "scaled_dot_product_attention": (sdpa(), (query, key, value), {}),
        "with a padding mask": (sdpa(attn_mask=valid), (query, key, value), {}),
        "with a bias": (sdpa(attn_mask=bias), (query, key, value), {}),
        "causal": (sdpa(is_causal=True), (query, key, value), {}),
        "grouped-query": (sdpa(enable_gqa=True), (query, key[:, :2], value[:, :2]), {}),
        "bfloat16": (sdpa(), half, {}),
        "nn.MultiheadAttention": (multi_head, (x, x, x), {"need_weights": False}),
        "nn.MultiheadAttention, weights": (multi_head, (x, x, x), {}),
        "nn.TransformerEncoder, padded": (encoder, (x,), {"src_key_padding_mask": ~valid[0, 0, :2]}),
        "softmax and matmul": (_Attention(matmul), (query, key, value), {}),
        "softmax and einsum": (_Attention(einsum), (query, key, value), {}),
    }
    checks = []
    for name, (module, args, kwargs) in implementations.items():
        with torch.no_grad(), capture(module) as result:
            module(*args, **kwargs)
        checks += [{"implementation": name, **route_check(attention)} for attention in result.attention_calls()]
    return checks


def route_check(attention: AttentionCall, batch: int = 0) -> dict[str, Any]:
    """Returns how an attention call was captured and how exact its weights are, as plain values.

    ``module``, ``heads``, ``queries``, ``keys``, ``dtype``, ``route``; ``difference``: the largest one between the
    weights and an eager softmax in float64 of the same queries and keys (None where the module computed its weights
    itself); ``parity``: see `mmviz.capture.map_check`; ``passed``: whether both are within tolerance. An attention that
    fails its check has ``module``, ``route``, ``passed`` and the error as ``problem``.
    """
    _, heads, queries, keys = attention.shape
    rows = checked_rows(queries)
    difference = None
    if attention.weights is None:
        exact = LazyAttention(attention, batch)
        weights = torch.stack([torch.from_numpy(exact.rows(rows, head)) for head in range(heads)])
        difference = float((weights.double() - eager_weights(attention, batch)[:, rows].cpu()).abs().max())
    try:
        _, parity = check_call_row(attention, batch)
    except CaptureError as problem:
        return {"module": attention.module, "route": attention.route, "passed": False, "problem": str(problem)}
    passed = parity <= PARITY[attention.dtype] and (difference or 0.0) <= TOLERANCE[attention.dtype]
    return {
        "module": attention.module, "heads": heads, "queries": queries, "keys": keys, "dtype": attention.dtype,
        "route": attention.route, "difference": difference, "parity": parity, "passed": passed,
    }  # fmt: skip


def eager_weights(attention: AttentionCall, batch: int) -> Tensor:
    """Returns the weights of a fused kernel by their definition, float64 ``[head, query, key]``."""
    assert attention.query is not None and attention.key is not None
    query, key = attention.query[batch].detach().double(), attention.key[batch].detach().double()
    key = key.repeat_interleave(len(query) // len(key), 0)
    mask = None if attention.mask is None else attention.mask.expand(*attention.shape)[batch].detach()
    return attention_weights(query, key, mask, attention.causal, attention.scale)
