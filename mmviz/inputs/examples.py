"""Examples in files: the bundled gallery, and folders of one's own. Their inputs are read when they are needed."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmviz.assets_path import assets_dir
from mmviz.i18n.gallery import ABOUT, TITLES
from mmviz.inputs import make_sample
from mmviz.inputs.example_file_roles import ANSWER_SUFFIX, PLACES_SUFFIX, TEXT_SUFFIX, natural_key, role_of
from mmviz.inputs.example_folder_files import (
    ExampleFiles,
    FilesInMemory,
    FilesOnDisk,
    Source,
    beginning,
    composed,
    printable_name,
)
from mmviz.inputs.example_manifest import LISTINGS, entries_of, listing_error
from mmviz.inputs.place_annotations import MAX_BYTES, Place, check_inside, places_from_bytes, read_places
from mmviz.inputs.source_file import short_name
from mmviz.inputs.text import read_text_file
from mmviz.inputs.unread_files import is_media
from mmviz.types import InputError, MmvizError, Notice, Sample

MAX_EXAMPLES = 1_000
"""Examples in one folder."""
MAX_LISTING_BYTES = 50_000_000
"""A thousand texts of the greatest length, and some room."""
ReadSample = Callable[[Any, str | None, Any], Sample]
"""Makes a sample of the files of an image and an audio, and of a text, as `make_sample` does."""


@dataclass(frozen=True)
class Example:
    """An example in files, any of whose inputs may be missing."""

    id: str
    """Name of the example, unique in its folder."""
    question: str = ""
    """The text input; empty where it is missing."""
    image: Source | None = field(default=None, repr=False)
    """Path or content of the image."""
    audio: Source | None = field(default=None, repr=False)
    """Path or content of the audio."""
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
    """Where in the image, or when in the audio, the answer lies, if that is known."""
    error: MmvizError | None = None
    """Why it cannot be used, where that is known before its files are read."""
    read: ReadSample = make_sample
    """What reads its files: this process, or a sandbox for those of a stranger."""

    def sample(self) -> Sample:
        """Returns the checked inputs. Raises ``InputError`` for a file that cannot be used, and `error`."""
        if self.error is not None:
            raise self.error
        sample = self.read(self.image, self.question or None, self.audio)
        check_inside(self.places, sample, self.id)
        return sample

    def is_right(self, answer: str) -> bool | None:
        """Returns whether ``answer`` is the expected one; None where that is not known.

        Case, an article before it, and quotation or punctuation marks around it do not count: "A cat." is "cat".
        """
        return None if self.truth is None else _bare(answer) == _bare(self.truth)


def _bare(answer: str) -> str:
    text = answer.casefold().strip(string.whitespace + string.punctuation + "“”‘’。！？")
    return re.sub(r"^(?:an?|the)\s+", "", text) or answer


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
    """Returns the examples of a folder, or those that a CSV file lists, at most `MAX_EXAMPLES`.

    If the folder has an ``examples.json``, it lists them: a list of objects with the keys ``id``, ``image``, ``audio``,
    ``text`` (or ``question``), ``truth`` and ``places``. All values are strings, but places, which are as `read_places`
    takes them; all are optional as long as there is one input, and file names are relative to the folder. An
    ``examples.csv`` lists them as well, with these keys as columns (``name`` stands for ``id``) and places in JSON, and
    so does a CSV file of any name, by its own path. Otherwise files of the same name are one example: ``cat1.png``,
    ``cat1.wav`` and ``cat1.txt`` are its inputs, ``cat1.answer.txt`` holds the expected answer and ``cat1.places.json``
    the places. Texts are UTF-8, or UTF-16 with a byte order mark.

    Images and audio are not read yet; `Example.sample` reads them. It also raises what is wrong with one example alone,
    such as two images of one name or a name outside the folder. Without a listing, what is part of no example is one by
    itself, whose `Example.error` says why; names that begin with a dot are not looked at. Raises ``MmvizError`` for
    what is wrong with the folder or the listing as a whole.
    """
    folder, name, listing = Path(path), short_name(path), None
    try:
        if folder.suffix.lower() == ".csv" and not folder.is_dir():
            if not folder.is_file():
                raise InputError("file-missing", name=name)
            folder, listing = folder.resolve().parent, folder.resolve().name
        if not folder.is_dir():
            raise MmvizError("examples-folder", name=name)
        return _examples(FilesOnDisk(folder.resolve()), name, listing)
    except (OSError, ValueError):  # no permission, or a null character in the path
        raise MmvizError("examples-folder", name=name) from None


def load_uploaded(files: Mapping[str, bytes], name: str, read: ReadSample) -> tuple[Example, ...]:
    """Returns the examples of a folder in memory, as `load_examples` does; nothing is written to disk.

    ``files``: the contents by their paths within the folder, as `mmviz.inputs.uploaded_examples` returns them; ``name``
    is what errors call it; ``read`` reads the images and sounds once they are needed.
    """
    return tuple(replace(example, read=read) for example in _examples(FilesInMemory(files), name))


def _examples(files: ExampleFiles, folder: str, listing: str | None = None) -> tuple[Example, ...]:
    listing = listing or next((listing for listing in LISTINGS if files.has(listing)), None)
    examples = _examples_by_name(files) if listing is None else _listed_examples(files, listing)
    if not examples:
        raise MmvizError("examples-empty", name=folder)
    return tuple(examples)


def _listed_examples(files: ExampleFiles, listing: str) -> list[Example]:
    """Returns the examples that a file of this name lists."""
    try:
        data = beginning(files.file(listing, listing), MAX_LISTING_BYTES + 1, listing)
    except MmvizError:
        raise listing_error(listing, Notice("reason-unopened")) from None
    if len(data) > MAX_LISTING_BYTES:
        raise listing_error(listing, Notice("reason-megabytes", {"megabytes": MAX_LISTING_BYTES / 1e6}))
    entries = entries_of(listing, data)
    _check_count(len(entries))
    examples: list[Example] = []
    names: set[str] = set()
    for number, entry in enumerate(entries, 1):
        name = str(number)
        try:
            if isinstance(entry, MmvizError):
                raise entry
            if not isinstance(entry, dict):
                raise MmvizError("examples-object", number=number, kind=type(entry).__name__)
            name = printable_name(_string(entry, "id", number) or _string(entry, "name", number) or name)
            if name in names:
                raise MmvizError("examples-twice", name=name)
            example = _listed_example(files, name, entry, number)
        except MmvizError as error:
            example = _unusable(name, names, number, error)
        names.add(example.id)
        examples.append(example)
    return examples


def _listed_example(files: ExampleFiles, name: str, entry: Mapping[str, Any], number: int) -> Example:
    fields = {key: _string(entry, key, number) for key in ("image", "audio", "text", "question", "truth")}
    image, audio = (files.file(file, name) if file else None for file in (fields["image"], fields["audio"]))
    given = entry.get("places")
    places = places_from_bytes(given.encode(), name) if isinstance(given, str) else read_places(given, name)
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


def _examples_by_name(files: ExampleFiles) -> list[Example]:
    """Returns the examples whose files share a name, in natural order of their names.

    Names count as the same in every Unicode form.
    """
    by_stem: dict[str, dict[str, list[str]]] = {}
    unread: list[str] = []
    for file in files.names():
        role, stem = role_of(file)
        if file.startswith("."):
            continue
        if role and files.has(file):
            by_stem.setdefault(composed(stem), {}).setdefault(role, []).append(file)
        else:
            unread.append(file)
    if not by_stem and not any(map(is_media, unread)):
        return []
    _check_count(len(by_stem))
    missing: dict[str, str] = {}
    """Parts that cannot be used, by example. Without them an example would not be what its files say."""
    alone: list[str] = []
    for file in unread:
        role, stem = role_of(file)
        if composed(stem) in by_stem and (role or is_media(file)):
            missing[composed(stem)] = file
        else:
            alone.append(file)
    examples: list[Example] = []
    names: set[str] = set()
    for number, (stem, parts) in enumerate(sorted(by_stem.items(), key=lambda item: natural_key(item[0])), 1):
        name = printable_name(stem)
        try:
            if name in names:  # two names that differ only in invisible characters
                raise MmvizError("examples-twice", name=name)
            if stem in missing:
                raise InputError("examples-part", file=printable_name(missing[stem]))
            example = _example_of_files(files, name, parts)
        except MmvizError as error:
            example = _unusable(name, names, number, error)
        names.add(example.id)
        examples.append(example)
    for file in sorted(alone, key=natural_key):
        examples.append(_unusable(printable_name(file), names, len(examples) + 1, files.unread_reason(file)))
        names.add(examples[-1].id)
    return examples


def _example_of_files(files: ExampleFiles, name: str, parts: Mapping[str, Sequence[str]]) -> Example:
    """Returns the example of these files, by what they are to it. Raises ``MmvizError`` where they cannot be used."""
    sources = {role: next(files.file(file, name) for file in sorted(group)) for role, group in parts.items()}
    for group in parts.values():
        if len(group) > 1:
            file, other = (printable_name(file) for file in sorted(group)[:2])
            raise InputError("examples-same", file=file, other=other)
    question, truth = (
        read_text_file(sources[role], printable_name(parts[role][0])) if role in sources else ""
        for role in (TEXT_SUFFIX, ANSWER_SUFFIX)
    )
    places: tuple[Place, ...] = ()
    if PLACES_SUFFIX in sources:
        data = beginning(sources[PLACES_SUFFIX], MAX_BYTES + 1, printable_name(parts[PLACES_SUFFIX][0]))
        places = places_from_bytes(data, name)
    return _example(name, sources.get("image"), sources.get("audio"), question, truth, places)


def _example(
    name: str, image: Source | None, audio: Source | None, question: str, truth: str | None, places: tuple[Place, ...]
) -> Example:
    if image is None and audio is None and not question:
        raise MmvizError("examples-nothing", name=name)
    return Example(name, question, image, audio, (truth or "").strip() or None, title=name, places=places)


def _check_count(count: int) -> None:
    if count > MAX_EXAMPLES:
        raise MmvizError("examples-many", count=count, limit=MAX_EXAMPLES)
