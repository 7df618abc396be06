"""Headings, paragraphs, pictures and tables on pages of A4, as one PDF."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmviz.figures.matplotlib_settings import default_settings

# isort: split

import numpy as np
from matplotlib.backends.backend_pdf import FigureCanvasPdf, PdfPages
from matplotlib.figure import Figure
from PIL import Image

from mmviz.figures.fonts import families
from mmviz.figures.text_wrapping import clipped, display_width, wrap_text
from mmviz.figures.theme import LIGHT

_WIDTH, _HEIGHT, _MARGIN = 595.0, 842.0, 48.0
"""A4 and its margins in points."""
_SIZE, _HEADING, _TITLE = 9.0, 13.0, 18.0
"""Font sizes in points."""
_SMALLEST = 4.5
_CHARACTER = 0.6
"""Width of a character of English, as a share of the font size; those of words are narrower on average."""
_LEADING = 1.4
_GAP = 2
"""Characters between two columns."""
_MAX_CELL = 44


@dataclass(frozen=True)
class Heading:
    """A line in bold."""

    text: str
    """The line; it is wrapped where it is longer than the page is wide."""
    is_title: bool = False
    """That of the document, which is larger."""


@dataclass(frozen=True)
class Paragraph:
    """Text that is wrapped."""

    text: str
    """The text, without line ends."""


@dataclass(frozen=True)
class Picture:
    """A PNG as wide as the page, or as high as fits."""

    png: bytes
    """The file."""


@dataclass(frozen=True)
class Table:
    """Rows of cells below each other."""

    rows: Sequence[Sequence[str]]
    """Equally many cells in each; the first row is the header."""


Block = Heading | Paragraph | Picture | Table


@default_settings()
def pages_pdf(blocks: Iterable[Block]) -> bytes:
    """Returns the blocks below each other on as many pages as they need. The same blocks give the same bytes.

    It neither depends on the caller's Matplotlib settings nor changes them. A cell is cut to one line; a wide table has
    a smaller font.
    """
    pages = _Pages()
    for block in blocks:
        if isinstance(block, Heading):
            pages.heading(block)
        elif isinstance(block, Paragraph):
            pages.paragraph(block.text)
        elif isinstance(block, Picture):
            pages.picture(block.png)
        else:
            pages.table(block.rows)
    return pages.to_bytes()


class _Pages:
    """Figures, one for each page, and how far down the last is filled."""

    def __init__(self) -> None:
        self._figures: list[Figure] = []
        self._new_page()

    def to_bytes(self) -> bytes:
        buffer = io.BytesIO()
        with PdfPages(buffer, metadata={"CreationDate": None}) as pdf:
            for figure in self._figures:
                pdf.savefig(figure)
        return buffer.getvalue()

    def heading(self, heading: Heading) -> None:
        size = _TITLE if heading.is_title else _HEADING
        if not heading.is_title:
            self._room(size * 4)  # a heading is not the last line of a page
            self._y -= size * 0.8
        for line in wrap_text(heading.text, _characters(size)):
            self._line(line, size, weight="bold")

    def paragraph(self, text: str) -> None:
        for line in wrap_text(text, _characters(_SIZE)):
            self._line(line, _SIZE)
        self._y -= _SIZE * 0.3

    def picture(self, png: bytes) -> None:
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        width, most = _WIDTH - 2 * _MARGIN, _HEIGHT - 3 * _MARGIN
        scale = min(width / pixels.shape[1], most / pixels.shape[0])
        width, height = pixels.shape[1] * scale, pixels.shape[0] * scale
        self._room(height)
        self._y -= height
        axes = self._figures[-1].add_axes(
            (_MARGIN / _WIDTH, self._y / _HEIGHT, width / _WIDTH, height / _HEIGHT)
        )  # fmt: skip
        axes.imshow(pixels, aspect="auto", interpolation="none")
        axes.set_axis_off()
        self._y -= _SIZE

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        most = int(_characters(_SMALLEST) / len(rows[0])) - _GAP
        cells = [[clipped(cell, min(most, _MAX_CELL)) for cell in row] for row in rows]
        widths = [max(map(display_width, column)) + _GAP for column in zip(*cells, strict=True)]
        size = min(_SIZE, max(_SMALLEST, (_WIDTH - 2 * _MARGIN) / (sum(widths) * _CHARACTER)))
        for number, row in enumerate(cells):
            self._room(size * _LEADING)
            self._y -= size * _LEADING
            x = _MARGIN
            for cell, width in zip(row, widths, strict=True):
                self._write(x, cell, size, "bold" if number == 0 else "normal")
                x += width * size * _CHARACTER
        self._y -= size

    def _line(self, text: str, size: float, weight: str = "normal") -> None:
        self._room(size * _LEADING)
        self._y -= size * _LEADING
        self._write(_MARGIN, text, size, weight)

    def _write(self, x: float, text: str, size: float, weight: str) -> None:
        """Draws text as it is: dollar signs start no formula."""
        self._figures[-1].text(
            x / _WIDTH, self._y / _HEIGHT, text, size=size, weight=weight, color=LIGHT.text, family=families(),
            parse_math=False,
        )  # fmt: skip

    def _room(self, height: float) -> None:
        """Begins a page where less than ``height`` is left."""
        if self._y - height < _MARGIN:
            self._new_page()

    def _new_page(self) -> None:
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), facecolor="white")
        FigureCanvasPdf(figure)
        self._figures.append(figure)
        self._y = _HEIGHT - _MARGIN


def _characters(size: float) -> int:
    """Returns how many characters of English stand in a line."""
    return int((_WIDTH - 2 * _MARGIN) / (size * _CHARACTER))
