"""The streams of one call of a model as one system: which attention updates whose tokens, and whose tokens it reads.

A flow starts at the final tokens of one stream and ends at those of another as they enter it. On the way it passes
every attention in turn, and where the tokens of a stream are made of those of others, it goes on there.

A *state* of a stream is named by the number of maps that had run: state 3 is what its tokens were before map 3. Towers
may run side by side, and co-attention reads tokens as they were before the other side was updated, so that a map may
read an earlier state than the current state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from mmviz.capture.lazy_attention import LazyAttention

Event = tuple[Literal["link", "map"], int]
"""The tokens of a stream begin, or a map runs; with the number of the stream or map."""


@dataclass(frozen=True, eq=False)
class FlowMap:
    """One map: tokens of a stream attend to tokens of the same or of another stream."""

    layer: LazyAttention
    """Its weights, over the tokens that take part."""
    queries: int
    """The number of the stream of the queries, which it updates."""
    keys: int
    """The number of the stream of the keys."""
    keys_state: int
    """The state of the keys that it reads, at most its own number."""
    query_part: Tensor | None = None
    """int64: the tokens of the queries' stream that take part; None for all."""
    key_part: Tensor | None = None
    """The same for the keys."""

    @property
    def is_self(self) -> bool:
        """Whether a stream attends to itself."""
        return self.queries == self.keys


@dataclass(frozen=True, eq=False)
class FlowLink:
    """Tokens of a stream that are made of tokens of another stream, before attention runs over them."""

    stream: int
    """The number of the stream."""
    source: int
    """The number of the stream whose tokens it is made of."""
    source_state: int
    """A state that the source's tokens were read at; `JointSystem` moves it to the last equal state."""
    tokens: Tensor
    """int64 ``[entry]``: a token of the stream."""
    source_tokens: Tensor
    """int64 ``[entry]``: the token of the source that it is made of."""
    shares: Tensor
    """float32 ``[entry]``: the share of it."""

    def to_source(self, rows: Tensor, count: int) -> Tensor:
        """Returns rows ``[row, token]`` over the stream as rows over the ``count`` tokens of the source."""
        result = torch.zeros(len(rows), count, dtype=torch.float32)
        return result.index_add_(1, self.source_tokens, rows[:, self.tokens] * self.shares)

    def from_source(self, columns: Tensor, count: int) -> Tensor:
        """Returns columns ``[token, column]`` over the source as columns over the ``count`` tokens of the stream."""
        result = torch.zeros(count, columns.shape[1], dtype=torch.float32)
        return result.index_add_(0, self.tokens, columns[self.source_tokens] * self.shares[:, None])


@dataclass(eq=False)
class JointSystem:
    """The streams, maps and links of one call."""

    counts: Sequence[int]
    """Number of tokens of each stream."""
    maps: Sequence[FlowMap]
    """In order of execution."""
    links: Sequence[FlowLink] = ()
    """The tokens of streams that are made of those of others; empty where every stream stands for itself."""
    passed: Callable[[int, int], None] | None = None
    """Called with the number of maps that a pass has gone through, and the number of all."""
    link_times: list[int] = field(init=False)
    """For each stream the number of the map before which its tokens begin."""
    events: list[Event] = field(init=False)
    """In order."""

    def __post_init__(self) -> None:
        streams = range(len(self.counts))
        self._updates = [[k for k, flow_map in enumerate(self.maps) if flow_map.queries == s] for s in streams]
        self.link_times = [
            next((k for k, m in enumerate(self.maps) if s in (m.queries, m.keys)), len(self.maps)) for s in streams
        ]
        self._order_links()
        self.events = []
        for time in range(len(self.maps) + 1):
            beginning = [s for s in streams if self.link_times[s] == time]
            self.events += [("link", s) for s in sorted(beginning, key=self._depth)]
            if time < len(self.maps):
                self.events.append(("map", time))

    def read_time(self, stream: int, state: int, latest: int) -> int:
        """Returns the last state of a stream that equals ``state`` and is at most ``latest``."""
        return min([k for k in self._updates[stream] if k >= state] + [latest])

    def links_of(self, stream: int) -> list[FlowLink]:
        """Returns the links that make the tokens of a stream."""
        return [link for link in self.links if link.stream == stream]

    def time_of(self, link: FlowLink) -> int:
        """Returns the state at which the source of a link is read, at most that at which the stream begins."""
        return self.read_time(link.source, link.source_state, self.link_times[link.stream])

    def made_of(self, stream: int) -> set[int]:
        """Returns the streams that the tokens of a stream are made of, through links alone, itself among them."""
        return {stream}.union(*(self.made_of(link.source) for link in self.links_of(stream)))

    def reachable(self, stream: int) -> set[int]:
        """Returns the streams that a flow from ``stream`` reaches, itself among them."""
        reached, open_streams = {stream}, [stream]
        while open_streams:
            current = open_streams.pop()
            following = {m.keys for m in self.maps if m.queries == current}
            following |= {link.source for link in self.links_of(current)}
            open_streams += following - reached
            reached |= following
        return reached

    def downward(self, until: int | None = None) -> Iterator[Event]:
        """Yields events from the last to the first, those before map ``until`` alone where it is given."""
        yield from self._reported(list(reversed(self._before(until))))

    def upward(self, until: int | None = None) -> Iterator[Event]:
        """Yields events from the first to the last, those before map ``until`` alone where it is given."""
        yield from self._reported(self._before(until))

    def _before(self, until: int | None) -> list[Event]:
        return self.events if until is None else self.events[: self.events.index(("map", until))]

    def _reported(self, events: Sequence[Event]) -> Iterator[Event]:
        """Yields events, and tells `passed` of each map that has been gone through."""
        done, total = 0, sum(kind == "map" for kind, _ in events)
        for event in events:
            yield event
            if event[0] == "map" and self.passed is not None:
                done += 1
                self.passed(done, total)

    def _order_links(self) -> None:
        """Lets the tokens of a stream begin before others are made of them."""
        is_settled = False
        while not is_settled:
            is_settled = True
            for link in self.links:
                time = self.time_of(link)
                if time < self.link_times[link.source]:
                    self.link_times[link.source], is_settled = time, False

    def _depth(self, stream: int) -> int:
        return max((1 + self._depth(link.source) for link in self.links_of(stream)), default=0)
