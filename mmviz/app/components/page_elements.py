"""Small pieces of the page. Text from users and models is escaped, so that it is never read as markup."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from mmviz.figures.heat_strip import bar
from mmviz.figures.theme import MODALITY_COLOURS
from mmviz.i18n.page import say
from mmviz.types import Answer, AttentionRecord, Modality, UniformAttention

TOP = 5
BUTTON = "[data-testid^=stBaseButton]"
"""CSS selector of a Streamlit button."""
PLOTLY_CONFIG = {"displayModeBar": False}


def is_dark() -> bool:
    """Returns whether the visitor's page is dark."""
    return bool(st.context.theme.type == "dark")


def as_label(text: str) -> str:
    """Returns ``text`` escaped for the label of a button, which Streamlit reads as Markdown."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


def mark_current(key: str) -> None:
    """Underlines the button with this key as the page, section or lesson that is open."""
    st.html(
        f"<style>.st-key-{key} {BUTTON}{{box-shadow:0 2px 0 0 var(--ink)}}.st-key-{key} p{{font-weight:700}}</style>"
    )


def note(text: str, kind: str = "plain") -> None:
    """Draws one sentence; ``kind`` is plain, remark, notice, error, refused, banner or out-of-distribution."""
    role = "alert" if kind in ("error", "refused", "banner") else "note"
    st.html(f"<div class='note {kind}' role='{role}'>{html.escape(text)}</div>")


def clicked_row(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Any], key: str) -> int | None:
    """Draws a table with this configuration of its columns; returns the number of a row when a cell of it is clicked,
    None otherwise."""
    event: Any = st.dataframe(
        rows, hide_index=True, column_config=columns, key=key, on_select="rerun", selection_mode="single-cell"
    )
    cells, before = event["selection"]["cells"], f"{key}-cells"
    is_new = cells != st.session_state.get(before)
    st.session_state[before] = cells  # the cell is still selected when the visitor comes back
    return int(cells[0][0]) if cells and is_new else None


def weight_banners(record: AttentionRecord) -> None:
    """Draws a banner for untrained or shuffled weights, and one for uniform attention."""
    if record.made_by.get("trained") is False:
        note(say("untrained"), "banner")
    if record.has_change(UniformAttention):
        note(say("uniform"), "banner")


def heading(text: str, help: str = "") -> None:
    """Draws a small heading over a figure."""
    st.html(f"<div class='heading' role='heading' aria-level='2' title='{html.escape(help)}'>{html.escape(text)}</div>")


def folded_notices(doubts: Sequence[str], notices: Sequence[str]) -> None:
    """Draws notices as one line with their number, which unfolds; first the ``doubts``, which concern the answer."""
    first, *others = map(html.escape, (*doubts, *notices))
    count = say("notices-many", count=len(others) + 1) if others else say("notices-one")
    rest = "".join(f"<li>{text}</li>" for text in others)
    st.html(
        f"<details class='note notice' role='note'{' data-doubts' if doubts else ''}><summary>"
        f"<b>{html.escape(count)}</b><span>{first}</span></summary>{f'<ul>{rest}</ul>' if rest else ''}</details>"
    )


def answer(word: str, verdict: str, verdict_kind: str, origin: str, origin_help: str, changed: str = "") -> None:
    """Draws the answer in large type, whether it is correct, and where it was computed.

    ``changed`` is a sentence that the answer is not that of the form; then it is drawn as an old one.
    """
    old = f"<strong class='changed' role='status'>{html.escape(changed)}</strong>" if changed else ""
    st.html(
        f"<div class='answer{' old' if changed else ''}'>{old}<span class='caption'>{say('answer')}</span>"
        f"<span class='word'>{html.escape(word)}</span>"
        f"<span class='{verdict_kind}'>{html.escape(verdict)}</span>"
        f"<span class='caption origin' title='{html.escape(origin_help)}'>{html.escape(origin)}</span></div>"
    )


def top_answers(answers: Sequence[Answer]) -> None:
    """Draws the most probable answers with their probabilities as bars from 0 to 1."""
    rows = "".join(
        f"<li><span title='{html.escape(answer.label)}'>{html.escape(answer.label)}</span>"
        f"<em>{answer.probability:.1%}</em>{bar(answer.probability)}</li>"
        for answer in answers[:TOP]
    )
    caption = html.escape(say("top-five", shown=min(TOP, len(answers)), of=len(answers)))
    st.html(f"<div class='top'><div class='caption'>{caption}</div><ol aria-label='{caption}'>{rows}</ol></div>")


def chip(modality: Modality) -> str:
    """Returns the HTML of a modality's name after a dot in its colour."""
    return f"<i class='dot' style='background:{MODALITY_COLOURS[modality]}'></i>{html.escape(say(f'name-{modality}'))}"


def run_script(script: str) -> None:
    """Runs JavaScript in the browser. The page is not moved by it: the element has a style and no content."""
    st.html(f"<style></style><script>{script}</script>", unsafe_allow_javascript=True)
