"""Torch's packed attention (``torch.nn.attention.varlen``): samples of different lengths, one after another.

Its operator returns the log-sum-exp of its rows, so that each sample is recorded as a fused kernel of its own, without
a mask over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

PACKED_KERNEL = "_varlen_attn"
"""The name of its operator in the namespace ``torch_attn``."""
_DEFAULTS = (False, None, None, False)
"""Whether it is causal, scale, window and shared heads: where a call leaves them out, or this torch lacks them."""
_ALL = -1
"""Size of a window that does not end."""


def packed_attention(
    args: Sequence[Any], result: Sequence[Tensor], observed: AbstractContextManager[Any],
    record: Callable[[dict[str, Any], Tensor, Tensor], Tensor],
) -> Tensor | None:  # fmt: skip
    """Records a call of the operator with these ``args``, which gave ``result``, sample by sample.

    Args:
        args: Queries ``[token, head, d]``, keys and values ``[token, kv head, d]``, the edges of samples among queries
            and among keys, two numbers, whether it is causal, scale, window, whether heads share keys, and settings of
            a paged cache; those after the numbers may be missing.
        result: The output ``[token, head, d_v]``, and the log-sum-exp ``[head, token]``.
        observed: In it, functions of torch are followed as those of the model.
        record: Takes the arguments of ``F.scaled_dot_product_attention`` for one sample, the output ``[1, head, token,
            d_v]`` and the log-sum-exp ``[1, head, token]``, and returns the output that the model is to use.

    Returns the output ``[token, head, d_v]``; None for a paged cache, and where samples are not all of the tokens.
    """
    query, key, value, edges, key_edges, _, _, *settings = args
    values: list[Any] = [*settings, *_DEFAULTS[len(settings) :]]
    is_causal, scale, window, gqa, *cache = values
    edges = [] if edges is None else edges.tolist()
    key_edges = [] if key_edges is None else key_edges.tolist()
    has_lse = result[1].shape == (query.shape[1], len(query))
    is_whole = has_lse and edges[:1] == key_edges[:1] == [0] and (edges[-1], key_edges[-1]) == (len(query), len(key))
    if not is_whole or len(edges) != len(key_edges) or any(setting is not None for setting in cache[:2]):
        return None
    outputs = []
    for part, of_keys in zip(pairwise(edges), pairwise(key_edges), strict=True):
        if part[0] == part[1]:
            continue
        rows, columns = slice(*part), slice(*of_keys)
        with observed:
            of_heads = [_heads(tensor[own]) for tensor, own in ((query, rows), (key, columns), (value, columns))]
            attn_output = _heads(result[0][rows])
        mask = _mask(of_heads[0].shape[2], of_heads[1].shape[2], is_causal, window, query.device)
        kwargs = {
            **dict(zip(("query", "key", "value"), of_heads, strict=True)), "scale": scale, "enable_gqa": gqa,
            "attn_mask": mask, "is_causal": mask is None and is_causal,
        }  # fmt: skip
        output = record(kwargs, attn_output, result[1][None, :, rows])
        with observed:
            outputs.append(output[0].transpose(0, 1))
    with observed:
        return torch.cat(outputs)


def _heads(tokens: Tensor) -> Tensor:
    """Returns ``[token, head, d]`` as ``[1, head, token, d]``."""
    return tokens.transpose(0, 1)[None]


def _mask(
    queries: int, keys: int, is_causal: bool, window: Sequence[int] | None, device: torch.device
) -> Tensor | None:  # fmt: skip
    """Returns which pairs of a sample take part, bool ``[query, key]``; None for all, and for a plain causal sample.

    The last query stands beside the last key. ``window``: how many keys before and after its own a query attends to.
    """
    before, after = (_ALL, _ALL) if window is None else window
    after = 0 if is_causal else after
    if (before, after) == (_ALL, _ALL) or ((before, after) == (_ALL, 0) and queries == keys):
        return None
    distance = torch.arange(keys, device=device) - torch.arange(queries, device=device)[:, None] - (keys - queries)
    allowed = torch.ones_like(distance, dtype=torch.bool)
    if before != _ALL:
        allowed &= distance >= -before
    return allowed & (distance <= after) if after != _ALL else allowed
