"""Names the stack of layers that each map belongs to, and counts layers within it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence


def stacks_of(
    paths: Sequence[str], streams: Sequence[Hashable], runs: Sequence[Hashable]
) -> list[tuple[str, int]]:  # fmt: skip
    """Returns the stack and the layer, from 0, of each map in order of execution.

    Modules form a stack where their paths differ in one number alone and they run between the same streams, such as
    ``encoder.layers.0.attention`` and ``encoder.layers.1.attention``. The stack is named by the path without it. Each
    run of a module is a layer; several maps of one run are of the same layer.

    Args:
        paths: The path of the module of each map.
        streams: What tells the pair of streams of queries and keys, for each map.
        runs: What tells the run of the module, for each map.
    """
    candidates = [[_without(path, place) for place in _numbers(path)] for path in paths]
    members: Counter[tuple[str, Hashable]] = Counter()
    for path, between in dict.fromkeys(zip(paths, streams, strict=True)):
        members.update((candidate, between) for candidate in candidates[paths.index(path)])
    chosen = [
        max(reversed(names), key=lambda name, between=between: members[name, between], default=path)  # type: ignore[misc]
        for path, between, names in zip(paths, streams, candidates, strict=True)
    ]
    stacks = _names(list(zip(chosen, streams, strict=True)))
    layers: dict[str, list[Hashable]] = {}
    places = []
    for stack, run in zip(stacks, runs, strict=True):
        known = layers.setdefault(stack, [])
        if run not in known:
            known.append(run)
        places.append((stack, known.index(run)))
    return places


def _numbers(path: str) -> list[int]:
    """Returns the places of the numbers in a module path."""
    return [place for place, part in enumerate(path.split(".")) if part.isdigit()]


def _without(path: str, place: int) -> str:
    parts = path.split(".")
    return ".".join(parts[:place] + parts[place + 1 :])


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
