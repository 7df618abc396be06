"""Which language the visitor reads: the one that the address names or the switch chose, else the browser's."""

from __future__ import annotations

import json
import time

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from mmviz.i18n import language
from mmviz.i18n.language import LANGUAGES, TAGS, Language, best_of
from mmviz.i18n.page import say

NAME = "lang"
"""Its name in the address."""
LABELS: dict[Language, tuple[str, str]] = {"en": ("en", "English"), "zh": ("中文", "简体中文")}
"""What the switch says, and says in full: each language in its own words, whoever reads them."""
SETTLED = 1.5
"""Seconds after which a browser must have taken over the address: before, it may still tell the old one."""
_FRAME = {
    "[data-testid=stFileUploaderDropzone] [data-testid^=stBaseButton] p": "frame-upload",
    "[data-testid=stCameraInputButton]:not(:has(svg))": "frame-photo",
    "[data-testid=stCameraInputButton] span:has(svg)": "frame-clear",
    "[data-testid=InputInstructions] span:first-child:not(:only-child)": "frame-apply",
    "[data-testid=stForm] [data-testid=InputInstructions] span:first-child": "frame-submit",
}
_SPOKEN, _CHOSEN, _SINCE = "mmviz-language", "mmviz-language-chosen", "mmviz-language-since"


def settle() -> None:
    """Find out, whenever the whole page is drawn, what to speak; parts of it that are drawn alone then keep to it."""
    named = next((one for one in LANGUAGES if one == st.query_params.get(NAME)), None)
    if named is not None and time.monotonic() - st.session_state.get(_SINCE, float("-inf")) > SETTLED:
        st.session_state[_CHOSEN] = named
    st.session_state[_SPOKEN] = chosen() or best_of(_of_browser()) or "en"


def chosen() -> Language | None:
    """The language that the visitor chose, by the address or by the switch."""
    found: Language | None = st.session_state.get(_CHOSEN)
    return found


def choose(wanted: Language) -> None:
    """Speak ``wanted`` from now on, and say so in the address."""
    st.session_state[_CHOSEN] = st.session_state[_SPOKEN] = wanted
    st.session_state[_SINCE] = time.monotonic()
    st.query_params[NAME] = wanted


def switch() -> None:
    """The languages beside each other, quietly; the page's own tag follows, for screen readers and Chinese fonts."""
    spoken = language.current()
    for one, (label, in_full) in LABELS.items():
        st.button(label, key=f"speak-{one}", help=in_full, type="tertiary", on_click=choose, args=(one,))
    script = f"<script>document.documentElement.lang = '{TAGS[spoken]}'</script>"
    st.html(f"<style>.st-key-speak-{spoken} p{{font-weight:700}}</style>{script}", unsafe_allow_javascript=True)


def frame() -> None:
    """Streamlit's own words on the page, which it has in English only, in the language spoken."""
    if language.current() == "en":
        return
    words = {place: say(code) for place, code in _FRAME.items()}
    rules = [
        f"{place}{{font-size:0}}{place}::after{{content:{json.dumps(said, ensure_ascii=False)};font-size:14px}}"
        for place, said in words.items()
    ]
    st.html(f"<style>{''.join(rules)}</style>")


def _spoken_to() -> Language | None:
    """The language of the visitor whose page is being drawn by this thread; None in any other."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return None
    found: Language | None = st.session_state.get(_SPOKEN)
    return found


def _of_browser() -> list[str | None]:
    """What the browser says of its languages, best first."""
    accepted = st.context.headers.get("Accept-Language") or ""
    return [st.context.locale, *(part.partition(";")[0] for part in accepted.split(","))]


language.ask(_spoken_to)
