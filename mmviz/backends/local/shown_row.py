"""Which row of a batch a record shows, where a model runs several rows for one sample, such as one image and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from mmviz.capture import CaptureResult
from mmviz.models import Model, Prepared
from mmviz.types import AttentionRecord, InputFields, Notice, Token, TokenFields

Streams = Sequence[str | Token] | Mapping[str, Sequence[str | Token]]


def shown_row(prepared: Prepared, result: CaptureResult, logits: Tensor) -> int | None:
    """Returns the row that the record shows; None where no attention ran over several.

    It is that of the most probable answer, where ``prepared`` has tokens for as many rows as there are answers; else
    the first row.
    """
    if result.samples() == 1:
        return None
    rows = {len(lists) for lists in prepared.rows.values()}
    return int(logits.argmax()) if rows == {len(logits)} else 0


def of_row(prepared: Prepared, row: int | None) -> Streams:
    """Returns the token streams with the tokens of ``row``."""
    if row is None or not isinstance(prepared.streams, Mapping):
        return prepared.streams
    rows = {name: lists[min(row, len(lists) - 1)] for name, lists in prepared.rows.items()}
    return {**prepared.streams, **rows}


def located_tokens(
    model: Model, prepared: Prepared, result: CaptureResult, row: int | None
) -> tuple[Streams, tuple[Notice, ...]]:
    """Returns the token streams with the tokens of ``row``, or those that a model tells from the capture.

    A notice names each stream whose places the capture does not tell.
    """
    locate = getattr(model, "located_tokens", None)
    if locate is None:
        return of_row(prepared, row), ()
    lost: dict[str, str] = {}

    def watched(inputs: Mapping[str, InputFields]) -> Mapping[str, TokenFields]:
        fields = result.fields(inputs)
        if inputs:
            lost.update({name: field.unfollowed for name, field in fields.items() if field.low is None})
        return fields

    streams = locate(prepared, watched)
    notices = [
        Notice("hf-places-lost", {"stream": name, "function": function}) if function
        else Notice("hf-places-order", {"stream": name})
        for name, function in lost.items()
    ]  # fmt: skip
    return streams, tuple(notices)


def row_notices(result: CaptureResult, record: AttentionRecord, row: int | None) -> list[Notice]:
    """Returns a notice for each stream that ran with several rows."""
    if row is None:
        return []
    pairs = zip(record.maps, result.recorded_maps(record), strict=True)
    counts = {attn_map.queries: call_map.samples for attn_map, call_map in pairs if call_map.samples > 1}
    return [Notice("own-row", {"count": count, "stream": stream, "row": row}) for stream, count in counts.items()]


def input_batches(inputs: object) -> set[int]:
    """Returns the sizes of the first axes of all tensors of two or more axes in the inputs of a model."""
    if isinstance(inputs, Tensor):
        return {inputs.shape[0]} if inputs.dim() > 1 else set()
    values = inputs.values() if isinstance(inputs, Mapping) else inputs if isinstance(inputs, tuple) else ()
    return {size for value in values for size in input_batches(value)}
