"""The tokens of a record that its answer is read from."""

from __future__ import annotations

from mmviz.types.maps import AttentionMap, PooledMap
from mmviz.types.records import AttentionRecord
from mmviz.types.tokens import Modality, Token

_PADDING = {"pad", "padding"}
"""Labels of padding, without the brackets that tokenizers put around them."""


def answer_tokens(record: AttentionRecord) -> dict[str, tuple[int, ...]]:
    """Returns the indices of the tokens that the answer is read from, by the name of their stream.

    Those that write each token of a written answer, or of its part (``made_by["answer"]``, ``["answer_part"]``); else
    the `answer_token` of the queries of the default stack. A special token that leads several streams of queries, as
    where each modality has an answer token of its own, counts in all of them. Raises ``LookupError`` for a record
    without maps.
    """
    name, index = record.made_by.get("answer_token") or (record.flow_streams[0], None)
    if index is not None:
        words = list(record.made_by.get("answer_part") or range(len(record.made_by.get("answer", ())) or 1))
        return {name: tuple(int(index) + word - words[0] for word in words)}
    first = answer_token(record, name)
    token, tokens = record.streams[name][first], dict[str, tuple[int, ...]]({name: (first,)})
    if token.modality is Modality.SPECIAL:
        others = {attn_map.queries for attn_map in record.maps} - {name}
        tokens |= {other: (0,) for other in sorted(others) if record.streams[other][:1] == (token,)}
    return tokens


def answer_token(record: AttentionRecord, stream: str) -> int:
    """Returns the index of the token of ``stream`` that the answer is read from.

    That is what the model says (``made_by["answer_token"]``, the name of a stream and an index). Else it is the last
    token, where no query before it attends to it while it attends to others, as in causal models; else the first
    special token; else 0. Padding is passed over: tokens that are labelled so, and those that no query attends to, not
    even they themselves. Attention within the stream decides; one without any is not taken for causal.

    Raises ``KeyError`` where the record has no such stream.
    """
    tokens = record.streams[stream]
    name, index = record.made_by.get("answer_token") or ("", 0)
    if name == stream:
        return int(index)
    within = [attn_map for attn_map in record.maps if _is_within(record, attn_map, stream)]
    real = [k for k, token in enumerate(tokens) if not _is_labelled_padding(token)]
    last = next((k for k in reversed(real) if any(_is_attended(attn_map, k) for attn_map in within)), None)
    if last is not None and all(_reads_from_all(attn_map, last) for attn_map in within):
        return last
    special = (k for k in real if tokens[k].modality is Modality.SPECIAL)
    return next(special, real[0] if real else 0)


def _is_within(record: AttentionRecord, attn_map: AttentionMap | PooledMap, stream: str) -> bool:
    """Returns whether the queries of a map are ``stream``, and its keys are too, or end in the same tokens."""
    if attn_map.queries != stream:
        return False
    queries, keys = record.streams[stream], record.streams[attn_map.keys]
    return attn_map.keys == stream or keys[-len(queries) :] == queries


def _is_labelled_padding(token: Token) -> bool:
    return token.modality is Modality.SPECIAL and token.label.strip("<>[]|_ ").casefold() in _PADDING


def _is_attended(attn_map: AttentionMap | PooledMap, query: int) -> bool:
    """Returns whether any query attends to the key that ``query`` is."""
    key = query + attn_map.shape[1] - attn_map.shape[0]
    if isinstance(attn_map, PooledMap):
        return bool(attn_map.column_modality_sums[:, key].any())
    return bool(attn_map.weights[..., key].any())


def _reads_from_all(attn_map: AttentionMap | PooledMap, query: int) -> bool:
    """Returns whether ``query`` attends to earlier tokens, and none of them attends to it.

    A map without all its weights tells it of the bins that the token lies in.
    """
    row, column = query, query + attn_map.shape[1] - attn_map.shape[0]
    weights = attn_map.weights if isinstance(attn_map, AttentionMap) else attn_map.overview
    if isinstance(attn_map, PooledMap):
        row = sum(edge <= query for edge in attn_map.query_edges) - 1
        column = sum(edge <= column for edge in attn_map.key_edges) - 1
    if not column:
        return query == 0 and attn_map.shape == (1, 1)
    return bool(weights[..., row, :column].any()) and not weights[..., :row, column].any()
