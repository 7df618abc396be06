"""A figure for print: image, text, audio and answers on one scale, as PNG, SVG or PDF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmviz.figures.matplotlib_settings import default_settings

# isort: split

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.text import Text

from mmviz.figures.colour_scale import text_colour
from mmviz.figures.fonts import families, missing_characters, missing_font_text
from mmviz.figures.printed_map import PrintedMap
from mmviz.figures.printed_parts import (
    FigureFormat,
    draw_bar,
    draw_spectrogram,
    draw_wave,
    figure_bytes,
    legend_bars,
    style_axes,
    write,
)
from mmviz.figures.text_wrapping import clipped, wrap_at_most, wrap_text
from mmviz.figures.theme import LIGHT
from mmviz.figures.token_labels import stand_in
from mmviz.i18n.figures import tell
from mmviz.types import Answer, Modality

_INCHES = (16.0, 9.0)
"""Of a map."""
_DPI = 100
_MARGIN = 0.035
_MIDDLE = 0.47
"""Left edge of the right half."""
_CAPTION_WIDTH = 92
"""Characters in a line of the caption."""
_NOTE_WIDTH = 100
"""Characters in a line below the picture."""


@default_settings()
def print_figure(maps: Sequence[PrintedMap], file_format: FigureFormat = "png") -> bytes:
    """Returns maps one above the other as a file: a PNG of 1600 x 900 pixels a map, or SVG or PDF of 16 x 9 inches.

    In SVG and PDF, text, lines and bars are vectors, and the characters of a PDF are embedded as TrueType. The same
    maps give the same bytes. Long texts are cut with an ellipsis. It neither depends on the caller's Matplotlib
    settings nor changes them, and pyplot does not know it.
    """
    figure = Figure(figsize=(_INCHES[0], _INCHES[1] * len(maps)), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    for part, shown in zip(figure.subfigures(len(maps), 1, squeeze=False)[:, 0], maps, strict=True):
        _draw(part, shown)
    return figure_bytes(figure, file_format, _DPI)


def _draw(figure: SubFigure, shown: PrintedMap) -> None:
    write(figure, _MARGIN, 0.945, clipped(shown.title, 84), size=22, weight="bold")
    write(figure, _MARGIN, 0.9, clipped(shown.subtitle, 140), size=14)
    _draw_image(figure, shown)
    _draw_text(figure, shown)
    _draw_audio(figure, shown)
    _draw_answers(figure, shown.answers)
    _draw_legend(figure, shown)
    boxes = missing_characters("".join([shown.caption, *(part.get_text() for part in figure.findobj(Text))]))
    warning = wrap_text(missing_font_text(boxes), _CAPTION_WIDTH) if boxes else []
    lines = wrap_at_most(shown.caption, _CAPTION_WIDTH, 2 if boxes else 3)
    write(figure, _MIDDLE, 0.075, "\n".join(warning + lines), size=12, color=LIGHT.muted, va="center")


def _draw_image(figure: SubFigure, shown: PrintedMap) -> None:
    write(figure, _MARGIN, 0.845, tell("paper-image"), size=14, weight="bold")
    size, note = shown.picture_size(), shown.image_note
    if size is None:
        _missing(figure, _MARGIN, 0.8, Modality.IMAGE, shown)
        return
    axes = figure.add_axes((_MARGIN, 0.345, 0.4, 0.485) if note else (_MARGIN, 0.32, 0.4, 0.51))
    axes.imshow(shown.picture(size), extent=(0, size[0], size[1], 0))
    axes.set_anchor("NW")
    axes.set_axis_off()
    lines = "\n".join(wrap_text(note, _NOTE_WIDTH))
    write(figure, _MARGIN, 0.337, lines, size=9, color=LIGHT.muted, va="top")


def _draw_text(figure: SubFigure, shown: PrintedMap) -> None:
    write(figure, _MIDDLE, 0.845, tell("paper-text"), size=14, weight="bold")
    words = shown.words()
    if not words:
        _missing(figure, _MIDDLE, 0.8, Modality.TEXT, shown)
        return
    width, height = figure.bbox.width, figure.bbox.height
    x, y = _MIDDLE, 0.795
    for drawn, (word, index) in enumerate(words):
        ground = shown.colour(index)
        chip = write(figure, x, y, clipped(word, 30), size=15, color=text_colour(ground), ha="center", va="center")
        chip.set_bbox({"boxstyle": "round,pad=0.25", "facecolor": ground, "edgecolor": "none"})
        number = write(figure, x, y - 0.034, shown.number(index), size=9, color=LIGHT.muted, ha="center")
        reach = max(part.get_window_extent().width for part in (chip, number)) / width
        if x + reach > 1 - _MARGIN and x > _MIDDLE:
            x, y = _MIDDLE, y - 62 / height
        if y < 0.6:
            chip.remove()
            number.remove()
            write(figure, x, y, tell("paper-more", count=len(words) - drawn), size=12, color=LIGHT.muted, va="center")
            return
        chip.set_position((x + reach / 2, y))
        number.set_position((x + reach / 2, y - 0.039))
        x += reach + 14 / width


def _draw_audio(figure: SubFigure, shown: PrintedMap) -> None:
    write(figure, _MIDDLE, 0.535, tell("paper-audio"), size=14, weight="bold")
    end = shown.sound_end()
    if end is None:
        _missing(figure, _MIDDLE, 0.49, Modality.AUDIO, shown)
        return
    left, width = _MIDDLE + 0.04, 1 - _MARGIN - _MIDDLE - 0.04
    top, bottom = figure.add_axes((left, 0.4, width, 0.125)), figure.add_axes((left, 0.235, width, 0.16))
    draw_wave(top, shown, end)
    draw_spectrogram(bottom, shown, end)
    for axes in (top, bottom):
        style_axes(axes, 10)


def _draw_answers(figure: SubFigure, answers: Sequence[Answer]) -> None:
    write(figure, _MARGIN, 0.265, tell("paper-answers"), size=14, weight="bold")
    top = sorted(answers, key=lambda answer: -answer.probability)[:5]
    axes = figure.add_axes((_MARGIN + 0.13, 0.04, 0.22, 0.205))
    axes.barh(range(len(top)), [answer.probability for answer in top], color=LIGHT.muted, height=0.6)
    axes.set(xlim=(0, 1), ylim=(4.6, -0.6))
    axes.set_axis_off()
    for row, answer in enumerate(top):
        style: dict[str, Any] = {"va": "center", "size": 13, "family": families(), "parse_math": False}
        axes.text(-0.03, row, clipped(answer.label, 20), ha="right", **style)
        axes.text(answer.probability + 0.02, row, f"{answer.probability:.2f}", ha="left", **style)


def _draw_legend(figure: SubFigure, shown: PrintedMap) -> None:
    left = _MIDDLE
    for name, colours in legend_bars(shown):
        draw_bar(figure.add_axes((left, 0.13, 0.09, 0.014)), colours, 10)
        write(figure, left, 0.15, name, size=10, color=LIGHT.muted)
        left += 0.11
    write(figure, left - 0.005, 0.137, shown.scale_text, size=12, va="center")


def _missing(figure: SubFigure, x: float, y: float, modality: Modality, shown: PrintedMap) -> None:
    sentence = clipped(stand_in(modality, shown.tokens, list(shown.values)), 70)
    write(figure, x, y, f"{tell(f'paper-no-{modality}')} {sentence}", size=12, color=LIGHT.muted)
