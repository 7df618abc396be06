"""Talks as ``.mmviz`` files: a zip of ``talk.json`` and the runs that it shows, no pickle.

Nothing is unpacked to disk. Names, counts and sizes are checked before anything is inflated.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from mmviz.io.npz import DAMAGE, LARGEST, check_directory
from mmviz.io.run_file import from_bytes
from mmviz.types import AttentionRecord, MmvizError, Sample

FORMAT = "talk-1"
"""Value of ``format`` in the header."""
HEADER = "talk.json"
MAX_RUNS = 32
MAX_HEADER = 4_000_000
"""Largest size of the header in bytes."""


def pack_talk(header: Mapping[str, Any], runs: Sequence[bytes]) -> bytes:
    """Returns the bytes of a talk, which are the same for the same values; ``runs`` are those of run files.

    Raises ``ValueError`` for more than `MAX_RUNS`.
    """
    if len(runs) > MAX_RUNS:
        raise ValueError(f"a talk has at most {MAX_RUNS} runs, not {len(runs)}")
    text = json.dumps({"format": FORMAT, **header}, ensure_ascii=False, indent=1).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # runs are deflated already
        for name, data in zip([HEADER, *_run_names(len(runs))], [text, *runs], strict=True):
            archive.writestr(zipfile.ZipInfo(name), data)  # without a date
    return file.getvalue()


def read_talk(data: bytes, largest: int = LARGEST) -> tuple[dict[str, Any], list[tuple[Sample, AttentionRecord]]]:
    """Returns the header and the runs of a talk.

    Raises ``MmvizError``: ``talk-unreadable`` for a damaged file, and for one with other members than a talk has;
    ``talk-format`` for another format; ``npz-large`` where its runs would inflate to more than ``largest`` bytes.
    """
    try:
        check_directory(io.BytesIO(data))
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if len(members) > 1 + MAX_RUNS or names != [HEADER, *_run_names(len(members) - 1)]:
                raise ValueError("other members than a talk has")
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):  # so none is larger than the file
                raise ValueError("a member is packed twice")
            if members[0].file_size > MAX_HEADER:
                raise ValueError("the header is too large")
            header = json.loads(archive.read(HEADER))
            if not isinstance(header, dict):
                raise ValueError("the header is no mapping")
            if header.get("format") != FORMAT:
                raise MmvizError("talk-format", format=str(header.get("format"))[:40], known=FORMAT)
            runs = [archive.read(member) for member in members[1:]]
    except DAMAGE as problem:
        raise MmvizError("talk-unreadable") from problem
    sizes = [_inflated_size(run) for run in runs]
    if sum(sizes) > largest:
        raise MmvizError("npz-large", size=sum(sizes) / 1e6, limit=largest / 1e6)
    return header, [from_bytes(run, "talk-unreadable", size) for run, size in zip(runs, sizes, strict=True)]


def is_talk(data: bytes) -> bool:
    """Returns whether a file begins as a talk does."""
    return data[:4] == b"PK\3\4" and data[30 : 30 + len(HEADER)] == HEADER.encode()


def _run_names(count: int) -> list[str]:
    return [f"run{number}.npz" for number in range(count)]


def _inflated_size(run: bytes) -> int:
    """Returns the bytes that a run file has once inflated. Raises ``MmvizError`` (``talk-unreadable``)."""
    try:
        check_directory(io.BytesIO(run))
        with zipfile.ZipFile(io.BytesIO(run)) as archive:
            return sum(member.file_size for member in archive.infolist())
    except DAMAGE as problem:
        raise MmvizError("talk-unreadable") from problem
