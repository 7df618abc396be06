"""A figure for print: image, text, audio and answers on one scale, as a PNG of 1600 x 900 pixels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Literal

from mmviz.figures.matplotlib_settings import default_settings

# isort: split

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

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
from mmviz.figures.fonts import families, missing_characters
from mmviz.figures.image import Pixels, Size, downscaled, spotlight
from mmviz.figures.text_wrapping import clipped, wrap_text
from mmviz.figures.theme import LIGHT
from mmviz.figures.token_labels import group_name, stand_in, token_label
from mmviz.i18n.figures import tell
from mmviz.i18n.unicode_display import replace_invisible
from mmviz.types import Answer, Chars, Modality, PixelBox, Seconds, Token

_INCHES = (16.0, 9.0)
_DPI = 100
_MARGIN = 0.035
_MIDDLE = 0.47
"""Left edge of the right half."""
_CAPTION_WIDTH = 92
"""Characters in a line of the caption."""
_NOTE_WIDTH = 100
"""Characters in a line below the picture."""
_MAX_NAMED = 4
"""So many missing characters are listed by their code points."""


@default_settings()
def png(
    *,
    image: Pixels | None,
    text: str | None,
    wave: NDArray[Any] | None,
    rate: int,
    mel: NDArray[Any] | None,
    hop_seconds: float,
    tokens: Sequence[Token],
    amounts: NDArray[Any],
    scale_max: float,
    answers: Sequence[Answer],
    title: str,
    caption: str,
    method: str,
    direction: Literal["from", "to"],
    token: int | Sequence[int],
    selected_from: Sequence[Token] | None = None,
    size: Size | None = None,
    unit: str = "",
    image_note: str = "",
) -> bytes:
    """Returns the figure as a PNG. Colours go from 0 to ``scale_max``. Long texts are cut with an ellipsis.

    It neither depends on the caller's Matplotlib settings nor changes them, and pyplot does not know it.

    - ``image`` uint8 ``[height, width, 3]`` and ``size`` of the original as in `mmviz.figures.image.spotlight`;
      ``image_note`` stands below it.
    - ``wave`` ``[sample]`` at ``rate`` (Hz); ``mel`` and ``hop_seconds`` as in `mmviz.figures.audio.lit_mel`.
    - ``tokens`` and their ``amounts`` ``[token]``, in the ``unit``, by default attention weights.
    - ``method`` in words, such as "layer 6, mean over 4 heads"; ``direction`` is ``from`` if the amounts are the row of
      ``token`` (or the mean over a group), ``to`` if they are its column. ``token`` counts in ``selected_from``, by
      default in ``tokens``.

    An input that is None is stated to be missing.
    """
    values = checked_amounts(tokens, amounts, scale_max)
    figure = Figure(figsize=_INCHES, dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    selected = [(selected_from or tokens)[k] for k in ([token] if isinstance(token, int) else token)]
    name = group_name([clipped(token_label(item, control_pictures=False), 24) for item in selected])
    subtitle = tell(f"paper-{direction}", token=name, method=method, direction=tell("direction"))
    _write(figure, _MARGIN, 0.945, clipped(title, 84), size=22, weight="bold")
    _write(figure, _MARGIN, 0.9, clipped(subtitle, 140), size=14)
    _draw_image(figure, image, tokens, values, scale_max, size, image_note)
    _draw_text(figure, text, tokens, values, scale_max)
    _draw_audio(figure, wave, rate, mel, hop_seconds, tokens, values, scale_max)
    _draw_answers(figure, answers)
    _draw_legend(figure, scale_max, values, unit or tell("unit"))
    boxes = missing_characters("".join([caption, *(part.get_text() for part in figure.findobj(Text))]))
    warning = wrap_text(_missing_font_text(boxes), _CAPTION_WIDTH) if boxes else []
    lines, max_lines = wrap_text(caption, _CAPTION_WIDTH), 2 if boxes else 3
    if len(lines) > max_lines:
        lines = [*lines[: max_lines - 1], clipped(" ".join(lines[max_lines - 1 :]), _CAPTION_WIDTH)]
    _write(figure, _MIDDLE, 0.075, "\n".join(warning + lines), size=12, color=LIGHT.muted, va="center")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def above_each_other(figures: Sequence[bytes]) -> bytes:
    """Returns PNGs of one width as one, the first on top."""
    parts = [np.asarray(Image.open(io.BytesIO(figure)).convert("RGB")) for figure in figures]
    buffer = io.BytesIO()
    Image.fromarray(np.vstack(parts)).save(buffer, "PNG")
    return buffer.getvalue()


def _draw_image(
    figure: Figure, image: Pixels | None, tokens: Sequence[Token], values: NDArray[Any], scale_max: float,
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
    figure: Figure, text: str | None, tokens: Sequence[Token], values: NDArray[Any],
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
    figure: Figure, wave: NDArray[Any] | None, rate: int, mel: NDArray[Any] | None, hop_seconds: float,
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


def _draw_answers(figure: Figure, answers: Sequence[Answer]) -> None:
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


def _draw_legend(figure: Figure, scale_max: float, values: NDArray[Any], unit: str) -> None:
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
    figure: Figure, x: float, y: float, modality: Modality, tokens: Sequence[Token], values: NDArray[Any]
) -> None:
    sentence = clipped(stand_in(modality, tokens, list(values)), 70)
    _write(figure, x, y, f"{tell(f'paper-no-{modality}')} {sentence}", size=12, color=LIGHT.muted)


def _missing_font_text(characters: str) -> str:
    """Returns a sentence on the characters for which boxes are drawn, by their code points."""
    codes = ", ".join(f"U+{ord(character):04X}" for character in characters[:_MAX_NAMED])
    return tell("paper-no-font", letters=codes + (" …" if len(characters) > _MAX_NAMED else ""))


def _write(figure: Figure, x: float, y: float, text: str, **style: Any) -> Text:
    """Draws ``text`` as it is: dollar signs start no formula."""
    settings: dict[str, Any] = {"color": LIGHT.text, "family": families(), "parse_math": False}
    return figure.text(x, y, text, **(settings | style))
