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

_FORMS = "-forms"


def glossary_html(text: str) -> str:
    """Returns ``text`` escaped, with a definition at the first occurrence of each term of the glossary."""
    parts, end, defined = [], 0, set()
    for match in _pattern(current_language()).finditer(text):
        code = _codes()[int(str(match.lastgroup).removeprefix("term"))]
        if code in defined:
            continue
        defined.add(code)
        parts += [html.escape(text[end : match.start()]), _term(match.group(), code, text)]
        end = match.end()
    return "".join([*parts, html.escape(text[end:])])


def glossary_note(text: str, kind: str = "plain") -> None:
    """Draws one sentence as `widgets.note` does, with the definitions of its terms."""
    st.html(f"<div class='note {kind}' role='note'>{glossary_html(text)}</div>")


def _term(form: str, code: str, text: str) -> str:
    """Returns a term with its definition, whose id differs from those of the same term in other texts."""
    name = f"{code}-{crc32(text.encode()):08x}"
    return (
        f"<span class='term' tabindex='0' role='button' aria-describedby='{name}'>{html.escape(form)}"
        f"<span class='definition' role='tooltip' id='{name}'>{html.escape(say(code))}</span></span>"
    )


def _codes() -> list[str]:
    return [code for code in GLOSSARY if not code.endswith(_FORMS)]


@cache
def _pattern(language: Language) -> re.Pattern[str]:
    """Returns the pattern of all forms in a language, the longest terms first: "cross-attention" before "attention"."""
    forms = [(say(code + _FORMS), f"term{index}") for index, code in enumerate(_codes())]
    forms.sort(key=lambda pair: -max(map(len, pair[0].split("|"))))
    edge = r"(?<![\w-]){}(?![\w-])" if language == "en" else "{}"
    return re.compile("|".join(edge.format(f"(?P<{name}>{form})") for form, name in forms), re.IGNORECASE)
