"""The visitor's language: the one that the address names or the switch chose, else the browser's."""

from __future__ import annotations

import json
import threading
import time

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from mmviz.i18n import language
from mmviz.i18n.language import LANGUAGES, TAGS, Language, preferred_language
from mmviz.i18n.page import say

NAME = "lang"
"""The parameter in the address."""
LABELS: dict[Language, tuple[str, str]] = {"en": ("en", "English"), "zh": ("中文", "简体中文")}
"""Label and full name of each language, in that language."""
SETTLED = 1.5
"""Seconds that a browser needs to take over a new address; until then it may still report the old one."""
_STREAMLIT_TEXTS = {
    "[data-testid=stFileUploaderDropzone] [data-testid^=stBaseButton] p": "frame-upload",
    "[data-testid=stCameraInputButton]:not(:has(svg))": "frame-photo",
    "[data-testid=stCameraInputButton] span:has(svg)": "frame-clear",
    "[data-testid=InputInstructions] span:first-child:not(:only-child)": "frame-apply",
    "[data-testid=stForm] [data-testid=InputInstructions] span:first-child": "frame-submit",
}
"""CSS selectors of Streamlit's own texts, and the keys of their translations."""
_CURRENT, _CHOSEN, _CHOSEN_AT = "mmviz-language", "mmviz-language-chosen", "mmviz-language-since"
_drawing = threading.local()
"""The script run that this thread draws, and its language: thousands of texts are looked up in a drawing, and the
session state takes long to answer."""


def settle_language() -> None:
    """Decides the language whenever the whole page is drawn; fragments that are drawn alone keep it."""
    named = next((tag for tag in LANGUAGES if tag == st.query_params.get(NAME)), None)
    if named is not None and time.monotonic() - st.session_state.get(_CHOSEN_AT, float("-inf")) > SETTLED:
        st.session_state[_CHOSEN] = named
    _use(chosen_language() or preferred_language(_browser_languages()) or "en")


def chosen_language() -> Language | None:
    """Returns the language that the visitor chose by the address or the switch; None where neither did."""
    chosen: Language | None = st.session_state.get(_CHOSEN)
    return chosen


def choose_language(choice: Language) -> None:
    """Switches the page to ``choice`` and writes it into the address."""
    st.session_state[_CHOSEN] = choice
    _use(choice)
    st.session_state[_CHOSEN_AT] = time.monotonic()
    st.query_params[NAME] = choice


def language_switch() -> None:
    """Draws a button for each language, and sets the page's language tag for screen readers and Chinese fonts."""
    current = language.current_language()
    for tag, (label, full_name) in LABELS.items():
        st.button(label, key=f"language-{tag}", help=full_name, type="tertiary", on_click=choose_language, args=(tag,))
    script = f"<script>document.documentElement.lang = '{TAGS[current]}'</script>"
    st.html(f"<style>.st-key-language-{current} p{{font-weight:700}}</style>{script}", unsafe_allow_javascript=True)


def translate_streamlit() -> None:
    """Replaces Streamlit's own texts, which exist in English only, by CSS where another language is current."""
    if language.current_language() == "en":
        return
    texts = {selector: say(key) for selector, key in _STREAMLIT_TEXTS.items()}
    rules = [
        f"{selector}{{font-size:0}}{selector}::after{{content:{json.dumps(text, ensure_ascii=False)};font-size:14px}}"
        for selector, text in texts.items()
    ]
    st.html(f"<style>{''.join(rules)}</style>")


def _language_of_thread() -> Language | None:
    """Returns the language of the visitor whose page this thread draws; None in any other thread."""
    context = get_script_run_ctx(suppress_warning=True)
    if context is None:
        return None
    if getattr(_drawing, "context", None) is not context:
        _drawing.context, _drawing.language = context, st.session_state.get(_CURRENT)
    current: Language | None = _drawing.language
    return current


def _use(current: Language) -> None:
    """Sets the language of the visitor whose page this thread draws."""
    st.session_state[_CURRENT] = current
    _drawing.context, _drawing.language = get_script_run_ctx(suppress_warning=True), current


def _browser_languages() -> list[str | None]:
    """Returns the language tags that the browser accepts, best first."""
    accepted = st.context.headers.get("Accept-Language") or ""
    return [st.context.locale, *(part.partition(";")[0] for part in accepted.split(","))]


language.add_language_source(_language_of_thread)
