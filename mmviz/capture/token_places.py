"""Tells which tokens of a layer the queries and keys of an attention call are, and which of their axes are heads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from torch import Tensor

from mmviz.capture.data_flow import Step, name_of
from mmviz.capture.einsum import parse_einsum
from mmviz.capture.module_tracker import ModuleRun
from mmviz.capture.token_replay import MAX_NUMBERS, MAX_STEPS, Places, follows, replay, replay_numbers

MAX_KEPT = 128
"""Arrangements whose places are kept."""
NEAREST = 3
"""The innermost modules whose own number of heads counts."""
_PRODUCTS = {"matmul": (0, 1), "__matmul__": (0, 1), "bmm": (0, 1), "baddbmm": (1, 2)}
"""Functions that multiply queries and keys, and the positions of both among their arguments."""


@dataclass(frozen=True, eq=False)
class Operand:
    """The queries or the keys of one attention call."""

    base: Step
    """The tokens of the layer that they come from, ``[..., token, feature]``: an input of the block; where nothing
    earlier is known, the queries or keys themselves."""
    step: Step
    """The queries or keys as the model passed them."""
    tokens: Tensor | None = None
    """int64 ``[*leading, token]``: the flat number in ``base`` of each token; None where the functions between do more
    than move tokens, or the input is too long to replay them."""
    features: Tensor | None = None
    """int64, the same shape: the first feature of each vector, which differs from head to head."""


_replayed: dict[tuple[object, ...], Places | None] = {}
"""What was replayed, by the shape of the tokens and by the functions with their plain arguments: these tell all."""


class PlaceFinder:
    """Finds the places of queries and keys; layers that are arranged alike are replayed once."""

    def operand(self, runs: Sequence[ModuleRun], step: Step, feature_axis: int = -1) -> Operand:
        """Returns where queries or keys ``step`` come from, while the modules ``runs`` run."""
        if math.prod(step.shape) > MAX_NUMBERS:
            return Operand(next(_bases(runs, step)), step)
        for base in _bases(runs, step):
            places = self._replay(step, base, feature_axis)
            if places is not None and _is_plausible(places, runs):
                return Operand(base, step, places.token, places.feature)
        beginning = Operand(step, step)
        for base in islice(step.chain(), MAX_STEPS):  # something else made new tokens: they begin after it
            if not follows(base):
                break
            places = self._replay(step, base, feature_axis)
            if places is not None and _is_plausible(places, runs):
                beginning = Operand(base, step, places.token, places.feature)
        return beginning

    def of_weights(self, runs: Sequence[ModuleRun], weights: Step) -> tuple[Operand, Operand] | None:
        """Returns the queries and keys that ``weights`` ``[*leading, query, key]`` were computed from.

        Their places are arranged as the weights are. Returns None where the weights come from no product of both.
        """
        product = _score_product(weights)
        if product is None:
            return None
        sides = [self.operand(runs, step, axis) for step, axis, _ in (product.query, product.key)]
        if math.prod(product.scores.shape) > MAX_NUMBERS:
            return replace(sides[0], tokens=None, features=None), replace(sides[1], tokens=None, features=None)
        numbers = []
        for side, (_, _, order), axis in zip(sides, (product.query, product.key), (-1, -2), strict=True):
            spread = [_spread(places, order, axis, product.scores.shape) for places in (side.tokens, side.features)]
            numbers.append([part if part is None else replay_numbers(part, weights, product.scores) for part in spread])
        of_queries = [part for part in numbers[0] if part is not None]
        is_turned = any(bool((part != part.narrow(-1, 0, 1)).any()) for part in of_queries)  # keys are the first factor
        axes = (-2, -1) if is_turned else (-1, -2)
        arranged = []
        for side, parts, axis in zip(sides, numbers, axes, strict=True):
            tokens, features = (part if part is None else part.select(axis, 0) for part in parts)
            arranged.append(replace(side, tokens=tokens, features=features))
        return (arranged[1], arranged[0]) if is_turned else (arranged[0], arranged[1])

    def _replay(self, last: Step, base: Step, feature_axis: int) -> Places | None:
        signature: list[object] = [base.shape, feature_axis]
        for step in islice(last.chain(), MAX_STEPS):
            if step is base:
                break
            values = (step.args, tuple((step.kwargs or {}).items()))
            if _has_tensor(values):
                return replay(last, base, feature_axis)
            signature += [step.func, step.shape, str(_plain(values, step.source))]
        key = tuple(signature)
        if key not in _replayed:
            if len(_replayed) >= MAX_KEPT:
                _replayed.pop(next(iter(_replayed)), None)
            _replayed[key] = replay(last, base, feature_axis)
        return _replayed[key]


_Factor = tuple[Step, int, tuple[int, ...]]
"""A factor of a product, its axis of features, and the axes of the product that its other axes are, from the end."""


@dataclass(frozen=True, eq=False)
class _Product:
    scores: Step
    query: _Factor
    key: _Factor


def _score_product(weights: Step) -> _Product | None:
    """Returns the product of queries and keys that ``weights`` come from; None for none."""
    for step in islice(weights.chain(), MAX_STEPS):
        name = name_of(step)
        if name == "einsum":
            return _einsum_product(step)
        places = _PRODUCTS.get(name)
        if places is None:
            continue
        operands = [step.args[place] if place < len(step.args) else None for place in places]
        query, key = operands
        if not isinstance(query, Step) or not isinstance(key, Step) or min(len(query.shape), len(key.shape)) < 2:
            return None
        leading = [tuple(range(-len(side.shape), -2)) for side in (query, key)]
        return _Product(step, (query, -1, (*leading[0], -2)), (key, -2, (*leading[1], -1)))
    return None


def _einsum_product(step: Step) -> _Product | None:
    """Returns the product that an einsum is, if its output ends with the axes of queries and keys; else None."""
    if len(step.args) != 3 or not all(isinstance(operand, Step) for operand in step.args[1:]):
        return None
    axes = parse_einsum(step.args[0], *(len(operand.shape) for operand in step.args[1:]))
    if axes is None or len(axes.summed) != 1 or len(axes.output) < 2:
        return None
    first, second = step.args[1:]
    if axes.output[-1] in axes.first_only:
        axes, first, second = axes.swapped(), second, first
    if axes.output[-1] not in axes.second_only or axes.output[-2] not in axes.first_only:
        return None
    factors = []
    for operand, letters in ((first, axes.first), (second, axes.second)):
        order = tuple(axes.output.index(axis) - len(axes.output) for axis in letters if axis != axes.summed)
        factors.append((operand, letters.index(axes.summed), order))
    return _Product(step, factors[0], factors[1])


def _spread(numbers: Tensor | None, order: tuple[int, ...], missing: int, shape: tuple[int, ...]) -> Tensor | None:
    """Returns ``numbers``, whose axes are ``order`` in a product of ``shape``, in that shape; ``missing`` is none."""
    if numbers is None or numbers.dim() != len(order) or missing in order:
        return None
    ascending = sorted(range(len(order)), key=lambda axis: order[axis])
    sizes = [1] * len(shape)
    for axis in ascending:
        sizes[order[axis]] = numbers.shape[axis]
    try:
        return numbers.permute(ascending).reshape(sizes).expand(shape)
    except RuntimeError:
        return None


def _has_tensor(value: object) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, tuple) and any(map(_has_tensor, value)))


def _plain(value: object, source: Step | None) -> object:
    """Returns arguments with the shapes of tensors in their place, and which of them the tokens come from."""
    if isinstance(value, Step):
        return (value.shape, value is source, value.is_parameter)
    return tuple(_plain(entry, source) for entry in value) if isinstance(value, tuple) else value


def _is_plausible(places: Places, runs: Sequence[ModuleRun]) -> bool:
    """Returns whether no token stands twice in a row, or does so once for each of as many heads as a module names."""
    tokens = places.token.sort(-1).values
    if not bool(((tokens[..., 1:] == tokens[..., :-1]) & (tokens[..., 1:] >= 0)).any()):
        return True
    split = split_of(places.feature)
    named = {count for run in runs[-NEAREST:] for count in run.head_counts}
    return split is not None and split.heads in named and any(split.is_head[-1])


def _bases(runs: Sequence[ModuleRun], last: Step) -> Iterator[Step]:
    """Yields inputs of modules that ``last`` comes from, the most fitting first.

    That is the input of the innermost module of a numbered list, a block; without one, that of the outermost module;
    then those of the others.
    """
    chain = {id(step): step for step in islice(last.chain(), MAX_STEPS) if len(step.shape) > 1 and not step.is_integer}
    inputs = [(run, step) for run in runs for step in run.inputs if id(step) in chain]
    blocks = [step for run, step in reversed(inputs) if run.path.rpartition(".")[2].isdigit()]
    known: set[int] = set()
    for step in [*blocks[:1], *(step for _, step in inputs), *([] if inputs else [*chain.values()][-1:])]:
        if id(step) not in known:
            known.add(id(step))
            yield step


@dataclass(frozen=True)
class HeadSplit:
    """How axes are cut, so that heads have axes of their own."""

    sizes: tuple[tuple[int, ...], ...]
    """The sizes that each axis is cut into."""
    is_head: tuple[tuple[bool, ...], ...]
    """Which of these are heads."""

    @property
    def heads(self) -> int:
        """Number of heads."""
        return math.prod(
            size for sizes, flags in zip(self.sizes, self.is_head, strict=True)
            for size, flag in zip(sizes, flags, strict=True) if flag
        )  # fmt: skip


def split_of(features: Tensor) -> HeadSplit | None:
    """Returns how the axes of ``features`` ``[*leading, token]`` hold the heads: vectors of one head have the same.

    Returns None where they do not follow the axes.
    """
    heads = len(set(features.flatten().tolist()))
    sizes: list[tuple[int, ...]] = []
    is_head: list[tuple[bool, ...]] = []
    for axis, size in enumerate(features.shape):
        line = features[tuple(slice(None) if k == axis else 0 for k in range(features.dim()))]
        count = len(set(line.tolist()))
        if count == 1:
            sizes.append((size,))
            is_head.append((False,))
        elif count == size:
            sizes.append((size,))
            is_head.append((True,))
        elif size % count == 0 and bool((line.view(count, -1) == line.view(count, -1)[:, :1]).all()):
            sizes.append((count, size // count))
            is_head.append((True, False))
        elif size % count == 0 and bool((line.view(-1, count) == line.view(-1, count)[:1]).all()):
            sizes.append((size // count, count))
            is_head.append((False, True))
        else:
            return None
    split = HeadSplit(tuple(sizes), tuple(is_head))
    return split if split.heads == heads else None
