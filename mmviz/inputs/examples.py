"""Trios in files: those that come with mmviz, and those in a folder of one's own. Read when they are needed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmviz.assets_path import assets_dir
from mmviz.i18n.messages import one_line
from mmviz.inputs import make_sample, short_name
from mmviz.inputs.text import LONGEST
from mmviz.types import MmvizError, Sample

MOST = 1_000
"""Trios in one folder."""
LIST = "trios.json"
LARGEST_LIST = 50_000_000
"""Bytes: a thousand texts of the greatest length, and room."""
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif"})
SOUNDS = frozenset({".wav", ".flac", ".ogg", ".mp3", ".m4a", ".aac", ".webm", ".mp4", ".mov", ".mkv"})
TEXT, ANSWER = ".txt", ".answer.txt"
_LONGEST_NAME = 255


@dataclass(frozen=True)
class Example:
    """A sample in files, any of which may be missing (None, or an empty text). ``truth``: the expected answer, None
    where it is not known. The rest is what the page says of a bundled trio."""

    id: str
    question: str = ""
    image: Path | None = None
    audio: Path | None = None
    truth: str | None = None
    title: str = ""
    family: str = ""
    needs: tuple[str, ...] = ()
    about: str = ""

    def sample(self) -> Sample:
        """The checked inputs. Raises ``InputError`` for a file that cannot be used."""
        return make_sample(image=self.image, text=self.question, audio=self.audio)

    def is_right(self, answer: str) -> bool | None:
        """Whether ``answer`` is the expected one; None where that is not known."""
        return None if self.truth is None else answer.strip().casefold() == self.truth.strip().casefold()


@lru_cache(maxsize=1)
def load_gallery() -> tuple[Example, ...]:
    """All bundled trios, in the order in which they are shown."""
    return gallery_in(assets_dir() / "gallery")


def gallery_in(folder: Path) -> tuple[Example, ...]:
    """The trios of a gallery that mmviz made: as its ``gallery.json`` has them."""
    return tuple(
        Example(
            id=entry["id"],
            title=entry["title"],
            family=entry["family"],
            question=entry["question"],
            image=folder / entry["image"] if entry["image"] else None,
            audio=folder / entry["audio"] if entry["audio"] else None,
            truth=entry["truth"],
            needs=tuple(entry["needs"]),
            about=entry["about"],
        )
        for entry in json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
    )


def load_folder(path: str | Path) -> tuple[Example, ...]:
    """The trios of a folder, at most `MOST`: those that its ``examples.json`` lists, else files that share a name.

    ``examples.json``: a list of ``{"id", "image", "audio", "text" (or "question"), "truth"}``, all of them strings and
    none of them needed, as long as there is something to look at; file names are relative to the folder. Without it
    ``cat1.png``, ``cat1.wav`` and ``cat1.txt`` are one trio, and ``cat1.answer.txt`` holds its truth.
    Pictures and sounds are only named here, and read by `Example.sample`. Raises ``MmvizError`` for whatever is wrong.
    """
    folder, name = Path(path), short_name(path)
    try:
        if not folder.is_dir():
            raise MmvizError("trios-folder", name=name)
        folder = folder.resolve()
        listed = (folder / LIST).is_file()
        found = _listed(folder) if listed else _by_name(folder)
    except (OSError, ValueError):  # mmviz may not look into it, or its path holds a zero character
        raise MmvizError("trios-folder", name=name) from None
    if not found:
        raise MmvizError("trios-empty", name=name)
    return tuple(found)


def _listed(folder: Path) -> list[Example]:
    """The trios that ``examples.json`` lists."""
    listing = folder / LIST
    if listing.stat().st_size > LARGEST_LIST:
        raise MmvizError("trios-list", why=f"it has more than {LARGEST_LIST / 1e6:.0f} MB")
    try:
        entries = json.loads(listing.read_bytes().decode("utf-8-sig"))
    except OSError:
        raise MmvizError("trios-list", why="it cannot be opened") from None
    except UnicodeDecodeError:
        raise MmvizError("trios-list", why="it is not UTF-8") from None
    except json.JSONDecodeError as problem:
        raise MmvizError("trios-list", why=f"line {problem.lineno}, column {problem.colno}") from None
    except (ValueError, RecursionError):
        raise MmvizError("trios-list", why="a number or the nesting in it is out of bounds") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise MmvizError("trios-list", why="a list of objects in braces is expected")
    _check_count(len(entries))
    found, seen = [], set()
    for number, entry in enumerate(entries, 1):
        words = {key: _string(entry, key, number) for key in ("id", "image", "audio", "text", "question", "truth")}
        name = clean(words["id"] or str(number))
        if name in seen:
            raise MmvizError("trios-twice", name=name)
        seen.add(name)
        image, audio = (_inside(folder, file, name) if file else None for file in (words["image"], words["audio"]))
        question = words["text"] or words["question"] or ""
        found.append(_trio(name, image, audio, question, words["truth"]))
    return found


def _string(entry: Mapping[str, Any], key: str, number: int) -> str | None:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise MmvizError("trios-entry", number=number, key=key, kind=type(value).__name__)
    return value


def _by_name(folder: Path) -> list[Example]:
    """The trios whose files share a name, in the order of their names."""
    parts: dict[str, dict[str, str]] = {}
    for path in folder.iterdir():
        kind, stem = _kind(path.name)
        if kind and not path.name.startswith(".") and path.is_file():
            there = parts.setdefault(stem, {})
            if kind in there:
                raise MmvizError("trios-same", one=clean(there[kind]), other=clean(path.name))
            there[kind] = path.name
    _check_count(len(parts))
    found, seen = [], set()
    for stem, names in sorted(parts.items(), key=lambda part: _natural(part[0])):
        name = clean(stem)
        if name in seen:  # two names that differ only in what cannot be shown
            raise MmvizError("trios-twice", name=name)
        seen.add(name)
        paths = {kind: _inside(folder, file, name) for kind, file in names.items()}
        question, truth = (_read(paths[kind]) if kind in paths else "" for kind in (TEXT, ANSWER))
        found.append(_trio(name, paths.get("image"), paths.get("audio"), question, truth))
    return found


def _kind(name: str) -> tuple[str, str]:
    """What a file is to its trio, by the end of its name ("" for nothing), and the name of the trio."""
    low, stem = name.lower(), Path(name).stem
    if low.endswith(ANSWER):
        return ANSWER, name[: -len(ANSWER)]
    end = Path(low).suffix
    return TEXT if end == TEXT else "image" if end in PICTURES else "audio" if end in SOUNDS else "", stem


def _natural(name: str) -> list[tuple[str, int]]:
    """So that cat2 comes before cat10."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(word, int(number or 0)) for word, number in zip(parts[::2], [*parts[1::2], "0"], strict=True)]


def _trio(name: str, image: Path | None, audio: Path | None, question: str, truth: str | None) -> Example:
    if image is None and audio is None and not question:
        raise MmvizError("trios-nothing", name=name)
    return Example(name, question, image, audio, (truth or "").strip() or None, title=name)


def _inside(folder: Path, name: str, example: str) -> Path:
    """The path of a file in ``folder``, which is resolved. Raises ``MmvizError`` where there is none, or it lies
    elsewhere: links are followed first."""
    try:
        path = (folder / name).resolve()
        is_inside, is_there = path.is_relative_to(folder), path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long a name, a zero character, links in a circle
        is_inside, is_there = True, False
    if not is_inside:
        raise MmvizError("trios-outside", example=example, file=clean(name))
    if not is_there:
        raise MmvizError("trios-file", example=example, file=clean(name))
    return path


def _read(path: Path) -> str:
    """The text in a file, without the space around it."""
    try:
        with path.open("rb") as file:
            found = file.read(4 * LONGEST + 4).decode("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError):  # also where the last letter was cut, far beyond the limit
        found = None
    if found is None or len(found) > LONGEST:
        raise MmvizError("trios-text", name=clean(path.name), limit=LONGEST)
    return found


def _check_count(count: int) -> None:
    if count > MOST:
        raise MmvizError("trios-many", count=count, limit=MOST)


def clean(name: str) -> str:
    """``name`` so that it can be printed anywhere, and is not endless."""
    shown = one_line(name) or "(no name)"
    return shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 1] + "…"
