"""The attention that the maps of a record are made of, so that heads are ablated by their maps.

Several attention calls may be one map, such as those of the windows of a tower, and some may be no map at all.
`mmviz.capture` tells attention apart by its number within a call of the model.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmviz.backends.local.route_cuts import RouteFinder
from mmviz.models import Model, Prepared
from mmviz.types import AblateHead, CaptureError, Change


def numbered_heads(
    model: Model, prepared: Prepared, finder: RouteFinder, changes: Sequence[Change]
) -> tuple[Change, ...]:
    """Returns ``changes`` whose heads are named by the number of their attention within a call of ``model``, not by
    their map.

    ``prepared``: the inputs, whose attention ``finder`` finds where a head of a model without `CaptureTargets` is
    ablated. Raises ``CaptureError``: ``head-missing`` for a map that there is not.
    """
    if model.capture_targets is not None:
        return tuple(changes)
    by_number: list[Change] = []
    for change in changes:
        if not isinstance(change, AblateHead):
            by_number.append(change)
            continue
        numbers = finder.sites(model, [prepared], with_answers=True).numbers_of_maps
        if not 0 <= change.map < len(numbers):
            raise CaptureError("head-missing", map=change.map, head=change.head, count=len(numbers))
        by_number += [AblateHead(number, change.head) for number in numbers[change.map]]
    return tuple(by_number)
