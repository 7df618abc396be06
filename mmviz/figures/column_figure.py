"""A figure for a column of a paper: the same content as `print_figure`, one thing below the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mmviz.figures.matplotlib_settings import default_settings

# isort: split

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from mmviz.figures.colour_scale import text_colour
from mmviz.figures.fonts import missing_characters, missing_font_text
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
from mmviz.figures.text_wrapping import clipped, wrap_at_most
from mmviz.figures.theme import LIGHT
from mmviz.figures.token_labels import stand_in
from mmviz.i18n.figures import tell
from mmviz.i18n.language import join_list, join_sentences
from mmviz.i18n.unicode_display import one_line
from mmviz.types import Modality

WIDTH = 3.3
"""Inches, as all lengths here: the column of most papers with two."""
SMALLEST = 6.0
"""Points of the smallest text."""
_DPI = 300
_MARGIN = 0.04
_INNER = WIDTH - 2 * _MARGIN
_IMAGE_HEIGHT = 1.9
"""At most."""
_CHAR_WIDTH = 0.6
"""Of a mean character, in sizes of its font; bold ones are a fifth wider."""
_LINE = 1.3 / 72
"""Height of a line of 1 point."""
_GAP = 0.05
"""Below each part."""
_MAX_ROWS = 4
"""Rows of words that are drawn."""
_ROW = 0.27
"""Height of a row of words with their numbers."""
_MAX_CAPTION = 7
"""Lines of the caption."""

Part = tuple[float, Callable[["_Page", float], None]]
"""The height of a part of the figure, and what draws it at a distance from the top."""


class _Page:
    """A figure of some height, in which places are counted from its upper left corner."""

    def __init__(self, height: float) -> None:
        self.height = height
        self.figure = Figure(figsize=(WIDTH, height), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(self.figure)

    def write(self, x: float, y: float, text: str, **style: Any) -> Text:
        return write(self.figure, x / WIDTH, 1 - y / self.height, text, **({"va": "top"} | style))

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        bottom = 1 - (y + height) / self.height
        return self.figure.add_axes((x / WIDTH, bottom, width / WIDTH, height / self.height))


@default_settings()
def column_figure(maps: Sequence[PrintedMap], file_format: FigureFormat = "pdf") -> bytes:
    """Returns maps one above the other as a file, `WIDTH` inches wide, with no text below `SMALLEST` points.

    A PNG has 300 pixels an inch. Otherwise as `mmviz.figures.print_figure.print_figure`.
    """
    return figure_bytes(column_layout(maps), file_format, _DPI)


@default_settings()
def column_layout(maps: Sequence[PrintedMap]) -> Figure:
    """Returns the figure of `column_figure`, as high as its parts."""
    parts = [part for shown in maps for part in _parts(shown)]
    page = _Page(2 * _MARGIN + sum(height + _GAP for height, _ in parts))
    y = _MARGIN
    for height, draw in parts:
        draw(page, y)
        y += height + _GAP
    return page.figure


def _parts(shown: PrintedMap) -> Iterator[Part]:
    yield _paragraph(shown.title, 8, 2, weight="bold")
    yield _paragraph(shown.subtitle, 6.5, 4)
    yield _image(shown) or _missing(Modality.IMAGE, shown)
    yield _words(shown) or _missing(Modality.TEXT, shown)
    yield _sound(shown) or _missing(Modality.AUDIO, shown)
    answers = sorted(shown.answers, key=lambda answer: -answer.probability)[:3]
    listed = join_list(f"{one_line(answer.label)} {answer.probability:.2f}" for answer in answers)
    if answers:
        yield _paragraph(tell("paper-answers-line", answers=listed), 6.5, 2)
    yield _legend(shown)
    drawn = "".join([shown.title, shown.subtitle, listed, shown.caption, *(word for word, _ in shown.words())])
    if boxes := missing_characters(drawn):
        yield _paragraph(missing_font_text(boxes), SMALLEST, _MAX_CAPTION, color=LIGHT.muted)
    notes = filter(None, [shown.caption, shown.image_note if shown.image is not None else ""])
    yield _paragraph(join_sentences(notes), SMALLEST, _MAX_CAPTION, color=LIGHT.muted)


def _paragraph(text: str, size: float, max_lines: int, **style: Any) -> Part:
    """Returns text in lines, the last one cut with an ellipsis where there are more than ``max_lines``."""
    char_width = _CHAR_WIDTH * (1.2 if style.get("weight") == "bold" else 1)
    width = int(_INNER * 72 / (char_width * size))
    lines = wrap_at_most(text, width, max_lines)

    def draw(page: _Page, y: float) -> None:
        for number, line in enumerate(lines):
            page.write(_MARGIN, y + number * size * _LINE, line, size=size, **style)

    return len(lines) * size * _LINE, draw


def _image(shown: PrintedMap) -> Part | None:
    size = shown.picture_size()
    if size is None:
        return None
    height = min(_IMAGE_HEIGHT, _INNER * size[1] / size[0])

    def draw(page: _Page, y: float) -> None:
        axes = page.axes(_MARGIN, y, _INNER, height)
        axes.imshow(shown.picture(size), extent=(0, size[0], size[1], 0))
        axes.set_anchor("N")
        axes.set_axis_off()

    return height, draw


def _words(shown: PrintedMap) -> Part | None:
    """Returns the words, each on its colour above its number; None without words."""
    words = shown.words()
    if not words:
        return None
    scratch, x = _Page(1.0), 0.0
    rows: list[list[tuple[float, float, str, int]]] = [[]]
    for word, index in words:
        label = clipped(word, 24)
        widths = [
            scratch.write(0, 0, text, size=size).get_window_extent().width / _DPI
            for text, size in ((label, 7), (shown.number(index), SMALLEST))
        ]
        width = max(widths[0] + 0.07, widths[1])
        if rows[-1] and x + width > _INNER:
            rows.append([])
            x = 0.0
        rows[-1].append((x, width, label, index))
        x += width + 0.05
    left = sum(map(len, rows[_MAX_ROWS:]))
    shown_rows = rows[:_MAX_ROWS]

    def draw(page: _Page, y: float) -> None:
        for number, row in enumerate(shown_rows):
            top = y + number * _ROW
            for x, width, label, index in row:
                ground, middle = shown.colour(index), _MARGIN + x + width / 2
                style = {"size": 7, "color": text_colour(ground), "ha": "center", "va": "center"}
                box = {"boxstyle": "round,pad=0.2", "facecolor": ground, "edgecolor": "none"}
                page.write(middle, top + 0.07, label, **style).set_bbox(box)
                page.write(middle, top + 0.145, shown.number(index), size=SMALLEST, color=LIGHT.muted, ha="center")
        if left:
            page.write(_MARGIN, y + _MAX_ROWS * _ROW, tell("paper-more", count=left), size=6.5, color=LIGHT.muted)

    return len(shown_rows) * _ROW + (0.12 if left else 0), draw


def _sound(shown: PrintedMap) -> Part | None:
    end = shown.sound_end()
    if end is None:
        return None
    left, width = 0.44, WIDTH - 0.44 - 0.14  # beside both ends stands half of a number

    def draw(page: _Page, y: float) -> None:
        top = page.axes(left, y, width, 0.3)
        bottom = page.axes(left, y + 0.32, width, 0.42)
        draw_wave(top, shown, end)
        draw_spectrogram(bottom, shown, end, size=SMALLEST, labelpad=1)
        for axes in (top, bottom):
            style_axes(axes, SMALLEST)

    return 1.0, draw


def _legend(shown: PrintedMap) -> Part:
    def draw(page: _Page, y: float) -> None:
        for number, (name, colours) in enumerate(legend_bars(shown)):
            label = page.write(_MARGIN + number * _INNER / 2, y, name, size=SMALLEST, color=LIGHT.muted)
            x = _MARGIN + number * _INNER / 2 + label.get_window_extent().width / _DPI + 0.06
            draw_bar(page.axes(x, y + 0.02, 0.75, 0.07), colours, SMALLEST)

    scale_height, draw_scale = _paragraph(shown.scale_text, 6.5, 2)

    def draw_both(page: _Page, y: float) -> None:
        draw(page, y)
        draw_scale(page, y + 0.13)

    return 0.13 + scale_height, draw_both


def _missing(modality: Modality, shown: PrintedMap) -> Part:
    text = f"{tell(f'paper-no-{modality}')} {stand_in(modality, shown.tokens, list(shown.values))}"
    return _paragraph(text, 6.5, 2, color=LIGHT.muted)
