"""Two runs compared: which token of one stands for which of the other, and what one has more than the other.

Nothing is run here: A and B are two records that are there already. Every difference is A minus B.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.modality_matrix import ModalityMatrix
from mmviz.types import Chars, Modality, PixelBox, Seconds, Token, read_only, is_unlocated_word

ROUNDING = 1e-6
"""Weights are float32: differences below this are no differences."""
_Indices = Sequence[int]
_Pair = tuple[int, int]
_Kind = Literal["patch", "moment", "word", "label"]


@dataclass(frozen=True)
class Pairing:
    """``pairs``: indices (in A, in B) of tokens that stand for each other, ascending in A, each token at most once.

    ``only_a`` and ``only_b``: the tokens that have no partner, ascending.
    """

    pairs: tuple[_Pair, ...]
    only_a: tuple[int, ...]
    only_b: tuple[int, ...]

    @property
    def is_whole(self) -> bool:
        """Whether every token of both has a partner."""
        return not self.only_a and not self.only_b

    def partner(self, token: int) -> int | None:
        """The token of B that stands for ``token`` of A; None where there is none."""
        return next((b for a, b in self.pairs if a == token), None)


def pairs(a_tokens: Sequence[Token], b_tokens: Sequence[Token]) -> Pairing:
    """Which token of A stands for which of B: of the same modality, at the same place in its own input.

    Patches: the same cell, row and column, where both pictures have the same grid, so that the cell is the same share
    of the picture, however many pixels it has; in different grids no patch stands for another. Moments: stretches of
    seconds that share more than half of what they cover together (so at most one does). Words: the n-th for the n-th
    where both texts have as many; else the words that both have, in their order, and between them the n-th for the
    n-th. Everything without a place (special tokens, what stands in for a missing modality): the same label, the n-th
    with that label for the n-th.
    """
    found: list[_Pair] = []
    sides = (_by_kind(a_tokens), _by_kind(b_tokens))
    for kind in sides[0].keys() & sides[1].keys():
        mine, theirs = (side[kind] for side in sides)
        ours, others = [a_tokens[k] for k in mine], [b_tokens[k] for k in theirs]
        found += [(mine[a], theirs[b]) for a, b in _MATCH[kind[1]](ours, others)]
    found.sort()
    has_partner = [{pair[side] for pair in found} for side in (0, 1)]
    alone = [
        tuple(k for k in range(len(tokens)) if k not in has_partner[side])
        for side, tokens in enumerate((a_tokens, b_tokens))
    ]
    return Pairing(tuple(found), *alone)


def difference(a: NDArray[Any], b: NDArray[Any], *axes: Pairing) -> NDArray[np.float64]:
    """What A has more than B, over paired tokens: amounts with one pairing, matrices with that of queries and of keys.

    Formula: amounts ``d[i] = a[p_i] - b[q_i]`` for the i-th pair (p_i, q_i); matrices
    ``d[i, j] = a[p_i, r_j] - b[q_i, s_j]`` for the i-th pair of queries (p_i, q_i) and the j-th of keys (r_j, s_j).
    Shapes: ``[token]`` and ``[token]`` to ``[pair]``; ``[query, key]`` twice to ``[pair, pair]``; float64, in the order
    of A. Source: none needed.
    Raises ``ValueError`` where there is not one pairing for every axis.
    """
    if a.ndim != len(axes) or b.ndim != len(axes):
        raise ValueError(f"{len(axes)} pairings for amounts of {a.ndim} and {b.ndim} axes")
    first, second = (np.ix_(*([pair[side] for pair in axis.pairs] for axis in axes)) for side in (0, 1))
    return np.asarray(a[first].astype(np.float64) - b[second].astype(np.float64))


def over_a(values: NDArray[Any], axis: Pairing, count: int) -> NDArray[np.float64]:
    """``values`` ``[pair]`` at the tokens of A: ``[token]``, NaN where a token of A has no partner."""
    found = np.full(count, np.nan)
    found[[a for a, _ in axis.pairs]] = values
    return found


def symmetric(*values: NDArray[Any]) -> float:
    """The end m of a scale from -m to m, centred at 0, on which all of ``values`` lie.

    Formula: ``m = max |d|`` over all that is not NaN; 1, the whole range of a share, where there is no difference
    beyond the rounding of the weights, so that rounding never fills the scale. Shapes: any. Source: none needed.
    """
    sizes = np.concatenate([np.abs(np.asarray(one, np.float64)).ravel() for one in values] or [np.zeros(0)])
    most = float(sizes[~np.isnan(sizes)].max(initial=0.0))
    return most if most >= ROUNDING else 1.0


@dataclass(frozen=True, eq=False)
class ModalityDifference:
    """A minus B between modalities that both have: ``queries`` ask (rows), ``keys`` are asked (columns).

    ``sums``, ``per_token`` and ``ratio`` as in `mmviz.analysis.modality_matrix.ModalityMatrix`, float64 ``[row, column]``.
    ``only_a`` and ``only_b``: modalities of which the other has no token, and which therefore have no difference.
    """

    queries: tuple[Modality, ...]
    keys: tuple[Modality, ...]
    sums: NDArray[np.float64]
    per_token: NDArray[np.float64]
    ratio: NDArray[np.float64]
    only_a: tuple[Modality, ...]
    only_b: tuple[Modality, ...]


def modality_difference(a: ModalityMatrix, b: ModalityMatrix) -> ModalityDifference:
    """What a modality of A gives another more than in B.

    Formula: ``d[r, c] = a[r, c] - b[r, c]`` for the sums, the means per token and the ratios to uniform attention, each
    over all tokens of the modality, also those without a partner. Where both rows of ``sums`` have all modalities and
    sum to 1, the row of their difference sums to 0. Shapes: at most ``[4, 4]``. Source: none needed.
    """
    queries = tuple(one for one in a.queries if one in b.queries)
    keys = tuple(one for one in a.keys if one in b.keys)

    def minus(name: str) -> NDArray[np.float64]:
        parts = []
        for side in (a, b):
            at = np.ix_([side.queries.index(one) for one in queries], [side.keys.index(one) for one in keys])
            parts.append(getattr(side, name)[at])
        return read_only(parts[0] - parts[1])

    return ModalityDifference(
        queries, keys, minus("sums"), minus("per_token"), minus("ratio"), _beside(a, b), _beside(b, a)
    )


def _beside(one: ModalityMatrix, other: ModalityMatrix) -> tuple[Modality, ...]:
    """The modalities that only ``one`` has."""
    return tuple(found for found in Modality if found in {*one.queries, *one.keys} - {*other.queries, *other.keys})


def _by_kind(tokens: Sequence[Token]) -> dict[tuple[Modality, _Kind], list[int]]:
    """Indices of tokens that could stand for each other at all."""
    found: dict[tuple[Modality, _Kind], list[int]] = defaultdict(list)
    for k, token in enumerate(tokens):
        kind: _Kind = "label"
        if isinstance(token.location, PixelBox):
            kind = "patch"
        elif isinstance(token.location, Seconds):
            kind = "moment"
        elif isinstance(token.location, Chars) or is_unlocated_word(token):
            kind = "word"
        found[token.modality, kind].append(k)
    return found


def _patches(ours: Sequence[Token], theirs: Sequence[Token]) -> Iterable[_Pair]:
    sides = []
    for tokens in (ours, theirs):
        boxes = [token.location for token in tokens if isinstance(token.location, PixelBox)]
        rows, columns = (sorted({edge for edge in edges}) for edges in zip(*((b.y0, b.x0) for b in boxes), strict=True))
        down, across = ({edge: k for k, edge in enumerate(edges)} for edges in (rows, columns))
        sides.append(((len(rows), len(columns)), [(down[box.y0], across[box.x0]) for box in boxes]))
    (grid, cells), (other_grid, other_cells) = sides
    return _nth(cells, other_cells) if grid == other_grid else ()


def _moments(ours: Sequence[Token], theirs: Sequence[Token]) -> Iterable[_Pair]:
    spans = [
        np.array(
            [(token.location.start, token.location.end) for token in tokens if isinstance(token.location, Seconds)]
        )
        for tokens in (ours, theirs)
    ]
    starts, ends = spans[1].T
    free = np.ones(len(starts), bool)
    for k, (start, end) in enumerate(spans[0]):
        both = np.minimum(ends, end) - np.maximum(starts, start)
        share = np.where(free, both / (np.maximum(ends, end) - np.minimum(starts, start)), 0)
        best = int(share.argmax())
        if share[best] > 0.5:
            free[best] = False
            yield k, best


def _words(ours: Sequence[Token], theirs: Sequence[Token]) -> Iterable[_Pair]:
    if len(ours) == len(theirs):
        yield from ((k, k) for k in range(len(ours)))
        return
    mine, others = ([token.label.casefold() for token in tokens] for tokens in (ours, theirs))
    for _, a0, a1, b0, b1 in SequenceMatcher(None, mine, others, autojunk=False).get_opcodes():
        yield from zip(range(a0, a1), range(b0, b1), strict=False)


def _labels(ours: Sequence[Token], theirs: Sequence[Token]) -> Iterable[_Pair]:
    return _nth([token.label for token in ours], [token.label for token in theirs])


def _nth(ours: Sequence[Any], theirs: Sequence[Any]) -> Iterable[_Pair]:
    """The n-th that is called something for the n-th that is called the same."""
    places: dict[Any, list[int]] = defaultdict(list)
    for k, name in enumerate(theirs):
        places[name].append(k)
    for k, name in enumerate(ours):
        if places[name]:
            yield k, places[name].pop(0)


_MATCH = {"patch": _patches, "moment": _moments, "word": _words, "label": _labels}
