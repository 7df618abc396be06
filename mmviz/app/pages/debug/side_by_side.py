"""Two runs beside each other, as HTML: a card for each, and A minus B on the inputs of A, in numbers and in words."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.comparison import Pairing, difference, over_a, pairs, symmetric
from mmviz.analysis.modality_matrix import ModalityMatrix, modality_matrix
from mmviz.app.pages.debug.modality_effect import chip
from mmviz.app.selection_view import SelectionView
from mmviz.figures.colour_scale import short
from mmviz.figures.difference import (
    lit_words_html,
    signed,
    signed_legend_html,
    signed_picture,
    signed_strip_html,
    signed_words_html,
)
from mmviz.figures.heat_strip import strip_html
from mmviz.figures.image import data_uri, smaller, spotlight
from mmviz.figures.token_labels import names, together
from mmviz.i18n.figures import tell
from mmviz.i18n.language import joined
from mmviz.i18n.messages import visible
from mmviz.i18n.page import say
from mmviz.types import MODALITIES, Answer, Modality, PixelBox, Seconds, Token, is_word

SIDE = 480
"""Pixels of the pictures, about twice what they take on the page."""
SHOWN = 3
"""So many answers of each run."""
NEARLY = 0.005
"""A modality whose share differs by less than this gets nearly the same; one that asks, by less than ten times this
part of the larger mean."""


def unit_of(seen: SelectionView) -> str:
    """What amounts are, seen this way."""
    return say("compare-relevance") if seen.selection.map_ref.method == "relevance" else tell("unit")


def card_html(seen: SelectionView, title: str, top: float | None) -> str:
    """A run: its answers, and what the chosen token looks at, on a scale up to ``top`` (None: nothing is lit)."""
    sample, tokens = seen.run.sample, seen.lit
    amounts = np.zeros(len(tokens)) if top is None else seen.amounts
    chosen = seen.selection.tokens if top is not None and seen.lit == seen.chosen else ()
    size = 1.0 if top is None else top
    picture, words, sound = say("compare-no-image"), say("compare-no-text"), say("compare-no-audio")
    if sample.image is not None and _has(tokens, PixelBox):
        shown, whole = smaller(sample.image.pixels, SIDE), (sample.image.width, sample.image.height)
        if top is not None:
            shown = spotlight(shown, tokens, amounts, size, whole)
        picture = f"<img src='{data_uri(shown)}' alt='{html.escape(say('picture-alt'))}'>"
    if found := lit_words_html(sample.text, tokens, amounts, size, chosen):
        words = found if top is not None else f"<div>{html.escape(visible(sample.text or ''))}</div>"
    if _has(tokens, Seconds):
        sound = (strip_html(tokens, amounts, size, Modality.AUDIO) if top is not None else "") + _clock(tokens)
    asked = "" if top is None else say(f"compare-{seen.selection.direction}", token=seen.name, method=seen.method_words)
    return (
        f"<div class='compare-card'><b>{html.escape(title)}</b>{_answers(seen.run.record.answers)}"
        f"<div class='asked'>{html.escape(asked)}</div>{_inputs(picture, words, sound)}</div>"
    )


def difference_html(a: SelectionView, b: SelectionView, dark: bool) -> str:
    """A minus B of the chosen token, on the inputs of A, and what each modality gets of it in both."""
    lit = pairs(a.lit, b.lit)
    tokens, sample, unit = a.lit, a.run.sample, unit_of(a)
    values = over_a(difference(a.amounts, b.amounts, lit), lit, len(tokens))
    largest = symmetric(values[[k for k, one in enumerate(tokens) if one.location is not None or is_word(one)]])
    picture, words, sound = (say(f"compare-no-{modality}") for modality in ("image", "text", "audio"))
    if sample.image is not None and _has(tokens, PixelBox):
        size = (sample.image.width, sample.image.height)
        shown = signed_picture(smaller(sample.image.pixels, SIDE), tokens, values, largest, dark, size)
        picture = f"<img src='{data_uri(shown)}' alt='{html.escape(say('compare-picture-alt'))}'>"
    if found := signed_words_html(sample.text, tokens, values, largest, dark, _others(a, b, lit)):
        words = found
    if _has(tokens, Seconds):
        sound = signed_strip_html(tokens, values, largest, Modality.AUDIO, dark) + _clock(tokens)
    asked = say(f"compare-{a.selection.direction}", token=_both(a, b), method=a.method_words)
    alone = "".join(f"<div class='small'>{html.escape(words)}</div>" for words in _alone(a, b, lit))
    below = f"<div class='compare-legend'>{signed_legend_html(largest, dark, unit)}</div>{alone}"
    inputs = _inputs(picture, words, sound, below)
    return f"<div class='compare-card'><div class='asked'>{html.escape(asked)}</div>{inputs}{_table(a, b)}</div>"


def verdict(a: SelectionView, b: SelectionView) -> str:
    """What became of the answer, which modalities get more and which less, and the token that differs most."""
    told = []
    first, second = (side.run.record.answers[:1] for side in (a, b))
    if first and second:
        code = "compare-stays" if first[0].label == second[0].label else "compare-changes"
        told.append(
            say(code, a=first[0].label, b=second[0].label, p=first[0].probability, q=second[0].probability)
        )  # fmt: skip
    one, other = (_given(side) for side in (a, b))
    apart = {
        modality: one[modality][0] - other[modality][0] for modality in MODALITIES if modality in one and modality in other
    }
    more, less = max(apart, key=lambda m: apart[m], default=None), min(apart, key=lambda m: apart[m], default=None)
    moved = []
    for code, modality in (("more", more), ("less", less)):
        if modality is None:
            continue
        least = NEARLY if a.selection.direction == "from" else 10 * NEARLY * max(one[modality][0], other[modality][0])
        if apart[modality] * (1 if code == "more" else -1) >= least:
            amounts = {"a": short(one[modality][0]), "b": short(other[modality][0])}
            code = f"compare-{a.selection.direction}-{code}"
            moved.append(say(code, modality=say(f"compare-the-{modality}"), **amounts))
    told += moved or [say("compare-nearly")]
    lit = pairs(a.lit, b.lit)
    values = difference(a.amounts, b.amounts, lit)
    if len(values):
        most = int(np.abs(values).argmax())
        here, there = (f"“{names(side.lit)[k]}”" for side, k in zip((a, b), lit.pairs[most], strict=True))
        told.append(say("compare-most", token=_called(here, there), amount=signed(float(values[most]))))
    return html.escape(joined(told))


def _answers(found: Sequence[Answer]) -> str:
    """The most probable answers, with their probabilities as bars from 0 to 1."""
    if not found:
        return f"<div class='asked'>{html.escape(say('no-answer'))}</div>"
    cells = "".join(
        f"<div role='listitem'><b>{html.escape(visible(one.label))}</b> {one.probability:.1%}"
        f"<div class='bar'><i style='width:{one.probability:.1%}'></i></div></div>"
        for one in found[:SHOWN]
    )
    hint = say("top-five", shown=min(SHOWN, len(found)), of=len(found))
    return f"<div class='compare-top' role='list' title='{html.escape(hint)}'>{cells}</div>"


def _inputs(picture: str, words: str, sound: str, below: str = "") -> str:
    labels = [html.escape(say(f"name-{modality}")) for modality in ("text", "audio")]
    return (
        f"<div class='compare-inputs'><div>{picture}</div><div><span class='small'>{labels[0]}</span>{words}"
        f"<span class='small'>{labels[1]}</span>{sound}{below}</div></div>"
    )


def _has(tokens: Sequence[Token], kind: type) -> bool:
    return any(isinstance(token.location, kind) for token in tokens)


def _clock(tokens: Sequence[Token]) -> str:
    """From when to when the strip of moments goes."""
    spans = [token.location for token in tokens if isinstance(token.location, Seconds)]
    return f"<div class='compare-clock'><span>{spans[0].start:.2f} s</span><span>{spans[-1].end:.2f} s</span></div>"


def _both(a: SelectionView, b: SelectionView) -> str:
    """The chosen token, and what stands for it in B where that is called otherwise."""
    return _called(a.name, b.name)


def _called(here: str, there: str) -> str:
    return here if here == there else say("compare-both", a=here, b=there)


def _others(a: SelectionView, b: SelectionView, lit: Pairing) -> dict[int, str]:
    """Words of B that are not those of A in whose place they stand."""
    both = [(k, a.lit[k].label, b.lit[other].label) for k, other in lit.pairs if a.lit[k].modality is Modality.TEXT]
    return {k: visible(there) for k, here, there in both if here.casefold() != there.casefold()}


def _alone(a: SelectionView, b: SelectionView, lit: Pairing) -> list[str]:
    """The tokens that have no difference, and how much they get."""
    told = []
    for side, seen, alone in (("a", a, lit.only_a), ("b", b, lit.only_b)):
        if alone:
            named = names(seen.lit)
            share = ""
            if seen.selection.direction == "from":
                share = say("compare-unpaired-share", share=short(float(seen.amounts[list(alone)].sum())))
            told.append(say(f"compare-alone-{side}", tokens=together([named[k] for k in alone]), share=share))
    return told


def _given(seen: SelectionView) -> dict[Modality, tuple[float, float, int]]:
    """By modality: what its tokens get of the chosen one together, each on the average, and how many they are; looked
    at the other way, what they give to it, each on the average."""
    (chosen,) = seen.selection.tokens
    is_from = seen.selection.direction == "from"
    weights: NDArray[np.float64] = seen.amounts[None] if is_from else seen.amounts[:, None]
    sides = (seen.chosen[chosen : chosen + 1], seen.lit)
    found: ModalityMatrix = modality_matrix(weights, *(sides if is_from else sides[::-1]))
    if is_from:
        return dict(zip(found.keys, zip(found.sums[0], found.per_token[0], found.counts, strict=True), strict=True))
    means = found.sums[:, 0]
    return dict(zip(found.queries, zip(means, means, found.query_counts, strict=True), strict=True))


def _table(a: SelectionView, b: SelectionView) -> str:
    """What each modality gets in A, in B, and the difference: together, and a token."""
    sides = [_given(side) for side in (a, b)]
    is_from = a.selection.direction == "from"
    rows = ""
    for modality in (one for one in MODALITIES if any(one in side for side in sides)):
        cells = ""
        for side in sides:
            if modality in side:
                whole, each, count = side[modality]
                small = say("compare-each" if is_from else "compare-of", each=short(each), count=count)
                cells += f"<td>{short(whole)} <span class='small'>{html.escape(small)}</span></td>"
            else:
                cells += "<td>–</td>"
        apart = signed(sides[0][modality][0] - sides[1][modality][0]) if all(modality in one for one in sides) else "–"
        rows += f"<tr><th scope='row'>{chip(modality)}</th>{cells}<td><b>{apart}</b></td></tr>"
    heads = "".join(f"<th scope='col'>{one}</th>" for one in ("A", "B", "A − B"))
    caption = html.escape(say(f"compare-table-{a.selection.direction}", token=_both(a, b), unit=unit_of(a)))
    return f"<table class='facts'><caption>{caption}</caption><tr><td></td>{heads}</tr>{rows}</table>"
