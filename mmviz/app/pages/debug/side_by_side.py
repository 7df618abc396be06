"""Two runs side by side as HTML: a card for each, and A minus B on the inputs of A, in numbers and in words."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from mmviz.analysis.comparison import Pairing, difference, expand_to_a, pair_tokens, symmetric_limit
from mmviz.app.components.page_elements import chip
from mmviz.app.selection_amounts import SelectionView
from mmviz.figures.colour_scale import short
from mmviz.figures.difference import lit_text_html, signed_legend_html, signed_strip_html, signed_text_html
from mmviz.figures.heat_strip import bar, strip_html
from mmviz.figures.image import data_uri, downscaled, spotlight
from mmviz.figures.signed_colours import signed, signed_image
from mmviz.figures.token_labels import group_name, names
from mmviz.i18n.figures import unit_name
from mmviz.i18n.language import join_sentences
from mmviz.i18n.page import say
from mmviz.i18n.unicode_display import replace_invisible
from mmviz.report.comparison_table import comparison_sentences, modality_amounts, name_in_both
from mmviz.types import MODALITIES, Answer, Modality, PixelBox, Seconds, Token, is_unlocated_word

SIDE = 480
"""Longer side of the images in pixels, about twice that on the page."""
MAX_ANSWERS = 3
"""Answers of each run that are shown."""


def unit_of(view: SelectionView) -> str:
    """Returns the unit of the amounts."""
    return unit_name(view.selection.map_ref.method)


def card_html(view: SelectionView, title: str, scale_max: float | None) -> str:
    """Returns the card of a run: its answers, and the amounts of the selected token on its inputs.

    ``scale_max`` is the end of the colour scale; None shows the inputs without amounts.
    """
    sample, tokens = view.run.sample, view.other_tokens
    amounts = np.zeros(len(tokens)) if scale_max is None else view.amounts
    limit = 1.0 if scale_max is None else scale_max
    selected = view.selection.tokens if scale_max is not None and tokens == view.selectable_tokens else ()
    image_part, text_part, audio_part = say("compare-no-image"), say("compare-no-text"), say("compare-no-audio")
    if sample.image is not None and _has_location(tokens, PixelBox):
        pixels, size = downscaled(sample.image.pixels, SIDE), (sample.image.width, sample.image.height)
        if scale_max is not None:
            pixels = spotlight(pixels, tokens, amounts, limit, size)
        image_part = f"<img src='{data_uri(pixels)}' alt='{html.escape(say('picture-alt'))}'>"
    if words := lit_text_html(sample.text, tokens, amounts, limit, selected):
        plain = f"<div>{html.escape(replace_invisible(sample.text or ''))}</div>"
        text_part = plain if scale_max is None else words
    if _has_location(tokens, Seconds):
        strip = "" if scale_max is None else strip_html(tokens, amounts, limit, Modality.AUDIO)
        audio_part = strip + _time_axis_html(tokens)
    subtitle = ""
    if scale_max is not None:
        subtitle = say(f"compare-{view.selection.direction}", token=view.name, method=view.method_text)
    return (
        f"<div class='compare-card'><b>{html.escape(title)}</b>{_answers_html(view.run.record.answers)}"
        f"<div class='subtitle'>{html.escape(subtitle)}</div>{_inputs_html(image_part, text_part, audio_part)}</div>"
    )


def difference_html(a: SelectionView, b: SelectionView, dark: bool) -> str:
    """Returns A minus B of the selected token on the inputs of A, and a table of both by modality."""
    pairing = pair_tokens(a.other_tokens, b.other_tokens)
    tokens, sample, unit = a.other_tokens, a.run.sample, unit_of(a)
    values = expand_to_a(difference(a.amounts, b.amounts, pairing), pairing, len(tokens))
    inputs = [k for k, token in enumerate(tokens) if token.location is not None or is_unlocated_word(token)]
    limit = symmetric_limit(values[inputs])
    image_part, text_part, audio_part = (say(f"compare-no-{modality}") for modality in ("image", "text", "audio"))
    if sample.image is not None and _has_location(tokens, PixelBox):
        size = (sample.image.width, sample.image.height)
        pixels = signed_image(downscaled(sample.image.pixels, SIDE), tokens, values, limit, dark, size)
        image_part = f"<img src='{data_uri(pixels)}' alt='{html.escape(say('compare-picture-alt'))}'>"
    if words := signed_text_html(sample.text, tokens, values, limit, dark, _other_words(a, b, pairing)):
        text_part = words
    if _has_location(tokens, Seconds):
        audio_part = signed_strip_html(tokens, values, limit, Modality.AUDIO, dark) + _time_axis_html(tokens)
    subtitle = say(f"compare-{a.selection.direction}", token=name_in_both(a.name, b.name), method=a.method_text)
    unpaired = "".join(f"<div class='small'>{html.escape(text)}</div>" for text in _unpaired_texts(a, b, pairing))
    below = f"<div class='compare-legend'>{signed_legend_html(limit, dark, unit)}</div>{unpaired}"
    parts = _inputs_html(image_part, text_part, audio_part, below)
    return (
        f"<div class='compare-card'><div class='subtitle'>{html.escape(subtitle)}</div>{parts}{_table_html(a, b)}</div>"
    )


def verdict(a: SelectionView, b: SelectionView) -> str:
    """Returns sentences, as HTML, on the answer, on the modalities that differ most, and on the token that does."""
    return html.escape(join_sentences(comparison_sentences(a, b)))


def _answers_html(answers: Sequence[Answer]) -> str:
    """Returns the most probable answers, with their probabilities as bars from 0 to 1."""
    if not answers:
        return f"<div class='subtitle'>{html.escape(say('no-answer'))}</div>"
    items = "".join(
        f"<div role='listitem'><b>{html.escape(replace_invisible(answer.label))}</b> {answer.probability:.1%}"
        f"{bar(answer.probability)}</div>"
        for answer in answers[:MAX_ANSWERS]
    )
    hint = say("top-five", shown=min(MAX_ANSWERS, len(answers)), of=len(answers))
    return f"<div class='compare-top' role='list' title='{html.escape(hint)}'>{items}</div>"


def _inputs_html(image_part: str, text_part: str, audio_part: str, below: str = "") -> str:
    text_label, audio_label = (html.escape(say(f"name-{modality}")) for modality in ("text", "audio"))
    return (
        f"<div class='compare-inputs'><div>{image_part}</div><div><span class='small'>{text_label}</span>{text_part}"
        f"<span class='small'>{audio_label}</span>{audio_part}{below}</div></div>"
    )


def _has_location(tokens: Sequence[Token], kind: type) -> bool:
    return any(isinstance(token.location, kind) for token in tokens)


def _time_axis_html(tokens: Sequence[Token]) -> str:
    """Returns the start and the end of the audio strip, in seconds."""
    spans = [token.location for token in tokens if isinstance(token.location, Seconds)]
    return f"<div class='compare-clock'><span>{spans[0].start:.2f} s</span><span>{spans[-1].end:.2f} s</span></div>"


def _other_words(a: SelectionView, b: SelectionView, pairing: Pairing) -> dict[int, str]:
    """Returns the words of B that differ from their partners, by the index of the token of A."""
    labels = {k: (a.other_tokens[k].label, b.other_tokens[other].label) for k, other in pairing.pairs}
    return {
        k: replace_invisible(label_b)
        for k, (label_a, label_b) in labels.items()
        if a.other_tokens[k].modality is Modality.TEXT and label_a.casefold() != label_b.casefold()
    }


def _unpaired_texts(a: SelectionView, b: SelectionView, pairing: Pairing) -> list[str]:
    """Returns a sentence for the tokens of A without a partner, and one for those of B."""
    texts = []
    for side, view, unpaired in (("a", a, pairing.only_a), ("b", b, pairing.only_b)):
        if unpaired:
            labels = names(view.other_tokens)
            share = ""
            if view.selection.direction == "from":
                share = say("compare-unpaired-share", share=short(float(view.amounts[list(unpaired)].sum())))
            tokens = group_name([labels[k] for k in unpaired])
            texts.append(say(f"compare-unpaired-{side}", tokens=tokens, share=share))
    return texts


def _table_html(a: SelectionView, b: SelectionView) -> str:
    """Returns a table with a row for each modality: A, B and the difference, in sum and per token."""
    sides = [modality_amounts(view) for view in (a, b)]
    is_from = a.selection.direction == "from"
    rows = ""
    for modality in (modality for modality in MODALITIES if any(modality in side for side in sides)):
        cells = ""
        for side in sides:
            if modality in side:
                total, mean, count = side[modality]
                details = say("compare-each" if is_from else "compare-of", each=short(mean), count=count)
                cells += f"<td>{short(total)} <span class='small'>{html.escape(details)}</span></td>"
            else:
                cells += "<td>–</td>"
        is_in_both = all(modality in side for side in sides)
        minus = signed(sides[0][modality][0] - sides[1][modality][0]) if is_in_both else "–"
        rows += f"<tr><th scope='row'>{chip(modality)}</th>{cells}<td><b>{minus}</b></td></tr>"
    heads = "".join(f"<th scope='col'>{title}</th>" for title in ("A", "B", "A − B"))
    token = name_in_both(a.name, b.name)
    caption = html.escape(say(f"compare-table-{a.selection.direction}", token=token, unit=unit_of(a)))
    return f"<table class='facts'><caption>{caption}</caption><tr><td></td>{heads}</tr>{rows}</table>"
