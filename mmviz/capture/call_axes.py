"""Tells the axes of one attention call apart, samples, windows and heads, in one place for every route.

Every operand comes as ``[*leading, token, d]``, with leading axes in the order of the attention's output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from mmviz.capture.head_split import HeadSplit, split_of
from mmviz.capture.module_tracker import ModuleRun
from mmviz.capture.query_key_tokens import NEAREST, Operand


@dataclass(frozen=True)
class CallAxes:
    """How the axes of one attention call become rows of samples or windows, heads and tokens."""

    leading: tuple[int, ...]
    """Sizes of the leading axes of the attention's output, to which its operands are broadcast."""
    split: HeadSplit
    """How the leading axes and that of the queries hold the heads."""
    expected: tuple[int, ...] = ()
    """The numbers of heads that the module itself names, where none of them is that of ``split``; else empty."""

    @property
    def heads(self) -> int:
        """Number of heads of the queries."""
        return self.split.heads

    @property
    def is_plain(self) -> bool:
        """Whether the leading axes are those of rows and heads."""
        return len(self.leading) == 2 and self._group == 1 and self.split.is_head[:2] == ((False,), (True,))

    @property
    def counts(self) -> tuple[int, int]:
        """Numbers of rows and queries."""
        sizes, rows, _, tokens = _cut(self.split)
        return math.prod(sizes[axis] for axis in rows), math.prod(sizes[axis] for axis in tokens)

    @property
    def _group(self) -> int:
        """Number of heads that stand in the axis of the queries."""
        last = zip(self.split.sizes[-1], self.split.is_head[-1], strict=True)
        return math.prod(size for size, is_head in last if is_head)

    def of_queries(self, tensor: Tensor) -> Tensor:
        """Returns queries, weights, log-sum-exp or output ``[*leading, query, d]`` as ``[row, head, query, d]``."""
        padded = _padded(tensor, len(self.leading))
        if padded.shape[:-2] != self.leading:
            padded = padded.expand(*self.leading, *padded.shape[-2:])
        return self._arranged(padded, self.split)

    def of_keys(self, tensor: Tensor) -> Tensor:
        """Returns keys or values ``[*leading, key, d]`` as ``[row, kv head, key, d]``; heads may share a key."""
        padded = _padded(tensor, len(self.leading))
        sizes, is_head = self.split.sizes[:-1], self.split.is_head[:-1]
        count = padded.shape[-3] if self.leading else 1
        if len(self.leading) > 1 and is_head[-1] == (True,) and count != self.leading[-1]:
            sizes = (*sizes[:-1], (count,))  # grouped queries
            if padded.shape[:-3] != self.leading[:-1]:
                padded = padded.expand(*self.leading[:-1], *padded.shape[-3:])
        elif padded.shape[:-2] != self.leading:
            padded = padded.expand(*self.leading, *padded.shape[-2:])
        return self._arranged(padded, HeadSplit((*sizes, (padded.shape[-2],)), (*is_head, (False,))))

    def of_mask(self, mask: Tensor) -> Tensor:
        """Arranges a mask that broadcasts to ``[*leading, query, key]`` so that it broadcasts to
        ``[row, head, query, key]``."""
        padded = _padded(mask, len(self.leading))
        if all(size == 1 for size in padded.shape[:-2]) and self._group == 1:
            return padded.reshape(1, 1, *padded.shape[-2:])
        if self.is_plain:
            return padded
        queries = math.prod(self.split.sizes[-1])
        return self._arranged(padded.expand(*self.leading, queries, padded.shape[-1]), self.split)

    def of_heads(self, values: Tensor) -> Tensor:
        """Returns ``values`` ``[row, head]`` as ``[*leading, query or 1, 1]``, which broadcasts to the output."""
        sizes, rows, heads, tokens = _cut(self.split)
        order = [*rows, *heads, *tokens]
        shape = [1 if axis in tokens else sizes[axis] for axis in order]
        spread = values.reshape(shape)
        if self._group > 1:  # some of the heads stand in the axis of queries, which is then of its full length
            spread = spread.expand([sizes[axis] for axis in order])
        return spread.permute([order.index(axis) for axis in range(len(order))]).reshape(*self.leading, -1, 1)

    def of_pairs(self, pairs: Tensor) -> Tensor:
        """Returns ``pairs`` ``[row or 1, head or 1, query, key]`` so that they broadcast to
        ``[*leading, query, key]``."""
        if self.is_plain:
            return pairs
        sizes, rows, heads, tokens = _cut(self.split)
        order = [*rows, *heads, *tokens]
        counts = [math.prod(sizes[axis] for axis in axes) for axes in (rows, heads)]
        spread = pairs.expand(*counts, *pairs.shape[2:])
        spread = spread.reshape(*(sizes[axis] for axis in order), pairs.shape[-1])
        turned = spread.permute(*(order.index(axis) for axis in range(len(order))), len(order))
        return turned.reshape(*self.leading, -1, pairs.shape[-1])

    def _arranged(self, tensor: Tensor, split: HeadSplit) -> Tensor:
        """Returns ``[*leading, token, d]`` as ``[row, head, token, d]``."""
        is_head = ((False,), (True,), (False,))
        if split.is_head == is_head and split.sizes == tuple((size,) for size in tensor.shape[:-1]):
            return tensor
        sizes, rows, heads, tokens = _cut(split)
        cut = tensor.reshape(*sizes, tensor.shape[-1]).permute(*rows, *heads, *tokens, len(sizes))
        counts = (math.prod(sizes[axis] for axis in axes) for axes in (heads, tokens))
        return cut.reshape(-1, *counts, tensor.shape[-1])


def _cut(split: HeadSplit) -> tuple[list[int], list[int], list[int], list[int]]:
    """Returns the sizes of all axes after the cut, and which of them are rows, heads and tokens."""
    sizes = [size for axis in split.sizes for size in axis]
    flags = [flag for axis in split.is_head for flag in axis]
    first_token = len(sizes) - len(split.sizes[-1])
    rows = [axis for axis in range(first_token) if not flags[axis]]
    heads = [axis for axis, flag in enumerate(flags) if flag]
    tokens = [axis for axis in range(first_token, len(sizes)) if not flags[axis]]
    return sizes, rows, heads, tokens


def arrange_axes(
    runs: Sequence[ModuleRun], leading: Sequence[int], queries: int, heads: int = 0, query: Operand | None = None,
    key: Operand | None = None,
) -> CallAxes:  # fmt: skip
    """Returns how the axes of an attention call are arranged.

    The features of the queries tell which axes hold heads, or else those of the keys. Where they do not, the module's
    own number of heads does; without one, the last of several leading axes holds heads, and a single one the heads of
    each sample in turn.

    Args:
        runs: The modules that run, the innermost last.
        leading: The sizes of the leading axes of the attention's output.
        queries: The size of the axis of queries.
        heads: The number of heads where the call itself names it, else 0.
        query: Where the queries come from, if that is known.
        key: Where the keys come from.
    """
    leading = tuple(leading)
    named = {heads} if heads else {count for run in runs[-NEAREST:] for count in run.head_counts}
    batches = {step.shape[0] for run in runs for step in run.inputs if len(step.shape) > 2}
    split = _by_features(leading, queries, query) or _by_keys(leading, queries, key)
    split = split or _by_head_axis(leading, queries, named, query)
    if split is not None and split.heads == 1:  # a single head is known, which a module around the block cannot deny
        named = {count for run in _of_block(runs) for count in run.head_counts}
    split = split or _by_counts(leading, queries, named, batches, query)
    return CallAxes(leading, split, () if not named or split.heads in named else tuple(sorted(named)))


def _of_block(runs: Sequence[ModuleRun]) -> Sequence[ModuleRun]:
    """Returns the innermost module of a numbered list and those in it; without a list, the innermost module."""
    blocks = [place for place, run in enumerate(runs) if run.path.rpartition(".")[2].isdigit()]
    return runs[blocks[-1] if blocks else -1 :]


def _by_features(leading: tuple[int, ...], queries: int, query: Operand | None) -> HeadSplit | None:
    """Returns the split that the features of queries tell; None where they tell none."""
    if query is None or query.arrangement is None:
        return None
    features, split = query.arrangement.feature, query.arrangement.split
    if tuple(features.shape) != (*leading, queries):
        features = _padded(features[..., None], len(leading))[..., 0]
        if features.dim() != len(leading) + 1 or features.shape[-1] != queries:
            return None
        split = split_of(features.expand(*leading, queries))
    if split is not None and split.heads > 1:
        return split
    if split is not None and leading and len(query.leading) > 1 and leading[-1] > 1:
        tokens = query.arrangement.token.expand(*leading, queries)
        places = tokens % math.prod(query.leading[1:]) if len(query.leading) > 2 else tokens * 0
        is_alike = places == places[..., :1, :]
        if bool(is_alike.all()) and not bool((tokens == tokens[..., :1, :]).all()):  # other samples, not other heads
            return split
    return None


def _by_keys(leading: tuple[int, ...], queries: int, key: Operand | None) -> HeadSplit | None:
    """Returns the split that the features of keys tell, where these have all leading axes of the queries."""
    if key is None or key.arrangement is None or tuple(key.arrangement.feature.shape[:-1]) != leading:
        return None
    split = key.arrangement.split
    if split is None or split.heads == 1 or any(split.is_head[-1]):
        return None
    return HeadSplit((*split.sizes[:-1], (queries,)), (*split.is_head[:-1], (False,)))


def _by_head_axis(
    leading: tuple[int, ...], queries: int, named: set[int], query: Operand | None
) -> HeadSplit | None:  # fmt: skip
    """Returns the split of a single axis that joins samples or windows with heads, where the tokens that queries come
    from have an axis of their own for the module's heads."""
    if len(leading) != 1 or query is None or query.arrangement is None:
        return None
    if len(query.leading) < 3 or query.leading[-1] not in named:
        return None
    tokens = query.arrangement.token
    if tuple(tokens.shape) != (*leading, queries) or bool((tokens < 0).any()):
        return None
    split = split_of(tokens % query.leading[-1])
    return split if split is not None and split.heads == query.leading[-1] else None


def _by_counts(
    leading: tuple[int, ...], queries: int, named: set[int], batches: set[int], query: Operand | None
) -> HeadSplit:  # fmt: skip
    """Returns the split by the module's own number of heads and the number of its samples."""
    plain = HeadSplit(tuple((size,) for size in (*leading, queries)), tuple((False,) for _ in (*leading, queries)))
    if not leading:
        return plain
    last, samples, tokens = leading[-1], 0, 0
    if query is not None and len(query.leading) == 2 and query.base is not query.step:
        samples, tokens = query.leading
    is_head = [*plain.is_head[:-2], (True,), (False,)]
    if len(leading) == 1:
        fitting = sorted(count for count in named if last % count == 0 and last // count in {1, samples, *batches})
        count = fitting[-1] if fitting else last // samples if samples and last % samples == 0 else last
        if count < last:
            return HeadSplit(((last // count, count), (queries,)), ((False, True), (False,)))
        return HeadSplit(plain.sizes, tuple(is_head))
    if named and last not in named:
        for count in sorted(named):
            group = count // last
            if count % last == 0 and queries == group * tokens:  # heads that share a key, in the axis of queries
                return HeadSplit((*plain.sizes[:-1], (group, tokens)), (*is_head[:-1], (True, False)))
    return HeadSplit(plain.sizes, tuple(is_head))


def _padded(tensor: Tensor, leading: int) -> Tensor:
    """Returns ``tensor`` with ``leading`` axes before the last two, of which new axes have length 1."""
    missing = leading + 2 - tensor.dim()
    return tensor.reshape(*[1] * missing, *tensor.shape) if missing > 0 else tensor
