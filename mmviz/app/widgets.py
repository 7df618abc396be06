"""Small pieces of the page. Whatever comes from a user or a model is escaped: it is never read as markup."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mmviz.analysis.modality import ModalityMatrix
from mmviz.app.gallery import Trio, thumbnail
from mmviz.app.texts import say
from mmviz.figures.amounts import short
from mmviz.figures.places import MODALITY_NAMES
from mmviz.figures.theme import MODALITY_COLOURS, theme
from mmviz.types import Answer

TOP = 5
_BUTTON = "[data-testid^=stBaseButton]"


def is_dark() -> bool:
    """Whether the visitor's page is dark."""
    return bool(st.context.theme.type == "dark")


def as_label(words: str) -> str:
    """``words`` for the label of a button, which Streamlit would read as Markdown."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", words)


def sheet(trios: Sequence[Trio], wrong: Sequence[Trio]) -> None:
    """The page's style, with the gallery's thumbnails; those that the model gets ``wrong`` have a dot."""
    colours = theme(is_dark())
    values = {"ink": colours.text, "muted": colours.muted, "ground": colours.ground, "drop": json.dumps(say("drop"))}
    rules = [":root{" + "".join(f"--{name}:{value};" for name, value in values.items()) + "}"]
    rules += [f".st-key-trio-{trio.id} {_BUTTON}{{background-image:url({thumbnail(trio)})}}" for trio in trios]
    rules += [f".st-key-trio-{trio.id} {_BUTTON}::before{{display:block}}" for trio in wrong]
    style = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
    st.html(f"<style>{style}{''.join(rules)}</style>")


def mark(key: str) -> None:
    """Frame the gallery's button with this key."""
    st.html(f"<style>.st-key-{key} {_BUTTON}{{border-color:var(--ink);box-shadow:0 0 0 1px var(--ink)}}</style>")


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
        f"<span class='word'>{html.escape(found[0].label)}</span>"
        f"<span class='{verdict_kind}'>{html.escape(verdict)}</span>"
        f"<span class='caption' title='{html.escape(origin_help)}'>{html.escape(origin)}</span></div>"
    )


def top_answers(found: Sequence[Answer]) -> None:
    """The most probable answers with their probabilities as bars from 0 to 1."""
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(one.label)}</th>"
        f"<td class='bar'><i style='width:{one.probability:.1%}'></i></td><td>{one.probability:.1%}</td></tr>"
        for one in found[:TOP]
    )
    caption = say("top-five", of=len(found))
    st.html(f"<table class='top'><caption>{html.escape(caption)}</caption>{rows}</table>")


def shares(title: str, found: ModalityMatrix, over_heads: NDArray[np.float64] | None) -> None:
    """Attention by modality: sum, mean per token, ratio to uniform; ``over_heads`` ``[head, modality]``: the sums."""
    columns = ("sum", "per-token", "ratio") + (("spread",) if over_heads is not None else ())
    head = "".join(
        f"<th scope='col' title='{html.escape(say(f'share-{column}-help'))}'>{say(f'share-{column}')}</th>"
        for column in columns
    )
    most = max(1.0, float(found.sums.max()))
    rows = []
    for k, modality in enumerate(found.keys):
        count = say("token") if found.counts[k] == 1 else say("tokens", count=found.counts[k])
        cells = [short(float(part[0, k])) for part in (found.sums, found.per_token, found.ratio)]
        if over_heads is not None:
            cells.append(f"{short(float(over_heads[:, k].min()))} – {short(float(over_heads[:, k].max()))}")
        length, colour = f"{found.sums[0, k] / most:.1%}", MODALITY_COLOURS[modality]
        rows.append(
            f"<tr><th scope='row'>{MODALITY_NAMES[modality]} <small>{count}</small></th>"
            f"<td class='bar'><i style='width:{length};background:{colour}'></i></td>"
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + "</tr>"
        )
    st.html(
        f"<table class='shares'><caption>{html.escape(title)}</caption>"
        f"<tr><td></td><td class='bar'></td>{head}</tr>{''.join(rows)}</table>"
    )
