"""A model whose runs take half a second, long enough to be killed in one."""

from __future__ import annotations

import time

import torch

import mmviz


class Slow(torch.nn.Module):
    """Self-attention of the letters, which takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(128, 8)

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        time.sleep(0.5)
        seen = self.table(letters)[None, None]
        mixed = torch.nn.functional.scaled_dot_product_attention(seen, seen, seen)
        return torch.nn.functional.one_hot(letters[:1], 128).float() + 0 * mixed.sum()


def make() -> mmviz.CustomModel:
    def prepare(sample: mmviz.Sample) -> tuple[torch.Tensor, list[str]]:
        words = sample.text or " "
        return torch.tensor([ord(letter) % 128 for letter in words]), list(words)

    return mmviz.CustomModel(Slow().eval(), prepare, [chr(k) for k in range(128)])
