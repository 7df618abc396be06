"""The ear: what a watched module does with attention, seen function by function.

Three routes. A fused kernel (``F.scaled_dot_product_attention``) is called through the operator that also returns its
row log-sum-exp, where there is one. ``F.multi_head_attention_forward`` hides its inside from the mode that hears it, so
the same code is run again with that check turned off. Attention written by hand is a softmax whose output feeds a
matrix product, perhaps after dropout or another dtype.
"""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mmviz.capture.ablation_hooks import AblationHooks
from mmviz.capture.call import AttentionCall, checked_rows, with_projection
from mmviz.capture.fused_kernels import fused, weights_of
from mmviz.capture.module_tracker import ModuleTracker
from mmviz.capture.score_trace import ScoreTrace, ScoreTracer, joining
from mmviz.types import CaptureError

FUSED = "fused kernel"
FUSED_LSE = "fused kernel with its log-sum-exp"
BY_HAND = "softmax feeding a matrix product"

_SOFTMAX: set[Callable[..., Any]] = {torch.softmax, F.softmax, Tensor.softmax}
_PRODUCT: set[Callable[..., Any]] = {torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__}
_DROPOUT: set[Callable[..., Any]] = {F.dropout, torch.dropout}
_CARRIES: set[Callable[..., Any]] = _DROPOUT | {
    Tensor.to, Tensor.type_as, Tensor.float, Tensor.half, Tensor.bfloat16, Tensor.type,
    Tensor.contiguous, Tensor.view, Tensor.reshape,
}  # fmt: skip
"""What may lie between the softmax and the product."""
_PARAMETERS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")

_INSIDE = types.FunctionType(
    F.multi_head_attention_forward.__code__,
    {**vars(F), "has_torch_function": lambda *_: False},
    "multi_head_attention_forward",
    F.multi_head_attention_forward.__defaults__,
)
_INSIDE.__kwdefaults__ = F.multi_head_attention_forward.__kwdefaults__
"""The same code with globals of its own: nothing of torch is changed."""


class SoftmaxCall:
    """A softmax that was made in ``module``, and whether a matrix product took it."""

    def __init__(self, module: str, shape: Sequence[int]):
        self.module, self.shape = module, tuple(shape)
        self.is_heard = self.has_dropout = False
        self.making: ScoreTrace | None = None


class AttentionRecorder(TorchFunctionMode):
    """Hears what happens in this thread while it is entered; ``path`` knows in which module.

    ``replace``: what the model is to use instead of weights that it made by hand; ``switched``: heads that are off;
    ``makings``: whoever follows how scores come about.
    """

    def __init__(
        self, path: ModuleTracker, replace: Callable[[Tensor], Tensor] | None = None, switched: AblationHooks | None = None,
        makings: ScoreTracer | None = None,
    ):  # fmt: skip
        super().__init__()
        self.makings = makings
        self.path = path
        self.replace = replace
        self.switched = switched or AblationHooks(())
        self.heard: list[AttentionCall] = []
        self.softmaxes: list[SoftmaxCall] = []
        self.is_inside = False
        self._waiting: list[tuple[weakref.ref[Tensor], SoftmaxCall]] = []
        self._heads = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func is F.multi_head_attention_forward and self.path:
            return self._inside(args, given)
        if func is F.scaled_dot_product_attention and self.path:
            return self._fused(dict(zip(_PARAMETERS, args, strict=False)) | given)
        result = func(*args, **given)
        if func in _SOFTMAX and self.path:
            if self.replace is not None:
                result = self.replace(result)
            made = SoftmaxCall(self.path.module, result.shape)
            if self.makings:
                made.making = self.makings.making(args[0] if args else given.get("input"))
            self.softmaxes.append(made)
            self._waiting.append((weakref.ref(result), made))
        elif func in _CARRIES and (made_before := self._waits(args)):
            made_before.has_dropout |= func in _DROPOUT and _drops(args, given)
            self._waiting.append((weakref.ref(result), made_before))
        elif func in _PRODUCT and (made_before := self._waits(args)):
            result = self._by_hand(made_before, args[0], args[1], result)
        elif func is torch.einsum and len(args) == 3:
            for at in (1, 2):
                if made_before := self._waits(args[at:]):
                    result = self._by_letters(made_before, args[0], args[at], args[3 - at], at == 1, result)
                    break
        elif func is F.linear and self.heard and self.path:
            self._projected(args, given, result)
        if self.makings and self.path:
            self.makings.saw(func, args, given, result)
        return result

    def _waits(self, args: Sequence[Any]) -> SoftmaxCall | None:
        """The softmax that the first of ``args`` comes from, where no product has taken it yet."""
        self._waiting = [(kept, made) for kept, made in self._waiting if kept() is not None and not made.is_heard]
        return next((made for kept, made in self._waiting if args and args[0] is kept()), None)

    def _inside(self, args: Sequence[Any], given: dict[str, Any]) -> Any:
        before, self._heads = self._heads, given.get("num_heads", args[4] if len(args) > 4 else 0)
        try:
            with self:
                return _INSIDE(*args, **given)
        finally:
            self._heads = before

    def _hear(
        self, route: str, output: Tensor, arrange: Callable[[Tensor], Tensor], making: ScoreTrace | None = None,
        **parts: Any,
    ) -> None:  # fmt: skip
        path = self.path
        found = arrange(output).detach()
        attn_output = found[:, :, checked_rows(found.shape[2])]  # a copy, as the model may write over its own
        kept: dict[str, Any] = {"output": output, "arrange": arrange} if output.requires_grad else {}
        if self.makings:
            kept["making"] = self.makings.heard(making)
        self.heard.append(
            AttentionCall(
                path.module,
                attn_output=attn_output,
                route=route,
                call=path.call,
                relation=path.relation,
                **kept,
                **parts,
            )
        )

    def _silenced(self, attn_output: Tensor, axes: Sequence[int] | None = None) -> Tensor:
        """What the attention heard last made of its values, with 0 for its heads that are off: so are the gradients.

        ``axes``: ``attn_output``'s own where batch and heads go, 1 elsewhere; as a rule they are all but the last two.
        """
        heard, number = self.heard[-1], len(self.heard) - 1
        if not self.switched.is_in(number):
            return attn_output
        if heard.attn_output.dim() != 4:
            raise CaptureError("map-shape", name=heard.module, shape=tuple(attn_output.shape))
        found = self.switched.off_in(number, *heard.shape[:2]).to(attn_output.device)
        self.heard[-1] = replace(heard, ablated_heads=found)
        if axes is None:
            axes = [*(found.shape if attn_output.dim() == 4 else attn_output.shape[:-2]), 1, 1]
        return attn_output.masked_fill(found.reshape(axes), 0)

    def _projected(self, args: Sequence[Any], given: dict[str, Any], result: Any) -> None:
        """A linear map: whether it is what brings the heads of the attention heard last together."""
        taken = args[0] if args else given.get("input")
        matrix = args[1] if len(args) > 1 else given.get("weight")
        if isinstance(taken, Tensor) and isinstance(matrix, Tensor):
            before = self.heard[-1]
            self.heard[-1] = now = with_projection(before, taken, matrix)
            if now is not before and now.making:
                now.making.after = joining(args, given, result)

    def _by_hand(self, made: SoftmaxCall, weights: Tensor, value: Tensor, attn_output: Tensor) -> Tensor:
        """``[batch, head, query, key]``; of three dimensions the first are heads, of each row of the batch in turn."""
        if not weights.dim() == value.dim() == attn_output.dim() <= 4:
            return attn_output
        made.is_heard = True
        heads = self._heads or (weights.shape[0] if weights.dim() == 3 else 1)

        def arranged(part: Tensor) -> Tensor:
            return part if part.dim() == 4 else part.reshape(-1, heads, *part.shape[-2:])

        self._hear(
            BY_HAND, attn_output, arranged, weights=arranged(weights), value=arranged(value),
            has_dropout=made.has_dropout, making=made.making,
        )  # fmt: skip
        return self._silenced(attn_output)

    def _by_letters(
        self, made: SoftmaxCall, equation: str, weights: Tensor, value: Tensor, is_first: bool, attn_output: Tensor
    ) -> Tensor:
        """An einsum: the letter that is summed over is the key, the one that only the weights bring is the query."""
        inputs, _, output = equation.replace(" ", "").partition("->")
        names = inputs.split(",")
        of_weights, of_value = names if is_first else names[::-1]
        keys = [name for name in of_weights if name in of_value and name not in output]
        queries = [name for name in of_weights if name not in of_value and name in output]
        sizes = [name for name in of_value if name not in of_weights and name in output]
        shared = [name for name in output if name in of_weights and name in of_value]
        if "." in equation or (len(keys), len(queries), len(sizes)) != (1, 1, 1) or len(shared) > 2:
            return attn_output
        made.is_heard = True

        def ordered(tensor: Tensor, letters: str, last: list[str]) -> Tensor:
            moved = tensor.permute([letters.index(name) for name in [*shared, *last]])
            return moved.reshape(*[1] * (2 - len(shared)), *moved.shape)

        self._hear(
            BY_HAND, attn_output, lambda part: ordered(part, output, queries + sizes),
            weights=ordered(weights, of_weights, queries + keys), value=ordered(value, of_value, keys + sizes),
            has_dropout=made.has_dropout, making=made.making,
        )  # fmt: skip
        return self._silenced(
            attn_output, [size if name in shared else 1 for name, size in zip(output, attn_output.shape, strict=True)]
        )

    def _fused(self, given: dict[str, Any]) -> Tensor:
        query, key, value = given["query"], given["key"], given["value"]
        mask, causal, scale = given.get("attn_mask"), given.get("is_causal", False), given.get("scale")
        kind = query.device.type
        if torch.is_autocast_enabled(kind):  # as autocast itself would, so that what is kept is what was used
            dtype = torch.get_autocast_dtype(kind)
            query, key, value = (part.to(dtype) for part in (query, key, value))
            mask = mask.to(dtype) if mask is not None and mask.is_floating_point() else mask
        used = given | {"query": query, "key": key, "value": value, "attn_mask": mask}
        if self.replace is not None:
            return self._replaced(used)
        self.is_inside = True
        try:
            with torch.autocast(kind, enabled=False):
                attn_output, lse = fused(used)
        finally:
            self.is_inside = False

        def arranged(part: Tensor) -> Tensor:
            return part.reshape(*[1] * (4 - part.dim()), *part.shape)

        self._hear(
            FUSED if lse is None else FUSED_LSE, attn_output, arranged,
            query=arranged(query), key=arranged(key), value=arranged(value), mask=mask, causal=causal,
            scale=query.shape[-1] ** -0.5 if scale is None else scale, lse=lse,
            has_dropout=bool(given.get("dropout_p")),
        )  # fmt: skip
        return self._silenced(attn_output)

    def _replaced(self, used: dict[str, Any]) -> Tensor:
        """The attention of a fused kernel with weights that were replaced, which takes all of them."""
        assert self.replace is not None
        weights = self.replace(weights_of(used))
        value = used["value"].repeat_interleave(weights.shape[-3] // used["value"].shape[-3], -3)
        attn_output: Tensor = weights.to(value.dtype) @ value

        def arranged(part: Tensor) -> Tensor:
            return part.reshape(*[1] * (4 - part.dim()), *part.shape)

        self._hear(BY_HAND, attn_output, arranged, weights=arranged(weights.to(value.dtype)), value=arranged(value))
        return self._silenced(attn_output)


def _drops(args: Sequence[Any], given: dict[str, Any]) -> bool:
    """Whether a dropout leaves anything out: ``F.dropout(input, p, training)``, ``torch.dropout(input, p, train)``."""
    share = args[1] if len(args) > 1 else given.get("p", 0.5)
    is_on = args[2] if len(args) > 2 else given.get("training", given.get("train", True))
    return bool(is_on and share)
