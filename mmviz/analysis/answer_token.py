"""Which token of a stream stands for the answer, so that its attention shows what the answer is read from."""

from __future__ import annotations

from collections.abc import Sequence

from mmviz.analysis.available_maps import default_map_ref, streams_of
from mmviz.analysis.map_weights import Direction
from mmviz.types import AttentionRecord, MapRef
from mmviz.types.readout_tokens import answer_token, answer_tokens

__all__ = ["answer_query", "answer_token", "answer_tokens", "token_or_answer"]


def answer_query(record: AttentionRecord) -> int:
    """Returns the index of the `answer_token` among the queries of the default map.

    Raises ``LookupError`` where the record does not have the map that it names as its default.
    """
    return answer_token(record, streams_of(record, default_map_ref(record))[0])


def token_or_answer(
    record: AttentionRecord, ref: MapRef, token: int | Sequence[int] | None, direction: Direction
) -> int | Sequence[int]:  # fmt: skip
    """Returns ``token``; for None the answer token of the queries (``from``) or keys (``to``) of the map ``ref`` names.

    Raises ``LookupError`` where it is needed and the record has no such map.
    """
    if token is not None:
        return token
    queries, keys = streams_of(record, ref)
    return answer_token(record, queries if direction == "from" else keys)
