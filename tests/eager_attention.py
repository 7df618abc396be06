"""Small models, and attention computed by hand to compare with, for several tests of capture."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

import mmviz

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # transformers reads both once, when it is imported
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Normal random numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def weights_by_hand(query: Tensor, key: Tensor, mask: Tensor | None = None) -> NDArray[Any]:
    """``softmax(query key^T / sqrt(d) + mask)``, ``[..., query, key]``, in the precision of ``query``."""
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    return (scores if mask is None else scores + mask).softmax(-1).numpy()


class KernelAttention(nn.Module):
    """A fused kernel called by its own name, which cannot be captured."""

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, None]
        output: Tensor = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(x, x, x)[0][:, 0]
        return output


class LinearAttention(nn.Module):
    """Attention without a softmax, which cannot be captured."""

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(x) @ (F.elu(x).mT @ x)


class FusedAttention(nn.Module):
    """One fused attention, keys as values."""

    def forward(self, query: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
        return F.scaled_dot_product_attention(query, key, key, attn_mask=mask)


class Towers(nn.Module):
    """A tower for the image and one for the text, of two layers each; their means make two logits."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.vision, self.text = (
            nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2) for _ in range(2)
        )

    def forward(self, patches: Tensor, words: Tensor) -> Tensor:
        return (self.vision(patches).mean(1) + self.text(words).mean(1))[:, :2]


def last_layer_by_hand(tower: nn.TransformerEncoder, tokens: Tensor) -> NDArray[Any]:
    """The mean over heads of the attention of the second layer of two, ``[query, key]``."""
    with torch.no_grad():
        states = tower.layers[0](tokens)
        weights: Tensor = tower.layers[1].self_attn(states, states, states, need_weights=True)[1]
    return weights[0].numpy()


def run_of(own: mmviz.CustomModel, **inputs: Any) -> mmviz.Run:
    """Returns a run of a custom model on the CPU."""
    return mmviz.explain(**inputs, model="own", backend=mmviz.LocalBackend("cpu", {"own": own}))


def labels(record: mmviz.AttentionRecord, stream: str) -> list[str]:
    """The labels of the tokens of one stream."""
    return [token.label for token in record.streams[stream]]


def picture(width: int = 4, height: int = 4) -> NDArray[np.uint8]:
    """Returns an image of noise."""
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def heads(x: Tensor) -> Tensor:
    """``[batch, token, width]`` as two heads, ``[batch, head, token, width / 2]``."""
    return x.unflatten(-1, (2, -1)).transpose(1, 2)


class Blocks(nn.Module):
    """A list of blocks, each of which adds to its input."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + block(x)
        return x


def record_of(model: nn.Module, *inputs: Tensor, **options: Any) -> mmviz.AttentionRecord:
    """Returns the record of a model's attention on ``inputs``."""
    with torch.no_grad(), mmviz.capture(model.eval()) as result:
        model(*inputs)
    return result.record(**options)
