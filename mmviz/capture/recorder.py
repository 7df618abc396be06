"""Records the attention of a model, function call by function call.

There are four routes. A fused kernel (``F.scaled_dot_product_attention``) also returns the log-sum-exp of its rows,
where torch chose one that does. ``F.multi_head_attention_forward`` hides its inside from a function mode, so the same
code is run again with that check turned off. Eager attention is a softmax of products of queries and keys whose output
feeds a matrix product, whatever lies between. Flex attention is computed once more by its definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mmviz.capture.ablation_hooks import AblationHooks
from mmviz.capture.attention_place import AttentionPlace
from mmviz.capture.blocked_pairs import BlockedPairs
from mmviz.capture.blocked_weights import AttentionPlaces, changed_weights, emptied_queries
from mmviz.capture.call_axes import CallAxes, arrange_axes
from mmviz.capture.capture_routes import EAGER, FLEX, GUMBEL, NESTED, PACKED, SDPA, SDPA_LSE
from mmviz.capture.flex_weights import blocked_flex, flex_tensors
from mmviz.capture.function_tables import SOFTMAXES
from mmviz.capture.fused_kernel_detector import FusedKernelDetector, may_hide_attention
from mmviz.capture.kernel_call import KernelCall, kernel_call, leading_axes
from mmviz.capture.module_tracker import ModuleTracker
from mmviz.capture.multi_head_attention import multi_head_attention
from mmviz.capture.nested_tensor_attention import padded_call
from mmviz.capture.packed_attention import PACKED_KERNEL, packed_attention
from mmviz.capture.plain_torch_modes import is_backward
from mmviz.capture.product_call import PRODUCTS, ProductCall, product_call
from mmviz.capture.query_key_tokens import PlaceFinder
from mmviz.capture.recorded_calls import Operands, RecordedCalls
from mmviz.capture.score_trace import ScoreTracer
from mmviz.capture.sdpa_with_lse import as_autocast_would, sdpa_weights, sdpa_with_lse
from mmviz.capture.softmax_tracker import SoftmaxCall, SoftmaxTracker, WeightsUse, is_softmax
from mmviz.capture.token_wise import is_token_wise
from mmviz.types import CaptureError

_SDPA_PARAMETERS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")


class AttentionRecorder(TorchFunctionMode):
    """Records the attention that runs in this thread while it is entered.

    ``tracker`` tells in which module; ``replace`` maps the weights of eager attention to those that the model is to use
    instead; ``ablation``: heads to ablate; ``score_tracer`` traces how scores are computed; ``detector`` is entered
    around the recorder; ``block``: pairs that may not attend.
    """

    def __init__(
        self, tracker: ModuleTracker, replace: Callable[[Tensor], Tensor] | None = None,
        ablation: AblationHooks | None = None, score_tracer: ScoreTracer | None = None,
        detector: FusedKernelDetector | None = None, block: Mapping[AttentionPlace, BlockedPairs] | None = None,
    ):  # fmt: skip
        super().__init__()
        self.places = AttentionPlaces(tracker, block or {})
        self.tracker = tracker
        self.replace = replace
        self.score_tracer = score_tracer
        self.detector = detector
        self.calls = RecordedCalls(tracker, ablation or AblationHooks(()), score_tracer)
        """What was recorded."""
        self.softmax_tracker = SoftmaxTracker()
        self.mixing_modules: dict[str, None] = {}
        """The paths of modules that ran a function which may mix tokens, in order of the first."""
        self.recorded_kernels: set[tuple[str, str]] = set()
        """Module and operator of kernels that the model called by their own name, and that were recorded."""
        self._token_places = PlaceFinder()
        self._num_heads = 0
        """Number of heads of the multi-head attention that runs now, else 0."""

    @contextmanager
    def record_thread(self) -> Iterator[None]:
        """Records the attention of a thread that the model began, and adds it to that of this recorder at its end."""
        recorder = AttentionRecorder(self.tracker, self.replace, self.calls.ablation, block=self.places.block)
        recorder.softmax_tracker, recorder.mixing_modules = self.softmax_tracker, self.mixing_modules
        recorder.recorded_kernels, recorder.calls.over_features = self.recorded_kernels, self.calls.over_features
        try:
            with recorder:
                yield
        finally:
            self.calls.attention_calls += recorder.calls.attention_calls

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if torch.compiler.is_compiling():
            return func(*args, **(kwargs or {}))
        detector = self.detector
        kwargs = kwargs or {}
        if detector is None or not detector.pause():
            return self._call(func, types, args, kwargs)
        try:
            return self._call(func, types, args, kwargs)
        finally:
            detector.resume()

    def _call(self, func: Callable[..., Any], types: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Runs a function that the model or its caller called, and records what it does to attention."""
        tracker = self.tracker
        runs = tracker.runs
        if not runs or is_backward():
            result = self._run(func, types, args, kwargs)
            tracker.observe_between_calls(func, args, kwargs, result)
            return result
        module = runs[-1].path
        if func is F.multi_head_attention_forward and tracker.selects(module):
            return self._multi_head_attention(args, kwargs)
        if func is F.scaled_dot_product_attention and tracker.selects(module):
            return self._sdpa(dict(zip(_SDPA_PARAMETERS, args, strict=False)) | kwargs)
        result = self._run(func, types, args, kwargs)
        name = getattr(func, "__name__", "")
        if func is F.linear and args and not tracker.flow.knows(args[0]):  # it comes from code that no mode sees
            self.mixing_modules[module] = None
        tracker.flow.observe(func, args, kwargs, result)
        if not is_token_wise(name):
            self.mixing_modules[module] = None
            if not tracker.selects(module):
                pass
            elif name in SOFTMAXES or name == "exp":
                result = self._softmax(func, args, kwargs, result)
            elif name in PRODUCTS:
                result = self._product(name, args, kwargs, result)
            elif name == "flex_attention":
                result = self._flex(func, args, kwargs, result)
            elif name == PACKED_KERNEL and len(args) >= 7 and not kwargs:
                result = self._packed(func, args, result)
        elif func is F.linear and self.calls.attention_calls:
            self.calls.add_projection(args, kwargs, result)
        if self.score_tracer:
            self.score_tracer.observe(func, args, kwargs, result)
        return result

    def _run(self, func: Callable[..., Any], types: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Runs a function of the model, in which fused kernels are detected."""
        if self.detector is None or not may_hide_attention(func, types):
            return func(*args, **kwargs)
        return self.detector.run(func, args, kwargs)

    def _softmax(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], weights: Tensor
    ) -> Tensor:  # fmt: skip
        """Takes note of a softmax; returns the weights that the model is to use."""
        step = self.tracker.flow.step(weights)
        if weights.dim() == 0 or not is_softmax(step):
            return weights
        scores = args[0] if args else kwargs.get("input", kwargs.get("logits"))
        trace = self.score_tracer.trace(scores) if self.score_tracer else None
        softmax = SoftmaxCall(self.tracker.module, step, trace)
        if softmax.is_attention and softmax.axis is not None:
            softmax.place = self.places.next()
            blocked = self.places.block.get(softmax.place)
            changed = changed_weights(softmax, args, kwargs, weights, blocked, self.replace)
            if changed is not weights:
                weights = changed
                self.tracker.flow.observe(func, args, kwargs, weights)
                step = self.tracker.flow.step(weights)
        self.softmax_tracker.add(softmax, step)
        return weights

    def _product(self, name: str, args: Sequence[Any], kwargs: dict[str, Any], result: Tensor) -> Tensor:
        """Records the attention whose weights and values a function multiplies, if they are such."""
        product = product_call(name, args, kwargs, Tensor)
        if product is None or not product.is_plain or result.dim() < 2:
            return result
        operands = [self.tracker.flow.step(tensor) for tensor in product.operands]
        use = self.softmax_tracker.use_of(product, operands)
        if use is not None:
            return self._weighted(use, product, result)
        self.softmax_tracker.observe_unnormalized(self.tracker.module, operands)
        return result

    def _multi_head_attention(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        outer, self._num_heads = self._num_heads, kwargs.get("num_heads", args[4] if len(args) > 4 else 0)
        try:
            with self:
                return multi_head_attention(*args, **kwargs)
        finally:
            self._num_heads = outer

    def _operands(self, query: Tensor, key: Tensor) -> Operands:
        """Returns where the queries and keys come from that the model gave to a fused kernel."""
        flow, runs = self.tracker.flow, self.tracker.runs
        return self._token_places.operands(runs, flow.step(query), flow.step(key))

    def _axes(self, leading: Sequence[int], queries: int, operands: Operands) -> CallAxes:
        return arrange_axes(self.tracker.runs, leading, queries, self._num_heads, *operands)

    def _weighted(self, use: WeightsUse, product: ProductCall[Tensor], result: Tensor) -> Tensor:
        """Records the product of weights and values; returns it, with 0 for ablated heads."""
        views, value = use.views, product.operands[1 - use.operand]
        with self:  # so that the flow of data goes through the views
            weights = views.weights(product.operands[use.operand])
        values = views.values(value)
        if product.factor != 1:
            values = values * product.factor
        operands = self._token_places.of_weights(self.tracker.runs, self.tracker.flow.step(weights)) or (None, None)
        leading = views.output(result).shape[:-2]
        axes = self._axes(leading, weights.shape[-2], operands)
        order = operands[0].order if operands[0] else None
        is_recorded = self.calls.add(
            GUMBEL if use.softmax.name == "gumbel_softmax" else EAGER, result, axes, operands,
            lambda output: axes.of_queries(views.output(output)), use.softmax.score_trace, product.added,
            None if order is None else views.restore(order[..., None]),
            weights=axes.of_queries(weights), value=axes.of_keys(values), has_dropout=use.path.has_dropout,
            absorbed_by=use.path.absorbed_by, place=use.softmax.place, weights_use=use,
            emptied=emptied_queries(use.softmax, axes.of_queries(weights)),
        )  # fmt: skip
        return self.calls.ablated(result, axes, views.restore, product.added) if is_recorded else result

    def _flex(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], result: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:  # fmt: skip
        """Records a call of torch's flex attention operator, where its weights can be computed; returns its result,
        without the pairs that are blocked, and with 0 for ablated heads."""
        place = self.places.next()
        operands = self._operands(args[0], args[1])
        axes = self._axes(result[0].shape[:-2], args[0].shape[-2], operands)
        blocked = self.places.blocked_in(place, axes, args[1])
        if blocked is not None:
            result = blocked_flex(args, result, blocked, place[0])
            self.tracker.flow.observe(func, args, kwargs, result)
        tensors = flex_tensors(args, result, axes, blocked)
        if tensors is None:
            return result
        self.recorded_kernels.add((self.tracker.module, "flex_attention"))
        is_recorded = self.calls.add(FLEX, result[0], axes, operands, axes.of_queries, place=place, **tensors)
        return (self.calls.ablated(result[0], axes), *result[1:]) if is_recorded else result

    def _packed(self, func: Callable[..., Any], args: Sequence[Any], result: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Records packed attention, each sample by itself; returns its result, computed anew under interventions."""
        is_plain = self.replace is None and not self.places.block
        output = packed_attention(
            args, result, self, lambda kwargs, *computed: self._sdpa(kwargs, computed if is_plain else None)
        )
        if output is None:
            return result
        self.recorded_kernels.add((self.tracker.module, str(func)))
        return output, *result[1:]

    def _sdpa(self, kwargs: dict[str, Any], computed: tuple[Tensor, ...] | None = None) -> Tensor:
        """Records fused attention, of which output and log-sum-exp may be ``computed`` by a kernel of another name."""
        own_query, own_key = kwargs["query"], kwargs["key"]  # before a cast
        place = self.places.next()
        if kwargs["query"].is_nested:
            return self._nested_sdpa(kwargs, place)
        kwargs = as_autocast_would(kwargs)
        operands = self._operands(own_query, own_key)
        axes = self._axes(leading_axes(kwargs), kwargs["query"].shape[-2], operands)
        kernel = kernel_call(kwargs, self.places.blocked_in(place, axes, kwargs["key"]))
        if self.replace is not None:
            return self._replaced_sdpa(kernel, axes, operands, place)
        attn_output, lse = computed or kernel.without_emptied(*sdpa_with_lse(kernel.kwargs))
        query, key, value = kwargs["query"], kwargs["key"], kwargs["value"]
        scale = kwargs.get("scale")
        route = PACKED if computed else SDPA if lse is None else SDPA_LSE
        is_recorded = self.calls.add(
            route, attn_output, axes, operands, axes.of_queries, place=place,
            query=axes.of_queries(query), key=axes.of_keys(key), value=axes.of_keys(value),
            mask=None if kernel.mask is None else axes.of_mask(kernel.mask), causal=kernel.causal,
            emptied=kernel.emptied_queries(axes),
            scale=query.shape[-1] ** -0.5 if scale is None else scale,
            lse=None if lse is None else axes.of_queries(lse[..., None])[..., 0],
            has_dropout=bool(kwargs.get("dropout_p")),
        )  # fmt: skip
        return self.calls.ablated(attn_output, axes) if is_recorded else attn_output

    def _nested_sdpa(self, kwargs: dict[str, Any], place: AttentionPlace) -> Tensor:
        """Records fused attention of nested tensors, padded. Its pairs cannot be blocked."""
        if place in self.places.block:
            raise CaptureError("cut-kernel", name=place[0])
        attn_output = F.scaled_dot_product_attention(**kwargs)
        call = padded_call(kwargs, attn_output)
        output = call.pop("output")
        axes = self._axes(output.shape[:-2], call["query"].shape[-2], (None, None))
        self.calls.add(NESTED, output, axes, (None, None), axes.of_queries, place=place, **call)
        return attn_output

    def _replaced_sdpa(
        self, kernel: KernelCall, axes: CallAxes, operands: Operands, place: AttentionPlace
    ) -> Tensor:  # fmt: skip
        """Computes the attention of a fused kernel with replaced weights, which needs all of them."""
        assert self.replace is not None
        weights = self.replace(sdpa_weights(kernel.kwargs))
        weights, _ = kernel.without_emptied(weights)
        value = kernel.kwargs["value"]
        value = value.repeat_interleave(weights.shape[-3] // value.shape[-3], -3)
        weights = weights.to(value.dtype)
        attn_output: Tensor = weights @ value
        is_recorded = self.calls.add(
            EAGER, attn_output, axes, operands, axes.of_queries, weights=axes.of_queries(weights),
            value=axes.of_keys(value), place=place, emptied=kernel.emptied_queries(axes),
        )  # fmt: skip
        return self.calls.ablated(attn_output, axes) if is_recorded else attn_output
