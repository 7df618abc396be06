"""What a reader must know about a map, in the viewer's words: what takes a share of its rows, and its windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmviz.analysis.map_weights import Direction
from mmviz.figures.colour_scale import short
from mmviz.i18n.viewer import viewer_words
from mmviz.types import AttentionRecord, MapRef, PooledMap


def map_notes(record: AttentionRecord, ref: MapRef, tokens: int | Sequence[int], direction: Direction) -> list[str]:
    """Returns sentences about the map that ``ref`` names; none for an ordinary map and for a flow.

    They are about the rows of ``tokens``, or about all rows where the direction is ``to``. Raises ``LookupError`` where
    the record has no such map.
    """
    if ref.layer is None:
        return []
    attn_map, words = record.maps[record.map_number(ref)], viewer_words()
    notes = []
    if attn_map.absorbed_by:
        amounts = attn_map.row_modality_sums if isinstance(attn_map, PooledMap) else attn_map.weights
        sums = (amounts.mean(0, dtype=np.float64) if ref.head is None else amounts[ref.head]).sum(-1, dtype=np.float64)
        is_row = direction == "from"
        share = 1 - float(sums[np.atleast_1d(tokens)].mean() if is_row else sums.mean())
        code = f"absorbed-{attn_map.absorbed_by}" if is_row else f"absorbed-{attn_map.absorbed_by}-mean"
        notes.append(words[code].replace("{share}", short(max(0.0, 100 * share))))
    if attn_map.windows:
        notes.append(words["windows"].replace("{count}", str(len(set(attn_map.windows)))))
    return notes
