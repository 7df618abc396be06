"""Texts of the lessons as HTML, in which the terms of the glossary carry their definitions.

A definition appears on hover, on focus and on tap; `lesson_keys.js` keeps it within the window and closes it on Escape.
"""

from __future__ import annotations

import html
import re
from functools import cache
from zlib import crc32

import streamlit as st

from mmviz.i18n.glossary import GLOSSARY
from mmviz.i18n.language import Language, current_language
from mmviz.i18n.page import say


def glossary_html(text: str) -> str:
    """Returns ``text`` escaped, with a definition at the first occurrence of each term of the glossary."""
    parts, end, defined = [], 0, set()
    for match in _pattern(current_language()).finditer(text):
        term = _terms()[int(str(match.lastgroup).removeprefix("term"))]
        if term in defined:
            continue
        defined.add(term)
        parts += [html.escape(text[end : match.start()]), _defined(match.group(), term, text)]
        end = match.end()
    return "".join([*parts, html.escape(text[end:])])


def glossary_note(text: str, kind: str = "plain") -> None:
    """Draws one sentence as `widgets.note` does, with the definitions of its terms."""
    st.html(f"<div class='note {kind}' role='note'>{glossary_html(text)}</div>")


def _defined(form: str, term: str, text: str) -> str:
    """Returns a term with its definition, whose id differs from those of the same term in other texts."""
    name = f"glossary-{term}-{crc32(text.encode()):08x}"
    return (
        f"<span class='term' tabindex='0' role='button' aria-describedby='{name}'>{html.escape(form)}"
        f"<span class='definition' role='tooltip' id='{name}'>{html.escape(say(f'glossary-{term}'))}</span></span>"
    )


def _terms() -> list[str]:
    return [code.removeprefix("glossary-") for code in GLOSSARY if not code.endswith("-forms")]


@cache
def _pattern(language: Language) -> re.Pattern[str]:
    """Returns the pattern of all forms in a language, the longest terms first: "cross-attention" before "attention"."""
    forms = [(say(f"glossary-{term}-forms"), f"term{index}") for index, term in enumerate(_terms())]
    forms.sort(key=lambda pair: -max(map(len, pair[0].split("|"))))
    edge = r"(?<![\w-]){}(?![\w-])" if language == "en" else "{}"
    return re.compile("|".join(edge.format(f"(?P<{name}>{form})") for form, name in forms), re.IGNORECASE)
