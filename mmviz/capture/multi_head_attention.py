"""Torch's multi-head attention, which a function mode sees from the inside."""

from __future__ import annotations

import types

import torch.nn.functional as F

multi_head_attention = types.FunctionType(
    F.multi_head_attention_forward.__code__,
    {**vars(F), "has_torch_function": lambda *_: False},
    "multi_head_attention_forward",
    F.multi_head_attention_forward.__defaults__,
)
"""The same code as ``F.multi_head_attention_forward``, with its own globals: torch itself is not changed."""
multi_head_attention.__kwdefaults__ = F.multi_head_attention_forward.__kwdefaults__
