"""A run as one ``.npz`` file and back: arrays beside a JSON header, never pickle. Written only when the user saves."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np

from mmviz.types import (
    Answer,
    AttentionMap,
    AttentionRecord,
    Chars,
    MmvizError,
    Modality,
    Notice,
    Picture,
    PixelBox,
    Sample,
    Seconds,
    Sound,
    Token,
    Where,
)  # fmt: skip

FORMAT = 1
_PLACES = {"box": PixelBox, "seconds": Seconds, "chars": Chars}


def to_bytes(sample: Sample, record: AttentionRecord) -> bytes:
    """The whole run, deflated."""
    arrays: dict[str, np.ndarray[Any, Any]] = {f"map{k}": found.weights for k, found in enumerate(record.maps)}
    if sample.image:
        arrays["image"] = sample.image.pixels
    if sample.audio:
        arrays["audio"] = sample.audio.wave
    if record.relevance is not None:
        arrays["relevance"] = record.relevance
    header = {
        "format": FORMAT,
        "id": record.id,
        "text": sample.text,
        "image": {"width": sample.image.width, "height": sample.image.height} if sample.image else None,
        "audio": {"rate": sample.audio.rate, "seconds": sample.audio.seconds} if sample.audio else None,
        "sample_notices": [_notice(notice) for notice in sample.notices],
        "record_notices": [_notice(notice) for notice in record.notices],
        "streams": {name: [_token(token) for token in tokens] for name, tokens in record.streams.items()},
        "maps": [
            {"name": m.name, "layer": m.layer, "queries": m.queries, "keys": m.keys, "dtype": m.dtype}
            for m in record.maps
        ],
        "answers": [[answer.label, answer.probability] for answer in record.answers],
        "made_by": dict(record.made_by),
    }
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def from_bytes(data: bytes) -> tuple[Sample, AttentionRecord]:
    """What `to_bytes` wrote. Raises ``MmvizError`` (``run-unreadable``) for anything else."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes())
            if header["format"] != FORMAT:
                raise MmvizError("run-format", found=header["format"], known=FORMAT)
            image, audio = header["image"], header["audio"]
            sample = Sample(
                image=Picture(arrays["image"], image["width"], image["height"]) if image else None,
                text=header["text"],
                audio=Sound(arrays["audio"], audio["rate"], audio["seconds"]) if audio else None,
                notices=tuple(Notice(code, values) for code, values in header["sample_notices"]),
            )
            record = AttentionRecord(
                id=header["id"],
                streams={name: tuple(map(_read_token, tokens)) for name, tokens in header["streams"].items()},
                maps=tuple(AttentionMap(weights=arrays[f"map{k}"], **about) for k, about in enumerate(header["maps"])),
                answers=tuple(Answer(label, probability) for label, probability in header["answers"]),
                made_by=header["made_by"],
                notices=tuple(Notice(code, values) for code, values in header["record_notices"]),
                relevance=arrays.get("relevance"),
            )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as problem:
        raise MmvizError("run-unreadable") from problem
    return sample, record


def _notice(notice: Notice) -> list[Any]:
    return [notice.code, dict(notice.parameters)]


def place(where: Where) -> dict[str, list[float]]:
    """A place as plain values: ``{"box": [x0, y0, x1, y1]}``, ``{"seconds": [a, b]}``, ``{"chars": [a, b]}``, or ``{}``
    for no place."""
    for name, kind in _PLACES.items():
        if isinstance(where, kind):
            return {name: list(vars(where).values())}
    return {}


def _token(token: Token) -> dict[str, Any]:
    return {"modality": str(token.modality), "label": token.label, **place(token.where)}


def _read_token(value: dict[str, Any]) -> Token:
    where = next((kind(*value[name]) for name, kind in _PLACES.items() if name in value), None)
    return Token(Modality(value["modality"]), value["label"], where)
