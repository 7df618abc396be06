"""How attention is heard on this machine, checked on the spot against eager attention in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmviz.capture.call import AttentionCall, checked_rows
from mmviz.capture.context import capture
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.capture.map_check import PARITY, check_short_map
from mmviz.types import TOLERANCE, CaptureError

TOKENS, WIDTH, HEADS = 96, 64, 4


class Calls(nn.Module):
    """A module around one way of computing attention."""

    def __init__(self, attend: Callable[[Tensor, Tensor, Tensor], Tensor]):
        super().__init__()
        self.attend = attend

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return self.attend(query, key, value)


def probes(device: str) -> list[dict[str, Any]]:
    """One finding, as `finding` gives it, for each way of computing attention, on ``device``."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, HEADS, TOKENS, WIDTH // HEADS, device=device) for _ in range(3))
    real = (torch.arange(TOKENS, device=device) < TOKENS - 9).expand(1, 1, TOKENS, TOKENS)
    bias = torch.linspace(-2, 2, TOKENS, device=device).expand(1, 1, TOKENS, TOKENS)
    x = torch.randn(2, TOKENS, WIDTH, device=device)
    heads = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).to(device).eval()
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(WIDTH, HEADS, batch_first=True), 1).to(device).eval()

    def kernel(**options: Any) -> nn.Module:
        return Calls(lambda *given: F.scaled_dot_product_attention(*given, **options))

    def by_hand(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return (query @ key.transpose(-2, -1) / 4).softmax(-1) @ value

    def by_letters(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        weights = (torch.einsum("bhqd,bhkd->bhqk", query, key) / 4).softmax(-1)
        return torch.einsum("bhqk,bhkd->bhqd", weights, value)

    half = (query.bfloat16(), key.bfloat16(), value.bfloat16())
    cases: dict[str, tuple[nn.Module, tuple[Any, ...], dict[str, Any]]] = {
        "scaled_dot_product_attention": (kernel(), (query, key, value), {}),
        "with a padding mask": (kernel(attn_mask=real), (query, key, value), {}),
        "with a bias": (kernel(attn_mask=bias), (query, key, value), {}),
        "causal": (kernel(is_causal=True), (query, key, value), {}),
        "grouped-query": (kernel(enable_gqa=True), (query, key[:, :2], value[:, :2]), {}),
        "bfloat16": (kernel(), half, {}),
        "nn.MultiheadAttention": (heads, (x, x, x), {"need_weights": False}),
        "nn.MultiheadAttention, weights": (heads, (x, x, x), {}),
        "nn.TransformerEncoder, padded": (encoder, (x,), {"src_key_padding_mask": ~real[0, 0, :2]}),
        "softmax and matmul": (Calls(by_hand), (query, key, value), {}),
        "softmax and einsum": (Calls(by_letters), (query, key, value), {}),
    }
    found = []
    for name, (module, given, named) in cases.items():
        with torch.no_grad(), capture(module) as seen:
            module(*given, **named)
        found += [{"way": name, **finding(one)} for one in seen.heard()]
    return found


def finding(heard: AttentionCall, batch: int = 0) -> dict[str, Any]:
    """What is known of one attention: module, shape, dtype, route; ``difference``: the largest one between the weights
    and an eager softmax in float64 of the same query and key (None where the module made its weights itself, and kept
    query and key to itself); ``parity``: see `mmviz.capture.map_check`; ``is_well``: both are within tolerance."""
    _, heads, queries, keys = heard.shape
    rows = checked_rows(queries)
    difference = None
    if heard.weights is None:
        exact = LazyAttention(heard, batch)
        made = torch.stack([torch.from_numpy(exact.rows(rows, head)) for head in range(heads)])
        difference = float((made.double() - eager(heard, batch)[:, rows].cpu()).abs().max())
    try:
        parity = check_short_map(heard, 0, "queries", "keys", batch)[1].parity
    except CaptureError as refusal:
        return {"module": heard.module, "route": heard.route, "is_well": False, "problem": str(refusal)}
    is_well = parity <= PARITY[heard.dtype] and (difference or 0.0) <= TOLERANCE[heard.dtype]
    return {
        "module": heard.module, "heads": heads, "queries": queries, "keys": keys, "dtype": heard.dtype,
        "route": heard.route, "difference": difference, "parity": parity, "is_well": is_well,
    }  # fmt: skip


def eager(heard: AttentionCall, batch: int) -> Tensor:
    """Weights by their definition, float64 ``[head, query, key]``, of what a fused kernel was given."""
    assert heard.query is not None and heard.key is not None
    query, key = heard.query[batch].detach().double(), heard.key[batch].detach().double()
    scores = query @ key.repeat_interleave(len(query) // len(key), 0).transpose(-2, -1) * heard.scale
    if heard.mask is not None:
        mask = heard.mask.expand(*heard.shape)[batch].detach()
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype is torch.bool else scores + mask.double()
    if heard.causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], device=scores.device).triu(1).bool(), -torch.inf)
    return scores.softmax(-1).nan_to_num(0.0)
