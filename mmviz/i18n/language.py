"""English and Simplified Chinese: whose language is spoken, and the words in it. English texts are their own codes.

Texts stay English where they stand; `translated` looks them up in the catalogues of ``locale`` (gettext, made by
``make texts``) at the moment when they are put into words, never before: what is kept is a code or a template.
"""

from __future__ import annotations

import gettext
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
TAGS: dict[Language, str] = {"en": "en", "zh": "zh-CN"}
"""What a document in the language calls it (BCP 47); browsers choose the shapes of Chinese letters by it."""
DOMAINS = ("mmviz", "learn")
"""Catalogues of a language: the texts of the page Learn are in one of their own."""

_spoken: ContextVar[Language | None] = ContextVar("mmviz-language", default=None)
_sources: list[Callable[[], Language | None]] = []


def current() -> Language:
    """The language spoken here and now: that of `speaking`, else of the visitor that a source knows, else English."""
    found = _spoken.get()
    for source in _sources if found is None else ():
        found = found or source()
    return found or "en"


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """Whatever is put into words inside is put into those of ``language``. Raises ``ValueError`` for any other."""
    if language not in LANGUAGES:
        raise ValueError(f"{language!r} is none of {', '.join(LANGUAGES)}")
    before = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(before)


def ask(source: Callable[[], Language | None]) -> None:
    """Ask ``source`` from now on who is spoken to; it says None where it knows of nobody."""
    if source not in _sources:
        _sources.append(source)


def translated(template: str) -> str:
    """``template`` in the language spoken."""
    language = current()
    return template if language == "en" or not template else _catalogue(language).gettext(template)  # "" is its head


def listed(parts: Iterable[str]) -> str:
    """``parts`` one after another, with the mark that parts them in the language spoken."""
    return {"en": ", ", "zh": "、"}[current()].join(parts)


def joined(sentences: Iterable[str]) -> str:
    """``sentences`` one after another: Chinese has no space between them."""
    return {"en": " ", "zh": ""}[current()].join(sentences)


def best_of(tags: Iterable[str | None]) -> Language | None:
    """The first language spoken here among a browser's tags (``zh-Hans-CN``, ``en-US``, best first); None where there
    is none. All kinds of Chinese count as Simplified, which is nearer than English."""
    names = ((tag or "").replace("_", "-").partition("-")[0].strip().lower() for tag in tags)
    return next((language for name in names for language in LANGUAGES if name == language), None)


@cache
def _catalogue(language: Language) -> gettext.NullTranslations:
    """All domains of a language as one."""
    whole = gettext.NullTranslations()
    for domain in DOMAINS:
        with files("mmviz").joinpath(f"i18n/locale/{language}/LC_MESSAGES/{domain}.mo").open("rb") as file:
            part = gettext.GNUTranslations(file)
        part.add_fallback(whole)
        whole = part
    return whole
