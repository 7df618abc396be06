"""Heads that are switched off while a model runs: what they bring is set to 0 (Michel et al. 2019, section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmviz.types import CaptureError

HeadIndex = tuple[int, int]
"""An attention in order of execution, and one of its heads, both from 0."""


class AblationHooks:
    """``ablate``: the heads that are off, for every sample of the batch; one list is for all of them."""

    def __init__(self, ablate: Sequence[Sequence[HeadIndex]]):
        self.ablate = tuple(tuple(places) for places in ablate)

    def is_in(self, number: int) -> bool:
        """Whether any head of attention ``number`` is off."""
        return any(place[0] == number for places in self.ablate for place in places)

    def off_in(self, number: int, batch: int, heads: int) -> Tensor:
        """Which heads of attention ``number`` are off, bool ``[batch, head]``. Raises ``CaptureError`` (``head-batch``)
        where the batch is another one."""
        if len(self.ablate) not in (1, batch):
            raise CaptureError("head-batch", count=len(self.ablate), batch=batch)
        found = torch.zeros(batch, heads, dtype=torch.bool)
        for row, places in enumerate(self.ablate):
            for attention, head in places:
                if attention == number and 0 <= head < heads:
                    found[row if len(self.ablate) > 1 else slice(None), head] = True
        return found

    def check(self, heads: Sequence[int]) -> None:
        """Raises ``CaptureError`` (``head-missing``) where a head that is to be off is none of these attentions'."""
        for number, head in (place for places in self.ablate for place in places):
            if not (0 <= number < len(heads) and 0 <= head < heads[number]):
                raise CaptureError("head-missing", map=number, head=head, count=len(heads))
