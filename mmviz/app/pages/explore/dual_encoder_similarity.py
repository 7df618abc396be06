"""What a model of two separate encoders has in place of attention across modalities: similarities of its tokens."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import streamlit as st
from numpy.typing import NDArray

from mmviz.analysis.dual_encoder_similarity import token_similarity
from mmviz.app.components import page_elements
from mmviz.explain import Run
from mmviz.figures.image import data_uri, downscaled
from mmviz.figures.signed_colours import signed_image
from mmviz.figures.similarity_legend import similarity_legend_html, similarity_strip_html
from mmviz.figures.token_labels import names
from mmviz.i18n.page import say
from mmviz.report.prior_and_similarity import largest_similarity, located_places, located_words, strongest_places
from mmviz.types import ImageInput, Token

SIDE = 480
"""Pixels of the longer side of the picture."""


def similarity_section(run: Run) -> None:
    """Draws a sentence and the similarity of each patch with the text or a word; nothing for any other model."""
    similarity = token_similarity(run.record)
    if similarity is None:
        return
    patches = located_places(similarity)
    if not patches:
        return
    page_elements.heading(say("similarity"))
    page_elements.note(say("similarity-about"))
    labels, tokens = names(similarity.words), [similarity.places[k] for k in patches]
    choices: list[int | None] = [None, *located_words(similarity)]
    left, right = st.columns([1, 1], gap="medium")
    with right:
        word: int | None = st.selectbox(
            say("similarity-with"), choices, key=f"similarity-{run.record.id}",
            format_func=lambda k: say("similarity-text") if k is None else f"“{labels[k]}”",
        )  # fmt: skip
        values = similarity.text if word is None else similarity.values[:, word]
        largest = largest_similarity(similarity)
        st.html(similarity_legend_html(largest, page_elements.is_dark()))
        page_elements.note(say("similarity-most", places=strongest_places(tokens, values[patches])))
    with left:
        st.html(_inputs_html(run.sample.image, tokens, values[patches], largest))


def _inputs_html(image: ImageInput | None, tokens: Sequence[Token], values: NDArray[Any], largest: float) -> str:
    """Returns the picture, or the strip of the sound, in the colours of ``values`` ``[token]``."""
    if image is None:
        return similarity_strip_html(tokens, values, largest, page_elements.is_dark())
    size = (image.width, image.height)
    pixels = signed_image(downscaled(image.pixels, SIDE), tokens, values, largest, page_elements.is_dark(), size)
    return f"<img class='similarity-picture' src='{data_uri(pixels)}' alt='{html.escape(say('similarity-alt'))}'>"
