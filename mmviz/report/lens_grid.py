"""The grid of a lens as HTML: the picture after each layer, and the words by layer, on one scale."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.experiments.lens import Lens
from mmviz.figures.colour_scale import hex_colour, text_colour
from mmviz.figures.image import data_uri, downscaled, spotlight
from mmviz.figures.legend import amount_legend_html
from mmviz.figures.token_labels import full_names, token_label
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.language import join_list
from mmviz.i18n.page import say
from mmviz.i18n.unicode_display import one_line
from mmviz.report.lens_table import layer_names
from mmviz.types import ABSENT, ImageInput, Modality, PixelBox, Seconds

SIDE = 240
"""Longer side of each picture in pixels, up to twice that on the page."""
MAX_CELLS = 20_000
"""So many cells a browser draws with a text each; those of larger grids have none."""


@dataclass(frozen=True)
class LensGrid:
    """A lens with what its cells show, made once."""

    lens: Lens
    """What is shown."""
    layers: tuple[str, ...]
    """The name of each row."""
    amounts: NDArray[np.float64]
    """float64 ``[row, token]``: how far the log-probability of the final answer lies above that of chance, in nats; 0
    where it lies below."""
    scale_max: float
    """The end of the scale: the log of the number of answers, for a probability of 1."""
    places: tuple[str, ...]
    """The full name of each token."""

    @staticmethod
    def of(lens: Lens) -> LensGrid:
        """Returns the grid of a lens."""
        scale_max = math.log(max(lens.reading.answers, 2))
        amounts = np.maximum(lens.reading.answer_log_probabilities + scale_max, 0.0)
        return LensGrid(lens, tuple(layer_names(lens)), amounts, scale_max, tuple(full_names(lens.tokens)))

    @property
    def answer(self) -> str:
        """The final answer in quotation marks."""
        return f"“{one_line(self.lens.reading.answer)}”"

    @property
    def is_large(self) -> bool:
        """Whether the grid has too many cells for a text each."""
        return self.amounts.size > MAX_CELLS

    @property
    def patches(self) -> list[int]:
        """The tokens with a place in the picture."""
        return [k for k, token in enumerate(self.lens.tokens) if isinstance(token.location, PixelBox)]

    @property
    def moments(self) -> list[int]:
        """The tokens with a place in the sound alone."""
        tokens = enumerate(self.lens.tokens)
        return [k for k, token in tokens if token.modality is Modality.AUDIO and isinstance(token.location, Seconds)]

    @property
    def words(self) -> list[int]:
        """The words, and the answer token, in the order of the model."""
        return [
            k
            for k, token in enumerate(self.lens.tokens)
            if k == self.lens.reading.answer_token or (token.modality is Modality.TEXT and token.label != ABSENT)
        ]

    def hover(self, row: int, token: int) -> str:
        """Returns the place of a token, its most probable answers, and the rank and probability of the final one."""
        reading = self.lens.reading
        best = join_list(f"{one_line(label)} {percent(log_p)}" for label, log_p in self.lens.answers_of(row, token))
        return say(
            "lens-hover", place=self.places[token], best=best, answer=self.answer,
            rank=int(reading.answer_ranks[row, token]),
            probability=percent(reading.answer_log_probabilities[row, token]),
        )  # fmt: skip


def percent(log_probability: float) -> str:
    """Returns a probability, given in nats, with one decimal."""
    probability = math.exp(log_probability)
    return f"{probability:.1%}" if probability >= 0.0005 else "<0.1%"


def legend_html(grid: LensGrid, dark: bool) -> str:
    """Returns the scale of all cells: from the probability of chance, and below, to 1."""
    low = say("lens-chance", answers=grid.lens.reading.answers)
    return amount_legend_html(grid.scale_max, dark, say("lens-legend", answer=grid.answer), ends=(low, "1"))


def forming_html(grid: LensGrid) -> str:
    """Returns a table of what the answer token would answer after each layer."""
    steps = grid.lens.forming()
    columns = [sentence(f"lens-column-{code}") for code in ("layer", "best", "probability")]
    columns.append(sentence("lens-column-rank", answer=grid.answer))
    heads = "".join(f"<th scope='col'>{html.escape(column)}</th>" for column in columns)
    body = ""
    for name, step in zip(grid.layers, steps, strict=True):
        label, log_p = step.answers[0]
        share = math.exp(log_p)
        is_final = " class='other'" if step.rank == 1 else ""
        body += (
            f"<tr><th scope='row'>{html.escape(name)}</th><td{is_final}>{html.escape(one_line(label))}</td>"
            f"<td>{percent(log_p)}<div class='bar'><i style='width:{share:.1%}'></i></div></td>"
            f"<td{is_final}>{step.rank:,}</td></tr>"
        )
    caption = html.escape(say("lens-table-caption"))
    return f"<table class='facts'><caption>{caption}</caption><tr>{heads}</tr>{body}</table>"


def pictures_html(grid: LensGrid, image: ImageInput) -> str:
    """Returns the picture after each layer, each patch as bright as the final answer is probable there."""
    lens, patches = grid.lens, grid.patches
    tokens = [lens.tokens[k] for k in patches]
    pixels, size = downscaled(image.pixels, SIDE), (image.width, image.height)
    figures = ""
    for row, name in enumerate(grid.layers):
        lit = spotlight(pixels, tokens, grid.amounts[row, patches], grid.scale_max, size)
        caption = _layer_caption(grid, row)
        first = int((lens.reading.answer_ranks[row, patches] == 1).sum())
        alt = html.escape(say("lens-picture-alt", layer=caption, answer=grid.answer))
        count = html.escape(say("lens-first", count=first, of=len(patches), answer=grid.answer))
        cells = "" if grid.is_large else _patch_cells(grid, row, size)
        figures += (
            f"<figure data-layer='{html.escape(name)}'><div class='lens-picture'>"
            f"<img src='{data_uri(lit)}' alt='{alt}'>{cells}</div>"
            f"<figcaption><b>{html.escape(caption)}</b><br>{count}</figcaption></figure>"
        )
    return f"<div class='lens-pictures' style='--aspect:{image.width / image.height:.3f}'>{figures}</div>"


def _layer_caption(grid: LensGrid, row: int) -> str:
    number = grid.lens.layer_numbers[row]
    return say("heads-layer", layer=number) if number else grid.layers[row]


def _patch_cells(grid: LensGrid, row: int, size: tuple[int, int]) -> str:
    """Returns a transparent cell over each patch, with its text."""
    width, height = size
    cells = ""
    for k in grid.patches:
        location = grid.lens.tokens[k].location
        assert isinstance(location, PixelBox)
        title = html.escape(grid.hover(row, k))
        for box in location.boxes:
            cells += (
                f"<i data-token='{k}' title='{title}' style='left:{box.x0 / width:.2%};top:{box.y0 / height:.2%};"
                f"width:{(box.x1 - box.x0) / width:.2%};height:{(box.y1 - box.y0) / height:.2%}'></i>"
            )
    return cells


def shown_words(grid: LensGrid) -> list[int]:
    """Returns the words that `words_html` shows: all of them, or the last ones of a long text."""
    return grid.words[-max(1, MAX_CELLS // len(grid.layers)) :]


def words_html(grid: LensGrid) -> str:
    """Returns a table of layers and words; a cell has the colour of the final answer's probability, and holds the most
    probable answer of the word."""
    words = shown_words(grid)
    heads = "".join(f"<th scope='col'{_answer_mark(grid, k)}>{_word(grid, k)}</th>" for k in words)
    body = "".join(
        f"<tr><th scope='row'>{html.escape(name)}</th>{''.join(_word_cell(grid, row, k) for k in words)}</tr>"
        for row, name in enumerate(grid.layers)
    )
    corner = f"<th scope='col'>{html.escape(sentence('lens-column-layer'))}</th>"
    return (
        "<div class='words-scroll' tabindex='0'><table class='facts words lens-words'>"
        f"<tr>{corner}{heads}</tr>{body}</table></div>"
    )


def _word(grid: LensGrid, token: int) -> str:
    is_answer_token = token == grid.lens.reading.answer_token and not grid.lens.is_written
    return html.escape(say("lens-answer-token") if is_answer_token else token_label(grid.lens.tokens[token]))


def _answer_mark(grid: LensGrid, token: int) -> str:
    return " class='answers'" if token == grid.lens.reading.answer_token else ""


def _word_cell(grid: LensGrid, row: int, token: int) -> str:
    ground = hex_colour(float(grid.amounts[row, token]), grid.scale_max)
    label = html.escape(one_line(grid.lens.answers_of(row, token)[0][0]) or " ")
    return (
        f"<td title='{html.escape(grid.hover(row, token))}'{_answer_mark(grid, token)}>"
        f"<span style='background:{ground};color:{text_colour(ground)}'>{label}</span></td>"
    )


def moment_hovers(grid: LensGrid, moments: Sequence[int]) -> list[list[str]] | None:
    """Returns the text of each layer and moment; None for a grid with too many cells."""
    if grid.is_large:
        return None
    return [[grid.hover(row, k) for k in moments] for row in range(len(grid.layers))]
