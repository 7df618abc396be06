"""Small pieces of the page. Whatever comes from a user or a model is escaped: it is never read as markup."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from mmviz.app.pages.explore.gallery import thumbnail
from mmviz.figures.theme import theme
from mmviz.i18n.page import say
from mmviz.inputs.examples import Example
from mmviz.types import Answer

TOP = 5
_BUTTON = "[data-testid^=stBaseButton]"


def is_dark() -> bool:
    """Whether the visitor's page is dark."""
    return bool(st.context.theme.type == "dark")


def as_label(words: str) -> str:
    """``words`` for the label of a button, which Streamlit would read as Markdown."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", words)


def sheet(examples: Sequence[Example], wrong: Sequence[Example]) -> None:
    """The page's style, with the gallery's thumbnails; those that the model gets ``wrong`` have a dot."""
    colours = theme(is_dark())
    drop = json.dumps(say("drop"), ensure_ascii=False)  # CSS knows no \u
    values = {"ink": colours.text, "muted": colours.muted, "ground": colours.ground, "drop": drop}
    rules = [":root{" + "".join(f"--{name}:{value};" for name, value in values.items()) + "}"]
    rules += [
        f".st-key-trio-{example.id} {_BUTTON}{{background-image:url({thumbnail(example)})}}" for example in examples
    ]
    rules += [f".st-key-trio-{example.id} {_BUTTON}::before{{display:block}}" for example in wrong]
    style = (Path(__file__).parent.parent / "style.css").read_text(encoding="utf-8")
    st.html(f"<style>{style}{''.join(rules)}</style>")


def mark(key: str) -> None:
    """Frame the gallery's button with this key."""
    st.html(f"<style>.st-key-{key} {_BUTTON}{{border-color:var(--ink);box-shadow:0 0 0 1px var(--ink)}}</style>")


def here(key: str) -> None:
    """Mark the button with this key as where the visitor is."""
    st.html(
        f"<style>.st-key-{key} {_BUTTON}{{box-shadow:0 2px 0 0 var(--ink)}}.st-key-{key} p{{font-weight:700}}</style>"
    )


def note(words: str, kind: str = "plain") -> None:
    """One calm sentence: ``plain``, ``refusal``, ``wrong`` or ``banner``."""
    role = "alert" if kind in ("refusal", "banner") else "note"
    st.html(f"<div class='note {kind}' role='{role}'>{html.escape(words)}</div>")


def heading(words: str, help: str = "") -> None:
    """A small heading over a figure."""
    st.html(f"<div class='heading' title='{html.escape(help)}'>{html.escape(words)}</div>")


def answer(found: Sequence[Answer], verdict: str, verdict_kind: str, origin: str, origin_help: str) -> None:
    """The answer in large, whether it is true, and where it was computed."""
    st.html(
        f"<div class='answer'><span class='caption'>{say('answer')}</span>"
        f"<span class='word'>{html.escape(found[0].label if found else say('no-answer'))}</span>"
        f"<span class='{verdict_kind}'>{html.escape(verdict)}</span>"
        f"<span class='caption' title='{html.escape(origin_help)}'>{html.escape(origin)}</span></div>"
    )


def top_answers(found: Sequence[Answer]) -> None:
    """The most probable answers with their probabilities as bars from 0 to 1."""
    heads = "".join(f"<th scope='col'>{html.escape(one.label)}</th>" for one in found[:TOP])
    cells = "".join(
        f"<td>{one.probability:.1%}<div class='bar'><i style='width:{one.probability:.1%}'></i></div></td>"
        for one in found[:TOP]
    )
    caption = say("top-five", shown=min(TOP, len(found)), of=len(found))
    st.html(f"<table class='top'><caption>{html.escape(caption)}</caption><tr>{heads}</tr><tr>{cells}</tr></table>")
