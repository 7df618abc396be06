"""Which token of a stream stands for the answer, so that its attention shows what the answer is read from."""

from __future__ import annotations

from collections.abc import Sequence

from mmviz.types import AttentionRecord, Modality, Token


def answer_token(tokens: Sequence[Token]) -> int:
    """Returns the index of the answer token: the first special token, or 0 if there is no special token."""
    return next((k for k, token in enumerate(tokens) if token.modality is Modality.SPECIAL), 0)


def answer_query(record: AttentionRecord, number: int = -1) -> int:
    """Returns the index of the answer token among the queries of map ``number``, by default the last map."""
    return answer_token(record.streams[record.maps[number].queries])
