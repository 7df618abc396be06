"""What a model of two separate encoders has in place of attention across modalities: similarities of its tokens."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mmviz.analysis.token_similarity import token_similarity
from mmviz.app.components import widgets
from mmviz.explain import Run
from mmviz.figures.difference import signed, signed_image
from mmviz.figures.image import data_uri, downscaled
from mmviz.figures.similarity import similarity_legend_html, similarity_strip_html
from mmviz.figures.token_labels import names
from mmviz.i18n.language import join_list
from mmviz.i18n.page import say
from mmviz.types import ImageInput, Modality, PixelBox, Seconds, Token

SIDE = 480
"""Pixels of the longer side of the picture."""
STRONGEST = 3
"""Patches that are named."""


def similarity_section(run: Run) -> None:
    """Draws a sentence and the similarity of each patch with the text or a word; nothing for any other model."""
    similarity = token_similarity(run.record)
    if similarity is None:
        return
    patches = [k for k, token in enumerate(similarity.places) if isinstance(token.location, PixelBox | Seconds)]
    if not patches:
        return
    widgets.heading(say("similarity"))
    widgets.note(say("similarity-about"))
    words = [
        k for k, token in enumerate(similarity.words) if token.modality is Modality.TEXT and token.location is not None
    ]
    labels = names(similarity.words)
    choices: list[int | None] = [None, *words]
    left, right = st.columns([1, 1], gap="medium")
    with right:
        word: int | None = st.selectbox(
            say("similarity-with"), choices, key=f"similarity-{run.record.id}",
            format_func=lambda k: say("similarity-text") if k is None else f"“{labels[k]}”",
        )  # fmt: skip
        values = similarity.text if word is None else similarity.values[:, word]
        largest = float(np.abs(similarity.values[patches][:, words]).max(initial=0.0))
        largest = max(largest, float(np.abs(similarity.text[patches]).max()), 1e-3)
        order = sorted(patches, key=lambda k: -values[k])[:STRONGEST]
        place_names = names(similarity.places)
        st.html(similarity_legend_html(largest, widgets.is_dark()))
        items = join_list(f"{place_names[k]} {signed(float(values[k]))}" for k in order)
        widgets.note(say("similarity-most", places=items))
    with left:
        tokens = [similarity.places[k] for k in patches]
        st.html(_inputs_html(run.sample.image, tokens, values[patches], largest))


def _inputs_html(image: ImageInput | None, tokens: Sequence[Token], values: NDArray[Any], largest: float) -> str:
    """Returns the picture, or the strip of the sound, in the colours of ``values`` ``[token]``."""
    if image is None:
        return similarity_strip_html(tokens, values, largest, widgets.is_dark())
    size = (image.width, image.height)
    pixels = signed_image(downscaled(image.pixels, SIDE), tokens, values, largest, widgets.is_dark(), size)
    return f"<img class='similarity-picture' src='{data_uri(pixels)}' alt='{html.escape(say('similarity-alt'))}'>"
