"""The questions of the bundled model as data: what it can be asked, in which words; composing them and reading them.

A question belongs to a family; ``x`` and ``y`` stand for words of the list, ``rel`` for a relation, ``a`` for an
article. Case, final mark, spaces and articles are free.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from functools import cache
from string import Formatter

from mmviz.assets_path import assets_dir

RELATIONS = ("left of", "right of", "above", "below")
COUNTS = ("1", "2", "3", "4", "5")
FAMILIES = (
    "name", "heard", "there", "said", "seen", "count", "rel", "relheard", "mask", "caption", "odd",
)  # fmt: skip
TEMPLATES = {
    "name": ("what is it", "what is in the picture"),
    "heard": ("what was said", "which word was spoken"),
    "there": ("is there {a} {x} in the picture", "can you see {a} {x}"),
    "said": ("did you hear {x}", "was {x} said"),
    "seen": ("is the spoken thing in the picture", "can you see what was said"),
    "count": ("how many things are there",),
    "rel": ("what is {rel} the {x}",),
    "relheard": ("what is {rel} the spoken thing",),
    "mask": ("{a} {x} and a [MASK]",),
    "caption": ("{a} {x} {rel} the {y}",),
    "odd": ("{x}", "which one differs: {x}"),
}
NEEDS = {
    "name": ("image",), "heard": ("audio",), "there": ("image",), "said": ("audio",), "seen": ("image", "audio"),
    "count": ("image",), "rel": ("image",), "relheard": ("image", "audio"), "mask": ("image",),
    "caption": ("image",), "odd": ("image", "audio"),
}  # fmt: skip
"""What each family needs besides the text."""

_MARKS = {"mask": ".", "caption": ".", "odd": ""}
_ARTICLE = r"(?:(?:an?|the) )?"
_WORD = r"[^\W\d_]{1,40}"
_LONGEST_COMPARED = 120
"""Characters of a question that are compared with the wordings."""
_ALIKE = 0.5
"""Similarity from which a wording is an example close to a question; below it any would be as good."""


@dataclass(frozen=True)
class Question:
    """A question of the world, understood. ``words``: the words it names, in order; ``relation``: "" if it has none."""

    family: str
    words: tuple[str, ...] = ()
    relation: str = ""


@cache
def known_words() -> tuple[str, ...]:
    """The words that the bundled model knows, in the order of the word list."""
    lines = (assets_dir() / "concepts.tsv").read_text(encoding="utf-8").splitlines()
    return tuple(line.split("\t")[0] for line in lines[1:] if line)


def slots(family: str) -> tuple[str, ...]:
    """What `compose` needs for ``family``: some of ``x``, ``y`` and ``rel``, in the order of the wording."""
    names = (name for _, name, _, _ in Formatter().parse(TEMPLATES[family][0]))
    return tuple(name for name in names if name and name != "a")


def article(word: str) -> str:
    """``a`` or ``an``, as ``word`` is spoken."""
    return "an" if word[:1] in "aeiou" and word != "unicorn" else "a"


def compose(family: str, x: str = "", y: str = "", rel: str = "", wording: int = 0) -> str:
    """A question of ``family`` about the words ``x`` and ``y``, with its final mark.

    ``rel`` is one of ``RELATIONS``; ``wording`` chooses among those of the family. What the family does not use may
    be anything. Raises ``ValueError`` where something in ``slots(family)`` is missing.
    """
    given = {"x": x, "y": y, "rel": rel}
    missing = [name for name in slots(family) if not given[name]]
    if missing:
        raise ValueError(f"a question of the family {family} needs {' and '.join(missing)}")
    text = TEMPLATES[family][wording].format(a=article(x), **given) + _MARKS.get(family, "?")
    return text if text == x else text[0].upper() + text[1:]


def read(text: str) -> Question | None:
    """What ``text`` asks, or None where it is no question of the world or names a word that is not in the list."""
    for family, found in _matches(text):
        words = tuple(found[name] for name in ("x", "y") if name in found)
        if all(word in known_words() for word in words):
            return Question(family, words, found.get("rel", ""))
    return None


def unknown_word(text: str) -> str | None:
    """The word that keeps ``text`` from being a question of the world; None where it is one or has another form."""
    if read(text) is not None:
        return None
    for _, found in _matches(text):
        for name in ("x", "y"):
            if name in found and found[name] not in known_words():
                return found[name]
    return None


def nearest(text: str) -> str:
    """The question of the world that looks most like ``text``, about the words that it names."""
    plain = _plain(text)[:_LONGEST_COMPARED]
    long = (word for word in re.findall(_WORD, plain) if len(word) > 2)
    named = list(dict.fromkeys(close for word in long for close in get_close_matches(word, known_words(), 1, 0.8)))
    words = [*named, *(word for word in ("cat", "dog") if word not in named)]
    relation = next((relation for relation in RELATIONS if relation in plain), RELATIONS[0])
    questions = [
        compose(family, words[0], words[1], relation, wording)
        for family, wordings in TEMPLATES.items()
        for wording in range(len(wordings))
    ]
    alike = [SequenceMatcher(None, plain, _plain(question), autojunk=False).ratio() for question in questions]
    return questions[alike.index(max(alike))] if max(alike) > _ALIKE else compose("there", words[0])


def _plain(text: str) -> str:
    """Lower case, single spaces, no final mark."""
    return " ".join(text.casefold().split()).rstrip("?.!… ")


def _matches(text: str) -> list[tuple[str, Mapping[str, str]]]:
    """Families whose form ``text`` has, with what fills their slots; the words need not be in the list."""
    plain = _plain(text)
    found = ((family, pattern.fullmatch(plain)) for family, pattern in _patterns())
    return [(family, match.groupdict()) for family, match in found if match]


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((family, _pattern(wording)) for family, wordings in TEMPLATES.items() for wording in wordings)


def _pattern(wording: str) -> re.Pattern[str]:
    """A wording as an expression over plain text: any article, or none, before a word."""
    pattern = re.escape(wording.casefold()).replace(r"\ ", " ")
    for before in (r"\{a\} ", "the ", ""):
        pattern = re.sub(rf"(?<!\w){re.escape(before)}\\{{([xy])\\}}", r"{\1}", pattern)
    pattern = pattern.replace(r"\{rel\}", f"(?P<rel>{'|'.join(RELATIONS)})").replace(": ", "(?: ?: ?| )")
    for name in ("x", "y"):
        pattern = pattern.replace(f"{{{name}}}", f"{_ARTICLE}(?P<{name}>{_WORD})")
    return re.compile(pattern)
