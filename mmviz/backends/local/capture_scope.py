"""What of a model a capture takes part in: all of it but towers, or these alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mmviz.capture import CaptureResult, capture
from mmviz.models import CaptureTargets, Model
from mmviz.models.encoders.encoder_cache import encoded_anew

HeadIndices = tuple[tuple[int, int], ...]
"""Heads as (map, head): the position of the map as in `AttentionRecord.maps`, and the head, both from 0."""


def split_heads(
    model: Model, rows: Sequence[HeadIndices]
) -> tuple[list[HeadIndices], list[tuple[tuple[str, int], ...]]]:
    """Returns the heads of each row that are not in towers, and those that are, by the paths of their modules."""
    towers = towers_of(model)
    if model.capture_targets is None or towers is None:
        return list(rows), []
    modules = dict(enumerate(towers.modules, len(model.capture_targets.modules)))  # towers follow all others
    return (
        [tuple(ref for ref in row if ref[0] not in modules) for row in rows],
        [tuple((modules[number], head) for number, head in row if number in modules) for row in rows],
    )


def towers_of(model: Model) -> CaptureTargets | None:
    """Returns the attention of the towers that ``model`` can leave out, see `Request.towers`."""
    towers: CaptureTargets | None = getattr(model, "towers", None)
    return towers


def capture_options(model: Model) -> dict[str, Any]:
    """Returns the options of `capture` that tell which modules of ``model`` take part, towers left out.

    Where the expected modules are known, capture need not search for attention that it missed, which takes time.
    """
    if model.capture_targets:
        towers = towers_of(model)
        return {"expected": model.capture_targets.modules, "exclude": towers.modules if towers else ()}
    return {"only": getattr(model, "only", ()), "exclude": getattr(model, "exclude", ())}


@contextmanager
def tower_capture(model: Model, towers: CaptureTargets, **options: Any) -> Iterator[CaptureResult]:
    """Captures the towers of a model and nothing else of it; the encoders in which they lie run anew.

    ``options``: those of `capture` beside the modules.
    """
    modules = [model.module.get_submodule(path) for path in towers.modules]
    with encoded_anew(modules), capture(
        model.module, expected=towers.modules, only=towers.modules, **options
    ) as result:  # fmt: skip
        yield result
