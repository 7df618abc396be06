"""The language in use, English or Simplified Chinese, and the look-up of translated texts.

Texts are English where they stand in the code. They are looked up in the gettext catalogues of ``locale`` (compiled by
``make texts``) when they are shown, not before: what is stored is a code or an English template.
"""

from __future__ import annotations

import gettext
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

from mmviz.i18n.minus_sign import as_shown

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
TAGS: dict[Language, str] = {"en": "en", "zh": "zh-CN"}
"""BCP 47 tags for documents; browsers choose the shapes of Chinese characters by them."""
DOMAINS = ("mmviz", "learn")
"""Catalogues of a language; the texts of the page Learn have their own."""

_language: ContextVar[Language | None] = ContextVar("mmviz-language", default=None)
_sources: list[Callable[[], Language | None]] = []


def current_language() -> Language:
    """Returns the language in use: that of `use_language`, else the first that a source knows, else English."""
    language = _language.get()
    for source in _sources if language is None else ():
        language = language or source()
    return language or "en"


@contextmanager
def use_language(language: Language) -> Iterator[None]:
    """Uses ``language`` for all texts inside the block. Raises ``ValueError`` for an unknown language."""
    if language not in LANGUAGES:
        raise ValueError(f"{language!r} is not a language of mmviz; the languages are {', '.join(LANGUAGES)}")
    token = _language.set(language)
    try:
        yield
    finally:
        _language.reset(token)


def add_language_source(source: Callable[[], Language | None]) -> None:
    """Adds a function that returns the language of the current visitor, or None where it does not know."""
    if source not in _sources:
        _sources.append(source)


def translated(template: str) -> str:
    """Returns ``template`` in the current language, its placeholders unfilled."""
    language = current_language()
    if language == "en" or not template:  # gettext gives its header for an empty text
        return template
    return _catalogue(language).gettext(template)


def translate(texts: Mapping[str, str], code: str, **parameters: object) -> str:
    """Returns the text of ``code`` in the current language, its placeholders filled with ``parameters``.

    Raises ``KeyError`` for an unknown code or a missing parameter.
    """
    return translated(texts[code]).format(**{name: as_shown(value) for name, value in parameters.items()})


def join_list(parts: Iterable[str]) -> str:
    """Returns ``parts`` as one list, separated as the current language does."""
    return {"en": ", ", "zh": "、"}[current_language()].join(parts)


def join_sentences(sentences: Iterable[str]) -> str:
    """Returns ``sentences`` as one text; Chinese puts no space between them."""
    return {"en": " ", "zh": ""}[current_language()].join(sentences)


def preferred_language(tags: Iterable[str | None]) -> Language | None:
    """Returns the first known language among a browser's BCP 47 ``tags``, best first, or None.

    All variants of Chinese count as Simplified Chinese.
    """
    names = ((tag or "").replace("_", "-").partition("-")[0].strip().lower() for tag in tags)
    return next((language for name in names for language in LANGUAGES if name == language), None)


@cache
def _catalogue(language: Language) -> gettext.NullTranslations:
    """Returns all domains of a language as one catalogue."""
    catalogue = gettext.NullTranslations()
    for domain in DOMAINS:
        with files("mmviz").joinpath(f"i18n/locale/{language}/LC_MESSAGES/{domain}.mo").open("rb") as file:
            translations = gettext.GNUTranslations(file)
        translations.add_fallback(catalogue)
        catalogue = translations
    return catalogue
