"""Modalities that a model cannot do without: dropping them is refused, and experiments leave them in."""

from __future__ import annotations

from collections.abc import Sequence

from mmviz.models import Model
from mmviz.types import Change, DropModality, MmvizError, Modality


def check_dropped(model: Model, changes: Sequence[Change]) -> None:
    """Raises ``MmvizError`` (``own-required-drop``) where ``changes`` drop what ``model`` cannot do without."""
    for modality in _dropped(model, changes):
        raise MmvizError("own-required-drop", model=model.card.title, modality=str(modality))


def without_required(
    model: Model, variants: Sequence[tuple[Change, ...]]
) -> tuple[list[tuple[Change, ...]], tuple[Modality, ...]]:
    """Returns ``variants`` that leave in what ``model`` cannot do without, and the modalities that were left in."""
    left_in = {modality for changes in variants for modality in _dropped(model, changes)}
    kept = [
        tuple(change for change in changes if not (isinstance(change, DropModality) and change.modality in left_in))
        for changes in variants
    ]
    return kept, tuple(sorted(left_in))


def _dropped(model: Model, changes: Sequence[Change]) -> list[Modality]:
    required = getattr(model, "required", ())
    return [change.modality for change in changes if isinstance(change, DropModality) and change.modality in required]
