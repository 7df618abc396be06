"""A folder of results, a few files for each of many runs: which of them are finished, and a table of all."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmviz.cli.options import FIGURES
from mmviz.i18n.unicode_display import one_line
from mmviz.report.csv_table import csv_text
from mmviz.types import MmvizError

FORMATS = ("html", "json", "npz", *FIGURES)
"""The kinds of files of a run, each the ending of their names."""
INDEX = "index.csv"
"""Name of the table of all runs."""
MANIFEST = ".mmviz-explain.json"
"""Name of the file that says what is finished. No run has this name, since theirs do not begin with a dot."""
COLUMNS = ("name", "answer", "probability", "files", "error")
_VERSION = 1
_MAX_STEM = 150
_DIGITS = 6
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
"""Names that Windows keeps for devices, whatever follows a dot."""


@dataclass(frozen=True)
class Finished:
    """A run whose files are written."""

    digest: str
    """What they were made of: the digest of inputs, model and options."""
    stem: str
    """The name of its files without the ending."""
    sizes: Mapping[str, int]
    """Bytes of the file of each of its formats."""
    answer: str
    """The most probable answer; "" for a model without answers."""
    probability: float | None
    """Probability of that answer."""


class OutputFolder:
    """The results of runs with these ``names`` in a folder, which is made with the first file."""

    def __init__(self, folder: Path, names: Sequence[str]):
        self._folder, self._names = folder, tuple(names)
        self._stems = stems(names)
        self._finished = _read_manifest(folder / MANIFEST)

    def is_finished(self, name: str, digest: str, formats: Iterable[str]) -> bool:
        """Returns whether the run was made of what has this digest, and its files of these formats are still there."""
        run = self._finished.get(name)
        return (
            run is not None
            and (run.digest, run.stem) == (digest, self._stems[name])
            and all(run.sizes.get(format) == self._size(name, format) is not None for format in formats)
        )

    def write(
        self, name: str, digest: str, answer: str, probability: float | None, files: Iterable[tuple[str, bytes]]
    ) -> None:
        """Writes the files of a run, pairs of format and content, and notes that it is finished.

        Each file is whole or not there. Files that were made of something else are deleted first; those of other
        formats that were made of the same stay. Raises ``MmvizError`` (``file-unwritable``), and what ``files`` raises.
        """
        self.forget(name, digest)
        earlier = self._finished.get(name)
        sizes = {
            format: size for format, size in (earlier.sizes if earlier else {}).items()
            if size == self._size(name, format)
        }  # fmt: skip
        for format, content in files:
            self._write(f"{self._stems[name]}.{format}", content)
            sizes[format] = len(content)
        self._finished[name] = Finished(digest, self._stems[name], sizes, answer, probability)
        self._write_manifest()

    def forget(self, name: str, digest: str | None) -> None:
        """Deletes the files of a run that were made of something else than what has this digest."""
        run = self._finished.get(name)
        if run is None or (run.digest, run.stem) == (digest, self._stems[name]):
            return
        del self._finished[name]
        self._write_manifest()  # first, so that a run without its files is never noted
        for format in FORMATS:
            if format in run.sizes and run.stem == self._stems[name]:
                with suppress(OSError):
                    self._path(name, format).unlink()

    def write_index(self, digests: Mapping[str, str], errors: Mapping[str, str]) -> None:
        """Writes the table of the runs that are finished, and of those that failed with one of these ``errors``.

        ``digests`` are those that the runs are to be made of, by name: a run that was made of something else, such as
        another model, has no row.

        It holds nothing that differs between two times that the same is run: rows are in the order of the names, and
        probabilities have six decimals. Raises ``MmvizError`` (``file-unwritable``).
        """
        rows: list[tuple[object, ...]] = []
        for name in self._names:
            run = self._finished.get(name)
            if name in errors:
                rows.append((name, None, None, None, one_line(errors[name])))
            elif run is not None and (run.digest, run.stem) == (digests[name], self._stems[name]):
                files = "; ".join(f"{run.stem}.{format}" for format in FORMATS if format in run.sizes)
                probability = None if run.probability is None else round(run.probability, _DIGITS)
                rows.append((name, run.answer, probability, files, None))
        self._write(INDEX, csv_text(COLUMNS, rows).encode())

    def _path(self, name: str, format: str) -> Path:
        return self._folder / f"{self._stems[name]}.{format}"

    def _size(self, name: str, format: str) -> int | None:
        """Returns the bytes of a file; None where there is none."""
        try:
            return self._path(name, format).stat().st_size
        except OSError:
            return None

    def _write_manifest(self) -> None:
        runs = {name: asdict(run) for name, run in self._finished.items()}
        self._write(MANIFEST, json.dumps({"version": _VERSION, "runs": runs}, indent=1).encode())

    def _write(self, name: str, content: bytes) -> None:
        """Writes a file under another name and renames it, so that it is whole whenever it is there."""
        part = self._folder / f".{name.removeprefix('.')}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                part.write_bytes(content)
                os.replace(part, self._folder / name)
            finally:
                part.unlink(missing_ok=True)
        except OSError as problem:
            raise MmvizError("file-unwritable", name=name, why=problem.strerror or str(problem)) from problem


def stems(names: Iterable[str]) -> dict[str, str]:
    """Returns for each name that of its files without the ending: itself where every system can have such a file.

    Otherwise, and where two names differ only in case, it ends in eight digits of the name's SHA-256.
    """
    plain = {name: _plain(name) for name in names}
    counts = Counter(stem.casefold() for stem in plain.values())
    return {
        name: stem if stem == name and counts[stem.casefold()] == 1 else f"{stem}-{_digest(name)[:8]}"
        for name, stem in plain.items()
    }


def _plain(name: str) -> str:
    """Returns a name with "_" for what a file's name may not hold, at most 150 bytes long."""
    stem = re.sub(r"[^\w .,()+=-]", "_", name).encode()[:_MAX_STEM].decode(errors="ignore").strip(". ")
    return f"_{stem}" if _DEVICES.match(stem) or not stem else stem


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _read_manifest(path: Path) -> dict[str, Finished]:
    """Returns the finished runs that a file names; none for a file that is not of this kind."""
    try:
        document: Any = json.loads(path.read_bytes())
        if document["version"] != _VERSION:
            return {}
        return {str(name): Finished(**run) for name, run in document["runs"].items() if _is_run(run)}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return {}


def _is_run(run: Any) -> bool:
    """Returns whether the values of an entry are of the types that `Finished` has."""
    texts = [run["digest"], run["stem"], run["answer"], *run["sizes"]]
    sizes_are_numbers = all(isinstance(size, int) for size in run["sizes"].values())
    return all(isinstance(text, str) for text in texts) and sizes_are_numbers and _is_probability(run["probability"])


def _is_probability(value: Any) -> bool:
    return value is None or isinstance(value, float | int)
