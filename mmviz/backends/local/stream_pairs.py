"""The streams that a model names for its attention modules."""

from __future__ import annotations

from collections.abc import Mapping

from mmviz.models import Model


def stream_pairs(model: Model) -> Mapping[str, tuple[str, str]] | None:
    """Returns the streams of queries and keys by module path, or by patterns on it; None where the model names none."""
    targets = model.capture_targets
    if targets:
        return dict(zip(targets.modules, targets.pairs, strict=True))
    return getattr(model, "pairs", None) or None
