"""The two maps of the first view, "reads from" and "depends on": as plain values, and as figures in HTML."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from mmviz.analysis.answer_maps import KINDS, AnswerMap, AnswerMapKind, depends_on_method, method_words
from mmviz.figures.colour_scale import short
from mmviz.figures.method_card import method_card_html
from mmviz.figures.token_labels import names
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.figures import tell
from mmviz.i18n.language import join_sentences, use_language
from mmviz.report.run_protocol import Run
from mmviz.types import INPUT_MODALITIES, MmvizError


def answer_map(run: Run, kind: AnswerMapKind) -> AnswerMap | MmvizError:
    """Returns one of the two maps, or the reason why the run does not hold it."""
    try:
        return run.reads_from() if kind == "reads_from" else run.depends_on()
    except MmvizError as reason:
        return reason


def answer_map_title(kind: AnswerMapKind) -> str:
    """Returns the name of a map of the first view for people."""
    return tell(kind.replace("_", "-"))


def answer_map_words(run: Run, shown: AnswerMap) -> str:
    """Returns the method in words, and that it is of bins where the run has only these."""
    words = method_words(shown.method)
    is_pooled = shown.kind == "reads_from" and not run.is_exact
    return sentence("method-pooled", method=words) if is_pooled else words


def answer_map_help(run: Run, kind: AnswerMapKind) -> str:
    """Returns what a map of the first view tells, and how its method was chosen."""
    is_default = kind == "depends_on" and not run.record.made_by.get("depends_on")
    return tell("depends-on-default-help" if is_default else f"{kind.replace('_', '-')}-help")


def signed_note(shown: AnswerMap) -> str:
    """Returns a sentence on amounts against the answer, which are not drawn; "" where there are none."""
    least = float(shown.amounts.min(initial=0))
    return tell("depends-on-signed", least=f"−{short(-least)}") if least < 0 else ""


def answer_map_scale(run: Run, shown: AnswerMap) -> float:
    """Returns the end of the colour scale: the largest amount on the inputs, else of all tokens; 1 where all are 0."""
    tokens = run.record.streams[shown.streams[1]]
    located = [k for k, token in enumerate(tokens) if token.location is not None]
    return max(0.0, float(shown.amounts[located or slice(None)].max())) or 1.0


def answer_map_card(run: Run, kind: AnswerMapKind, dark: bool) -> str:
    """Returns a map with its title, token, direction, method and unit as HTML, or its title and why it is not there."""
    shown, title = answer_map(run, kind), answer_map_title(kind)
    if isinstance(shown, MmvizError):
        note = html.escape(str(shown))
        return f"<div class='method-card answer-map'><b>{html.escape(title)}</b><div class='formula'>{note}</div></div>"
    queries, keys = (run.record.streams[stream] for stream in shown.streams)
    view = tell("answer-map-from", token=names(queries)[shown.query], method=answer_map_words(run, shown))
    text = join_sentences(filter(None, (view, signed_note(shown))))
    about = html.escape(answer_map_help(run, kind))
    details = f"<div class='formula'>{html.escape(text)}</div><div class='formula'>{about}</div>"
    amounts = np.maximum(shown.amounts, 0)
    scale_max = answer_map_scale(run, shown)
    card = method_card_html(title, run.sample, keys, amounts, scale_max, dark, details, shown.unit)
    return card.replace("class='method-card'", "class='method-card answer-map'", 1)


def answer_maps_section(run: Run) -> str:
    """Returns both maps side by side, for a document."""
    cards = "".join(answer_map_card(run, kind, dark=False) for kind in KINDS)
    return f"<section class='answer-maps'>{cards}</section>"


def plain_answer_map(run: Run, kind: AnswerMapKind) -> dict[str, Any]:
    """Returns a map as plain values in English: its method, unit, direction and streams, and its amounts by modality.

    ``reason`` tells why they are not there.
    """
    with use_language("en"):
        shown = answer_map(run, kind)
        if isinstance(shown, MmvizError):
            method = depends_on_method(run.record)
            return {"title": answer_map_title(kind), "method": method, "reason": str(shown)}
        queries, keys = (run.record.streams[stream] for stream in shown.streams)
        return {
            "title": answer_map_title(kind),
            "method": shown.method,
            "about": answer_map_words(run, shown),
            "unit": shown.unit,
            "direction": "from",
            "query": queries[shown.query].label,
            "streams": dict(zip(("queries", "keys"), shown.streams, strict=True)),
            **{
                str(modality): [
                    float(shown.amounts[k])
                    for k, token in enumerate(keys)
                    if token.modality is modality and token.location is not None
                ]
                for modality in INPUT_MODALITIES
            },
        }  # fmt: skip
