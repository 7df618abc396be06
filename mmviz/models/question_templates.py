"""The questions that the bundled model can answer, as templates: composing questions and parsing them.

A question belongs to a family. In a template ``x`` and ``y`` stand for known words, ``rel`` for a relation and ``a``
for an article. Case, punctuation at the end, spaces and articles are free.
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
"""The modalities that each family needs besides the text."""

_MARKS = {"mask": ".", "caption": ".", "odd": ""}
_ARTICLE = r"(?:(?:an?|the) )?"
_WORD = r"[^\W\d_]{1,40}"
_MAX_COMPARED = 120
"""Characters of a question that are compared with the templates."""
_MIN_SIMILARITY = 0.5
"""Similarity from which a template counts as close to a question."""


@dataclass(frozen=True)
class Question:
    """A parsed question."""

    family: str
    """One of `FAMILIES`."""
    words: tuple[str, ...] = ()
    """The known words that it names, in order."""
    relation: str = ""
    """One of ``RELATIONS``, or empty."""


@cache
def known_words() -> tuple[str, ...]:
    """Returns the words that the bundled model knows, in the order of the word list."""
    lines = (assets_dir() / "concepts.tsv").read_text(encoding="utf-8").splitlines()
    return tuple(line.split("\t")[0] for line in lines[1:] if line)


def slots(family: str) -> tuple[str, ...]:
    """Returns the slots of a family's template, some of ``x``, ``y`` and ``rel``, in their order."""
    names = (name for _, name, _, _ in Formatter().parse(TEMPLATES[family][0]))
    return tuple(name for name in names if name and name != "a")


def article(word: str) -> str:
    """Returns ``a`` or ``an``, by the pronunciation of ``word``."""
    return "an" if word[:1] in "aeiou" and word != "unicorn" else "a"


def compose(family: str, x: str = "", y: str = "", rel: str = "", template: int = 0) -> str:
    """Returns a question of ``family`` about the words ``x`` and ``y``, with punctuation.

    ``rel`` is one of ``RELATIONS``; ``template`` chooses among those of the family. Slots that the family does not use
    are ignored. Raises ``ValueError`` where something in ``slots(family)`` is missing.
    """
    values = {"x": x, "y": y, "rel": rel}
    missing = [name for name in slots(family) if not values[name]]
    if missing:
        raise ValueError(f"a question of the family {family} needs {' and '.join(missing)}")
    text = TEMPLATES[family][template].format(a=article(x), **values) + _MARKS.get(family, "?")
    return text if text == x else text[0].upper() + text[1:]


def read(text: str) -> Question | None:
    """Parses ``text``. Returns None where it fits no template, or names an unknown word."""
    for family, values in _matches(text):
        words = tuple(values[name] for name in ("x", "y") if name in values)
        if all(word in known_words() for word in words):
            return Question(family, words, values.get("rel", ""))
    return None


def unknown_word(text: str) -> str | None:
    """Returns the unknown word in a text that fits a template; None where it has none, or fits no template."""
    if read(text) is not None:
        return None
    for _, values in _matches(text):
        for name in ("x", "y"):
            if name in values and values[name] not in known_words():
                return values[name]
    return None


def nearest(text: str) -> str:
    """Returns the question most similar to ``text`` that fits a template, about the words that ``text`` names."""
    plain = _plain(text)[:_MAX_COMPARED]
    possible = (word for word in re.findall(_WORD, plain) if len(word) > 2 and word not in _words_of_templates())
    named = list(dict.fromkeys(close for word in possible for close in get_close_matches(word, known_words(), 1, 0.8)))
    words = [*named, *(word for word in ("cat", "dog") if word not in named)]
    relation = next((relation for relation in RELATIONS if relation in plain), RELATIONS[0])
    questions = [
        compose(family, words[0], words[1], relation, template)
        for family, templates in TEMPLATES.items()
        for template in range(len(templates))
    ]
    similarities = [SequenceMatcher(None, plain, _plain(question), autojunk=False).ratio() for question in questions]
    return (
        questions[similarities.index(max(similarities))]
        if max(similarities) > _MIN_SIMILARITY
        else compose("there", words[0])
    )


def _plain(text: str) -> str:
    """Returns ``text`` in lower case, with single spaces and without punctuation at the end."""
    return " ".join(text.casefold().split()).rstrip("?.!… ")


def _matches(text: str) -> list[tuple[str, Mapping[str, str]]]:
    """Returns the families whose templates ``text`` fits, and the values of their slots, known words or not."""
    plain = _plain(text)
    matches = ((family, pattern.fullmatch(plain)) for family, pattern in _patterns())
    return [(family, match.groupdict()) for family, match in matches if match]


@cache
def _words_of_templates() -> frozenset[str]:
    """Returns the words of the templates themselves, none of which is a misspelt thing: "what" is no hat."""
    texts = (re.sub(r"\{\w+\}", "", template) for templates in TEMPLATES.values() for template in templates)
    return frozenset(re.findall(_WORD, " ".join((*texts, *RELATIONS)).casefold()))


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((family, _pattern(template)) for family, templates in TEMPLATES.items() for template in templates)


def _pattern(template: str) -> re.Pattern[str]:
    """Returns a template as a regular expression over plain text, with any article, or none, before a word."""
    pattern = re.escape(template.casefold()).replace(r"\ ", " ")
    for article_form in (r"\{a\} ", "the ", ""):
        pattern = re.sub(rf"(?<!\w){re.escape(article_form)}\\{{([xy])\\}}", r"{\1}", pattern)
    pattern = pattern.replace(r"\{rel\}", f"(?P<rel>{'|'.join(RELATIONS)})").replace(": ", "(?: ?: ?| )")
    for name in ("x", "y"):
        pattern = pattern.replace(f"{{{name}}}", f"{_ARTICLE}(?P<{name}>{_WORD})")
    return re.compile(pattern)
