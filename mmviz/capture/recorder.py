"""Records the attention of a model, function call by function call.

There are three routes. A fused kernel (``F.scaled_dot_product_attention``) is run by the operator that also returns
the log-sum-exp of its rows, where there is one. ``F.multi_head_attention_forward`` hides its inside from a function
mode, so the same code is run again with that check turned off. Eager attention is a softmax whose output feeds a matrix
product, possibly after dropout or a cast.
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
from mmviz.capture.attention_call import AttentionCall, checked_rows, with_projection
from mmviz.capture.call_axes import CallAxes, arrange_axes
from mmviz.capture.einsum import parse_einsum, permute_axes
from mmviz.capture.module_tracker import ModuleTracker
from mmviz.capture.score_trace import ScoreTrace, ScoreTracer, linear_call
from mmviz.capture.sdpa_with_lse import sdpa_weights, sdpa_with_lse

SDPA = "sdpa"
"""Route of ``F.scaled_dot_product_attention`` where the kernel returns no log-sum-exp."""
SDPA_LSE = "sdpa with log-sum-exp"
"""Route of ``F.scaled_dot_product_attention`` where the kernel returns the log-sum-exp of its rows."""
EAGER = "eager"
"""Route of a softmax that feeds a matrix product."""

_SOFTMAXES: set[Callable[..., Any]] = {torch.softmax, F.softmax, Tensor.softmax}
_MATMULS: set[Callable[..., Any]] = {torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__}
_DROPOUTS: set[Callable[..., Any]] = {F.dropout, torch.dropout}
_PASS_THROUGH: set[Callable[..., Any]] = _DROPOUTS | {
    Tensor.to, Tensor.type_as, Tensor.float, Tensor.half, Tensor.bfloat16, Tensor.type,
    Tensor.contiguous, Tensor.view, Tensor.reshape,
}  # fmt: skip
"""Functions that may lie between the softmax and the matrix product."""
_SDPA_PARAMETERS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")

_MULTI_HEAD_ATTENTION = types.FunctionType(
    F.multi_head_attention_forward.__code__,
    {**vars(F), "has_torch_function": lambda *_: False},
    "multi_head_attention_forward",
    F.multi_head_attention_forward.__defaults__,
)
_MULTI_HEAD_ATTENTION.__kwdefaults__ = F.multi_head_attention_forward.__kwdefaults__
"""The same code as torch's, with its own globals: torch itself is not changed."""


class SoftmaxCall:
    """A softmax in a module, which is attention if a matrix product uses its output."""

    def __init__(self, module: str, shape: Sequence[int], score_trace: ScoreTrace | None = None):
        self.module, self.shape = module, tuple(shape)
        self.score_trace = score_trace
        self.is_captured = False
        """Whether its attention was recorded."""
        self.has_dropout = False
        """Whether dropout was applied to its output."""


class AttentionRecorder(TorchFunctionMode):
    """Records the attention that runs in this thread while it is entered.

    ``tracker`` tells in which module; ``replace`` maps the weights of eager attention to those that the model is to use
    instead; ``ablation``: heads to ablate; ``score_tracer`` traces how scores are computed.
    """

    def __init__(
        self, tracker: ModuleTracker, replace: Callable[[Tensor], Tensor] | None = None,
        ablation: AblationHooks | None = None, score_tracer: ScoreTracer | None = None,
    ):  # fmt: skip
        super().__init__()
        self.tracker = tracker
        self.replace = replace
        self.ablation = ablation or AblationHooks(())
        self.score_tracer = score_tracer
        self.attention_calls: list[AttentionCall] = []
        """All recorded attention, in order of execution."""
        self.softmaxes: list[SoftmaxCall] = []
        """All softmaxes, in order of execution."""
        self.is_in_fused_call = False
        """Whether the recorder itself runs a fused kernel now."""
        self._number = -1
        """The number of the last attention within its call of the model."""
        self._open_softmaxes: list[tuple[weakref.ref[Tensor], SoftmaxCall]] = []
        """Outputs that come from a softmax and that no matrix product has used yet."""
        self._num_heads = 0
        """Number of heads of the multi-head attention that runs now, else 0."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.multi_head_attention_forward and self.tracker.is_selected:
            return self._multi_head_attention(args, kwargs)
        if func is F.scaled_dot_product_attention and self.tracker.is_selected:
            return self._sdpa(dict(zip(_SDPA_PARAMETERS, args, strict=False)) | kwargs)
        result = func(*args, **kwargs)
        if func in _SOFTMAXES and self.tracker.is_selected:
            if self.replace is not None:
                result = self.replace(result)
            scores = args[0] if args else kwargs.get("input")
            trace = self.score_tracer.trace(scores) if self.score_tracer else None
            softmax = SoftmaxCall(self.tracker.module, result.shape, trace)
            self.softmaxes.append(softmax)
            self._open_softmaxes.append((weakref.ref(result), softmax))
        elif func in _PASS_THROUGH and (source := self._softmax_of(args)):
            source.has_dropout |= func in _DROPOUTS and _drops(args, kwargs)
            self._open_softmaxes.append((weakref.ref(result), source))
        elif func in _MATMULS and (source := self._softmax_of(args)):
            result = self._matmul(source, args[0], args[1], result)
        elif func is torch.einsum and len(args) == 3:
            for operand in (1, 2):
                if source := self._softmax_of(args[operand:]):
                    result = self._einsum(source, args[0], args[operand], args[3 - operand], operand == 1, result)
                    break
        elif func is F.linear and self.attention_calls and self.tracker.is_running:
            self._linear(args, kwargs, result)
        if self.score_tracer and self.tracker.is_running:
            self.score_tracer.observe(func, args, kwargs, result)
        return result

    def _softmax_of(self, args: Sequence[Any]) -> SoftmaxCall | None:
        """Returns the softmax that the first of ``args`` comes from, if no matrix product has used it yet."""
        self._open_softmaxes = [
            (output, softmax)
            for output, softmax in self._open_softmaxes
            if output() is not None and not softmax.is_captured
        ]
        return next((softmax for output, softmax in self._open_softmaxes if args and args[0] is output()), None)

    def _multi_head_attention(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        outer, self._num_heads = self._num_heads, kwargs.get("num_heads", args[4] if len(args) > 4 else 0)
        try:
            with self:
                return _MULTI_HEAD_ATTENTION(*args, **kwargs)
        finally:
            self._num_heads = outer

    def _record(
        self, route: str, output: Tensor, arrange: Callable[[Tensor], Tensor], score_trace: ScoreTrace | None = None,
        **tensors: Any,
    ) -> None:  # fmt: skip
        tracker = self.tracker
        arranged = arrange(output).detach()
        attn_output = arranged[:, :, checked_rows(arranged.shape[2])]  # a copy, as the model may overwrite its own
        if output.requires_grad:
            tensors |= {"output": output, "arrange": arrange}
        if self.score_tracer:
            tensors["score_trace"] = self.score_tracer.finish(score_trace)
        is_new_call = not self.attention_calls or self.attention_calls[-1].call != tracker.call
        self._number = 0 if is_new_call else self._number + 1
        self.attention_calls.append(
            AttentionCall(
                tracker.module, attn_output=attn_output, route=route, call=tracker.call, relation=tracker.relation,
                **tensors,
            )
        )  # fmt: skip

    def _ablated(
        self, attn_output: Tensor, axes: CallAxes, restore: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:  # fmt: skip
        """Returns the output of the attention recorded last with 0 for its ablated heads, and so for their gradients.

        ``restore`` brings ``[*leading, query, d_v]`` to the order of axes of ``attn_output``, where that is another.
        """
        attention = self.attention_calls[-1]
        if not self.ablation.applies_to(self._number, attention.module):
            return attn_output
        mask = self.ablation.mask(self._number, attention.module, *attention.shape[:2]).to(attn_output.device)
        self.attention_calls[-1] = replace(attention, ablated_heads=mask)
        spread = axes.of_heads(mask)
        return attn_output.masked_fill(restore(spread) if restore else spread, 0)

    def _linear(self, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> None:
        """Adds a linear map to the attention recorded last, if it joins the heads of that."""
        linear_input = args[0] if args else kwargs.get("input")
        weight = args[1] if len(args) > 1 else kwargs.get("weight")
        if not isinstance(linear_input, Tensor) or not isinstance(weight, Tensor):
            return
        projected = with_projection(self.attention_calls[-1], linear_input, weight)
        if projected is not self.attention_calls[-1] and projected.score_trace:
            # a copy of the output, as the model may add to it in place
            projected.score_trace.out_proj = linear_call(args, kwargs, result.detach().clone())
        self.attention_calls[-1] = projected

    def _matmul(self, softmax: SoftmaxCall, weights: Tensor, value: Tensor, attn_output: Tensor) -> Tensor:
        """Records ``weights @ value``."""
        if not weights.dim() == value.dim() == attn_output.dim() <= 4:
            return attn_output
        softmax.is_captured = True
        axes = arrange_axes(self.tracker, weights.shape, value.shape, attn_output.shape[:-2], self._num_heads)
        self._record(
            EAGER, attn_output, axes.of_queries, weights=axes.of_queries(weights), value=axes.of_keys(value),
            has_dropout=softmax.has_dropout, score_trace=softmax.score_trace, raw_value=value,
        )  # fmt: skip
        return self._ablated(attn_output, axes)

    def _einsum(
        self, softmax: SoftmaxCall, equation: object, weights: Tensor, value: Tensor, is_first: bool,
        attn_output: Tensor,
    ) -> Tensor:  # fmt: skip
        """Records an einsum of weights and values: it sums over keys, and only the weights have the axis of queries."""
        einsum = parse_einsum(equation)
        if einsum is None:
            return attn_output
        einsum = einsum if is_first else einsum.swapped()
        batch, query, key, size = einsum.batch, einsum.first_only, einsum.summed, einsum.second_only
        if (len(key), len(query), len(size)) != (1, 1, 1) or len(batch) > 2:
            return attn_output
        softmax.is_captured = True
        order = batch + query + size
        weights = permute_axes(weights, einsum.first, batch + query + key)
        values = permute_axes(value, einsum.second, batch + key + size)
        axes = arrange_axes(self.tracker, weights.shape, values.shape, weights.shape[:-2])
        self._record(
            EAGER, attn_output, lambda output: axes.of_queries(permute_axes(output, einsum.output, order)),
            weights=axes.of_queries(weights), value=axes.of_keys(values), has_dropout=softmax.has_dropout,
            score_trace=softmax.score_trace, raw_value=value,
        )  # fmt: skip
        return self._ablated(attn_output, axes, lambda tensor: permute_axes(tensor, order, einsum.output))

    def _sdpa(self, kwargs: dict[str, Any]) -> Tensor:
        raw = {f"raw_{name}": kwargs[name] for name in ("query", "key", "value")}
        query, key, value = raw.values()
        mask, causal, scale = kwargs.get("attn_mask"), kwargs.get("is_causal", False), kwargs.get("scale")
        device = query.device.type
        if torch.is_autocast_enabled(device):  # cast as autocast would, so that what is kept is what was used
            dtype = torch.get_autocast_dtype(device)
            query, key, value = (tensor.to(dtype) for tensor in (query, key, value))
            mask = mask.to(dtype) if mask is not None and mask.is_floating_point() else mask
        kwargs = kwargs | {"query": query, "key": key, "value": value, "attn_mask": mask}
        if self.replace is not None:
            return self._replaced_sdpa(kwargs, raw)
        self.is_in_fused_call = True
        try:
            with torch.autocast(device, enabled=False):
                attn_output, lse = sdpa_with_lse(kwargs)
        finally:
            self.is_in_fused_call = False
        axes = arrange_axes(self.tracker, query.shape, key.shape, attn_output.shape[:-2])
        self._record(
            SDPA if lse is None else SDPA_LSE, attn_output, axes.of_queries,
            query=axes.of_queries(query), key=axes.of_keys(key), value=axes.of_keys(value),
            mask=None if mask is None else axes.of_mask(mask), causal=causal,
            scale=query.shape[-1] ** -0.5 if scale is None else scale,
            lse=None if lse is None else axes.of_queries(lse[..., None])[..., 0],
            has_dropout=bool(kwargs.get("dropout_p")), **raw,
        )  # fmt: skip
        return self._ablated(attn_output, axes)

    def _replaced_sdpa(self, kwargs: dict[str, Any], raw: dict[str, Tensor]) -> Tensor:
        """Computes the attention of a fused kernel with replaced weights, which needs all of them."""
        assert self.replace is not None
        weights = self.replace(sdpa_weights(kwargs))
        value = kwargs["value"].repeat_interleave(weights.shape[-3] // kwargs["value"].shape[-3], -3)
        weights = weights.to(value.dtype)
        attn_output: Tensor = weights @ value
        axes = arrange_axes(self.tracker, weights.shape, value.shape, attn_output.shape[:-2])
        self._record(
            EAGER, attn_output, axes.of_queries, weights=axes.of_queries(weights), value=axes.of_keys(value), **raw
        )
        return self._ablated(attn_output, axes)


def _drops(args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Returns whether ``F.dropout(input, p, training)`` or ``torch.dropout(input, p, train)`` drops anything."""
    p = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
    training = args[2] if len(args) > 2 else kwargs.get("training", kwargs.get("train", True))
    return bool(training and p)
