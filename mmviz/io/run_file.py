"""Runs as ``.npz`` files: arrays and a JSON header, no pickle.

A run holds the sample and the exact record, and of a long record, if that is wanted, the tensors from which its weights
are computed. Recordings are files of another kind, see `mmviz.io.recording_file`.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mmviz.io.exact_attention_arrays import exact_from_parts, exact_to_parts
from mmviz.io.lens_arrays import lens_from_parts, lens_to_parts
from mmviz.io.npz import LARGEST, Arrays, open_npz, pack_npz
from mmviz.io.record_header import header_of, map_fields, read_norms, record_of
from mmviz.io.recording_file import RECORDING
from mmviz.io.sample_parts import sample_from_parts, sample_to_parts
from mmviz.io.validation import check_record
from mmviz.types import AttentionMap, AttentionRecord, AttentionTensors, MmvizError, PooledMap, Sample, StreamLink
from mmviz.types.attention_tensors import ARRAYS
from mmviz.types.exact_attention import ExactAttention

FORMAT = 5
"""Value of ``format`` in the header of a run."""
_MAX_REST = 100_000_000
"""Bytes that are left for the inputs, the header, which has every token, and the names of the arrays."""
_PARTS = ("overview", "row_modality_sums", "column_modality_sums", "largest")
"""Arrays of a `PooledMap`."""
_EXTRAS = ("relevance", "integrated", "sweep", "answer_log_probabilities")
"""Optional arrays of a record."""
_BY_STREAM = ("relevance_to", "integrated_of")
"""Arrays of a record by the name of a stream."""
_LINK = ("tokens", "source_tokens", "shares")
"""Arrays of a `StreamLink`."""


def to_bytes(
    sample: Sample, record: AttentionRecord, level: int = 6, exact: ExactAttention | None = None
) -> bytes:  # fmt: skip
    """Returns the whole run as bytes; ``level`` as in `mmviz.io.npz.pack_npz`.

    ``exact``: the tensors behind a long record. Raises ``MmvizError`` (``keep-large``) where `from_file` would refuse
    to read that much.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for k, attn_map in enumerate(record.maps):
        if isinstance(attn_map, PooledMap):
            arrays |= {f"map{k}-{part}": getattr(attn_map, part) for part in _PARTS}
        else:
            arrays[f"map{k}"] = attn_map.weights
    arrays |= {name: array for name in _EXTRAS if (array := getattr(record, name)) is not None}
    arrays |= {f"norms{k}": norms for k, norms in enumerate(record.norms)}
    for name in _BY_STREAM:
        arrays |= {f"{name}{k}": array for k, array in enumerate(getattr(record, name).values())}
    for k, steps in enumerate(record.steps):
        arrays |= {f"steps{k}-{name}": array for name, array in steps.arrays()}
    for k, link in enumerate(record.links or ()):
        arrays |= {f"link{k}-{name}": getattr(link, name) for name in _LINK}
    header, sample_arrays = sample_to_parts(sample)
    header["lens"], lens_arrays = lens_to_parts(record.lens)
    arrays |= lens_arrays
    header["steps"] = [{"scale": steps.scale, "ablated_heads": steps.ablated_heads} for steps in record.steps]
    header |= {name: list(getattr(record, name)) for name in _BY_STREAM}
    header["relevance_on_request"] = record.relevance_on_request
    if record.links is not None:
        header["links"] = [[link.stream, link.source, link.source_state] for link in record.links]
    header, arrays = {"format": FORMAT} | header | header_of(record), arrays | sample_arrays
    if exact is None:
        return pack_npz(header, arrays, level)
    check_exact_size(record, exact.nbytes + sum(mask.size for mask in exact.masks))
    header["exact"], exact_arrays = exact_to_parts(exact)
    return pack_npz(header, arrays | exact_arrays, level, exact_arrays)


def check_exact_size(record: AttentionRecord, nbytes: int) -> None:
    """Raises ``MmvizError`` (``keep-large``) where a record and ``nbytes`` of tensors are more than a file may hold."""
    maps = (attn_map for attn_map in record.maps)
    parts = [m.weights if isinstance(m, AttentionMap) else getattr(m, part) for m in maps for part in _PARTS]
    size = nbytes + sum(array.nbytes for array in {id(array): array for array in parts}.values())
    if size > LARGEST - _MAX_REST:
        raise MmvizError("keep-large", size=size / 1e6, limit=LARGEST / 1e6)


def from_bytes(data: bytes, code: str = "run-unreadable", largest: int = LARGEST) -> tuple[Sample, AttentionRecord]:
    """Returns the sample and the record that `to_bytes` wrote.

    Raises ``MmvizError``: ``run-recording`` for a recording, ``run-format`` for another format, ``code`` or
    ``npz-large`` as `mmviz.io.npz.open_npz` does.
    """
    with open_npz(io.BytesIO(data), code, largest) as (header, arrays):
        return _read_run(header, arrays)


def from_file(path: Path) -> tuple[Sample, AttentionRecord, ExactAttention | None]:
    """Returns what `from_bytes` does of a file, and the tensors behind a long record where it holds them.

    Raises ``MmvizError`` (``file-missing``, ``file-unreadable``) too.
    """
    try:
        file = path.open("rb")
    except OSError as problem:
        code = "file-missing" if isinstance(problem, FileNotFoundError) else "file-unreadable"
        raise MmvizError(code, name=path.name) from problem
    with file, open_npz(file) as (header, arrays):
        sample, record = _read_run(header, arrays)
        return sample, record, exact_from_parts(header["exact"], arrays, record) if "exact" in header else None


def _read_run(header: dict[str, Any], arrays: Arrays) -> tuple[Sample, AttentionRecord]:
    """Returns the sample and the record of an open file."""
    if header["format"] == RECORDING:
        raise MmvizError("run-recording")
    if header["format"] != FORMAT:
        raise MmvizError("run-format", format=header["format"], known=FORMAT)
    maps = [_read_map(k, fields, arrays) for k, fields in enumerate(header["maps"])]
    extras: dict[str, Any] = {name: arrays.get(name) for name in _EXTRAS}
    steps = [_read_steps(k, fields, arrays) for k, fields in enumerate(header.get("steps", ()))]
    extras |= {name: {stream: arrays[f"{name}{k}"] for k, stream in enumerate(header[name])} for name in _BY_STREAM}
    extras["lens"] = lens_from_parts(header.get("lens"), arrays)
    extras["links"] = _read_links(header, arrays)
    extras["relevance_on_request"] = header["relevance_on_request"] is True
    record = replace(record_of(header, maps), norms=read_norms(arrays, len(maps)), steps=tuple(steps), **extras)
    check_record(record)
    return sample_from_parts(header, arrays), record


def _read_map(k: int, fields: dict[str, Any], arrays: Arrays) -> AttentionMap | PooledMap:
    """Returns map ``k``; a `PooledMap` where it has bin edges."""
    if "edges" not in fields:
        return AttentionMap(weights=arrays[f"map{k}"], **map_fields(fields))
    rest = {name: value for name, value in map_fields(fields).items() if name != "edges"}
    query_edges, key_edges = (tuple(edges) for edges in fields["edges"])
    parts: dict[str, Any] = {part: arrays[f"map{k}-{part}"] for part in _PARTS}
    return PooledMap(query_edges=query_edges, key_edges=key_edges, **rest, **parts)


def _read_links(header: dict[str, Any], arrays: Arrays) -> tuple[StreamLink, ...] | None:
    """Returns the links of a record; None where it has none."""
    if "links" not in header:
        return None
    return tuple(
        StreamLink(*fields, *(arrays[f"link{k}-{name}"] for name in _LINK)) for k, fields in enumerate(header["links"])
    )


def _read_steps(k: int, fields: dict[str, Any], arrays: Arrays) -> AttentionTensors:
    """Returns the steps of map ``k``."""
    parts: dict[str, Any] = {name: arrays.get(f"steps{k}-{name}") for name in ARRAYS}
    return AttentionTensors(**parts, scale=fields["scale"], ablated_heads=tuple(fields["ablated_heads"]))
