"""The name of an attention call within a call of the model."""

from __future__ import annotations

AttentionPlace = tuple[str, int]
"""An attention within a call of the model: the path of its module, and how often the module had attended before."""
