"""One page for paper: picture, words, sound and answers under one scale, as a PNG of 1600 x 900 pixels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from mmviz.figures.audio import envelope, lit_mel, mel_ticks
from mmviz.figures.colour_scale import DIMMEST, checked, cividis, hex_colour, ink, range_words, short
from mmviz.figures.fonts import families, lacking
from mmviz.figures.image import Pixels, Size, smaller, spotlight
from mmviz.figures.text_wrapping import clipped, lines
from mmviz.figures.theme import LIGHT
from mmviz.figures.token_labels import shown, stand_in, together
from mmviz.i18n.figures import tell
from mmviz.i18n.messages import replace_invisible
from mmviz.types import Answer, Chars, Modality, PixelBox, Seconds, Token

_INCHES = (16.0, 9.0)
_DPI = 100
_MARGIN = 0.035
_MIDDLE = 0.47
"""Where the right half begins."""
_CAPTION = 92
"""Letters in a line of the caption."""
_NAMED = 4
"""So many of the letters that are missing are named by their code points."""


def png(
    *,
    picture: Pixels | None,
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
    chosen_from: Sequence[Token] | None = None,
    size: Size | None = None,
    unit: str = "",
) -> bytes:
    """The page as PNG. ``amounts`` ``[token]`` belong to all ``tokens``; colours go from 0 to ``scale_max``.

    ``method`` says how attention was looked at ("layer 6, mean over 4 heads"); ``direction`` whether the amounts are what
    ``token``, or a group of tokens (of ``chosen_from``, where that is another stream), asks (its row) or who asks it
    (its column). ``picture`` and ``size`` as in `spotlight`, ``wave`` ``[sample]`` at ``rate`` (Hz), ``mel`` and
    ``hop_seconds`` as in `lit_mel`; what is missing is said to be missing. Long texts are cut with an ellipsis.
    ``unit`` is that of the amounts, by default an attention weight.
    """
    values = checked(tokens, amounts, scale_max)
    figure = Figure(figsize=_INCHES, dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    chosen = [token] if isinstance(token, int) else token
    named = together([clipped(shown((chosen_from or tokens)[k], control_pictures=False), 24) for k in chosen])
    asked = tell(f"paper-{direction}", token=named, method=method, direction=tell("direction"))
    _write(figure, _MARGIN, 0.945, clipped(title, 84), size=22, weight="bold")
    _write(figure, _MARGIN, 0.9, clipped(asked, 140), size=14)
    _draw_picture(figure, picture, tokens, values, scale_max, size)
    _draw_words(figure, text, tokens, values, scale_max)
    _draw_sound(figure, wave, rate, mel, hop_seconds, tokens, values, scale_max)
    _draw_answers(figure, answers)
    _draw_legend(figure, scale_max, values, unit or tell("unit"))
    boxes = lacking("".join([caption, *(part.get_text() for part in figure.findobj(Text))]))
    warning = lines(_boxes_words(boxes), _CAPTION) if boxes else []
    told, most = lines(caption, _CAPTION), 2 if boxes else 3
    if len(told) > most:
        told = [*told[: most - 1], clipped(" ".join(told[most - 1 :]), _CAPTION)]
    _write(figure, _MIDDLE, 0.075, "\n".join(warning + told), size=12, color=LIGHT.muted, va="center")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def _draw_picture(
    figure: Figure, picture: Pixels | None, tokens: Sequence[Token], values: NDArray[Any], scale_max: float,
    size: Size | None,
) -> None:  # fmt: skip
    _write(figure, _MARGIN, 0.845, tell("paper-image"), size=14, weight="bold")
    if picture is None or not any(isinstance(token.location, PixelBox) for token in tokens):
        _missing(figure, _MARGIN, 0.8, Modality.IMAGE, tokens, values)
        return
    axes = figure.add_axes((_MARGIN, 0.32, 0.4, 0.51))
    size = size or (picture.shape[1], picture.shape[0])
    axes.imshow(spotlight(smaller(picture), tokens, values, scale_max, size), extent=(0, size[0], size[1], 0))
    axes.set_anchor("NW")
    axes.set_axis_off()


def _draw_words(
    figure: Figure, text: str | None, tokens: Sequence[Token], values: NDArray[Any],
    scale_max: float,
) -> None:  # fmt: skip
    _write(figure, _MIDDLE, 0.845, tell("paper-text"), size=14, weight="bold")
    chips = sorted(
        (token.location.start, token.location.end, index)
        for index, token in enumerate(tokens)
        if isinstance(token.location, Chars)
    )
    if text is None or not chips:
        _missing(figure, _MIDDLE, 0.8, Modality.TEXT, tokens, values)
        return
    width, height = figure.bbox.width, figure.bbox.height
    x, y, last = _MIDDLE, 0.795, 0
    for drawn, (start, end, index) in enumerate(chips):
        label = replace_invisible(tokens[index].label, control_pictures=False)
        word = replace_invisible(text, max(start, last), end, control_pictures=False) if end > last else label
        last = max(last, end)
        ground = hex_colour(values[index], scale_max)
        chip = _write(figure, x, y, clipped(word, 30), size=15, color=ink(ground), ha="center", va="center")
        chip.set_bbox({"boxstyle": "round,pad=0.25", "facecolor": ground, "edgecolor": "none"})
        number = _write(figure, x, y - 0.034, short(float(values[index])), size=9, color=LIGHT.muted, ha="center")
        reach = max(part.get_window_extent().width for part in (chip, number)) / width
        if x + reach > 1 - _MARGIN and x > _MIDDLE:
            x, y = _MIDDLE, y - 62 / height
        if y < 0.6:
            chip.remove()
            number.remove()
            _write(figure, x, y, tell("paper-more", count=len(chips) - drawn), size=12, color=LIGHT.muted, va="center")
            return
        chip.set_position((x + reach / 2, y))
        number.set_position((x + reach / 2, y - 0.039))
        x += reach + 14 / width


def _draw_sound(
    figure: Figure, wave: NDArray[Any] | None, rate: int, mel: NDArray[Any] | None, hop_seconds: float,
    tokens: Sequence[Token], values: NDArray[Any], scale_max: float,
) -> None:  # fmt: skip
    _write(figure, _MIDDLE, 0.535, tell("paper-audio"), size=14, weight="bold")
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
    extent = (0, mel.shape[1] * hop_seconds, 0, mel.shape[0])
    bottom.imshow(lit, cmap="gray", vmin=0, vmax=255, aspect="auto", origin="lower", extent=extent)
    hertz = mel_ticks(mel.shape[0], rate)
    bottom.set(xlim=(0, end), ylim=(0, mel.shape[0]))
    bottom.set_xlabel(tell("paper-time"), family=families())
    bottom.set_ylabel(tell("paper-mel"), family=families())
    bottom.set_yticks(list(hertz.values()), [str(value) for value in hertz])
    for axes in (top, bottom):
        _quiet(axes)


def _draw_answers(figure: Figure, answers: Sequence[Answer]) -> None:
    _write(figure, _MARGIN, 0.265, tell("paper-answers"), size=14, weight="bold")
    best = sorted(answers, key=lambda answer: -answer.probability)[:5]
    axes = figure.add_axes((_MARGIN + 0.13, 0.04, 0.22, 0.205))
    axes.barh(range(len(best)), [answer.probability for answer in best], color=LIGHT.muted, height=0.6)
    axes.set(xlim=(0, 1), ylim=(4.6, -0.6))
    axes.set_axis_off()
    for row, answer in enumerate(best):
        style: dict[str, Any] = {"va": "center", "size": 13, "family": families(), "parse_math": False}
        axes.text(-0.03, row, clipped(answer.label, 20), ha="right", **style)
        axes.text(answer.probability + 0.02, row, f"{answer.probability:.2f}", ha="left", **style)


def _draw_legend(figure: Figure, scale_max: float, values: NDArray[Any], unit: str) -> None:
    steps = np.linspace(0, 1, 256)
    for left, name, colours in (
        (_MIDDLE, tell("paper-colour"), cividis(steps) / 255),
        (_MIDDLE + 0.11, tell("paper-light"), np.repeat((DIMMEST + (1 - DIMMEST) * steps)[:, None], 3, axis=1)),
    ):
        axes = figure.add_axes((left, 0.13, 0.09, 0.014))
        axes.imshow(steps[None], cmap=ListedColormap(colours), aspect="auto")
        axes.set(xticks=[], yticks=[])
        _quiet(axes)
        _write(figure, left, 0.15, name, size=10, color=LIGHT.muted)
    printed = tell("unit-range", unit=unit, range=range_words(scale_max, values))
    _write(figure, _MIDDLE + 0.215, 0.137, printed, size=12, va="center")


def _quiet(axes: Axes) -> None:
    axes.tick_params(colors=LIGHT.text, labelsize=10, length=3)
    for spine in axes.spines.values():
        spine.set_color(LIGHT.line)


def _missing(
    figure: Figure, x: float, y: float, modality: Modality, tokens: Sequence[Token], values: NDArray[Any]
) -> None:
    instead = clipped(stand_in(modality, tokens, list(values)), 70)
    _write(figure, x, y, f"{tell(f'paper-no-{modality}')} {instead}", size=12, color=LIGHT.muted)


def _boxes_words(letters: str) -> str:
    """What stands where boxes are drawn, named by what every font has."""
    named = ", ".join(f"U+{ord(letter):04X}" for letter in letters[:_NAMED])
    return tell("paper-no-font", letters=named + (" …" if len(letters) > _NAMED else ""))


def _write(figure: Figure, x: float, y: float, words: str, **style: Any) -> Text:
    """Text that is drawn letter by letter: dollar signs start no formula."""
    settings: dict[str, Any] = {"color": LIGHT.text, "family": families(), "parse_math": False}
    return figure.text(x, y, words, **(settings | style))
