"""Examples in files: the bundled gallery, and folders of one's own. Their inputs are read when they are needed."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmviz.assets_path import assets_dir
from mmviz.i18n.gallery import ABOUT, TITLES
from mmviz.i18n.unicode_display import one_line
from mmviz.inputs import make_sample, short_name
from mmviz.inputs.audio_formats import AUDIO_SUFFIXES
from mmviz.inputs.image_formats import IMAGE_SUFFIXES
from mmviz.inputs.places import MAX_BYTES, Place, check_inside, places_from_bytes, read_places
from mmviz.inputs.text import decode_text, read_text_file
from mmviz.inputs.unread_files import is_media, unread_reason
from mmviz.types import InputError, MmvizError, Sample

MAX_EXAMPLES = 1_000
"""Examples in one folder."""
LISTING = "examples.json"
MAX_LISTING_BYTES = 50_000_000
"""A thousand texts of the greatest length, and some room."""
TEXT_SUFFIX, ANSWER_SUFFIX, PLACES_SUFFIX = ".txt", ".answer.txt", ".places.json"
_MAX_NAME = 255


@dataclass(frozen=True)
class Example:
    """An example in files, any of whose inputs may be missing."""

    id: str
    """Name of the example, unique in its folder."""
    question: str = ""
    """The text input; empty where it is missing."""
    image: Path | None = None
    """Path of the image."""
    audio: Path | None = None
    """Path of the audio."""
    truth: str | None = None
    """The expected answer, if it is known."""
    title: str = ""
    """What the page calls the example."""
    family: str = ""
    """Family of questions that it belongs to (bundled examples only)."""
    needs: tuple[str, ...] = ()
    """Modalities without which it cannot be answered (bundled examples only)."""
    about: str = ""
    """A sentence on what to look for (bundled examples only)."""
    places: tuple[Place, ...] = ()
    """Where in the image, or when in the audio, what it asks for is, if that is known."""
    error: MmvizError | None = None
    """Why it cannot be used, where that is known before its files are read."""

    def sample(self) -> Sample:
        """Returns the checked inputs. Raises ``InputError`` for a file that cannot be used, and `error`."""
        if self.error is not None:
            raise self.error
        sample = make_sample(image=self.image, text=self.question, audio=self.audio)
        check_inside(self.places, sample, self.id)
        return sample

    def is_right(self, answer: str) -> bool | None:
        """Returns whether ``answer`` is the expected one, whatever its case; None where that is not known."""
        return None if self.truth is None else answer.strip().casefold() == self.truth.strip().casefold()


@lru_cache(maxsize=1)
def load_gallery() -> tuple[Example, ...]:
    """Returns all bundled examples, in the order in which the page shows them."""
    return read_gallery(assets_dir() / "gallery")


def read_gallery(folder: Path) -> tuple[Example, ...]:
    """Returns the examples of a gallery made by mmviz, as its ``gallery.json`` lists them.

    Titles and sentences are those of `mmviz.i18n.gallery`.
    """
    return tuple(
        Example(
            id=entry["id"],
            title=TITLES.get(entry["id"], ""),
            family=entry["family"],
            question=entry["question"],
            image=folder / entry["image"] if entry["image"] else None,
            audio=folder / entry["audio"] if entry["audio"] else None,
            truth=entry["truth"],
            needs=tuple(entry["needs"]),
            about=ABOUT.get(entry["id"], ""),
        )
        for entry in json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
    )


def load_examples(path: str | Path) -> tuple[Example, ...]:
    """Returns the examples of a folder, at most `MAX_EXAMPLES`.

    If the folder has an ``examples.json``, it lists them: a list of objects with the keys ``id``, ``image``, ``audio``,
    ``text`` (or ``question``), ``truth`` and ``places``. All values are strings, but places, which are as `read_places`
    takes them; all are optional as long as there is one input, and file names are relative to the folder. Otherwise
    files of the same name are one example: ``cat1.png``, ``cat1.wav`` and ``cat1.txt`` are its inputs,
    ``cat1.answer.txt`` holds the expected answer and ``cat1.places.json`` the places. Texts are UTF-8, or UTF-16 with a
    byte order mark.

    Images and audio are not read yet; `Example.sample` reads them. It also raises what is wrong with one example alone,
    such as two images of one name, a text in another encoding, or a name outside the folder. Without an
    ``examples.json``, what is part of no example is one by itself, whose `Example.error` says why; names that begin
    with a dot are not looked at. Raises ``MmvizError`` for what is wrong with the folder or the listing as a whole.
    """
    folder, name = Path(path), short_name(path)
    try:
        if not folder.is_dir():
            raise MmvizError("examples-folder", name=name)
        folder = folder.resolve()
        has_listing = (folder / LISTING).is_file()
        examples = _listed_examples(folder) if has_listing else _examples_by_name(folder)
    except (OSError, ValueError):  # no permission, or a null character in the path
        raise MmvizError("examples-folder", name=name) from None
    if not examples:
        raise MmvizError("examples-empty", name=name)
    return tuple(examples)


def _listed_examples(folder: Path) -> list[Example]:
    """Returns the examples that ``examples.json`` lists."""
    listing = folder / LISTING
    if listing.stat().st_size > MAX_LISTING_BYTES:
        raise MmvizError("examples-list", why=f"it has more than {MAX_LISTING_BYTES / 1e6:.0f} MB")
    try:
        entries = json.loads(decode_text(listing.read_bytes()))
    except OSError:
        raise MmvizError("examples-list", why="it cannot be opened") from None
    except UnicodeDecodeError:
        raise MmvizError("examples-list", why="it is neither UTF-8 nor UTF-16 with a byte order mark") from None
    except json.JSONDecodeError as error:
        raise MmvizError("examples-list", why=f"line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError):
        raise MmvizError("examples-list", why="a number or the nesting in it is out of bounds") from None
    if not isinstance(entries, list) or (entries and not any(isinstance(entry, dict) for entry in entries)):
        raise MmvizError("examples-list", why="a list of objects in braces is expected")
    _check_count(len(entries))
    examples: list[Example] = []
    names: set[str] = set()
    for number, entry in enumerate(entries, 1):
        name = str(number)
        try:
            if not isinstance(entry, dict):
                raise MmvizError("examples-object", number=number, kind=type(entry).__name__)
            name = printable_name(_string(entry, "id", number) or name)
            if name in names:
                raise MmvizError("examples-twice", name=name)
            example = _listed_example(folder, name, entry, number)
        except MmvizError as error:
            example = _unusable(name, names, number, error)
        names.add(example.id)
        examples.append(example)
    return examples


def _listed_example(folder: Path, name: str, entry: Mapping[str, Any], number: int) -> Example:
    fields = {key: _string(entry, key, number) for key in ("image", "audio", "text", "question", "truth")}
    image, audio = (_path_inside(folder, file, name) if file else None for file in (fields["image"], fields["audio"]))
    places = read_places(entry.get("places"), name)
    return _example(name, image, audio, fields["text"] or fields["question"] or "", fields["truth"], places)


def _unusable(name: str, names: set[str], number: int, error: MmvizError) -> Example:
    """Returns an example that cannot be used, with its number where its name is taken."""
    name = f"{name} ({number})" if name in names else name
    return Example(name, title=name, error=error)


def _string(entry: Mapping[str, Any], key: str, number: int) -> str | None:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise MmvizError("examples-entry", number=number, key=key, kind=type(value).__name__)
    return value


def _examples_by_name(folder: Path) -> list[Example]:
    """Returns the examples whose files share a name, in natural order of their names.

    Names count as the same in every Unicode form: a Mac may write the accent of an é as a character of its own.
    """
    files: dict[str, dict[str, list[str]]] = {}
    unread: list[Path] = []
    for path in folder.iterdir():
        role, stem = _role(path.name)
        if path.name.startswith("."):
            continue
        if role and path.is_file():
            files.setdefault(_composed(stem), {}).setdefault(role, []).append(path.name)
        else:
            unread.append(path)
    if not files and not any(is_media(path.name) for path in unread):
        return []
    _check_count(len(files))
    missing: dict[str, Path] = {}
    """Parts that cannot be used, by example. Without them an example would not be what its files say."""
    alone: list[Path] = []
    for path in unread:
        role, stem = _role(path.name)
        if _composed(stem) in files and (role or is_media(path.name)):
            missing[_composed(stem)] = path
        else:
            alone.append(path)
    examples: list[Example] = []
    names: set[str] = set()
    for number, (stem, files_by_role) in enumerate(sorted(files.items(), key=lambda item: _natural_key(item[0])), 1):
        name = printable_name(stem)
        try:
            if name in names:  # two names that differ only in invisible characters
                raise MmvizError("examples-twice", name=name)
            if stem in missing:
                raise InputError("examples-part", file=printable_name(missing[stem].name))
            example = _example_of_files(folder, name, files_by_role)
        except MmvizError as error:
            example = _unusable(name, names, number, error)
        names.add(example.id)
        examples.append(example)
    for path in sorted(alone, key=lambda path: _natural_key(path.name)):
        examples.append(_unusable(printable_name(path.name), names, len(examples) + 1, unread_reason(path)))
        names.add(examples[-1].id)
    return examples


def _example_of_files(folder: Path, name: str, files: Mapping[str, Sequence[str]]) -> Example:
    """Returns the example of these files, by what they are to it. Raises ``MmvizError`` where they cannot be used."""
    paths = {role: [_path_inside(folder, file, name) for file in sorted(group)] for role, group in files.items()}
    for group in files.values():
        if len(group) > 1:
            file, other = (printable_name(file) for file in sorted(group)[:2])
            raise InputError("examples-same", file=file, other=other)
    question, truth = (
        read_text_file(path, printable_name(path.name)) if path else ""
        for path in (_only(paths, TEXT_SUFFIX), _only(paths, ANSWER_SUFFIX))
    )
    path = _only(paths, PLACES_SUFFIX)
    places = places_from_bytes(_beginning(path), name) if path else ()
    return _example(name, _only(paths, "image"), _only(paths, "audio"), question, truth, places)


def _beginning(path: Path) -> bytes:
    """Returns a file of places, or a byte more than such a file may have. Raises ``InputError``."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError:
        raise InputError("file-unreadable", name=printable_name(path.name)) from None


def _only(paths: Mapping[str, Sequence[Path]], role: str) -> Path | None:
    return next(iter(paths.get(role, ())), None)


def _composed(name: str) -> str:
    """Returns ``name`` in Unicode's form NFC."""
    return unicodedata.normalize("NFC", name)


def _role(name: str) -> tuple[str, str]:
    """Returns what a file is to its example, by the suffix of its name ("" for nothing), and the example's name."""
    lower, stem = name.lower(), Path(name).stem
    for ending in (ANSWER_SUFFIX, PLACES_SUFFIX):
        if lower.endswith(ending):
            return ending, name[: -len(ending)]
    suffix = Path(lower).suffix
    if suffix == TEXT_SUFFIX:
        return TEXT_SUFFIX, stem
    return "image" if suffix in IMAGE_SUFFIXES else "audio" if suffix in AUDIO_SUFFIXES else "", stem


def _natural_key(name: str) -> list[tuple[str, int]]:
    """Returns a key that sorts cat2 before cat10."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(word, int(number or 0)) for word, number in zip(parts[::2], [*parts[1::2], "0"], strict=True)]


def _example(
    name: str, image: Path | None, audio: Path | None, question: str, truth: str | None, places: tuple[Place, ...]
) -> Example:
    if image is None and audio is None and not question:
        raise MmvizError("examples-nothing", name=name)
    return Example(name, question, image, audio, (truth or "").strip() or None, title=name, places=places)


def _path_inside(folder: Path, name: str, example: str) -> Path:
    """Returns the path of a file in ``folder``, which is resolved.

    Raises ``MmvizError`` where there is no such file, or it lies outside the folder once links are followed.
    """
    try:
        path = (folder / name).resolve()
        if not path.exists() and path.parent.is_relative_to(folder) and path.parent.is_dir():
            same = (file for file in path.parent.iterdir() if _composed(file.name) == _composed(path.name))
            path = next((file.resolve() for file in same), path)  # the name in another Unicode form
        is_inside, is_file = path.is_relative_to(folder), path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long a name, a null character, a loop of links
        is_inside, is_file = True, False
    if not is_inside:
        raise MmvizError("examples-outside", example=example, file=printable_name(name))
    if not is_file:
        raise MmvizError("examples-file", example=example, file=printable_name(name))
    return path


def _check_count(count: int) -> None:
    if count > MAX_EXAMPLES:
        raise MmvizError("examples-many", count=count, limit=MAX_EXAMPLES)


def printable_name(name: str) -> str:
    """Returns ``name`` on one line, without invisible characters, at most 255 characters long."""
    printable = one_line(name) or "(no name)"
    return printable if len(printable) <= _MAX_NAME else printable[: _MAX_NAME - 1] + "…"
