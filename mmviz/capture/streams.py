"""Which tokens ask and which are asked in what was heard: token streams and their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

from mmviz.capture.call import AttentionCall
from mmviz.types import CaptureError, Token, as_tokens, index_tokens

TOKENS, MEMORY = "tokens", "memory"
Given = Sequence[str | Token] | Mapping[str, Sequence[str | Token]] | None


def streams_of(
    heard: Sequence[AttentionCall], given: Given
) -> tuple[dict[str, tuple[Token, ...]], list[tuple[str, str]]]:
    """Token streams by name, and the names of the streams of queries and keys of each of ``heard``.

    Streams are told apart by their number of tokens, and by the names of the modules' inputs: what is asked across is
    ``memory``, and so is what attends to itself outside of the part of the model that asks across. Queries that follow
    keys of earlier calls are the last ones of their stream. ``given``: tokens for one stream, or for several by these
    names or by others, where their number tells which is meant; streams without any get plain numbers.
    Raises ``CaptureError`` (``capture-tokens``, ``capture-token-kind``).
    """
    sides = _sides(heard)
    sizes = {
        side: sorted({size for pair in sides for own, size, _ in pair if own == side}) for side in (TOKENS, MEMORY)
    }

    def name(side: str, size: int) -> str:
        return side if len(sizes[side]) == 1 else f"{side} ({size})"

    counts = {name(side, size): size for side, found in sizes.items() for size in found}
    called = {stream: (stream, index_tokens(count)) for stream, count in counts.items()} | _named(given, counts)
    streams: dict[str, tuple[Token, ...]] = {}
    pairs = []
    for pair in sides:
        names = []
        for side, size, last in pair:
            stream, tokens = called[name(side, size)]
            if last < size:
                stream, tokens = f"last {last} of {stream}", tokens[-last:]
            streams[stream] = tokens
            names.append(stream)
        pairs.append((names[0], names[1]))
    return streams, pairs


def known_streams(
    heard: Sequence[AttentionCall], given: Given, pairs: Mapping[str, tuple[str, str]]
) -> tuple[dict[str, tuple[Token, ...]], list[tuple[str, str]]]:
    """`streams_of` where the streams of each module are known. Raises ``CaptureError`` (``capture-tokens``) where a
    stream has not as many tokens as were heard, or there is none of this name."""
    assert isinstance(given, Mapping)
    streams = {name: as_tokens(tokens) for name, tokens in given.items()}
    sides = [pairs[one.module] for one in heard]
    for one, pair in zip(heard, sides, strict=True):
        for name, size in zip(pair, one.shape[2:], strict=True):
            count = len(streams.get(name, ()))
            if count != size:
                raise CaptureError("capture-tokens", count=count, name=name, streams=f"{one.module!r} with {size}")
    return streams, sides


_Side = tuple[str, int, int]
"""Which stream, how many tokens it has, and how many of them, the last ones, take part."""


def _sides(heard: Sequence[AttentionCall]) -> list[tuple[_Side, _Side]]:
    """The sides of the queries and of the keys."""
    across = [one for one in heard if _is_across(one)]
    grown = {one.shape[2]: one.shape[3] for one in heard if one.relation == "cached" and not _is_across(one)}
    asking = {grown.get(one.shape[2], one.shape[2]) for one in across}
    asked = {one.shape[3] for one in across}
    sides = []
    for one in heard:
        _, _, queries, keys = one.shape
        if _is_across(one):
            sides.append(((TOKENS, grown.get(queries, queries), queries), (MEMORY, keys, keys)))
            continue
        if (keys in asking) != (keys in asked):
            side = MEMORY if keys in asked else TOKENS
        else:
            side = MEMORY if across and not _is_beside(one, across, heard) else TOKENS
        sides.append(((side, keys, queries), (side, keys, keys)))
    return sides


def _is_beside(one: AttentionCall, across: Sequence[AttentionCall], heard: Sequence[AttentionCall]) -> bool:
    """Whether a module lies in the part of the model that asks across, as in a decoder and not in its encoder."""
    paths = [other.module.split(".") for other in heard]
    above = len(list(takewhile(lambda found: len(set(found)) == 1, zip(*paths, strict=False))))
    below = [other.module.split(".")[above:] for other in across]
    return any(len(path) < 2 for path in below) or one.module.split(".")[above] in {path[0] for path in below}


def _is_across(one: AttentionCall) -> bool:
    _, _, queries, keys = one.shape
    return one.relation == "cross" or queries > keys or (queries < keys and one.relation != "cached")


def _named(given: Given, counts: Mapping[str, int]) -> dict[str, tuple[str, tuple[Token, ...]]]:
    """For streams that were given tokens, by the names they have here: the names they are given, and the tokens."""
    if given is None:
        return {}
    many = given if isinstance(given, Mapping) else {None: given}
    found: dict[str, tuple[str, tuple[Token, ...]]] = {}
    for name, tokens in many.items():
        made = as_tokens(tokens)
        fitting = [stream for stream, count in counts.items() if count == len(made) and stream not in found]
        wanted = TOKENS if name is None else name
        chosen = wanted if wanted in fitting else fitting[0] if len(fitting) == 1 else None
        if chosen is None:
            known = ", ".join(f"{stream!r} with {count}" for stream, count in counts.items())
            raise CaptureError("capture-tokens", count=len(made), name=name or "a list", streams=known)
        found[chosen] = (name or chosen, made)
    return found
