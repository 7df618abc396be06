"""Which row of a batch a record shows, where a model runs several rows for one sample, such as one image and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from mmviz.capture import CaptureResult
from mmviz.models import Prepared
from mmviz.types import AttentionRecord, Notice, Token

Streams = Sequence[str | Token] | Mapping[str, Sequence[str | Token]]


def shown_row(prepared: Prepared, result: CaptureResult, logits: Tensor) -> int | None:
    """Returns the row that the record shows; None where no attention ran over several.

    It is that of the most probable answer, where ``prepared`` has tokens for as many rows as there are answers; else
    the first one.
    """
    if all(call.shape[0] == 1 for call in result.attention_calls()):
        return None
    rows = {len(lists) for lists in prepared.rows.values()}
    return int(logits.argmax()) if rows == {len(logits)} else 0


def of_row(prepared: Prepared, row: int | None) -> Streams:
    """Returns the token streams with the tokens of ``row``."""
    if row is None or not isinstance(prepared.streams, Mapping):
        return prepared.streams
    rows = {name: lists[min(row, len(lists) - 1)] for name, lists in prepared.rows.items()}
    return {**prepared.streams, **rows}


def row_notices(result: CaptureResult, record: AttentionRecord, row: int | None) -> list[Notice]:
    """Returns a notice for each number of rows that a stream ran with."""
    if row is None:
        return []
    counts = {call.module: call.shape[0] for call in result.attention_calls()}
    shown = {(attn_map.queries, counts.get(attn_map.name, 1)): None for attn_map in record.maps}
    return [Notice("own-row", {"count": count, "stream": stream, "row": row}) for stream, count in shown if count > 1]
