"""Follows tokens back through functions that move, join, merge and pool them, to tokens of other streams.

Every number of a tensor has an origin: a token of a stream in some state, a mean of several, or none. Functions of
torch are replayed on the numbers of these origins. A function that mixes several tokens (a linear map of merged
features, a pool, a strided convolution) gives the result an equal share of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmviz.capture.data_flow_step import ATTENTION, Step, name_of
from mmviz.capture.function_tables import JOINS, MATRIX_PRODUCTS, OF_FIRST, PLACEMENTS
from mmviz.capture.origin_sets import NONE, OriginSets
from mmviz.capture.pooling_windows import interpolation_windows, pooling_windows
from mmviz.capture.residual import ADDING, residual_of
from mmviz.capture.token_moves import MAX_NUMBERS, of_queries
from mmviz.capture.token_replay import replay_numbers
from mmviz.capture.token_source_argument import is_constant

MAX_VISITED = 20_000
"""Functions that are followed back from the tokens of a stream."""
_SCALING = {"mul", "mul_", "__mul__", "__rmul__", "__imul__", "multiply", "div", "div_", "__truediv__", "true_divide"}
_NORMS = {"layer_norm", "rms_norm", "native_layer_norm", "normalize"}
_SUMS = {"mean", "sum", "amax", "amin", "max", "min", "norm", "var", "std", "logsumexp", "nanmean"}
"""Functions that take some axes together."""
_COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "isin"}
"""Functions whose result tells something of tokens, and holds none."""
_SHUFFLES = {"pixel_shuffle", "pixel_unshuffle", "channel_shuffle"}


class TokenOrigins:
    """The origins of the numbers of tensors. ``leaf`` returns those of a step that holds tokens of a stream, else None.

    ``after_attention`` returns the origins after an attention, from the step of its queries and their origins.
    ``follows_ids``: whether ids of a vocabulary have origins, and what is looked up for them.
    """

    def __init__(
        self, sets: OriginSets, leaf: Callable[[Step], Tensor | None],
        after_attention: Callable[[Step, Tensor], Tensor], follows_ids: bool = False,
    ):  # fmt: skip
        self._sets, self._leaf, self._after_attention = sets, leaf, after_attention
        self._follows_ids = follows_ids
        self._known: dict[int, Tensor | None] = {}
        self._steps: list[Step] = []

    def of(self, last: Step) -> Tensor | None:
        """Returns the origins of the numbers of ``last``, int64 in its shape; None where no number has any."""
        open_steps = [last]
        while open_steps:
            step = open_steps[-1]
            if id(step) in self._known:
                open_steps.pop()
                continue
            is_dead = (step.is_integer and not self._follows_ids) or name_of(step) in _COMPARISONS or is_constant(step)
            origins = None if is_dead else self._leaf(step)
            if origins is not None or is_dead or len(self._known) > MAX_VISITED:
                self._set(step, origins)
                continue
            before = residual_of(step) if self._follows_ids else None
            kept = None if before is None else self._known.get(id(before))
            unknown = [parent for parent in step.parents() if id(parent) not in self._known]
            if kept is not None and bool((kept > NONE).all()):  # the block need not be followed
                self._set(step, kept.expand(step.shape))
            elif unknown:
                open_steps += [before] if before in unknown else unknown
            else:
                self._set(step, self._after(step))
        return self._known[id(last)]

    def _set(self, step: Step, origins: Tensor | None) -> None:
        self._known[id(step)] = origins
        self._steps.append(step)  # so that no other takes its id

    def _after(self, step: Step) -> Tensor | None:
        """Returns the origins after the function of a step."""
        numbers_of = step.args[:1] if name_of(step) in OF_FIRST else step.parents()
        parents = [parent for parent in numbers_of if self._known.get(id(parent)) is not None]
        is_attention = name_of(step) == ATTENTION  # learned queries have no origins before it
        if step.func is None or not (parents or is_attention):
            return None
        with torch._C.DisableTorchFunction(), torch.inference_mode(False), torch.no_grad():
            try:
                origins = self._computed(step, parents) if math.prod(step.shape) <= MAX_NUMBERS else None
            except (RuntimeError, IndexError, TypeError, ValueError):
                origins = None
        if origins is None or tuple(origins.shape) != step.shape:
            if not parents:  # an attention of queries that come from no input
                return None
            return self._sets.lost(name_of(step), [self._of(parent) for parent in parents]).expand(step.shape)
        return origins

    def _computed(self, step: Step, parents: Sequence[Step]) -> Tensor | None:
        name = name_of(step)
        if name == ATTENTION:
            query: Step = step.args[0]  # its origins count, also where it has none and keys and values have some
            of_query = self._of(query)
            is_alike = query.shape == step.shape and not step.places
            return self._after_attention(query, of_query if is_alike else of_queries(step, of_query))
        first = self._of(parents[0])
        if name in PLACEMENTS and (len(parents) > 1 or parents[0] is not step.source):
            return self._written(name, step)
        if name in JOINS:
            return self._joined(name, step)
        if name == "pad_sequence":
            return self._padded(step)
        if name in OF_FIRST:
            return first.reshape(step.shape) if name in ("reshape_as", "view_as") else first.expand(step.shape)
        if name == "copy_":
            return self._of(step.parents()[-1]).expand(step.shape)
        if name == "linear":
            return self._sets.merged(first, -1, keeps=True).expand(step.shape) if parents == [step.args[0]] else None
        if name in MATRIX_PRODUCTS or name == "einsum":
            return self._product(name, step, parents)
        if name == "embedding":
            return first[..., None].expand(step.shape) if parents == [step.args[0]] else None
        if name in _NORMS:
            return self._sets.merged(first, -1, keeps=True).expand(step.shape)
        if name in _SUMS and len(parents) == 1:
            return self._summed(step, first)
        if name in _SHUFFLES:
            return step.func(first, *step.args[1:], **(step.kwargs or {}))  # type: ignore[misc,no-any-return]
        windows = pooling_windows(step)
        if windows is None and self._follows_ids:  # of an input; the shares of tokens that are mixed are not equal
            windows = interpolation_windows(step)
        if windows is not None:
            return self._pooled(step, first, windows)
        if name in ("view", "reshape"):
            return first.reshape(step.shape)
        if name == "unfold" and len(step.args[0].shape) == 4 and len(step.shape) == 3:  # numbers of features, in float
            return F.unfold((first + 1).double(), *step.args[1:], **(step.kwargs or {})).to(torch.int64) - 1
        if name == "split" and any(True for _ in step.parents()[1:]):
            return self._equal_part(step, first)
        if name == "gather":
            return first.gather(step.args[1], step.args[2].to(first.device))
        if name in ADDING:
            parts = [self._of(parent).expand(step.shape) for parent in parents]
            if not self._follows_ids:
                return self._sets.combined(parts)
            total, before = self._sets.combined(self._kept(parts)), residual_of(step)
            kept = total if before is None else self._of(before).expand(step.shape)
            return torch.where(kept > NONE, kept, total)
        if len(parents) == 1 and step.source is parents[0]:
            return replay_numbers(first, [parents[0], step])
        parts = [self._of(parent).expand(step.shape) for parent in parents]
        if name in _SCALING and self._follows_ids:  # by statistics of many tokens, as normalisation does
            parts = list(self._kept(parts))
        return parts[0] if all(torch.equal(part, parts[0]) for part in parts) else None

    def _of(self, step: Step) -> Tensor:
        """Returns the known origins of a step, `NONE` everywhere where it has none."""
        origins = self._known[id(step)]
        return torch.full((), NONE).expand(step.shape) if origins is None else origins

    def _kept(self, parts: Sequence[Tensor]) -> Sequence[Tensor]:
        """Returns the parts of a sum or product. What cannot be followed has the places of the tokens beside it."""
        if len(parts) != 2:
            return parts
        first, second = parts
        pairs = ((first, second), (second, first))
        return [torch.where(part < NONE, other, part) if bool((other > NONE).any()) else part for part, other in pairs]

    def _equal_part(self, step: Step, origins: Tensor) -> Tensor | None:
        """Returns the origins of a part whose sizes are tensors, which are not kept; None unless they are equal."""
        kwargs = step.kwargs or {}
        axis, part = step.args[2] if len(step.args) > 2 else kwargs.get("dim", 0), kwargs["part"]
        size, count = step.shape[axis], len(step.parents()) - 1
        return origins.narrow(axis, part * size, size) if size * count == origins.shape[axis] else None

    def _written(self, name: str, step: Step) -> Tensor | None:
        """Returns the origins after tokens were written among others."""
        if not step.places:
            return None
        values = [self._of(value) if isinstance(value, Step) else value for value in step.places]
        indices = [_on_cpu(value) for value in values]
        if name == "where":
            chosen, other = (part.expand(step.shape) for part in indices[1:3])
            return torch.where(indices[0], chosen, other)
        target = indices[0].clone() if isinstance(indices[0], Tensor) else None
        if target is None or len(indices) < 3:
            return None
        target = target.contiguous()
        if name.startswith("masked_scatter"):
            return target.masked_scatter_(indices[1].expand(target.shape), indices[2].contiguous())
        if name.startswith("scatter"):
            return target.scatter_(indices[1], indices[2], _number(indices[3], target))
        place = indices[1] if name == "__setitem__" or isinstance(indices[1], Tensor) else tuple(indices[1])
        target[place] = _number(indices[2], target)
        return target

    def _joined(self, name: str, step: Step) -> Tensor:
        parts = [self._of(part) for part in step.args[0]]
        axis = step.args[1] if len(step.args) > 1 else (step.kwargs or {}).get("dim", 0)
        return torch.stack(parts, axis) if name == "stack" else torch.cat(parts, axis)

    def _padded(self, step: Step) -> Tensor:
        """Returns the origins after sequences of several lengths were stacked; what was added has none."""
        names = ("sequences", "batch_first", "padding_value", "padding_side")
        options = {**dict(zip(names, step.args, strict=False)), **(step.kwargs or {}), "padding_value": NONE}
        parts = [self._of(part) for part in options.pop("sequences")]
        return torch.nn.utils.rnn.pad_sequence(parts, **options)

    def _product(self, name: str, step: Step, parents: Sequence[Step]) -> Tensor | None:
        """Returns the origins after a product of a tensor of tokens with something that is none, or of the same tokens.

        Vectors of a token may be mixed by coefficients that come from the token itself.
        """
        if len(parents) > 1:
            if name == "einsum" or list(parents) != step.parents() or min(len(part.shape) for part in parents) < 2:
                return None
            both = [
                self._sets.merged(self._of(part), axis, keeps=True)
                for part, axis in zip(parents, (-1, -2), strict=True)
            ]
            first, second = (part.expand(step.shape) for part in both)
            return first if torch.equal(first, second) else None
        if step.places and step.args[1] is parents[0]:  # a matrix that chooses tokens
            tokens = self._sets.merged(self._of(parents[0]), -1)[..., None, :]
            chosen = torch.where(step.places[0].cpu(), tokens, torch.tensor(NONE))
            return self._sets.merged(chosen, -1)[..., None].expand(step.shape)
        factors = [value for value in step.parents() if len(value.shape) > 1 or value is parents[0]]
        origins, is_first = self._of(parents[0]), factors[-2:][0] is parents[0]
        if name == "einsum":
            equation = str(step.args[0]).replace(" ", "")
            if "->" not in equation or "." in equation:
                return None
            letters = equation.split("->")[0].split(",")[0 if step.args[1] is parents[0] else 1]
            output = equation.split("->")[1]
            for axis in reversed([k for k, letter in enumerate(letters) if letter not in output]):
                origins = self._sets.merged(origins, axis)
            kept = [letter for letter in letters if letter in output]
            origins = origins.permute([kept.index(letter) for letter in output if letter in kept])
            shape = [size if letter in kept else 1 for letter, size in zip(output, step.shape, strict=True)]
            return origins.reshape(shape).expand(step.shape)
        axis = -1 if is_first else -2
        return self._sets.merged(origins, axis, keeps=True).expand(step.shape)

    def _summed(self, step: Step, origins: Tensor) -> Tensor | None:
        """Returns the origins after some axes were merged."""
        kwargs = step.kwargs or {}
        axes = step.args[1] if len(step.args) > 1 and not isinstance(step.args[1], Step) else kwargs.get("dim")
        axes = list(range(origins.dim())) if axes is None else [axes] if isinstance(axes, int) else list(axes)
        for axis in sorted((axis % origins.dim() for axis in axes), reverse=True):
            origins = self._sets.merged(origins, axis, keeps=True)
        return origins.reshape(step.shape)

    def _pooled(self, step: Step, origins: Tensor, windows: Sequence[Tensor]) -> Tensor:
        """Returns the origins after windows along the last axes, int64 ``[result, window]`` each, were merged.

        All channels before them have the same windows; a convolution also merges the channels.
        """
        spatial = len(windows)
        if name_of(step).startswith("conv"):
            origins = self._sets.merged(origins, -spatial - 1, keeps=True)
        for place, window in enumerate(windows):
            axis = origins.dim() - spatial + place
            outside = torch.full((), NONE).expand(*(1 if k == axis else n for k, n in enumerate(origins.shape)))
            padded = torch.cat([origins, outside], axis)
            windowed = padded.index_select(axis, window.flatten() % padded.shape[axis])  # -1 is what was added
            shape = (*windowed.shape[:axis], *window.shape, *windowed.shape[axis + 1 :])
            origins = self._sets.merged(windowed.reshape(shape), axis + 1)
        return origins.expand(step.shape)


def _on_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.cpu()
    return tuple(map(_on_cpu, value)) if type(value) is tuple else value


def _number(value: Any, target: Tensor) -> Any:
    """Returns what is written: origins, or none for a plain number."""
    return value.to(target.dtype) if isinstance(value, Tensor) else NONE


def flat_numbers(leading: Sequence[int], samples: int, count: int) -> Tensor | None:
    """Returns the number ``sample * count + token`` of each place of the leading axes; None where that is not known."""
    if math.prod(leading) != samples * count:
        return None
    numbers = torch.arange(samples * count)
    if leading[0] % samples == 0:  # the sample is the slower part of the first axis
        return numbers.reshape(tuple(leading))
    return numbers.reshape(samples, count).T if tuple(leading) == (count, samples) else None


def entries_of(origins: Tensor, sets: OriginSets) -> Iterator[tuple[int, int, float]]:
    """Yields the number, the origin and its share for each of a list of origins."""
    for number, origin in enumerate(origins.tolist()):
        for member, share in sets.members(origin):
            yield number, member, share
