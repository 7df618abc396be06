"""Runs with attention steps: one of the bundled model, one of torch's attention with masks and two streams."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from mmviz.backends.local import LocalBackend
from mmviz.explain import Run, run_sample
from mmviz.inputs.examples import load_gallery
from mmviz.models.custom import CustomModel
from mmviz.types import Modality, Request, Sample, Token

WIDTH, HEADS, QUERIES, KEYS = 24, 3, 5, 9


@lru_cache(maxsize=1)
def trio_run() -> Run:
    """Returns a run of the bundled model on the first example of the gallery."""
    return run_sample(load_gallery()[0].sample(), backend=LocalBackend("cpu"), steps=True)


class MaskedModel(nn.Module):
    """Causal self-attention, then cross-attention with a mask that adds to the scores; its first token answers."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.cross_attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.answer_head = nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor, memory: Tensor, causal_mask: Tensor, cross_mask: Tensor) -> Tensor:
        x, _ = self.self_attention(x, x, x, attn_mask=causal_mask)
        x, _ = self.cross_attention(x, memory, memory, attn_mask=cross_mask, need_weights=False)
        logits: Tensor = self.answer_head(x[:, 0])
        return logits


@lru_cache(maxsize=1)
def masked_run() -> tuple[Run, MaskedModel, tuple[Tensor, ...]]:
    """Returns a run of `MaskedModel`, the model and its inputs."""
    torch.manual_seed(11)
    model = MaskedModel().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    causal_mask = torch.full((QUERIES, QUERIES), -torch.inf).triu(1)
    cross_mask = torch.randn(QUERIES, KEYS).masked_fill(torch.rand(QUERIES, KEYS) < 0.25, -torch.inf)
    inputs = (torch.randn(1, QUERIES, WIDTH), torch.randn(1, KEYS, WIDTH), causal_mask, cross_mask)
    modalities = [Modality.SPECIAL, Modality.TEXT, Modality.IMAGE, Modality.AUDIO]
    streams = {
        name: [Token(modalities[k % 4], f"{name} {k}") for k in range(count)]
        for name, count in (("queries", QUERIES), ("keys", KEYS))
    }
    custom = CustomModel(model, lambda sample: (inputs, streams), ["yes", "no"], answer_token=("queries", 0))
    request = Request("own", Sample(text="a"), steps=True)
    (record,) = LocalBackend("cpu", {"own": custom}).run([request])
    return Run(request.sample, record), model, inputs
