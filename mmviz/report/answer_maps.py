"""The two maps of the first view, "reads from" and "depends on": as plain values, and as figures in HTML."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmviz.analysis.answer_maps import (
    KINDS,
    AnswerMap,
    AnswerMapKind,
    depends_on,
    depends_on_method,
    method_words,
    reads_from,
    reads_from_ref,
)
from mmviz.figures.colour_scale import short
from mmviz.figures.token_labels import names
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.figures import tell
from mmviz.i18n.language import join_sentences, use_language
from mmviz.report.attribution_card import method_card_html
from mmviz.report.run_interface import Run
from mmviz.report.viewer_map_requests import row_from
from mmviz.types import INPUT_MODALITIES, MmvizError, Token

WIDE = 1.25
"""A picture of this ratio of width to height, or more, is a landscape."""


@dataclass(frozen=True, eq=False)
class ShownMap:
    """An `AnswerMap` as it is shown, in the current language."""

    map: AnswerMap
    """The amounts as they were computed, with their unit."""
    method: str
    """The method in words; it says so where the amounts are means over bins of tokens."""
    queries: tuple[Token, ...]
    """All tokens of the query stream."""
    keys: tuple[Token, ...]
    """All tokens of the key stream, which the amounts are of."""

    @property
    def scale_max(self) -> float:
        """The end of the colour scale: the largest amount on the inputs, else of all tokens; 1 where none is above
        0."""
        located = [k for k, token in enumerate(self.keys) if token.location is not None]
        return max(0.0, float(self.map.amounts[located or slice(None)].max())) or 1.0

    @property
    def signed_note(self) -> str:
        """A sentence on amounts against the answer, which are not drawn; "" where there are none."""
        least = float(self.map.amounts.min(initial=0))
        return tell("depends-on-signed", least=f"−{short(-least)}") if least < 0 else ""


def shown_map(run: Run, kind: AnswerMapKind) -> ShownMap | MmvizError:
    """Returns one of the two maps, or the reason why the run does not hold it."""
    record, is_exact = run.record, True
    try:
        if kind == "depends_on":
            answer_map = depends_on(record)
        else:
            row, is_exact = row_from(run, *reads_from_ref(record))
            answer_map = reads_from(record, row)
    except MmvizError as reason:
        return reason
    words = method_words(answer_map.method, record)
    queries, keys = (record.streams[stream] for stream in answer_map.streams)
    return ShownMap(answer_map, words if is_exact else sentence("method-pooled", method=words), queries, keys)


def map_title(kind: AnswerMapKind) -> str:
    """Returns the name of a map of the first view for people."""
    return tell(kind.replace("_", "-"))


def map_help(run: Run, kind: AnswerMapKind) -> str:
    """Returns what a map of the first view tells, and how its method was chosen."""
    is_default = kind == "depends_on" and not run.record.made_by.get("depends_on")
    return tell("depends-on-default-help" if is_default else f"{kind.replace('_', '-')}-help")


def map_card(run: Run, kind: AnswerMapKind, dark: bool, ink: str = "", is_compact: bool = False) -> str:
    """Returns a map with its title, token, direction, method and unit as HTML, or its title and why it is not there.

    ``ink``: the CSS colour of the legend, by default that of the theme. ``is_compact``: with the explanation behind a
    question mark.
    """
    shown, title = shown_map(run, kind), map_title(kind)
    if isinstance(shown, MmvizError):
        note = html.escape(str(shown))
        return f"<div class='method-card answer-map'><b>{html.escape(title)}</b><div class='formula'>{note}</div></div>"
    view = tell("answer-map-from", token=names(shown.queries, [shown.map.query])[0], method=shown.method)
    text, about = join_sentences(filter(None, (view, shown.signed_note))), map_help(run, kind)
    about = join_sentences((about, tell("light-help")))
    lines = (text,) if is_compact else (text, about)
    details = "".join(f"<div class='formula'>{html.escape(line)}</div>" for line in lines)
    if is_compact:
        about = html.escape(about)
        details = f"<span class='help' role='img' aria-label='{about}' title='{about}'>?</span>{details}"
    amounts = np.maximum(shown.map.amounts, 0)
    card = method_card_html(
        title, run.sample, shown.keys, amounts, shown.scale_max, dark, details, shown.map.unit, ink, has_labels=True
    )
    card = card.replace("class='method-card'", f"class='method-card answer-map{_shape(run)}", 1)
    return card.replace("<b>", "<b role='heading' aria-level='2'>", 1)


def _shape(run: Run) -> str:
    """Returns the rest of the class of a card and its style, by which its picture gets the space that its shape needs:
    a landscape stands above the words and the sound, any other beside them."""
    image = run.sample.image
    if image is None:
        return "'"
    aspect = image.width / image.height
    return f"{' wide' if aspect >= WIDE else ''}' style='--aspect:{aspect:.3f}'"


def maps_section(run: Run) -> str:
    """Returns both maps side by side, for a document."""
    cards = "".join(map_card(run, kind, dark=False, ink="inherit") for kind in KINDS)
    return f"<section class='answer-maps'>{cards}</section>"


def plain_map(run: Run, kind: AnswerMapKind) -> dict[str, Any]:
    """Returns a map as plain values in English: its method, unit, direction and streams, and its amounts by modality.

    ``reason`` tells why they are not there.
    """
    with use_language("en"):
        shown, title = shown_map(run, kind), map_title(kind)
        if isinstance(shown, MmvizError):
            return {"title": title, "method": depends_on_method(run.record), "reason": str(shown)}
        amounts = shown.map.amounts
        by_modality = {
            str(modality): [
                float(amounts[k])
                for k, token in enumerate(shown.keys)
                if token.modality is modality and token.location is not None
            ]
            for modality in INPUT_MODALITIES
        }
        return {
            "title": title,
            "method": shown.map.method,
            "about": shown.method,
            "unit": shown.map.unit,
            "direction": "from",
            "query": shown.queries[shown.map.query].label,
            "streams": dict(zip(("queries", "keys"), shown.map.streams, strict=True)),
            **by_modality,
        }
