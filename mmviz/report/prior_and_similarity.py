"""What a document has of a run beside its attention: the language prior of an answer, and similarities of tokens."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.dual_encoder_similarity import TokenSimilarity, token_similarity
from mmviz.experiments.language_prior import LanguagePrior
from mmviz.figures.colour_scale import short
from mmviz.figures.heat_strip import bar
from mmviz.figures.image import data_uri, downscaled
from mmviz.figures.signed_colours import signed, signed_image
from mmviz.figures.similarity_legend import similarity_legend_html, similarity_strip_html
from mmviz.figures.token_labels import names
from mmviz.i18n.language import join_list
from mmviz.i18n.minus_sign import signed_text
from mmviz.i18n.page import say
from mmviz.i18n.unicode_display import replace_invisible
from mmviz.report.run_interface import Run
from mmviz.types import ImageInput, Modality, PixelBox, Seconds, Token

WHOLE_SIDE, WORD_SIDE = 360, 150
"""Pixels of the longer side of the picture beside the whole text, and beside one word."""
MAX_WORDS = 24
"""Words that have a picture of their own; a document of a longer text has those of its first words."""
STRONGEST = 3
"""Places that are named."""


def prior_section(prior: LanguagePrior | None) -> str:
    """Returns the language prior of an answer under its name; "" where it was not measured, or has one row alone."""
    if prior is None or len(prior.removed) < 2:
        return ""
    required = "".join(
        f"<p>{html.escape(say('prior-required', modality=say(f'the-{modality}')))}</p>" for modality in prior.required
    )
    return _section(say("prior"), say("prior-help"), prior_table(prior) + required)


def prior_table(prior: LanguagePrior) -> str:
    """Returns a table with a column for each word: its probability in each row, then what the inputs add, in nats."""
    heads = "".join(f"<th scope='col'>{html.escape(replace_invisible(word)) or '&nbsp;'}</th>" for word in prior.words)
    rows = ""
    for removed, log_p in zip(prior.removed, prior.log_probabilities, strict=True):
        cells = "".join(
            f"<td title='{html.escape(say('prior-cell', nats=value))}'>{short(probability)}{bar(probability)}</td>"
            for value, probability in ((float(value), math.exp(min(0.0, value))) for value in log_p)
        )
        rows += f"<tr><th scope='row'>{html.escape(_row_name(removed))}</th>{cells}</tr>"
    cells = "".join(f"<td>{signed_text(float(value))}</td>" for value in prior.evidence)
    rows += (
        f"<tr class='sum'><th scope='row' title='{html.escape(say('prior-evidence-help'))}'>"
        f"{html.escape(say('prior-evidence'))}</th>{cells}</tr>"
    )
    return (
        "<div class='words-scroll' tabindex='0'><table class='facts words'>"
        f"<caption>{html.escape(say('prior-caption'))}</caption><tr><td></td>{heads}</tr>{rows}</table></div>"
    )


def similarity_section(run: Run) -> str:
    """Returns the similarity of each patch or moment with the text and with each word; "" for any other model."""
    similarity = token_similarity(run.record)
    places = [] if similarity is None else located_places(similarity)
    if similarity is None or not places:
        return ""
    largest, words, labels = largest_similarity(similarity), located_words(similarity), names(similarity.words)
    image, tokens = run.sample.image, [similarity.places[k] for k in places]
    whole = _figure(image, tokens, similarity.text[places], largest, say("similarity-text"), WHOLE_SIDE)
    others = "".join(
        _figure(image, tokens, similarity.values[places, word], largest, f"“{labels[word]}”", WORD_SIDE)
        for word in words[:MAX_WORDS]
    )
    legend = similarity_legend_html(largest, dark=False, ink="inherit")
    content = f"{legend}<div class='similarities'>{whole}{others}</div>"
    return _section(say("similarity"), say("similarity-about"), content)


def located_places(similarity: TokenSimilarity) -> list[int]:
    """Returns the tokens of the picture or sound that have a place."""
    return [k for k, token in enumerate(similarity.places) if isinstance(token.location, PixelBox | Seconds)]


def located_words(similarity: TokenSimilarity) -> list[int]:
    """Returns the tokens that are words of the text."""
    return [
        k for k, token in enumerate(similarity.words) if token.modality is Modality.TEXT and token.location is not None
    ]


def largest_similarity(similarity: TokenSimilarity) -> float:
    """Returns where the colour scale of all words and of the whole text ends."""
    places, words = located_places(similarity), located_words(similarity)
    largest = float(np.abs(similarity.values[places][:, words]).max(initial=0.0))
    return max(largest, float(np.abs(similarity.text[places]).max()), 1e-3)


def strongest_places(tokens: Sequence[Token], values: NDArray[Any]) -> str:
    """Returns the names of the most similar tokens with their ``values`` ``[token]``."""
    labels, order = names(tokens), np.argsort(-values, kind="stable")[:STRONGEST]
    return join_list(f"{labels[k]} {signed(float(values[k]))}" for k in order)


def _figure(
    image: ImageInput | None, tokens: Sequence[Token], values: NDArray[Any], largest: float, name: str, side: int
) -> str:
    """Returns the picture, or the strip of the sound, in the colours of ``values`` ``[token]``, with its name."""
    if image is None:
        shown = similarity_strip_html(tokens, values, largest, dark=False)
    else:
        size = (image.width, image.height)
        pixels = signed_image(downscaled(image.pixels, side), tokens, values, largest, False, size)
        height, width = pixels.shape[:2]
        alt = html.escape(say("similarity-alt"))
        shown = f"<img src='{data_uri(pixels)}' width='{width}' height='{height}' alt='{alt}'>"
    most = say("similarity-most", places=strongest_places(tokens, values))
    width = f"max-width:{side}px" if image is not None else "flex-basis:100%"
    return (
        f"<figure style='{width}'>{shown}<figcaption><b>{html.escape(name)}</b> {html.escape(most)}"
        "</figcaption></figure>"
    )


def _section(name: str, about: str, content: str) -> str:
    return f"<section class='beside'><h2>{html.escape(name)}</h2><p>{html.escape(about)}</p>{content}</section>"


def _row_name(removed: tuple[Modality, ...]) -> str:
    if not removed:
        return say("prior-everything")
    return say("prior-without", modalities=join_list(say(f"the-{modality}") for modality in removed))
