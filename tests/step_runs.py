"""Runs that have their steps: of `example`, and of attention as torch has it, with a mask, across two streams."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from mmviz.backends.local import LocalBackend
from mmviz.explain import Run, run_sample
from mmviz.inputs.examples import load_gallery
from mmviz.models.custom import CustomModel
from mmviz.types import Modality, Request, Sample, Token

WIDTH, HEADS, ASKING, ASKED = 24, 3, 5, 9


@lru_cache(maxsize=1)
def example() -> Run:
    """The first trio of the gallery."""
    return run_sample(load_gallery()[0].sample(), backend=LocalBackend("cpu"), steps=True)


class Masked(nn.Module):
    """Tokens that ask themselves, causally, and then others, with numbers added to the scores."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.second = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.say = nn.Linear(WIDTH, 2)

    def forward(self, asking: Tensor, asked: Tensor, causal: Tensor, added: Tensor) -> Tensor:
        x, _ = self.first(asking, asking, asking, attn_mask=causal)
        x, _ = self.second(x, asked, asked, attn_mask=added, need_weights=False)
        logits: Tensor = self.say(x[:, 0])
        return logits


@lru_cache(maxsize=1)
def masked() -> tuple[Run, Masked, tuple[Tensor, ...]]:
    """A run of `Masked`, the model, and what it was given."""
    torch.manual_seed(11)
    model = Masked().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    causal = torch.full((ASKING, ASKING), -torch.inf).triu(1)
    added = torch.randn(ASKING, ASKED).masked_fill(torch.rand(ASKING, ASKED) < 0.25, -torch.inf)
    given = (torch.randn(1, ASKING, WIDTH), torch.randn(1, ASKED, WIDTH), causal, added)
    kinds = [Modality.SPECIAL, Modality.TEXT, Modality.IMAGE, Modality.AUDIO]
    streams = {
        name: [Token(kinds[k % 4], f"{name} {k}") for k in range(count)]
        for name, count in (("queries", ASKING), ("keys", ASKED))
    }
    own = CustomModel(model, lambda sample: (given, streams), ["yes", "no"])
    request = Request("own", Sample(text="a"), steps=True)
    (record,) = LocalBackend("cpu", {"own": own}).run([request])
    return Run(request.sample, record), model, given
