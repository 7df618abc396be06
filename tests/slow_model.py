"""A model whose runs take half a second, long enough to be killed during one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

import mmviz

MARKERS = "SLOW_MODEL_MARKERS"
"""The environment variable that names a folder for `forward_marker`."""


def forward_marker(process: int) -> Path:
    """Returns the file that exists once the process has begun a forward pass."""
    return Path(os.environ[MARKERS], str(process))


class SlowModel(torch.nn.Module):
    """Self-attention of letters, with a pause."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(128, 8)

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        forward_marker(os.getpid()).touch()
        time.sleep(0.5)
        embedded = self.table(letters)[None, None]
        attn_output = torch.nn.functional.scaled_dot_product_attention(embedded, embedded, embedded)
        return torch.nn.functional.one_hot(letters[:1], 128).float() + 0 * attn_output.sum()


def make() -> mmviz.CustomModel:
    def prepare(sample: mmviz.Sample) -> tuple[torch.Tensor, list[str]]:
        text = sample.text or " "
        return torch.tensor([ord(letter) % 128 for letter in text]), list(text)

    return mmviz.CustomModel(SlowModel().eval(), prepare, [chr(code) for code in range(128)])
