"""Names the token streams of a call, and their tokens."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase

from mmviz.capture.call_groups import CallGroup, Stream
from mmviz.capture.query_key_positions import Positions
from mmviz.types import CaptureError, Modality, Notice, Token, as_tokens, index_tokens

TOKENS, MEMORY = "tokens", "memory"
StreamTokens = Sequence[str | Token] | Mapping[str, Sequence[str | Token]] | None
"""Tokens of one stream, or of several by name; None numbers them."""
StreamPairs = Mapping[str, tuple[str, str]] | None
"""The names of the streams of queries and keys, by glob patterns on module paths."""

_WORDS = {
    Modality.IMAGE: ("image", "pixel", "vision", "visual", "picture", "patch", "img", "vit"),
    Modality.AUDIO: ("audio", "speech", "sound", "wave", "mel", "input_features", "input_values", "spectrogram"),
    Modality.TEXT: ("text", "input_ids", "language", "word", "caption", "question", "token"),
}
"""What modules, inputs and streams of each modality are called."""


class NamedStreams:
    """The names and tokens of the streams of a call.

    Without ``pairs`` a stream has the name under which its tokens are given, else that of the part of the model that
    runs over it. Tokens fit a stream only if they are as many; of several that fit, names and modalities decide, then
    the order, which is said in a notice.

    Args:
        groups: The maps of the call.
        streams: Their streams.
        tokens: Those of one stream, or of several by name.
        pairs: Names by glob patterns on module paths, which overrule everything else.

    Raises ``CaptureError``: ``capture-tokens`` where tokens fit no stream, ``capture-pattern`` for a pattern of
    ``pairs`` that matches no module.
    """

    def __init__(
        self, groups: Sequence[CallGroup], streams: Sequence[Stream], tokens: StreamTokens, pairs: StreamPairs = None
    ):  # fmt: skip
        self.notices: list[Notice] = []
        """Where the order decided."""
        self.tokens: dict[str, tuple[Token, ...]] = {}
        """The tokens of each stream that a map runs over, by name."""
        given = tokens if isinstance(tokens, Mapping) else {} if tokens is None else {"": tokens}
        self._given = {name: as_tokens(labels) for name, labels in given.items()}
        self._forced = _forced(groups, pairs or {})
        free = [
            stream for stream in streams
            if any(stream in (group.queries, group.keys) for group in groups if id(group) not in self._forced)
        ]  # fmt: skip
        self._defaults = dict(zip(map(id, free), _default_names(free), strict=True))
        self._names: dict[int, str] = {}
        self._assign(free, groups)

    def pair(self, group: CallGroup) -> tuple[str, str]:
        """Returns the names of the streams of queries and keys of a map, and puts them into ``tokens``."""
        forced = self._forced.get(id(group), ("", ""))
        sides = ((group.queries, group.query_part), (group.keys, group.key_part))
        names = [self._named(name, stream, part) for name, (stream, part) in zip(forced, sides, strict=True)]
        return names[0], names[1]

    def by_name(self, groups: Sequence[CallGroup]) -> dict[str, Stream]:
        """Returns the streams that maps run over, by all of their names."""
        streams = {}
        for group in groups:
            forced = self._forced.get(id(group), ("", ""))
            for name, stream in zip(forced, (group.queries, group.keys), strict=True):
                streams[name or self._names[id(stream)]] = stream
        return streams

    def _named(self, forced: str, stream: Stream, part: Positions | None) -> str:
        """Returns the name of a stream, or of the ``part`` of it that takes part."""
        name = forced or self._names[id(stream)]
        tokens = self._given.get(name)
        if tokens is None:
            tokens = index_tokens(stream.count)
        count = stream.count if part is None else len(part)
        if forced and len(tokens) == count:  # given as the part alone
            part = None
        elif len(tokens) != stream.count:
            size = f"{stream.path!r} with {stream.count}"
            raise CaptureError("capture-tokens", count=len(tokens), name=name, streams=size)
        if part is not None:
            is_last = bool((part == range(stream.count - count, stream.count)).all())
            name = f"last {count} of {name}" if is_last else f"{count} of {name}"
            while name in self.tokens and self.tokens[name] != tuple(tokens[place] for place in part):
                name += "'"
            tokens = tuple(tokens[place] for place in part)
        self.tokens[name] = tokens
        return name

    def _assign(self, free: Sequence[Stream], groups: Sequence[CallGroup]) -> None:
        """Assigns the given tokens to the streams that no pattern names."""
        names = dict.fromkeys(name for pair in self._forced.values() for name in pair)
        last = groups[-1].queries if groups else None
        left = list(free)
        for name, tokens in list(self._given.items()):
            if name in names:
                continue
            fitting = [stream for stream in left if stream.count == len(tokens)]
            if not fitting:
                known = ", ".join(f"{self._defaults[id(stream)]!r} with {stream.count}" for stream in free)
                raise CaptureError("capture-tokens", count=len(tokens), name=name or "a list", streams=known)
            scores = [self._score(name, tokens, stream, stream is last) for stream in fitting]
            best = fitting[scores.index(max(scores))]
            if scores.count(max(scores)) > 1:
                self.notices.append(Notice("streams-guessed", {"name": name or TOKENS, "stream": best.path}))
            self._names[id(best)] = name or self._defaults[id(best)]
            self._given.setdefault(self._names[id(best)], tokens)
            left.remove(best)
        for stream in left:
            name = self._defaults[id(stream)]
            used_names = set(self._names.values()) | set(self._given)
            self._names[id(stream)] = name if name not in used_names else _unused(name, used_names)

    def _score(self, name: str, tokens: Sequence[Token], stream: Stream, is_last: bool) -> tuple[int, int, int]:
        """Returns how well given tokens fit a stream: by name, by what it is made of, by their modality."""
        path = {part.lower() for part in (*stream.path.split("."), stream.input_name, self._defaults[id(stream)])}
        modalities = [token.modality for token in tokens if token.modality is not Modality.SPECIAL]
        modality = max(modalities, key=modalities.count, default=None)
        evidence = _modality(stream.path) or _modality(stream.input_name)
        by_name = _modality(name)
        return (
            2 if name == self._defaults[id(stream)] else int(name.lower() in path),
            0 if evidence is None else int(by_name is evidence) - int(by_name not in (None, evidence)),
            (0 if None in (evidence, modality) else int(modality is evidence)) + int(not name and is_last),
        )


def _forced(groups: Sequence[CallGroup], pairs: Mapping[str, tuple[str, str]]) -> dict[int, tuple[str, str]]:
    """Returns the names that patterns give to the streams of a map."""
    for pattern in pairs:
        if not any(fnmatchcase(group.module, pattern) for group in groups):
            known = ", ".join(dict.fromkeys(group.module for group in groups))
            raise CaptureError("capture-pattern", pattern=pattern, known=known)
    forced = {}
    for group in groups:
        for pattern, pair in pairs.items():
            if fnmatchcase(group.module, pattern):
                forced[id(group)] = pair
                break
    return forced


def pairs_of_call(
    given: Mapping[str, tuple[str, str]], of_capture: Mapping[str, tuple[str, str]], modules: Collection[str],
    others: Collection[str],
) -> dict[str, tuple[str, str]]:  # fmt: skip
    """Returns the names of the streams of one call: those ``given`` for it, then those of the whole capture.

    ``modules``: where attention ran in this call; ``others``: in other calls. A pattern of the capture that matches
    only modules of other calls is left out, as those of an encoder in the later steps of ``generate``.
    """
    pairs = dict(given)
    for pattern, pair in of_capture.items():
        is_elsewhere = any(fnmatchcase(module, pattern) for module in others)
        if not is_elsewhere or any(fnmatchcase(module, pattern) for module in modules):
            pairs.setdefault(pattern, pair)
    return pairs


def _default_names(streams: Sequence[Stream]) -> list[str]:
    """Returns a name for each stream: the first part of the path of its blocks that those of others do not have.

    Without blocks it is ``tokens``, or ``memory`` where it only gives keys; of several, the input of the model or the
    module tells them apart.
    """
    if len(streams) == 1:
        return [TOKENS]
    others = [stream for stream in streams if not stream.is_memory]
    names = [
        MEMORY
        if stream.is_memory
        else _first_difference(stream, streams)
        if stream.has_blocks and len(others) > 1
        else TOKENS
        for stream in streams
    ]
    unique: list[str] = []
    for stream, name in zip(streams, names, strict=True):
        if names.count(name) > 1:
            inputs = [other.input_name for other in streams]
            is_told = stream.input_name and inputs.count(stream.input_name) == 1
            name = stream.input_name if is_told else _first_difference(stream, streams)
        unique.append(name if name not in unique else _unused(name, set(unique)))
    return unique


def _first_difference(stream: Stream, streams: Sequence[Stream]) -> str:
    """Returns the first part of the path of a stream that no other has; a number goes with the part before it."""
    path = stream.path.split(".")
    others = [other.path.split(".") for other in streams if other.path != stream.path]
    for place, part in enumerate(path):
        if all(other[place : place + 1] != [part] for other in others if other[:place] == path[:place]):
            return f"{path[place - 1]}.{part}" if part.isdigit() and place else part
    return path[-1]


def _unused(name: str, used_names: set[str]) -> str:
    number = 2
    while f"{name} ({number})" in used_names:
        number += 1
    return f"{name} ({number})"


def _modality(name: str) -> Modality | None:
    """Returns the modality that a path or name speaks of; None where it speaks of none, or of several."""
    spoken = {modality for modality, words in _WORDS.items() if any(word in name.lower() for word in words)}
    return spoken.pop() if len(spoken) == 1 else None
