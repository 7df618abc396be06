"""A model whose runs take half a second, long enough to be killed during one."""

from __future__ import annotations

import time

import torch

import mmviz


class SlowModel(torch.nn.Module):
    """Self-attention of letters, with a pause."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(128, 8)

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        time.sleep(0.5)
        embedded = self.table(letters)[None, None]
        attn_output = torch.nn.functional.scaled_dot_product_attention(embedded, embedded, embedded)
        return torch.nn.functional.one_hot(letters[:1], 128).float() + 0 * attn_output.sum()


def make() -> mmviz.CustomModel:
    def prepare(sample: mmviz.Sample) -> tuple[torch.Tensor, list[str]]:
        text = sample.text or " "
        return torch.tensor([ord(letter) % 128 for letter in text]), list(text)

    return mmviz.CustomModel(SlowModel().eval(), prepare, [chr(code) for code in range(128)])
