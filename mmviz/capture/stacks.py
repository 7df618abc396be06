"""Names the stack of layers that each map belongs to, and counts layers within it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence


def stacks_of(paths: Sequence[str], streams: Sequence[Hashable]) -> list[tuple[str, int]]:
    """Returns the stack and the layer, from 0, of each map in order of execution.

    Modules form a stack where their paths differ in one number alone and they run between the same streams, such as
    ``encoder.layers.0.attention`` and ``encoder.layers.1.attention``. The stack is named by the path without it. The
    number is the layer; of a module that runs again and again, each run is a layer.

    Args:
        paths: The path of the module of each map.
        streams: What tells the pair of streams of queries and keys, for each map.
    """
    candidates = [[(_without(path, place), between) for place in _numbers(path)]
                  for path, between in zip(paths, streams, strict=True)]  # fmt: skip
    members: Counter[tuple[tuple[str, int], Hashable]] = Counter()
    for path_candidates in dict(zip(zip(paths, streams, strict=True), candidates, strict=True)).values():
        members.update(path_candidates)
    chosen = []
    for path, between, keys in zip(paths, streams, candidates, strict=True):
        best = max(reversed(keys), key=lambda key: members[key], default=None)
        chosen.append((path, between, best))
    names = _names([(path if key is None else key[0][0], between) for path, between, key in chosen])
    runs: Counter[tuple[str, str]] = Counter((name, path) for name, (path, _, _) in zip(names, chosen, strict=True))
    repeats = {name for (name, _), count in runs.items() if count > 1}
    seen: Counter[str] = Counter()
    layers = []
    for name, (path, _, key) in zip(names, chosen, strict=True):
        number = seen[name] if key is None or name in repeats else int(path.split(".")[key[0][1]])
        seen[name] += 1
        layers.append((name, number))
    return layers


def _numbers(path: str) -> list[int]:
    """Returns the places of the numbers in a module path."""
    return [place for place, part in enumerate(path.split(".")) if part.isdigit()]


def _without(path: str, place: int) -> tuple[str, int]:
    parts = path.split(".")
    return ".".join(parts[:place] + parts[place + 1 :]), place


def _names(stacks: Sequence[tuple[str, Hashable]]) -> list[str]:
    """Returns a name for each stack: its path, numbered where modules of one path run between several streams."""
    between: dict[str, list[Hashable]] = {}
    for path, streams in stacks:
        between.setdefault(path, [])
        if streams not in between[path]:
            between[path].append(streams)
    return [
        path if len(between[path]) == 1 else f"{path} ({between[path].index(streams) + 1})" for path, streams in stacks
    ]
