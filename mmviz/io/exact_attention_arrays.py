"""The tensors behind a record as arrays of a run file, see `mmviz.types.exact_attention`."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from mmviz.io.npz import LARGEST, Arrays, open_npz, pack_npz
from mmviz.types import AttentionRecord
from mmviz.types.exact_attention import ARRAYS, ExactAttention, ExactCall, ExactMask

PREFIX = "exact"
"""How the names of the arrays begin."""


def exact_to_parts(exact: ExactAttention) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Returns the tensors as plain values for the header, and arrays; a mask that several calls share stands once."""
    masks = exact.masks
    numbers = {id(mask): number for number, mask in enumerate(masks)}
    arrays: dict[str, NDArray[Any]] = {}
    for number, mask in enumerate(masks):
        arrays[f"{PREFIX}-mask{number}-values"] = mask.values
        if mask.bits is not None:
            arrays[f"{PREFIX}-mask{number}-bits"] = mask.bits
    for m, calls in enumerate(exact.maps):
        for c, call in enumerate(calls):
            arrays |= {f"{PREFIX}{m}.{c}-{name}": array for name, array in call.arrays().items()}
    maps = [
        [{"scale": call.scale, "causal": call.causal, "mask": numbers.get(id(call.mask))} for call in calls]
        for calls in exact.maps
    ]
    return {"maps": maps, "masks": [list(mask.shape) for mask in masks]}, arrays


def exact_to_bytes(exact: ExactAttention) -> bytes:
    """Returns the tensors alone as the bytes of one ``.npz`` file, not deflated."""
    header, arrays = exact_to_parts(exact)
    return pack_npz(header, arrays, 0, arrays)


def exact_from_bytes(data: bytes, code: str) -> ExactAttention:
    """Returns the tensors that `exact_to_bytes` wrote. Raises ``MmvizError`` (``code``, ``npz-large``)."""
    with open_npz(io.BytesIO(data), code) as (header, arrays):
        return exact_from_parts(header, arrays)


def exact_from_parts(
    header: Mapping[str, Any], arrays: Arrays, record: AttentionRecord | None = None
) -> ExactAttention:  # fmt: skip
    """Returns the tensors that `exact_to_parts` took apart, which fit the maps of ``record``, where that is given.

    Raises ``ValueError``, ``TypeError`` or ``LookupError`` where they do not, and for masks that would take more than
    `LARGEST` bytes.
    """
    masks = [
        ExactMask(tuple(shape), arrays.get(f"{PREFIX}-mask{k}-bits"), arrays[f"{PREFIX}-mask{k}-values"])
        for k, shape in enumerate(header["masks"])
    ]
    if sum(mask.size for mask in masks) > LARGEST:
        raise ValueError("masks")
    maps = tuple(
        tuple(_call(f"{PREFIX}{m}.{c}", fields, arrays, masks) for c, fields in enumerate(calls))
        for m, calls in enumerate(header["maps"])
    )
    exact = ExactAttention(maps)
    if record is not None:
        exact.check_fit(record)
    return exact


def _call(name: str, fields: Mapping[str, Any], arrays: Arrays, masks: list[ExactMask]) -> ExactCall:
    scale, causal, number = fields["scale"], fields["causal"], fields["mask"]
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not isinstance(causal, bool):
        raise TypeError(fields)
    if number is not None and (not isinstance(number, int) or not 0 <= number < len(masks)):
        raise ValueError(number)
    parts: dict[str, Any] = {part: arrays.get(f"{name}-{part}") for part in ARRAYS}
    return ExactCall(float(scale), causal, mask=None if number is None else masks[number], **parts)
