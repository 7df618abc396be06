"""Joins the slides of a talk, their style and their script into one HTML document."""

from __future__ import annotations

import html
from importlib.resources import files

from mmviz.figures.theme import DARK, LIGHT, MODALITY_COLOURS, Theme
from mmviz.i18n.language import TAGS, current_language
from mmviz.i18n.page import say
from mmviz.present.slide_deck import SlideDeck
from mmviz.present.slide_html import cover_html, has_cover, slide_count, slide_html
from mmviz.viewer.pack import escape_non_ascii, script_digest

_DOCUMENT = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'sha256-{digest}'; \
style-src 'unsafe-inline'; img-src data:; media-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<header><h1>{title}</h1></header>
<main>
{slides}
</main>
<nav class="bar" aria-label="{slides_name}" hidden>
<button type="button" data-go="-1" aria-label="{previous}" title="{previous}">&#8592;</button>
<span id="place" role="status">{place}</span>
<button type="button" data-go="1" aria-label="{next}" title="{next}">&#8594;</button>
<button type="button" id="notes" aria-pressed="false" title="N">{notes}</button>
<button type="button" id="presenting" title="P">{presenter}</button>
<button type="button" id="full" title="F">{full}</button>
</nav>
<aside class="presenter" aria-label="{presenter}" hidden>
<p class="clock"><b id="elapsed" role="timer" aria-label="{elapsed}" title="{elapsed}">0:00</b>
<button type="button" id="restart">{restart}</button><span id="time"></span></p>
<p class="label" id="now" role="status" data-shown="{now}" data-closed="{closed}">{now}</p>
<p class="label">{coming}</p>
<div class="stage"></div>
<div class="stage"><p class="label">{last}</p></div>
<div class="speech" tabindex="0" role="region" aria-label="{notes}" data-none="{silent}"></div>
</aside>
<script>{script}</script>
</body>
</html>
"""
_WORDS = (
    "previous", "next", "notes", "full", "presenter", "elapsed", "restart", "now", "closed", "coming", "last", "silent",
)  # fmt: skip
"""Names of texts around the slides."""


def deck_html(deck: SlideDeck) -> str:
    """Returns the document of `Talk.to_html` in the current language."""
    script = f"\n{escape_non_ascii(_read('talk.js'))}"
    cover = [cover_html(deck)] if has_cover(deck) else []
    document = _DOCUMENT.format(
        language=TAGS[current_language()],
        digest=script_digest(script),
        title=html.escape(deck.title),
        css=_style(),
        slides="\n".join([*cover, *(slide_html(deck, number) for number in range(len(deck.slides)))]),
        place=f"1 / {slide_count(deck)}",
        script=script,
        slides_name=html.escape(say("talk-slides")),
        **{name: html.escape(say(f"talk-{name}")) for name in _WORDS},
    )
    return document.encode("ascii", "xmlcharrefreplace").decode()


def _style() -> str:
    """Returns the style sheet, with the colours of the page and of the modalities."""
    modalities = "".join(f"--{modality}:{colour};" for modality, colour in MODALITY_COLOURS.items())
    return (
        f":root{{color-scheme:light dark;{modalities}{_variables(LIGHT)}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}\n{_read('talk.css')}"
    )


def _variables(theme: Theme) -> str:
    return f"--ground:{theme.ground};--text:{theme.text};--muted:{theme.muted};--line:{theme.line};"


def _read(name: str) -> str:
    return files("mmviz.present").joinpath(name).read_text("utf-8")
