"""Tells which tokens of a layer the queries and keys of an attention call are, and which of their axes are heads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import torch
from torch import Tensor

from mmviz.capture.data_flow_step import PLAIN, Step, name_of
from mmviz.capture.function_tables import FLAT, TURNS
from mmviz.capture.head_split import HeadSplit, split_of
from mmviz.capture.module_tracker import ModuleRun
from mmviz.capture.score_origin import path_from_product, product_of
from mmviz.capture.token_moves import MAX_NUMBERS
from mmviz.capture.token_replay import MAX_STEPS, follows, is_replayable, replay, replay_numbers
from mmviz.capture.token_source_argument import signature

MAX_KEPT = 128
"""Arrangements whose places are kept."""
NEAREST = 3
"""The innermost modules whose own number of heads counts."""


@dataclass(frozen=True, eq=False)
class Arrangement:
    """The vectors of queries or keys, as tokens of a layer."""

    token: Tensor
    """int64 ``[*leading, token]``: the flat number in the layer of each token."""
    feature: Tensor
    """int64, the same shape: the first feature of each vector, which differs from head to head."""
    has_twins: bool = False
    """Whether a token stands twice in a row."""
    is_uneven: bool = False
    """Whether some vectors stand there more often than others."""

    @cached_property
    def split(self) -> HeadSplit | None:
        """How its axes hold the heads; layers that are arranged alike share it."""
        return split_of(self.feature)


@dataclass(frozen=True, eq=False)
class Operand:
    """The queries or the keys of one attention call."""

    base: Step
    """The tokens of the layer that they come from: an input of the block; where nothing earlier is known, the queries
    or keys themselves."""
    step: Step
    """The queries or keys as the model passed them."""
    arrangement: Arrangement | None = None
    """Its vectors as tokens of ``base``; None where the functions between do more than move tokens, or the input is too
    long to replay them."""
    base_axis: int = -1
    """The axis of ``base`` that holds features."""
    is_over_features: bool = False
    """Whether the vectors are features of all tokens, so that the attention is none over tokens."""
    order: Tensor | None = None
    """int64 ``[*leading, query]``, as the weights are arranged: the flat number of each query's first feature in
    ``step``; None where weights and queries are arranged alike, and where that is not known."""

    @property
    def tokens(self) -> Tensor | None:
        """See `Arrangement.token`."""
        return self.arrangement.token if self.arrangement else None

    @property
    def leading(self) -> tuple[int, ...]:
        """The axes of ``base`` but that of features."""
        return without_axis(self.base.shape, self.base_axis)


def without_axis(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    """Returns ``shape`` without an axis."""
    sizes = list(shape)
    del sizes[axis]
    return tuple(sizes)


_OVER_FEATURES = "over features"
_arrangements: dict[tuple[object, ...], Arrangement | str | None] = {}
"""What was replayed, by the shape of the tokens and by the functions with their plain arguments: these tell all."""


class PlaceFinder:
    """Finds the places of queries and keys; layers that are arranged alike are replayed once."""

    def operands(
        self, runs: Sequence[ModuleRun], query: Step, key: Step, query_axis: int = -1, key_axis: int = -1
    ) -> tuple[Operand, Operand]:  # fmt: skip
        """Returns where queries and keys come from, while the modules ``runs`` run.

        ``query_axis`` and ``key_axis`` are their axes of features.
        """
        queries = self._operand(runs, query, query_axis)
        return queries, self._operand(runs, key, key_axis, queries)

    def of_weights(self, runs: Sequence[ModuleRun], weights: Step) -> tuple[Operand, Operand] | None:
        """Returns the queries and keys that ``weights`` ``[*leading, query, key]`` were computed from.

        Their places are arranged as the weights are. Returns None where the weights come from no product of both.
        """
        path = path_from_product(weights)
        product = product_of(path[0]) if path else None
        factors = product.score_factors() if product else None
        if path is None or factors is None:
            return None
        query, key = factors
        sides = self.operands(runs, query.tensor, key.tensor, query.feature_axis, key.feature_axis)
        shape = path[0].shape
        if math.prod(shape) > MAX_NUMBERS:
            return replace(sides[0], arrangement=None), replace(sides[1], arrangement=None)
        numbers = []
        for side, factor, axis in zip(sides, factors, (-1, -2), strict=True):
            known = (side.arrangement.token, side.arrangement.feature) if side.arrangement else ()
            spread = [_spread(places, factor.order, axis, shape) for places in known]
            replayed = [part if part is None else replay_numbers(part, path) for part in spread]
            numbers.append([part for part in replayed if part is not None])
        is_turned = any(_varies(part) for part in numbers[0])  # keys are the first factor
        axes = (-2, -1) if is_turned else (-1, -2)
        arranged = []
        for side, parts, axis in zip(sides, numbers, axes, strict=True):
            arrangement = Arrangement(parts[0].select(axis, 0), parts[1].select(axis, 0)) if len(parts) == 2 else None
            arranged.append(replace(side, arrangement=arrangement))
        queries, keys = arranged[::-1] if is_turned else arranged
        if any(name_of(step) in FLAT or name_of(step) in TURNS for step in path[1:]):
            number, missing = (1, -2) if is_turned else (0, -1)
            factor, count = factors[number], math.prod(queries.step.shape)
            first = torch.arange(count, device="cpu").reshape(queries.step.shape).select(factor.feature_axis, 0)
            spread_first = _spread(first, factor.order, missing, shape)
            order = None if spread_first is None else replay_numbers(spread_first, path)
            queries = replace(queries, order=None if order is None else order.select(-1, 0))
        return queries, keys

    def _operand(
        self, runs: Sequence[ModuleRun], step: Step, feature_axis: int, queries: Operand | None = None
    ) -> Operand:  # fmt: skip
        """Returns where queries or keys come from; the keys of known ``queries`` from the same tokens, if possible."""
        bases = list(_bases(runs, step))
        if queries is not None:
            bases = [queries.base, *(base for base in bases if base is not queries.base)]
        if math.prod(step.shape) > MAX_NUMBERS:
            base = next(base for base in bases if any(base is earlier for earlier in islice(step.chain(), MAX_STEPS)))
            return Operand(base, step)
        for base in bases:
            operand = self._placed(runs, step, base, feature_axis, queries is None)
            if operand is not None and not (operand.is_over_features and base is step):
                return operand
        beginning = Operand(step, step)
        for base in islice(step.chain(), MAX_STEPS):  # another function returned new tokens, which begin after it
            operand = self._placed(runs, step, base, feature_axis, queries is None)
            beginning = beginning if operand is None or operand.is_over_features else operand
            if not follows(base):
                break
        return beginning

    def _placed(
        self, runs: Sequence[ModuleRun], step: Step, base: Step, feature_axis: int, is_query: bool
    ) -> Operand | None:  # fmt: skip
        """Returns queries or keys as tokens of ``base``; None where they do not come from there."""
        if not is_replayable(step, base):
            return None
        other = None
        for base_axis in (-1, 1) if len(base.shape) > 2 else (-1,):
            arrangement = self._arrangement(step, base, feature_axis, base_axis)
            if isinstance(arrangement, str):
                other = other or Operand(base, step, base_axis=base_axis, is_over_features=True)
            elif arrangement is not None:
                if (is_query and arrangement.is_uneven) or _has_doubles(arrangement, runs):
                    return None
                return Operand(base, step, arrangement, base_axis)
        return other

    def _arrangement(self, last: Step, base: Step, feature_axis: int, base_axis: int) -> Arrangement | str | None:
        key: list[object] = [base.shape, feature_axis, base_axis]
        for step in islice(last.chain(), MAX_STEPS):
            if step is base:
                break
            if _has_tensor(step.args) or (step.kwargs and _has_tensor(step.kwargs.values())) or _joins_others(step):
                return _arranged(last, base, feature_axis, base_axis)
            key.append(signature(step))
        signed = tuple(key)
        if signed not in _arrangements:
            if len(_arrangements) >= MAX_KEPT:
                _arrangements.pop(next(iter(_arrangements)), None)
            _arrangements[signed] = _arranged(last, base, feature_axis, base_axis)
        return _arrangements[signed]


def _arranged(last: Step, base: Step, feature_axis: int, base_axis: int) -> Arrangement | str | None:
    """Returns the vectors of ``last`` along ``feature_axis`` as tokens of ``base``; None where they are none."""
    places = replay(last, base, base_axis)
    if places is None:
        return None
    token, feature = (tensor.movedim(feature_axis, -1) for tensor in (places.token, places.feature))
    if not bool((token == token[..., :1]).all()):
        is_channel = (
            token.dim() > 1 and bool((token == token[..., :1, :]).all()) and bool((feature == feature[..., :1]).all())
        )
        return _OVER_FEATURES if is_channel else None
    token, feature = token[..., 0], feature[..., 0]
    in_rows = token.sort(-1).values
    has_twins = bool(((in_rows[..., 1:] == in_rows[..., :-1]) & (in_rows[..., 1:] >= 0)).any())
    vectors = (token * (int(feature.max()) + 1) + feature)[token >= 0]
    counts = torch.unique(vectors, return_counts=True)[1]
    return Arrangement(token, feature, has_twins, bool(len(counts) and counts.min() != counts.max()))


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


def _varies(numbers: Tensor) -> bool:
    """Returns whether numbers differ along the last axis; those that were expanded along it do not."""
    return numbers.stride(-1) != 0 and bool((numbers != numbers.narrow(-1, 0, 1)).any())


def _has_tensor(values: Iterable[object]) -> bool:
    """Returns whether a tensor of indices is among ``values``, in tuples as well."""
    for value in values:
        if type(value) in PLAIN or type(value) is Step:
            continue
        if isinstance(value, Tensor) or (isinstance(value, tuple) and _has_tensor(value)):
            return True
    return False


def _joins_others(step: Step) -> bool:
    """Returns whether a step joins tensors that came to it on several ways, which its chain does not tell."""
    return step.source is not None and step.source not in step.parents()


def _has_doubles(arrangement: Arrangement, runs: Sequence[ModuleRun]) -> bool:
    """Returns whether tokens stand twice in a row, but not once for each of as many heads as a module names."""
    if not arrangement.has_twins:
        return False
    split = arrangement.split
    named = {count for run in runs[-NEAREST:] for count in run.head_counts}
    return split is None or split.heads not in named or not any(split.is_head[-1])


def _bases(runs: Sequence[ModuleRun], last: Step) -> Iterator[Step]:
    """Yields inputs of modules that ``last`` comes from, the most fitting first.

    That is the input of the innermost module of a numbered list, a block; without a list, that of the outermost module;
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
