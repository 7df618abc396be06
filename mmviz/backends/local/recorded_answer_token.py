"""The token that a model names as its answer token, as a record keeps it."""

from __future__ import annotations

from mmviz.models.protocol import AnswerToken
from mmviz.types import AttentionRecord, MmvizError


def recorded_answer_token(record: AttentionRecord, token: AnswerToken) -> dict[str, list[str | int]]:
    """Returns the entry ``answer_token`` of ``made_by``, the stream and the index from 0; nothing where token is None.

    An index alone counts among the queries of the last map of the default stack. Raises ``MmvizError``
    (``own-answer-token``) where the record has no such token.
    """
    if token is None:
        return {}
    last = [attn_map for attn_map in record.maps if attn_map.stack == record.default_stack][-1]
    stream, index = token if isinstance(token, tuple) else (last.queries, token)
    count = len(record.streams.get(stream, ()))
    if not -count <= index < count:
        known = ", ".join(f"{name} ({len(tokens)})" for name, tokens in record.streams.items())
        raise MmvizError("own-answer-token", token=token, streams=known)
    return {"answer_token": [stream, index % count]}  # a list, as JSON gives it back
