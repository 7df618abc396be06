"""The folders that the real world is measured on: Tux Paint's stamps, and the sounds of KTuberling.

Debian's ``tuxpaint-stamps-default`` has photographs cut out of their ground, captions, and the captions spoken by
people; ``ktuberling-data`` has words spoken by people. Both are used to measure only, never to train. Of the stamps
only one half is read, see `is_measured`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmviz.inputs.audio import load_audio
from mmviz.models.question_templates import known_words
from mmviz.types import AudioInput, MmvizError

STAMPS, THEME = "stamps", "en.soundtheme"
"""Names of the folder of stamps, and of the file that names KTuberling's English sounds."""
MAX_EQUAL_NEIGHBOURS = 0.42
"""Drawings have areas of one colour, photographs have grain: in the measured half at most 0.40 of a photograph's
neighbouring pixels are equal, save for one of the moon, whose dark side is black."""
MIN_SIDE = 40
"""Pixels of the longer side; stamps below are icons."""

_NO_PHOTOGRAPHS = frozenset(("cartoon", "roadsigns"))
"""Folders of drawings, and of signs, whose captions say what they mean."""
_DRAWN = frozenset(("seasonal/easter/butterfly",))
"""Drawings of the measured half that have grain."""
_QUANTITIES = ("pair", "couple", "bunch", "string", "head", "quarter", "half", "piece", "slice", "group", "flock")
_END = re.compile(
    r"[^\w\s'’“”\"-]| (?:is|are|was|has|with|without|for|from|by|in|on|at|as|and|to|that|resembles|used|worn) "
)
"""Where a caption's first noun phrase ends."""
_LONGEST_PHRASE = 4
"""Words of a noun phrase after its article; more are a sentence."""
_OTHER_THINGS = frozenset(
    ("sea lion", "guinea pig", "prairie dog", "hot dog", "teddy bear", "baseball bat", "cricket bat", "computer mouse")
)
"""What is called by a word of the list and is something else."""
_PLURALS = {"mouse": "mice", "fish": "fish", "deer": "deer", "wolf": "wolves", "knife": "knives"}
_SINGULARS = {"cherry": "cherries", "grape": "grapes"}
"""Singulars of words that the list has in the plural; a glass is no glasses."""


@dataclass(frozen=True, eq=False)
class Photograph:
    """A thing cut out of a photograph."""

    name: str
    """Path under ``stamps/``, without ending."""
    word: str
    """The known word that names the thing."""
    pixels: NDArray[np.uint8]
    """``[height, width, 4]``, straight alpha."""


@dataclass(frozen=True, eq=False)
class Recording:
    """A word spoken by a person."""

    name: str
    """Path under ``stamps/`` without ending, or the name of a sound of KTuberling."""
    word: str
    """The known word that is spoken."""
    audio: AudioInput
    """The recording as a model takes it."""


def is_measured(name: str) -> bool:
    """Returns whether a stamp may be read: the SHA-256 of ``name`` begins with an even hex digit.

    ``name``: path under ``stamps/`` without ending, such as ``animals/birds/duck``. The other half is reserved for
    acceptance.
    """
    return int(sha256(name.encode()).hexdigest()[0], 16) % 2 == 0


def photographs(folder: Path) -> tuple[Photograph, ...]:
    """Returns the measured half's photographs whose caption names a known word, in the order of their names.

    ``folder`` is ``stamps``, or one above it. Raises ``MmvizError``: ``stamps-folder`` where there is none or there are
    several, ``stamps-photographs`` where no photograph is of a known word.
    """
    result = []
    for name, caption, path in measured_stamps(folder):
        word = pictured_word(caption)
        if word is not None and (stamp := photograph(name, word, path)):
            result.append(stamp)
    if not result:
        raise MmvizError("stamps-photographs", folder=str(folder))
    return tuple(result)


def photograph(name: str, word: str, path: Path) -> Photograph | None:
    """Returns the stamp at ``path``, without ending, where it is a photograph; None for a drawing or an icon."""
    picture = path.with_name(path.name + ".png")
    has_vectors = path.with_name(path.name + ".svg").exists()
    is_drawn = has_vectors or not _NO_PHOTOGRAPHS.isdisjoint(name.split("/")) or name in _DRAWN
    if is_drawn or not picture.is_file():
        return None
    with Image.open(picture) as image:
        pixels = np.array(image.convert("RGBA"), dtype=np.uint8)
    has_grain = max(pixels.shape[:2]) >= MIN_SIDE and equal_neighbours(pixels) <= MAX_EQUAL_NEIGHBOURS
    return Photograph(name, word, pixels) if has_grain else None


def spoken_captions(folder: Path) -> tuple[Recording, ...]:
    """Returns the measured half's English captions, spoken by people, that hold one known word.

    ``folder`` is ``stamps``, or one above it. Raises ``MmvizError`` (``stamps-folder``) and ``InputError``.
    """
    sounds = (
        (name, caption, path.with_name(path.name + "_desc.ogg")) for name, caption, path in measured_stamps(folder)
    )
    return tuple(_recordings(sounds))


def spoken_names(folder: Path) -> tuple[Recording, ...]:
    """Returns KTuberling's English sounds that hold one known word; ``folder`` is that of the unpacked package.

    Raises ``MmvizError``: ``speech-folder`` where there is no list of English sounds or there are several,
    ``speech-words`` where none of its sounds is of a known word; and ``InputError``.
    """
    themes = sorted(folder.rglob(THEME))
    if len(themes) != 1:
        raise MmvizError("speech-folder", folder=str(folder), theme=THEME)
    (theme,) = themes
    try:
        sounds = [(sound.get("name", ""), sound.get("file", "")) for sound in ElementTree.parse(theme).iter("sound")]
    except ElementTree.ParseError:
        raise MmvizError("speech-folder", folder=str(folder), theme=THEME) from None
    result = tuple(_recordings((name, name.rpartition("_")[2], theme.parent / file) for name, file in sounds))
    if not result:
        raise MmvizError("speech-words", folder=str(folder))
    return result


def _recordings(sounds: Iterable[tuple[str, str, Path]]) -> Iterator[Recording]:
    """Yields those of ``sounds``, name, text and file each, that are there and speak one known word."""
    for name, text, path in sounds:
        word = spoken_word(text)
        if word is not None and path.is_file():
            yield Recording(name, word, load_audio(path)[0])


def measured_stamps(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Yields name, English caption, and path without ending of every stamp of the measured half, ordered by name."""
    top = folder.resolve()
    named = [path for path in (top, *top.rglob(STAMPS)) if path.name == STAMPS and path.is_dir()]
    # a package unpacked into a folder that is called stamps as well holds another: names begin below the innermost
    roots = [path for path in named if not any(path in other.parents for other in named)]
    if len(roots) != 1 or not (captions := sorted(roots[0].rglob("*.txt"))):
        raise MmvizError("stamps-folder", folder=str(folder), stamps=STAMPS)
    for path in captions:
        stamp = path.with_suffix("")
        name = stamp.relative_to(roots[0]).as_posix()
        if is_measured(name):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            yield name, lines[0] if lines else "", stamp


def pictured_word(caption: str) -> str | None:
    """Returns the known word that the head noun of a caption is, singular or plural; None where there is none.

    Examples:
        >>> pictured_word("A “Fuji” apple."), pictured_word("A pair of cherries."), pictured_word("A sea lion.")
        ('apple', 'cherries', None)
    """
    phrase = _END.split(f"{caption.casefold()} ")[0]
    words = re.findall(r"[\w'’-]+", phrase)
    if words and words[0] in ("a", "an", "the", "our"):
        words = words[1:]
    if "of" in words:
        place = words.index("of")
        words = words[place + 1 :] if words[place - 1] in _QUANTITIES else words[:place]
    if not words or len(words) > _LONGEST_PHRASE or " ".join(words[-2:]) in _OTHER_THINGS:
        return None
    return _forms().get(words[-1])


def spoken_word(text: str) -> str | None:
    """Returns the known word in a spoken text, singular or plural; None where there is none, or more than one."""
    words = {_forms()[word] for word in re.findall(r"[^\W_]+", text.casefold()) if word in _forms()}
    return words.pop() if len(words) == 1 else None


def is_known(word: str) -> bool:
    """Returns whether ``word``, in lower case, is a known word, singular or plural."""
    return word in _forms()


@cache
def _forms() -> dict[str, str]:
    """Returns every singular and plural by which a known word is called, with that word."""
    words = known_words()
    singulars = {singular: word for singular, word in _SINGULARS.items() if word in words}
    return {_plural(word): word for word in words} | singulars | {word: word for word in words}


def _plural(word: str) -> str:
    if word in _PLURALS:
        return _PLURALS[word]
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(s|x|ch|sh|[^o]o)$", word) else "s")


def equal_neighbours(pixels: NDArray[np.uint8]) -> float:
    """Returns the share of horizontally adjacent opaque pixels of one colour: ``[height, width, 4]``, 1 for none."""
    opaque = pixels[..., 3] == 255
    pairs = opaque[:, 1:] & opaque[:, :-1]
    equal = (pixels[:, 1:, :3] == pixels[:, :-1, :3]).all(-1)
    return float(equal[pairs].mean()) if pairs.any() else 1.0
