"""Recordings: ``.npz`` files of a record alone, with 16 bits per value, as the gallery has them."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.io.npz import open_npz, pack_npz
from mmviz.io.record_header import header_of, map_fields, read_norms, record_of
from mmviz.io.validation import check_record
from mmviz.types import AttentionMap, AttentionRecord, MmvizError, PooledMap

RECORDING = "recording-2"
"""Value of ``format`` in the header of a recording."""
STEP = 5e-5
"""Quantization step of the weights in a recording, which is also their largest error."""
_MAX_CODE = 65_535
"""Code of the largest weight of a row, and of the largest relevance."""


def to_recording(record: AttentionRecord) -> bytes:
    """Returns the record as the bytes of a recording, which are the same for the same record.

    The largest weight of each row is exact; the others are rounded to multiples of ``STEP``. Relevance, which is never
    negative, is kept to 1 / 131,070 of the largest value of its row. Norms and integrated gradients are exact. Steps,
    sweep, links and lens are left out, and what else there is for each stream.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for k, attn_map in enumerate(record.maps):
        arrays[f"map{k}"], arrays[f"map{k}-largest"] = _quantize(attn_map.weights)
        if attn_map.absorbed_by:
            arrays[f"map{k}-sums"] = attn_map.weights.sum(-1)
    if record.relevance is not None:
        largest = record.relevance.max(-1)
        shares = record.relevance.astype(np.float64) / np.where(largest > 0, largest, 1)[:, None]
        arrays["relevance"], arrays["relevance-largest"] = _byte_planes(np.rint(shares * _MAX_CODE)), largest
    arrays |= {"integrated": record.integrated} if record.integrated is not None else {}
    arrays |= {f"norms{k}": norms for k, norms in enumerate(record.norms)}
    plain = replace(record, maps=tuple(replace(attn_map, keys_state=None) for attn_map in record.maps))
    return pack_npz({"format": RECORDING} | header_of(plain), arrays, method=zipfile.ZIP_LZMA)  # they are in the tree


def from_recording(path: Path) -> AttentionRecord:
    """Returns the record that `to_recording` wrote, with rows that have their sums again.

    Raises ``MmvizError``: ``run-format`` for another format, ``run-unreadable`` for any other file.
    """
    with open_npz(path) as (header, arrays):
        if header["format"] != RECORDING:
            raise MmvizError("run-format", format=header["format"], known=RECORDING)
        maps: list[AttentionMap | PooledMap] = [
            AttentionMap(
                weights=_dequantize(arrays[f"map{k}"], arrays[f"map{k}-largest"], arrays.get(f"map{k}-sums")),
                **map_fields(fields),
            )
            for k, fields in enumerate(header["maps"])
        ]
        relevance = None
        if "relevance" in arrays:
            largest = arrays["relevance-largest"][:, None]
            relevance = (_codes(arrays["relevance"]) / _MAX_CODE * largest).astype(np.float32)
        norms = read_norms(arrays, len(maps))
        record = replace(record_of(header, maps), relevance=relevance, norms=norms, integrated=arrays.get("integrated"))
        check_record(record)
        return record


def read_made_by(path: Path) -> dict[str, Any]:
    """Returns ``made_by`` of the record in a file without reading its arrays. Raises as `from_recording` does."""
    with open_npz(path) as (header, _):
        return dict(header["made_by"])


def _quantize(weights: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Returns 16-bit codes of the weights as byte planes, and the largest weight of each row.

    The code is 0 for a weight of 0, `_MAX_CODE` for the largest of its row, else 1 + the rounded multiple of ``STEP``.
    Codes fit, since a row sums to 1 and only its largest weight can be above 0.5.
    """
    exact = weights.astype(np.float64)
    codes = np.where(exact > 0, 1 + np.rint(exact / STEP), 0)
    np.put_along_axis(codes, exact.argmax(-1, keepdims=True), _MAX_CODE, -1)
    return _byte_planes(codes), weights.max(-1)


def _dequantize(
    byte_pairs: NDArray[np.uint8], largest: NDArray[np.float32], sums: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Returns the weights that `_quantize` encoded, with rows of these sums, of 1 for None.

    What rounding took from a row, at most half a step per weight, is shared out equally among its rounded weights; what
    it added is taken from those that stay above 0.
    """
    codes = _codes(byte_pairs)
    rounded = (codes > 0) & (codes < _MAX_CODE)
    weights = np.where(rounded, (codes - 1) * STEP, 0) + np.where(codes == _MAX_CODE, largest[..., None], 0)
    missing = (1 if sums is None else sums[..., None]) - weights.sum(-1, keepdims=True)
    adjusted = rounded & ((missing > 0) | (codes > 1))
    correction = missing / np.maximum(adjusted.sum(-1, keepdims=True), 1)
    return np.asarray(np.maximum(weights + correction * adjusted, 0), np.float32)


def _byte_planes(codes: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Returns 16-bit codes as uint8 ``[2, ...]``, high bytes then low bytes, which deflates better than pairs (4/5)."""
    values = codes.astype(np.uint16)
    return np.stack([values >> 8, values & 255]).astype(np.uint8)


def _codes(byte_pairs: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns the codes that `_byte_planes` took apart."""
    return np.asarray(byte_pairs[0] * 256.0 + byte_pairs[1])
