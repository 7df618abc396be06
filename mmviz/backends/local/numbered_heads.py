"""The attention that the maps of a record are made of, so that heads are ablated by their maps.

Several attention calls may be one map, such as those of the windows of a tower, and some may be no map at all.
`mmviz.capture` tells attention apart by its number within a call of the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mmviz.backends.local.remembered_sites import Pairs, remember, remembered
from mmviz.backends.local.route_sites import tried_sites
from mmviz.models import Model, Prepared
from mmviz.types import AblateHead, CaptureError, Change


def numbered_heads(model: Model, prepared: Prepared, pairs: Pairs, changes: Sequence[Change]) -> tuple[Change, ...]:
    """Returns ``changes`` whose heads name attention by its number within a call of ``model``, not by its map.

    ``prepared``: the inputs, for which any model without `CaptureTargets` runs once where that is not known yet.
    Raises ``CaptureError``: ``head-missing`` for a map that there is not.
    """
    if model.capture_targets is not None or not any(isinstance(change, AblateHead) for change in changes):
        return tuple(changes)
    numbers = _numbers_of_maps(model, prepared, pairs)
    by_number: list[Change] = []
    for change in changes:
        if not isinstance(change, AblateHead):
            by_number.append(change)
        elif 0 <= change.map < len(numbers):
            by_number += [AblateHead(number, change.head) for number in numbers[change.map]]
        else:
            raise CaptureError("head-missing", map=change.map, head=change.head, count=len(numbers))
    return tuple(by_number)


def _numbers_of_maps(model: Model, prepared: Prepared, pairs: Pairs) -> tuple[tuple[int, ...], ...]:
    sites = remembered(model, prepared, pairs)
    if sites is None:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):  # the run itself draws as without
            sites = tried_sites(model, prepared, pairs, with_answers=True)
        remember(model, prepared, pairs, sites)
    return sites.numbers_of_maps
