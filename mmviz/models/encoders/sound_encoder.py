"""The encoder of Whisper tiny.en for sounds of up to four seconds: two features frames to a token.

Source: Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision", section 2.2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

BANDS = 80
"""Bands of the spectrogram."""
WIDTH, HEADS, LAYERS = 384, 6, 4
POSITIONS = 200
"""Tokens of four seconds; those of Whisper are cut."""


class SelfAttention(nn.Module):
    """softmax(Q K^T / sqrt(d_k)) V over the moments of one sound; keys have no bias."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = HEADS
        self.query, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the output of the attention, ``[B, token, 384]``, for tokens of that shape."""
        query, key, value = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        attended = functional.scaled_dot_product_attention(query, key, value)
        output: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return output


class Layer(nn.Module):
    """Pre-norm transformer layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_attention, self.norm_mlp = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = SelfAttention()
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the tokens after the layer, ``[B, token, 384]``, for tokens of that shape."""
        x = x + self.attention(self.norm_attention(x))
        y: Tensor = x + self.mlp(self.norm_mlp(x))
        return y


class SoundEncoder(nn.Module):
    """A spectrogram ``[B, 80, frame]``, see `mmviz.inputs.whisper_mel`, to tokens of 20 ms, ``[B, frame / 2, 384]``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv1d(BANDS, WIDTH, 3, padding=1)
        self.conv_half = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.positions = nn.Parameter(torch.zeros(POSITIONS, WIDTH))
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, mel: Tensor) -> Tensor:
        """Returns the tokens, ``[B, frame / 2, 384]``, at most `POSITIONS`."""
        x = functional.gelu(self.conv_half(functional.gelu(self.conv_in(mel)))).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        for layer in self.layers:
            x = layer(x)
        tokens: Tensor = self.norm(x)
        return tokens
