"""Two runs, A and B, compared: which tokens correspond, and the difference A minus B. Nothing is run here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.modality_matrix import ModalityMatrix
from mmviz.types import MODALITIES, Chars, Modality, PixelBox, Seconds, Token, is_unlocated_word, read_only

ROUNDING = 1e-6
"""Weights are float32: smaller differences are rounding."""
_Pair = tuple[int, int]
_Kind = Literal["patch", "frame", "word", "label"]


@dataclass(frozen=True)
class Pairing:
    """Which tokens of A correspond to which tokens of B."""

    pairs: tuple[_Pair, ...]
    """Indices (in A, in B) of corresponding tokens, ascending in A. Each token is in one pair at most."""
    only_a: tuple[int, ...]
    """Tokens of A without a partner, ascending."""
    only_b: tuple[int, ...]
    """Tokens of B without a partner, ascending."""

    @property
    def is_whole(self) -> bool:
        """Whether every token of A and of B has a partner."""
        return not self.only_a and not self.only_b

    def partner(self, token: int) -> int | None:
        """Returns the token of B that corresponds to ``token`` of A, or None."""
        return next((b for a, b in self.pairs if a == token), None)


def pair_tokens(a_tokens: Sequence[Token], b_tokens: Sequence[Token]) -> Pairing:
    """Returns which tokens of A and B correspond: those of the same modality at the same place in their inputs.

    - Patches: the same row and column, if both images have the same grid, whatever their size in pixels. Patches of
      different grids do not correspond.
    - Audio tokens: those whose intervals overlap by more than half of their union: each token has at most one.
    - Words: by position if both texts have equally many; else the words that both texts have, in order, and between
      them by position.
    - Tokens without a location (special tokens, the token of a missing modality): those with the same label, by
      position among them.
    """
    pairs: list[_Pair] = []
    a_kinds, b_kinds = _indices_by_kind(a_tokens), _indices_by_kind(b_tokens)
    for modality, kind in a_kinds.keys() & b_kinds.keys():
        a_indices, b_indices = a_kinds[modality, kind], b_kinds[modality, kind]
        matches = _MATCHERS[kind]([a_tokens[k] for k in a_indices], [b_tokens[k] for k in b_indices])
        pairs += [(a_indices[a], b_indices[b]) for a, b in matches]
    pairs.sort()
    a_paired, b_paired = ({pair[side] for pair in pairs} for side in (0, 1))
    return Pairing(
        tuple(pairs),
        only_a=tuple(k for k in range(len(a_tokens)) if k not in a_paired),
        only_b=tuple(k for k in range(len(b_tokens)) if k not in b_paired),
    )


def difference(a: NDArray[Any], b: NDArray[Any], *axes: Pairing) -> NDArray[np.float64]:
    """Returns A minus B over corresponding tokens: of amounts with one pairing, of matrices with two.

    Formula: for amounts ``d[i] = a[p_i] - b[q_i]`` for the i-th pair (p_i, q_i); for matrices
    ``d[i, j] = a[p_i, r_j] - b[q_i, s_j]`` for the i-th pair of queries (p_i, q_i) and the j-th of keys (r_j, s_j).
    Shapes: ``[token]`` and ``[token]`` to ``[pair]``; ``[query, key]`` twice to ``[pair, pair]``; float64, in the order
    of A.
    Raises ``ValueError`` if there is not one pairing for each axis.
    """
    if a.ndim != len(axes) or b.ndim != len(axes):
        raise ValueError(f"{len(axes)} pairings for amounts of {a.ndim} and {b.ndim} axes")
    a_index, b_index = (np.ix_(*([pair[side] for pair in axis.pairs] for axis in axes)) for side in (0, 1))
    return np.asarray(a[a_index].astype(np.float64) - b[b_index].astype(np.float64))


def expand_to_a(values: NDArray[Any], pairing: Pairing, count: int) -> NDArray[np.float64]:
    """Returns ``values`` ``[pair]`` at the ``count`` tokens of A, ``[token]``, NaN for tokens without a partner."""
    expanded = np.full(count, np.nan)
    expanded[[a for a, _ in pairing.pairs]] = values
    return expanded


def symmetric_limit(*values: NDArray[Any]) -> float:
    """Returns the limit m of a scale from -m to m, centred at 0, that covers all of ``values``, of any shape.

    Formula: ``m = max |d|`` over all that is not NaN. It is 1 if no difference exceeds the rounding of the weights, so
    that rounding never fills the scale.
    """
    sizes = np.concatenate([np.abs(np.asarray(array, np.float64)).ravel() for array in values] or [np.zeros(0)])
    largest = float(sizes[~np.isnan(sizes)].max(initial=0.0))
    return largest if largest >= ROUNDING else 1.0


@dataclass(frozen=True, eq=False)
class ModalityDifference:
    """A minus B between the modalities that both have, see `mmviz.analysis.modality_matrix.ModalityMatrix`."""

    queries: tuple[Modality, ...]
    """Modalities of the rows."""
    keys: tuple[Modality, ...]
    """Modalities of the columns."""
    sums: NDArray[np.float64]
    """float64 ``[row, column]``: the difference of `ModalityMatrix.sums`."""
    per_token: NDArray[np.float64]
    """float64 ``[row, column]``: the difference of `ModalityMatrix.per_token`."""
    ratio: NDArray[np.float64]
    """float64 ``[row, column]``: the difference of `ModalityMatrix.ratio`."""
    only_a: tuple[Modality, ...]
    """Modalities that only A has, which therefore have no difference."""
    only_b: tuple[Modality, ...]
    """Modalities that only B has."""


def modality_difference(a: ModalityMatrix, b: ModalityMatrix) -> ModalityDifference:
    """Returns A minus B from modality to modality, over all tokens, also those without a partner.

    Formula: ``d[r, c] = a[r, c] - b[r, c]`` for the sums, the means per token and the ratios to uniform attention. If
    both have all modalities in a row of ``sums``, and both rows sum to 1, then their difference sums to 0.
    Shapes: at most ``[4, 4]``.
    """
    queries = tuple(modality for modality in a.queries if modality in b.queries)
    keys = tuple(modality for modality in a.keys if modality in b.keys)

    def subtract(name: str) -> NDArray[np.float64]:
        a_part, b_part = (
            getattr(matrix, name)[
                np.ix_([matrix.queries.index(q) for q in queries], [matrix.keys.index(k) for k in keys])
            ]
            for matrix in (a, b)
        )
        return read_only(a_part - b_part)

    return ModalityDifference(
        queries=queries,
        keys=keys,
        sums=subtract("sums"),
        per_token=subtract("per_token"),
        ratio=subtract("ratio"),
        only_a=_only_first(a, b),
        only_b=_only_first(b, a),
    )


def _only_first(first: ModalityMatrix, second: ModalityMatrix) -> tuple[Modality, ...]:
    """Returns the modalities that ``first`` has and ``second`` does not."""
    modalities = {*first.queries, *first.keys} - {*second.queries, *second.keys}
    return tuple(modality for modality in MODALITIES if modality in modalities)


def _indices_by_kind(tokens: Sequence[Token]) -> dict[tuple[Modality, _Kind], list[int]]:
    """Returns the indices of the tokens of each modality and kind. Only tokens of one kind can correspond."""
    indices: dict[tuple[Modality, _Kind], list[int]] = defaultdict(list)
    for k, token in enumerate(tokens):
        kind: _Kind = "label"
        if isinstance(token.location, PixelBox):
            kind = "patch"
        elif isinstance(token.location, Seconds):
            kind = "frame"
        elif isinstance(token.location, Chars) or is_unlocated_word(token):
            kind = "word"
        indices[token.modality, kind].append(k)
    return indices


def _match_patches(a_tokens: Sequence[Token], b_tokens: Sequence[Token]) -> Iterable[_Pair]:
    a_grid, a_cells = _grid_cells(a_tokens)
    b_grid, b_cells = _grid_cells(b_tokens)
    return _match_equal(a_cells, b_cells) if a_grid == b_grid else ()


def _grid_cells(tokens: Sequence[Token]) -> tuple[_Pair, list[_Pair]]:
    """Returns the rows and columns of a grid of patches, and the row and column of each patch."""
    boxes = [token.location for token in tokens if isinstance(token.location, PixelBox)]
    tops, lefts = sorted({box.y0 for box in boxes}), sorted({box.x0 for box in boxes})
    return (len(tops), len(lefts)), [(tops.index(box.y0), lefts.index(box.x0)) for box in boxes]


def _match_frames(a_tokens: Sequence[Token], b_tokens: Sequence[Token]) -> Iterable[_Pair]:
    a_intervals, b_intervals = (
        [(token.location.start, token.location.end) for token in tokens if isinstance(token.location, Seconds)]
        for tokens in (a_tokens, b_tokens)
    )
    starts, ends = np.array(b_intervals).T
    is_free = np.ones(len(starts), bool)
    for k, (start, end) in enumerate(a_intervals):
        overlap = np.minimum(ends, end) - np.maximum(starts, start)
        fraction = np.where(is_free, overlap / (np.maximum(ends, end) - np.minimum(starts, start)), 0)
        best = int(fraction.argmax())
        if fraction[best] > 0.5:
            is_free[best] = False
            yield k, best


def _match_words(a_tokens: Sequence[Token], b_tokens: Sequence[Token]) -> Iterable[_Pair]:
    if len(a_tokens) == len(b_tokens):
        yield from ((k, k) for k in range(len(a_tokens)))
        return
    a_words, b_words = ([token.label.casefold() for token in tokens] for tokens in (a_tokens, b_tokens))
    for _, a0, a1, b0, b1 in SequenceMatcher(None, a_words, b_words, autojunk=False).get_opcodes():
        yield from zip(range(a0, a1), range(b0, b1), strict=False)


def _match_labels(a_tokens: Sequence[Token], b_tokens: Sequence[Token]) -> Iterable[_Pair]:
    return _match_equal([token.label for token in a_tokens], [token.label for token in b_tokens])


def _match_equal(a_names: Sequence[Any], b_names: Sequence[Any]) -> Iterable[_Pair]:
    """Yields the pairs of equal names, the n-th of A with the n-th of B."""
    b_indices: dict[Any, list[int]] = defaultdict(list)
    for k, name in enumerate(b_names):
        b_indices[name].append(k)
    for k, name in enumerate(a_names):
        if b_indices[name]:
            yield k, b_indices[name].pop(0)


_MATCHERS = {"patch": _match_patches, "frame": _match_frames, "word": _match_words, "label": _match_labels}
