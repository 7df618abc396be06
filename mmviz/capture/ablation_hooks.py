"""Ablates attention heads while a model runs: their output is set to 0 (Michel et al. 2019, section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmviz.capture.attention_call import AttentionCall
from mmviz.types import CaptureError

HeadRef = tuple[int | str, int]
"""An attention and one of its heads, from 0. The attention is named by its number within a call of the model, in order
of execution from 0, or by the path of its module; either one applies to every call."""


class AblationHooks:
    """The heads that are ablated in a capture."""

    def __init__(self, ablate: Sequence[Sequence[HeadRef]]):
        self.ablate = tuple(tuple(heads) for heads in ablate)
        """Heads to ablate for each sample of the batch; a single list applies to all samples."""

    def applies_to(self, number: int, module: str) -> bool:
        """Returns whether any head is ablated in attention ``number`` of a call, which runs in ``module``."""
        return any(attention in (number, module) for heads in self.ablate for attention, _ in heads)

    def mask(self, number: int, module: str, batch: int, heads: int) -> Tensor:
        """Returns the ablated heads of attention ``number`` of a call, bool ``[batch, head]``.

        Raises ``CaptureError`` (``head-batch``) where ``ablate`` has neither one list nor one for each sample.
        """
        if len(self.ablate) not in (1, batch):
            raise CaptureError("head-batch", count=len(self.ablate), batch=batch)
        mask = torch.zeros(batch, heads, dtype=torch.bool)
        for sample, refs in enumerate(self.ablate):
            for attention, head in refs:
                if attention in (number, module) and 0 <= head < heads:
                    mask[sample if len(self.ablate) > 1 else slice(None), head] = True
        return mask

    def check(self, attention_calls: Sequence[AttentionCall]) -> None:
        """Checks that every head to ablate ran in at least one call of the model.

        Raises ``CaptureError``: ``head-missing`` for a number, ``head-module`` for a module path.
        """
        heads: dict[int | str, int] = {}
        """Largest number of heads, by number and by module path."""
        numbers = call_numbers(attention_calls)
        for number, attention in zip(numbers, attention_calls, strict=True):
            for ref in (number, attention.module):
                heads[ref] = max(heads.get(ref, 0), attention.attn_output.shape[1])
        for ref, head in (head_ref for refs in self.ablate for head_ref in refs):
            if 0 <= head < heads.get(ref, 0):
                continue
            if isinstance(ref, str):
                known = ", ".join(dict.fromkeys(attention.module for attention in attention_calls))
                raise CaptureError("head-module", name=ref, head=head, known=known or "nothing")
            raise CaptureError("head-missing", map=ref, head=head, count=max(numbers, default=-1) + 1)


def call_numbers(attention_calls: Sequence[AttentionCall]) -> list[int]:
    """Returns the number of each attention within its call of the model, from 0."""
    counts: dict[int, int] = {}
    numbers = []
    for attention in attention_calls:
        numbers.append(counts.get(attention.call, 0))
        counts[attention.call] = numbers[-1] + 1
    return numbers
