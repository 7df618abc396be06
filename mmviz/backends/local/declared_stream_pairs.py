"""The streams that a request and a model name for attention modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmviz.models import Model


def stream_pairs(model: Model, overruling: Sequence[tuple[str, str, str]] = ()) -> Mapping[str, tuple[str, str]] | None:
    """Returns the streams of queries and keys by patterns on module paths; None where nobody names any.

    ``overruling``: those of the request, as in `Request.pairs`, which come before the model's own.
    """
    targets = model.capture_targets
    named = dict(zip(targets.modules, targets.pairs, strict=True)) if targets else getattr(model, "pairs", None) or {}
    first = {pattern: (queries, keys) for pattern, queries, keys in overruling}
    return {**first, **{pattern: pair for pattern, pair in named.items() if pattern not in first}} or None
