"""The attention calls of a model as they are recorded, one after the other: copies, ablated heads, projections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mmviz.capture.ablation_hooks import AblationHooks
from mmviz.capture.attention_call import AttentionCall, checked_rows, with_projection
from mmviz.capture.call_axes import CallAxes
from mmviz.capture.module_tracker import ModuleTracker
from mmviz.capture.query_key_tokens import Operand
from mmviz.capture.score_trace import ScoreTrace, ScoreTracer, linear_call

Operands = tuple[Operand | None, Operand | None]
"""Where queries and keys come from; None where that is not known."""


class RecordedCalls:
    """The attention that ran in one thread. For the parameters see `mmviz.capture.recorder.AttentionRecorder`."""

    def __init__(self, tracker: ModuleTracker, ablation: AblationHooks, score_tracer: ScoreTracer | None):
        self.tracker, self.ablation, self.score_tracer = tracker, ablation, score_tracer
        self.attention_calls: list[AttentionCall] = []
        """All recorded attention, in order of execution."""
        self.over_features: dict[str, None] = {}
        """The paths of modules whose attention runs over features, not over tokens."""
        self._number = -1
        """The number of the last attention within its call of the model."""

    def add(
        self, route: str, output: Tensor, axes: CallAxes, operands: Operands, arrange: Callable[[Tensor], Tensor],
        score_trace: ScoreTrace | None = None, added: Tensor | None = None, order: Tensor | None = None, **tensors: Any,
    ) -> bool:  # fmt: skip
        """Adds an attention call. ``added`` is what ``output`` holds beside the attention, if anything.

        ``order``: see `mmviz.capture.data_flow.DataFlow.observe_attention`.
        Returns False where it runs over features, so that there is nothing to show."""
        tracker = self.tracker
        if any(operand is not None and operand.is_over_features for operand in operands):
            self.over_features[tracker.module] = None
            return False
        if operands[0] is not None:
            tracker.flow.observe_attention(operands[0].step, output, order)
        arranged = arrange(output).detach()
        rows = checked_rows(arranged.shape[2])
        attn_output = arranged[:, :, rows]  # a copy, as the model may overwrite its own
        if added is not None:
            attn_output = attn_output.double() - arrange(added.expand_as(output)).detach()[:, :, rows].double()
        if output.requires_grad:
            tensors |= {"output": output, "arrange": arrange}
        if self.score_tracer:
            tensors["score_trace"] = self.score_tracer.finish(score_trace)
        is_new_call = not self.attention_calls or self.attention_calls[-1].call != tracker.call
        self._number = 0 if is_new_call else self._number + 1
        self.attention_calls.append(
            AttentionCall(
                tracker.module, attn_output=attn_output, route=route, call=tracker.call, axes=axes,
                runs=tuple(tracker.runs), queries_from=operands[0], keys_from=operands[1], **tensors,
            )
        )  # fmt: skip
        return True

    def ablated(
        self, attn_output: Tensor, axes: CallAxes, restore: Callable[[Tensor], Tensor] | None = None,
        added: Tensor | None = None,
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
        spread = restore(spread) if restore else spread
        ablated = attn_output.masked_fill(spread, 0) if added is None else torch.where(spread, added, attn_output)
        self.tracker.flow.observe(Tensor.masked_fill, (attn_output,), {}, ablated)
        return ablated

    def add_projection(self, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> None:
        """Adds a linear map to the attention recorded last, if it joins the heads of that."""
        if self.attention_calls[-1].projection is not None:
            return
        linear_input = args[0] if args else kwargs.get("input")
        weight = args[1] if len(args) > 1 else kwargs.get("weight")
        if not isinstance(linear_input, Tensor) or not isinstance(weight, Tensor):
            return
        projected = with_projection(self.attention_calls[-1], linear_input, weight)
        if projected is not self.attention_calls[-1] and projected.score_trace:
            # a copy of the output, as the model may add to it in place
            projected.score_trace.out_proj = linear_call(args, kwargs, result.detach().clone())
        self.attention_calls[-1] = projected
