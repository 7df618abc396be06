"""Small figures of one amount per token as HTML, so that several methods fit side by side."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.figures.heat_strip import labelled_strip_html, strip_html
from mmviz.figures.image import data_uri, downscaled, spotlight
from mmviz.figures.legend import amount_legend_html
from mmviz.figures.token_labels import names
from mmviz.i18n.language import join_list
from mmviz.i18n.page import say
from mmviz.types import Modality, PixelBox, Sample, Token

SIDE = 240
"""Longer side of the image in pixels, twice that on the page."""


def method_card_html(
    title: str, sample: Sample, tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float,
    dark: bool, details: str = "", unit: str = "", ink: str = "", has_labels: bool = False,
    side: int = SIDE,
) -> str:  # fmt: skip
    """Returns small figures of ``amounts`` ``[token]``: spotlight on the image, strips for text and audio, a legend.

    ``dark``: whether the page is. ``details`` is HTML below the title. ``unit`` is that of the amounts, by default an
    attention weight. ``ink``: see `amount_legend_html`. ``has_labels``: the words themselves and the seconds stand on
    the strips. ``side``: pixels of the longer side of the image.
    """
    image = sample.image
    parts = [f"<b>{html.escape(title)}</b>{details}"]
    if image is not None and any(isinstance(token.location, PixelBox) for token in tokens):
        lit = spotlight(downscaled(image.pixels, side), tokens, amounts, scale_max, (image.width, image.height))
        parts.append(f"<img src='{data_uri(lit)}' alt='{html.escape(say('picture-alt'))}'>")
    strip = labelled_strip_html if has_labels else strip_html
    strips = [
        f"<div class='strip'>{html.escape(say(f'strip-{modality}'))}{strip(tokens, amounts, scale_max, modality)}</div>"
        for modality in (Modality.TEXT, Modality.AUDIO)
        if any(token.modality is modality and token.location is not None for token in tokens)
    ]
    largest = np.argsort(-amounts, kind="stable")[:3].tolist()
    strongest = join_list(f"“{name}”" for name in names(tokens, largest))
    strips.append(f"<div class='strongest'>{html.escape(say('strongest', tokens=strongest))}</div>")
    parts.append(f"<div class='method-card-side'>{''.join(strips)}</div>")
    legend = amount_legend_html(scale_max, dark, unit, ink=ink)
    return f"<div class='method-card'>{''.join(parts)}{legend}</div>"
