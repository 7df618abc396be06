"""The attention that the maps of a record are made of, so that heads are ablated by their maps.

Several attention calls may be one map, such as those of the windows of a tower, and some may be no map at all.
`mmviz.capture` tells attention apart by its number within a call of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch

from mmviz.backends.local.remembered_sites import Pairs, remember, remembered
from mmviz.backends.local.route_sites import tried_sites
from mmviz.models import Model, Prepared
from mmviz.types import AblateHead, CaptureError, Change


class NumberedHeads:
    """Names the heads of one run's changes by the number of their attention within a call of ``model``.

    ``prepared``: the inputs of the run, for which any model without `CaptureTargets` runs once where its attention is
    not known yet.
    """

    def __init__(self, model: Model, prepared: Prepared, pairs: Pairs):
        self._model, self._prepared, self._pairs = model, prepared, pairs

    def __call__(self, changes: Sequence[Change]) -> tuple[Change, ...]:
        """Returns ``changes`` whose heads are named so, not by their map.

        Raises ``CaptureError``: ``head-missing`` for a map that there is not.
        """
        if self._model.capture_targets is not None:
            return tuple(changes)
        by_number: list[Change] = []
        for change in changes:
            if not isinstance(change, AblateHead):
                by_number.append(change)
            elif 0 <= change.map < len(self._numbers_of_maps):
                by_number += [AblateHead(number, change.head) for number in self._numbers_of_maps[change.map]]
            else:
                count = len(self._numbers_of_maps)
                raise CaptureError("head-missing", map=change.map, head=change.head, count=count)
        return tuple(by_number)

    @cached_property
    def _numbers_of_maps(self) -> tuple[tuple[int, ...], ...]:
        model, prepared, pairs = self._model, self._prepared, self._pairs
        sites = remembered(model, prepared, pairs)
        if sites is None:
            with torch.random.fork_rng(devices=range(torch.cuda.device_count())):  # the run itself draws as without
                sites = tried_sites(model, prepared, pairs, with_answers=True)
            remember(model, prepared, pairs, sites)
        return sites.numbers_of_maps
