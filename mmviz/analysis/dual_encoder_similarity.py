"""How similar patches and words are in a model without attention across modalities, as its run has kept it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.types import AttentionRecord, Token


@dataclass(frozen=True, eq=False)
class TokenSimilarity:
    """Cosines between the vectors of two encoders, from -1 to 1. They are no attention: nothing flows between."""

    places: tuple[Token, ...]
    """The tokens of the picture or sound."""
    words: tuple[Token, ...]
    """The tokens of the text."""
    values: NDArray[np.float64]
    """``[place, word]``."""
    text: NDArray[np.float64]
    """``[place]``: with the vector of the whole text."""


def token_similarity(record: AttentionRecord) -> TokenSimilarity | None:
    """Returns the similarities of a run; None for a run of a model that has none, or with tokens that do not fit."""
    kept = record.made_by.get("similarity")
    if not isinstance(kept, Mapping):
        return None
    streams = [_tower_stream(record, str(kept.get(side))) for side in ("places", "words")]
    if streams[0] is None or streams[1] is None:
        return None
    places, words = (record.streams[str(stream)] for stream in streams)
    try:
        values, text = (np.asarray(kept[name], np.float64) for name in ("values", "text"))
    except (KeyError, TypeError, ValueError):  # a file may hold anything
        return None
    if values.shape != (len(places), len(words)) or text.shape != (len(places),):
        return None
    return TokenSimilarity(places, words, values, text)


def _tower_stream(record: AttentionRecord, path: str) -> str | None:
    """Returns the stream of the last self-attention in the tower at ``path``; None where there is none."""
    names = [
        attn_map.queries for attn_map in record.maps
        if attn_map.name.startswith(f"{path}.") and attn_map.queries == attn_map.keys
    ]  # fmt: skip
    return names[-1] if names else None
