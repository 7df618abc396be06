"""Finds the token streams of queries and keys of attention calls, and names their tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

from mmviz.capture.attention_call import AttentionCall
from mmviz.types import CaptureError, Token, as_tokens, index_tokens

TOKENS, MEMORY = "tokens", "memory"
StreamTokens = Sequence[str | Token] | Mapping[str, Sequence[str | Token]] | None
"""Tokens of one stream, or of several by name; None numbers them."""


def streams_of(
    attention_calls: Sequence[AttentionCall], tokens: StreamTokens
) -> tuple[dict[str, tuple[Token, ...]], list[tuple[str, str]]]:
    """Returns the token streams by name, and the names of the streams of queries and keys of each attention call.

    Streams are told apart by their number of tokens and by the names of the modules' inputs: the keys of
    cross-attention are ``memory``, and so is what attends to itself outside the part of the model that runs
    cross-attention. Queries that follow the keys of earlier calls are the last ones of their stream.

    ``tokens``: those of one stream, or of several by these names, or by other names where their number tells which
    stream is meant. Streams without tokens are numbered.
    Raises ``CaptureError`` (``capture-tokens``, ``capture-token-kind``).
    """
    sides = _sides(attention_calls)
    sizes = {
        kind: sorted({side_size for pair in sides for side_kind, side_size, _ in pair if side_kind == kind})
        for kind in (TOKENS, MEMORY)
    }

    def default_name(kind: str, size: int) -> str:
        return kind if len(sizes[kind]) == 1 else f"{kind} ({size})"

    counts = {default_name(kind, size): size for kind, kind_sizes in sizes.items() for size in kind_sizes}
    named = {name: (name, index_tokens(count)) for name, count in counts.items()} | _assigned(tokens, counts)
    streams: dict[str, tuple[Token, ...]] = {}
    pairs = []
    for pair in sides:
        names = []
        for kind, size, last in pair:
            name, stream = named[default_name(kind, size)]
            if last < size:
                name, stream = f"last {last} of {name}", stream[-last:]
            streams[name] = stream
            names.append(name)
        pairs.append((names[0], names[1]))
    return streams, pairs


def known_streams(
    attention_calls: Sequence[AttentionCall], tokens: StreamTokens, pairs: Mapping[str, tuple[str, str]]
) -> tuple[dict[str, tuple[Token, ...]], list[tuple[str, str]]]:
    """Returns what `streams_of` does, where ``pairs`` gives the streams of queries and keys by module path.

    Raises ``CaptureError`` (``capture-tokens``) where a stream is missing from ``tokens``, or has another number of
    tokens than its attention.
    """
    assert isinstance(tokens, Mapping)
    streams = {name: as_tokens(stream) for name, stream in tokens.items()}
    call_pairs = [pairs[attention.module] for attention in attention_calls]
    for attention, pair in zip(attention_calls, call_pairs, strict=True):
        for name, size in zip(pair, attention.shape[2:], strict=True):
            count = len(streams.get(name, ()))
            if count != size:
                raise CaptureError(
                    "capture-tokens", count=count, name=name, streams=f"{attention.module!r} with {size}"
                )
    return streams, call_pairs


_Side = tuple[str, int, int]
"""The kind of stream of queries or keys, its number of tokens, and how many of them, the last ones, take part."""


def _sides(attention_calls: Sequence[AttentionCall]) -> list[tuple[_Side, _Side]]:
    """Returns the sides of queries and of keys of each attention call."""
    cross = [attention for attention in attention_calls if _is_cross(attention)]
    cached_keys = {
        attention.shape[2]: attention.shape[3]
        for attention in attention_calls
        if attention.relation == "cached" and not _is_cross(attention)
    }
    query_counts = {cached_keys.get(attention.shape[2], attention.shape[2]) for attention in cross}
    key_counts = {attention.shape[3] for attention in cross}
    sides = []
    for attention in attention_calls:
        _, _, queries, keys = attention.shape
        if _is_cross(attention):
            sides.append(((TOKENS, cached_keys.get(queries, queries), queries), (MEMORY, keys, keys)))
            continue
        if (keys in query_counts) != (keys in key_counts):
            kind = MEMORY if keys in key_counts else TOKENS
        else:
            kind = MEMORY if cross and not _is_beside(attention, cross, attention_calls) else TOKENS
        sides.append(((kind, keys, queries), (kind, keys, keys)))
    return sides


def _is_beside(
    attention: AttentionCall, cross: Sequence[AttentionCall], attention_calls: Sequence[AttentionCall]
) -> bool:
    """Returns whether a module lies in the part of the model with cross-attention: in a decoder, not its encoder."""
    paths = [other.module.split(".") for other in attention_calls]
    depth = len(list(takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))))
    cross_paths = [other.module.split(".")[depth:] for other in cross]
    if any(len(path) < 2 for path in cross_paths):
        return True
    return attention.module.split(".")[depth] in {path[0] for path in cross_paths}


def _is_cross(attention: AttentionCall) -> bool:
    _, _, queries, keys = attention.shape
    return attention.relation == "cross" or queries > keys or (queries < keys and attention.relation != "cached")


def _assigned(tokens: StreamTokens, counts: Mapping[str, int]) -> dict[str, tuple[str, tuple[Token, ...]]]:
    """Assigns ``tokens`` to streams: returns the name to show and the tokens, by default name of the stream."""
    if tokens is None:
        return {}
    assigned: dict[str, tuple[str, tuple[Token, ...]]] = {}
    for name, labels in (tokens if isinstance(tokens, Mapping) else {None: tokens}).items():
        stream = as_tokens(labels)
        fitting = [default for default, count in counts.items() if count == len(stream) and default not in assigned]
        wanted = TOKENS if name is None else name
        default = wanted if wanted in fitting else fitting[0] if len(fitting) == 1 else None
        if default is None:
            known = ", ".join(f"{stream_name!r} with {count}" for stream_name, count in counts.items())
            raise CaptureError("capture-tokens", count=len(stream), name=name or "a list", streams=known)
        assigned[default] = (name or default, stream)
    return assigned
