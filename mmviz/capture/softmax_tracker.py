"""Tells which softmaxes of a model are attention, and which product uses the weights of which of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from mmviz.capture.attention_place import AttentionPlace
from mmviz.capture.blocked_pairs import BlockedPairs
from mmviz.capture.data_flow_step import Step, name_of
from mmviz.capture.product_call import ProductCall
from mmviz.capture.score_origin import Origin, activation_of, origin_of
from mmviz.capture.score_trace import ScoreTrace
from mmviz.capture.second_product import WeightedSum, weighted_sum
from mmviz.capture.weight_path import WeightPath, softmax_axis, weight_path


class SoftmaxCall:
    """A softmax in a module, which is attention if its scores are products, and a product sums over its keys."""

    def __init__(self, module: str, step: Step, score_trace: ScoreTrace | None = None):
        self.module, self.shape, self.name = module, step.shape, name_of(step)
        self.axis = softmax_axis(step)
        scores = step.parents()[0]
        self.origin: Origin = origin_of(scores.parents()[0] if name_of(scores) == "log_softmax" else scores)
        """Where its scores come from."""
        self.score_trace = score_trace
        self.is_captured = False
        """Whether its attention was recorded."""
        self.feeds_product = False
        """Whether a product used its output."""
        self.place: AttentionPlace = (module, 0)
        """Which attention it is, where it is one."""
        self.blocked: BlockedPairs | None = None
        """Pairs that were blocked in it."""
        self.has_emptied = False
        """Whether that left any query nothing to attend to."""

    @property
    def is_attention(self) -> bool:
        """Whether its scores are a product of queries and keys, or one score for each key."""
        return self.origin in ("product", "one output")

    @property
    def is_router(self) -> bool:
        """Whether it is over the outputs of a linear map, as a router of experts is."""
        return self.origin == "linear" and self.axis == len(self.shape) - 1


@dataclass(frozen=True, eq=False)
class WeightsUse:
    """A product of the weights of a softmax and values."""

    softmax: SoftmaxCall
    """The softmax that the weights come from."""
    path: WeightPath
    """What happened to the weights between that softmax and the product."""
    operand: int
    """Which operand of the product the weights are: 0 or 1."""
    views: WeightedSum
    """Brings weights, values and output of the product to one order of axes."""


def is_softmax(step: Step) -> bool:
    """Returns whether the result of a softmax or an ``exp`` is weights, as the ``exp`` of a log-softmax is."""
    parents = step.parents()
    if not parents or name_of(step) == "log_softmax":
        return False
    return name_of(step) != "exp" or name_of(parents[0]) == "log_softmax"


class SoftmaxTracker:
    """The softmaxes of a model so far."""

    def __init__(self) -> None:
        self.softmaxes: list[SoftmaxCall] = []
        """All softmaxes, in order of execution."""
        self.unnormalized: dict[tuple[str, str], None] = {}
        """Module and function of weights that were computed from scores without a softmax, in order of the first."""
        self._open: dict[Step, SoftmaxCall] = {}

    def add(self, softmax: SoftmaxCall, step: Step) -> None:
        """Takes note of a softmax and its result ``step``."""
        self.softmaxes.append(softmax)
        self._open[step] = softmax

    def use_of(self, product: ProductCall[Tensor], operands: Sequence[Step]) -> WeightsUse | None:
        """Returns how a product uses the weights of a softmax that none used so far; None where it uses none."""
        if not self._open:
            return None
        for number, step in enumerate(operands):
            path = weight_path(step)
            softmax = self._open.get(path.softmax) if path else None
            if softmax is None or path is None:
                continue
            softmax.feeds_product = True
            if not softmax.is_attention or path.axis is None or path.axis != product.contracted_axis(number):
                continue
            views = weighted_sum(product, number)
            if views is not None:
                softmax.is_captured = True
                del self._open[path.softmax]
                return WeightsUse(softmax, path, number, views)
        return None

    def observe_unnormalized(self, module: str, operands: Sequence[Step]) -> None:
        """Takes note of a product whose operand was computed from scores by another function than a softmax."""
        for step in operands:
            if activation := activation_of(step):
                self.unnormalized[module, activation] = None
