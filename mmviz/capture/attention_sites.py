"""Which tokens the queries and keys of each attention of a call are, so that pairs of them can be blocked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.attention_place import AttentionPlace
from mmviz.capture.blocked_pairs import Spread
from mmviz.capture.call_maps import CallMap
from mmviz.capture.query_key_positions import Positions
from mmviz.capture.score_axes import spread_of
from mmviz.capture.streams import NamedStreams
from mmviz.types import CaptureError


@dataclass(frozen=True, eq=False)
class SiteRow:
    """One row of an attention call: a sample, or a window of it."""

    row: int
    """Index of the row in the batch of the call."""
    sample: int
    """Index of the sample that the row belongs to."""
    queries: Positions
    """int64 ``[query]``: the place of each query in its stream, -1 for padding."""
    keys: Positions
    """int64 ``[key]``: the same of the keys."""


@dataclass(frozen=True, eq=False)
class AttentionSite:
    """One attention call of a model."""

    place: AttentionPlace
    """The path of its module, and how often the module had attended before in this call of the model."""
    stack: str
    """The stack as in `AttentionMap.stack`."""
    layer: int
    """The layer within the stack, from 0."""
    queries: str
    """The name of the stream of its queries."""
    keys: str
    """The name of the stream of its keys."""
    samples: int
    """Number of samples; 1 also where all samples share its tokens."""
    shape: tuple[int, int, int]
    """Numbers of rows, queries and keys."""
    heads: int
    """Number of heads."""
    rows: tuple[SiteRow, ...]
    """The rows that hold tokens of a sample."""
    spread: Spread | CaptureError | None = None
    """See `mmviz.capture.blocked_pairs.BlockedPairs`; an error where no pairs can be blocked."""


def sites_of(maps: Sequence[CallMap], named: NamedStreams) -> tuple[list[AttentionSite], list[CaptureError]]:
    """Returns the attention of one call of a model, and why the tokens of the others are not known."""
    sites, problems = [], []
    for call_map in maps:
        try:
            call_map.check_meaning()
            queries, keys = named.pair(call_map.group)
            if call_map.shape != (len(named.tokens[queries]), len(named.tokens[keys])):
                raise CaptureError("axes-tokens", name=call_map.group.module)
        except CaptureError as problem:
            problems.append(problem)
            continue
        windows = [(k, window) for k in range(call_map.samples) for window in call_map.windows(k)]
        for call in call_map.group.calls:
            rows = [
                SiteRow(window.row, sample, window.queries, window.keys)
                for sample, window in windows if window.call is call
            ]  # fmt: skip
            batch, heads, *sizes = call.shape
            sites.append(
                AttentionSite(
                    call.place, call_map.stack, call_map.layer, queries, keys, call_map.samples,
                    (batch, sizes[0], sizes[1]), heads, tuple(rows), _spread(call),
                )
            )  # fmt: skip
    return sites, problems


def _spread(call: AttentionCall) -> Spread | CaptureError | None:
    try:
        return spread_of(call)
    except CaptureError as problem:
        return problem
