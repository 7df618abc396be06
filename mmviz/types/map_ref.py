"""The identity of an attention map within a record, or of a flow through all of them."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import Literal, get_args

Method = Literal["attention", "rollout", "relevance"]
"""Raw attention weights of one layer; rollout (Abnar and Zuidema 2020); gradient relevance (Chefer et al. 2021)."""

_LIMIT = 10**9
_ATTENTION = re.compile(r"(?:(.+)/)?(0|[1-9][0-9]{0,8})(?:\.([1-9][0-9]{0,8}))?:(mean|0|[1-9][0-9]{0,8})", re.DOTALL)
_FLOW = re.compile(r"(?:(.+)/)?(rollout|relevance)", re.DOTALL)


@dataclass(frozen=True)
class MapRef:
    """Names one matrix ``[query, key]``: a head of an attention map, the mean over its heads, or a flow.

    ``str`` gives a text form that `parse` reads back without loss: ``5:2`` is head 2 of layer 5, ``5:mean`` the mean
    over the heads of layer 5, ``5.1:2`` head 2 of the second map of layer 5, ``vision.layers.attn/5:2`` head 2 of layer
    5 of the stack ``vision.layers.attn``, ``rollout`` and ``relevance`` the flows through all layers,
    ``picture/rollout`` rollout to the tokens of the stream ``picture``. Layers, maps and heads count from 0.

    Raises ``ValueError`` where raw attention has no layer or a stream of keys, a flow has a layer or a stack, or a
    number is negative or beyond 9 digits; ``TypeError`` for a number that is no integer.

    Examples:
        >>> str(mmviz.MapRef("attention", 5, head=2))
        '5:2'
        >>> mmviz.MapRef.parse("vision.layers.attn/5:mean").stack
        'vision.layers.attn'
    """

    method: Method
    """Raw attention, or the flow."""
    layer: int | None = None
    """The layer, for raw attention only."""
    head: int | None = None
    """The head; None for the mean over heads."""
    index: int = 0
    """Which map of the layer, in order of execution, where the layer has several."""
    stack: str = ""
    """The stack of the layer, see `AttentionMap.stack`; "" for the default, see `AttentionRecord.default_stack`."""
    keys: str = ""
    """Of a flow, the name of the stream of keys; "" for that of the last map of the default stack."""

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(f"{self.method!r} is not a method; the methods are {', '.join(get_args(Method))}")
        if self.method == "attention":
            if self.layer is None:
                raise ValueError("raw attention needs a layer")
            if self.keys:
                raise ValueError("raw attention has the keys of its map; only a flow takes a stream of keys")
        elif (self.layer, self.head, self.index, self.stack) != (None, None, 0, ""):
            raise ValueError(f"{self.method} runs through all layers and takes no layer, head, index or stack")
        for name in ("layer", "head", "index"):
            number = getattr(self, name)
            if number is not None:
                number = operator.index(number)  # an int of numpy as well
                if not 0 <= number < _LIMIT:
                    raise ValueError(f"the {name} of a map is an integer from 0 to {_LIMIT - 1:,}, not {number}")
                object.__setattr__(self, name, number)

    @classmethod
    def parse(cls, text: str) -> MapRef:
        """Returns the reference that ``str`` wrote. Raises ``ValueError`` for any other text."""
        flow = _FLOW.fullmatch(text)
        if flow is not None:
            return cls("rollout" if flow[2] == "rollout" else "relevance", keys=flow[1] or "")
        match = _ATTENTION.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} does not name a map, such as 5:mean, 5:2, 5.1:2, rollout or relevance")
        stack, layer, index, head = match.groups()
        return cls("attention", int(layer), None if head == "mean" else int(head), int(index or 0), stack or "")

    def __str__(self) -> str:
        if self.method != "attention":
            return f"{self.keys}/{self.method}" if self.keys else self.method
        layer = f"{self.layer}.{self.index}" if self.index else str(self.layer)
        head = "mean" if self.head is None else str(self.head)
        return f"{self.stack}/{layer}:{head}" if self.stack else f"{layer}:{head}"
