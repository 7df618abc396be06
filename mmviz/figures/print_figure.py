"""A figure for print: image, text, audio and answers on one scale, as PNG, SVG or PDF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mmviz.figures.matplotlib_settings import default_settings

# isort: split

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.text import Text
from numpy.typing import NDArray

from mmviz.figures.audio import envelope, lit_mel, mel_ticks
from mmviz.figures.colour_scale import (
    brightness,
    checked_amounts,
    cividis,
    hex_colour,
    range_text,
    short,
    text_colour,
)
from mmviz.figures.fonts import families, missing_characters, missing_font_text
from mmviz.figures.image import Pixels, Size, downscaled, spotlight
from mmviz.figures.text_wrapping import clipped, wrap_text
from mmviz.figures.theme import LIGHT
from mmviz.figures.token_labels import group_name, stand_in, token_label
from mmviz.i18n.figures import tell
from mmviz.i18n.unicode_display import replace_invisible
from mmviz.types import Answer, Chars, Modality, PixelBox, Seconds, Token

FigureFormat = Literal["png", "svg", "pdf"]
_UNDATED: dict[FigureFormat, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Metadata by which the bytes would differ from day to day."""
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


@dataclass(frozen=True, eq=False, kw_only=True)
class PrintedMap:
    """A map with the inputs and answers beside it. An input that is None is stated to be missing."""

    image: Pixels | None
    """uint8 ``[height, width, 3]``."""
    text: str | None
    """The text input, whose words are coloured."""
    wave: NDArray[Any] | None
    """``[sample]``."""
    rate: int
    """Samples per second of ``wave``."""
    mel: NDArray[Any] | None
    """As in `mmviz.figures.audio.lit_mel`, with ``hop_seconds``."""
    hop_seconds: float
    """Seconds between two columns of ``mel``."""
    tokens: Sequence[Token]
    """The tokens that have amounts: the keys of the map, or with ``to`` its queries."""
    amounts: NDArray[Any]
    """Of each of ``tokens``, ``[token]``."""
    scale_max: float
    """Colours go from 0 to this."""
    answers: Sequence[Answer]
    """Of these the five most probable ones are drawn."""
    title: str
    """The heading; it is cut after 84 characters."""
    caption: str
    """Stands at the bottom, in at most three lines."""
    method: str
    """The map in words, such as "layer 6, mean over 4 heads"."""
    direction: Literal["from", "to"]
    """``from``: the amounts are the row of ``token``, or the mean over a group; ``to``: its column."""
    token: int | Sequence[int]
    """Counts in ``selected_from``."""
    selected_from: Sequence[Token] | None = None
    """``tokens`` if None."""
    size: Size | None = None
    """Size of the original of ``image``, as in `mmviz.figures.image.spotlight`."""
    unit: str = ""
    """Unit of the amounts; attention weights if empty."""
    image_note: str = ""
    """Stands below the picture."""


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
    buffer = io.BytesIO()
    with rc_context({"pdf.fonttype": 42, "svg.hashsalt": "mmviz"}):
        figure.savefig(buffer, format=file_format, dpi=_DPI, metadata=_UNDATED.get(file_format))
    return buffer.getvalue()


def _draw(figure: SubFigure, shown: PrintedMap) -> None:
    tokens, scale_max = shown.tokens, shown.scale_max
    values = checked_amounts(tokens, shown.amounts, scale_max)
    numbers = [shown.token] if isinstance(shown.token, int) else shown.token
    selected = [(shown.selected_from or tokens)[k] for k in numbers]
    name = group_name([clipped(token_label(item, control_pictures=False), 24) for item in selected])
    subtitle = tell(f"paper-{shown.direction}", token=name, method=shown.method, direction=tell("direction"))
    _write(figure, _MARGIN, 0.945, clipped(shown.title, 84), size=22, weight="bold")
    _write(figure, _MARGIN, 0.9, clipped(subtitle, 140), size=14)
    _draw_image(figure, shown.image, tokens, values, scale_max, shown.size, shown.image_note)
    _draw_text(figure, shown.text, tokens, values, scale_max)
    _draw_audio(figure, shown.wave, shown.rate, shown.mel, shown.hop_seconds, tokens, values, scale_max)
    _draw_answers(figure, shown.answers)
    _draw_legend(figure, scale_max, values, shown.unit or tell("unit"))
    boxes = missing_characters("".join([shown.caption, *(part.get_text() for part in figure.findobj(Text))]))
    warning = wrap_text(missing_font_text(boxes), _CAPTION_WIDTH) if boxes else []
    lines, max_lines = wrap_text(shown.caption, _CAPTION_WIDTH), 2 if boxes else 3
    if len(lines) > max_lines:
        lines = [*lines[: max_lines - 1], clipped(" ".join(lines[max_lines - 1 :]), _CAPTION_WIDTH)]
    _write(figure, _MIDDLE, 0.075, "\n".join(warning + lines), size=12, color=LIGHT.muted, va="center")


def _draw_image(
    figure: SubFigure, image: Pixels | None, tokens: Sequence[Token], values: NDArray[Any], scale_max: float,
    size: Size | None, note: str,
) -> None:  # fmt: skip
    _write(figure, _MARGIN, 0.845, tell("paper-image"), size=14, weight="bold")
    if image is None or not any(isinstance(token.location, PixelBox) for token in tokens):
        _missing(figure, _MARGIN, 0.8, Modality.IMAGE, tokens, values)
        return
    axes = figure.add_axes((_MARGIN, 0.345, 0.4, 0.485) if note else (_MARGIN, 0.32, 0.4, 0.51))
    size = size or (image.shape[1], image.shape[0])
    axes.imshow(spotlight(downscaled(image), tokens, values, scale_max, size), extent=(0, size[0], size[1], 0))
    axes.set_anchor("NW")
    axes.set_axis_off()
    lines = "\n".join(wrap_text(note, _NOTE_WIDTH))
    _write(figure, _MARGIN, 0.337, lines, size=9, color=LIGHT.muted, va="top")


def _draw_text(
    figure: SubFigure, text: str | None, tokens: Sequence[Token], values: NDArray[Any],
    scale_max: float,
) -> None:  # fmt: skip
    _write(figure, _MIDDLE, 0.845, tell("paper-text"), size=14, weight="bold")
    spans = sorted(
        (token.location.start, token.location.end, index)
        for index, token in enumerate(tokens)
        if isinstance(token.location, Chars)
    )
    if text is None or not spans:
        _missing(figure, _MIDDLE, 0.8, Modality.TEXT, tokens, values)
        return
    width, height = figure.bbox.width, figure.bbox.height
    x, y, last = _MIDDLE, 0.795, 0
    for drawn, (start, end, index) in enumerate(spans):
        label = replace_invisible(tokens[index].label, control_pictures=False)
        word = replace_invisible(text, max(start, last), end, control_pictures=False) if end > last else label
        last = max(last, end)
        ground = hex_colour(values[index], scale_max)
        chip = _write(figure, x, y, clipped(word, 30), size=15, color=text_colour(ground), ha="center", va="center")
        chip.set_bbox({"boxstyle": "round,pad=0.25", "facecolor": ground, "edgecolor": "none"})
        number = _write(figure, x, y - 0.034, short(float(values[index])), size=9, color=LIGHT.muted, ha="center")
        reach = max(part.get_window_extent().width for part in (chip, number)) / width
        if x + reach > 1 - _MARGIN and x > _MIDDLE:
            x, y = _MIDDLE, y - 62 / height
        if y < 0.6:
            chip.remove()
            number.remove()
            _write(figure, x, y, tell("paper-more", count=len(spans) - drawn), size=12, color=LIGHT.muted, va="center")
            return
        chip.set_position((x + reach / 2, y))
        number.set_position((x + reach / 2, y - 0.039))
        x += reach + 14 / width


def _draw_audio(
    figure: SubFigure, wave: NDArray[Any] | None, rate: int, mel: NDArray[Any] | None, hop_seconds: float,
    tokens: Sequence[Token], values: NDArray[Any], scale_max: float,
) -> None:  # fmt: skip
    _write(figure, _MIDDLE, 0.535, tell("paper-audio"), size=14, weight="bold")
    from librosa.display import specshow  # not before a figure has a sound: it takes a second to import

    spans = [(index, token.location) for index, token in enumerate(tokens) if isinstance(token.location, Seconds)]
    if wave is None or mel is None or not spans:
        _missing(figure, _MIDDLE, 0.49, Modality.AUDIO, tokens, values)
        return
    end = max(len(wave) / rate, *(span.end for _, span in spans))
    left, width = _MIDDLE + 0.04, 1 - _MARGIN - _MIDDLE - 0.04
    top = figure.add_axes((left, 0.4, width, 0.125))
    times, line = envelope(wave, rate)
    top.plot(times, line / (float(np.abs(wave).max(initial=0)) or 1.0), color=LIGHT.muted, linewidth=0.8)
    for index, span in spans:
        colour = hex_colour(values[index], scale_max)
        top.bar(span.start, 0.4, span.end - span.start, bottom=-1.6, align="edge", color=colour)
    top.set(xlim=(0, end), ylim=(-1.6, 1.05), xticks=[], yticks=[])
    bottom = figure.add_axes((left, 0.235, width, 0.16))
    lit = lit_mel(mel, hop_seconds, tokens, values, scale_max)
    bands, hops = (np.arange(count + 1) for count in mel.shape)
    specshow(lit, x_coords=hops * hop_seconds, y_coords=bands, x_axis="s", ax=bottom, cmap="gray", vmin=0, vmax=255)
    hertz = mel_ticks(mel.shape[0], rate)
    bottom.set(xlim=(0, end), ylim=(0, mel.shape[0]))
    bottom.set_xlabel(tell("paper-time"), family=families())
    bottom.set_ylabel(tell("paper-mel"), family=families())
    bottom.set_yticks(list(hertz.values()), [str(value) for value in hertz])
    for axes in (top, bottom):
        _style_axes(axes)


def _draw_answers(figure: SubFigure, answers: Sequence[Answer]) -> None:
    _write(figure, _MARGIN, 0.265, tell("paper-answers"), size=14, weight="bold")
    top = sorted(answers, key=lambda answer: -answer.probability)[:5]
    axes = figure.add_axes((_MARGIN + 0.13, 0.04, 0.22, 0.205))
    axes.barh(range(len(top)), [answer.probability for answer in top], color=LIGHT.muted, height=0.6)
    axes.set(xlim=(0, 1), ylim=(4.6, -0.6))
    axes.set_axis_off()
    for row, answer in enumerate(top):
        style: dict[str, Any] = {"va": "center", "size": 13, "family": families(), "parse_math": False}
        axes.text(-0.03, row, clipped(answer.label, 20), ha="right", **style)
        axes.text(answer.probability + 0.02, row, f"{answer.probability:.2f}", ha="left", **style)


def _draw_legend(figure: SubFigure, scale_max: float, values: NDArray[Any], unit: str) -> None:
    steps = np.linspace(0, 1, 256)
    for left, name, colours in (
        (_MIDDLE, tell("paper-colour"), cividis(steps) / 255),
        (_MIDDLE + 0.11, tell("paper-light"), np.repeat(brightness(steps, 1.0)[:, None], 3, axis=1)),
    ):
        axes = figure.add_axes((left, 0.13, 0.09, 0.014))
        axes.imshow(steps[None], cmap=ListedColormap(colours), aspect="auto")
        axes.set(xticks=[], yticks=[])
        _style_axes(axes)
        _write(figure, left, 0.15, name, size=10, color=LIGHT.muted)
    printed = tell("unit-range", unit=unit, range=range_text(scale_max, values))
    _write(figure, _MIDDLE + 0.215, 0.137, printed, size=12, va="center")


def _style_axes(axes: Axes) -> None:
    axes.tick_params(colors=LIGHT.text, labelsize=10, length=3)
    for spine in axes.spines.values():
        spine.set_color(LIGHT.line)


def _missing(
    figure: SubFigure, x: float, y: float, modality: Modality, tokens: Sequence[Token], values: NDArray[Any]
) -> None:
    sentence = clipped(stand_in(modality, tokens, list(values)), 70)
    _write(figure, x, y, f"{tell(f'paper-no-{modality}')} {sentence}", size=12, color=LIGHT.muted)


def _write(figure: SubFigure, x: float, y: float, text: str, **style: Any) -> Text:
    """Draws ``text`` as it is: dollar signs start no formula."""
    settings: dict[str, Any] = {"color": LIGHT.text, "family": families(), "parse_math": False}
    return figure.text(x, y, text, **(settings | style))
