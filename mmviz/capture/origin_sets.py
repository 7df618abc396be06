"""The origins of numbers, each a token of a stream in a state, or a mean of several, as integers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

NONE = -1
"""The origin of numbers that come from no token."""
_WIDTH = 1 << 31
"""Tokens of a stream in one state, at most."""


class OriginSets:
    """Gives a number to each origin. Numbers below `NONE` stand for what cannot be followed."""

    def __init__(self) -> None:
        self._states: list[tuple[int, int]] = []
        """The stream and the state of each range of origins."""
        self._means: list[tuple[int, ...]] = []
        self._numbers: dict[tuple[int, ...], int] = {}
        self._members: dict[int, tuple[tuple[int, float], ...]] = {}
        self.losses: list[tuple[str, int]] = []
        """The function and the number of the stream of what cannot be followed."""

    def token(self, stream: int, state: int) -> int:
        """Returns the origin of token 0 of a stream in a state; the others follow."""
        if (stream, state) not in self._states:
            self._states.append((stream, state))
        return (1 + self._states.index((stream, state))) * _WIDTH

    def place(self, origin: int) -> tuple[int, int, int]:
        """Returns the stream, the state and the token of an origin that is no mean."""
        stream, state = self._states[origin // _WIDTH - 1]
        return stream, state, origin % _WIDTH

    def in_state(self, origins: Tensor, stream: int, state: int) -> Tensor:
        """Returns ``origins`` with tokens of ``stream`` in ``state``, whatever state they were in."""
        result = origins.clone()
        for number, (other, _) in enumerate(list(self._states), 1):
            if other == stream:
                is_of_state = origins // _WIDTH == number
                result[is_of_state] = origins[is_of_state] % _WIDTH + self.token(stream, state)
        return result

    def members(self, origin: int) -> Iterable[tuple[int, float]]:
        """Returns the tokens of an origin, each once, with its share; nothing for what cannot be followed."""
        if origin >= _WIDTH:
            return ((origin, 1.0),)
        if origin <= NONE:
            return ()
        if origin not in self._members:
            shares: dict[int, float] = {}
            parts = self._means[origin]
            for part in parts:
                for member, share in self.members(part):
                    shares[member] = shares.get(member, 0.0) + share / len(parts)
            self._members[origin] = tuple(shares.items())
        return self._members[origin]

    def parts(self, origin: int) -> tuple[int, ...]:
        """Returns the origins that an origin is the mean of; none for a token and for what cannot be followed."""
        return self._means[origin] if NONE < origin < _WIDTH else ()

    def lost(self, function: str, origins: Sequence[Tensor]) -> Tensor:
        """Returns the number of the result of ``function`` on ``origins``; it stays that of the first loss."""
        parts = [_distinct_columns(part).flatten() if part.dim() else part.reshape(1) for part in origins]
        numbers = torch.unique(torch.cat(parts)).tolist()
        lost = min([NONE, *numbers])
        streams = [self.place(member)[0] for number in numbers for member, _ in self.members(number)]
        if lost == NONE and streams:
            self.losses.append((function, streams[0]))
            lost = NONE - len(self.losses)
        return torch.tensor(lost)

    def loss(self, origin: int) -> tuple[str, int]:
        """Returns the function and the stream of what cannot be followed."""
        return self.losses[NONE - 1 - origin]

    def merged(self, origins: Tensor, axis: int, keeps: bool = False) -> Tensor:
        """Returns the means of ``origins`` along an axis, which stays with length 1 where ``keeps`` is True."""
        moved = origins.movedim(axis, -1)
        rows = _distinct_columns(moved)
        result = rows[..., 0] if rows.shape[-1] == 1 else self._means_of(rows)
        return result.unsqueeze(-1).movedim(-1, axis) if keeps else result

    def combined(self, parts: Sequence[Tensor]) -> Tensor:
        """Returns the origins of a sum of tensors: of one token in two states the later one, of two tokens the mean."""
        result = parts[0]
        for part in parts[1:]:
            if not torch.equal(result, part):
                narrow = [_distinct_columns(each) for each in (result, part)]
                shape = result.shape
                if all(each.shape[-1] == 1 for each in narrow):
                    result, part = narrow
                result = self._sum(result, part).expand(shape)
        return result

    def _sum(self, first: Tensor, second: Tensor) -> Tensor:
        result = torch.where(first == NONE, second, first)
        differs = (first != second) & (first != NONE) & (second != NONE)
        if not bool(differs.any()):
            return result
        pairs, inverse = torch.unique(torch.stack([first[differs], second[differs]], 1), dim=0, return_inverse=True)
        result[differs] = torch.tensor([self._of_pair(*pair) for pair in pairs.tolist()])[inverse]
        return result

    def _of_pair(self, first: int, second: int) -> int:
        if min(first, second) < NONE:
            return min(first, second)
        if min(first, second) >= _WIDTH:
            places = sorted([self.place(first), self.place(second)])
            if (places[0][0], places[0][2]) == (places[1][0], places[1][2]):
                stream, state, token = places[1]
                return self.token(stream, state) + token
        return self._mean({first, second})

    def _means_of(self, rows: Tensor) -> Tensor:
        """Returns the mean of each row of origins, int64 ``[...]``."""
        flat = rows.reshape(-1, rows.shape[-1]).sort(1).values
        unique, inverse = torch.unique(flat, dim=0, return_inverse=True)
        means = torch.tensor([self._mean(set(row)) for row in unique.tolist()])
        return means[inverse].reshape(rows.shape[:-1])

    def _mean(self, origins: set[int]) -> int:
        members = sorted(origins - {NONE})
        if not members:
            return NONE
        if members[0] < NONE or len(members) == 1:
            return members[0]
        key = tuple(members)
        if key not in self._numbers:
            self._numbers[key] = len(self._means)
            self._means.append(key)
        return self._numbers[key]


def _distinct_columns(rows: Tensor) -> Tensor:
    """Returns ``rows`` ``[..., column]`` without columns that repeat the column before them."""
    if rows.shape[-1] < 2 or rows.stride(-1) == 0:
        return rows[..., :1]
    changes = (rows[..., 1:] != rows[..., :-1]).flatten(0, -2).any(0)
    columns = torch.cat([torch.zeros(1, dtype=torch.int64), changes.nonzero().flatten() + 1])
    return rows.index_select(-1, columns)
