"""The head view of bertviz, as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from bertviz import head_view
from torch import Tensor


def view(maps: Sequence[Tensor]) -> str:
    """The document for maps ``[1, head, query, key]``, one a layer."""
    tokens = [str(k) for k in range(maps[0].shape[-1])]
    return str(head_view(list(maps), tokens, html_action="return").data)
