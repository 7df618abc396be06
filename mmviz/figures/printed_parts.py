"""What both layouts of figures for print draw alike: text, waveform, spectrogram, legend; and the file."""

from __future__ import annotations

import io
from typing import Any, Literal

from mmviz.figures.matplotlib_settings import default_settings  # noqa: F401  # before any other of Matplotlib

# isort: split

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure, FigureBase
from matplotlib.text import Text
from numpy.typing import NDArray

from mmviz.figures.audio import envelope, mel_ticks
from mmviz.figures.colour_scale import brightness, cividis
from mmviz.figures.fonts import families
from mmviz.figures.printed_map import PrintedMap
from mmviz.figures.signed_colours import signed_rgb
from mmviz.figures.theme import LIGHT
from mmviz.i18n.figures import tell

FigureFormat = Literal["png", "svg", "pdf"]
FigureLayout = Literal["page", "column"]
"""16 x 9 inches a map, or the width of a column of a paper."""
_UNDATED: dict[FigureFormat, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Metadata by which the bytes would differ from day to day."""
_STEPS = np.linspace(0, 1, 256)


def figure_bytes(figure: Figure, file_format: FigureFormat, dpi: int) -> bytes:
    """Returns a figure as a file; the characters of a PDF are embedded as TrueType."""
    buffer = io.BytesIO()
    with rc_context({"pdf.fonttype": 42, "svg.hashsalt": "mmviz"}):
        figure.savefig(buffer, format=file_format, dpi=dpi, metadata=_UNDATED.get(file_format))
    return buffer.getvalue()


def write(figure: FigureBase, x: float, y: float, text: str, **style: Any) -> Text:
    """Draws ``text`` as it is: dollar signs start no formula."""
    settings: dict[str, Any] = {"color": LIGHT.text, "family": families(), "parse_math": False}
    return figure.text(x, y, text, **(settings | style))


def style_axes(axes: Axes, size: float) -> None:
    """Draws the lines of axes thin and pale, and their numbers in ``size`` points."""
    axes.tick_params(colors=LIGHT.text, labelsize=size, length=3)
    for spine in axes.spines.values():
        spine.set_color(LIGHT.line)


def draw_wave(axes: Axes, shown: PrintedMap, end: float) -> None:
    """Draws the waveform up to ``end`` seconds, and below it a bar for each moment in the colour of its amount."""
    assert shown.wave is not None
    times, line = envelope(shown.wave, shown.rate)
    axes.plot(times, line / (float(np.abs(shown.wave).max(initial=0)) or 1.0), color=LIGHT.muted, linewidth=0.8)
    for index, span in shown.moments().items():
        axes.bar(span.start, 0.4, span.end - span.start, bottom=-1.6, align="edge", color=shown.colour(index))
    axes.set(xlim=(0, end), ylim=(-1.6, 1.05), xticks=[], yticks=[])


def draw_spectrogram(axes: Axes, shown: PrintedMap, end: float, **label: Any) -> None:
    """Draws the spectrogram up to ``end`` seconds, with its axes; ``label`` is the style of their names."""
    from librosa.display import specshow  # not before a figure has a sound: it takes a second to import

    assert shown.mel is not None
    lit = shown.spectrogram()
    bands, hops = (np.arange(count + 1) for count in shown.mel.shape)
    if lit.ndim == 2:
        times = hops * shown.hop_seconds
        specshow(lit, x_coords=times, y_coords=bands, x_axis="s", ax=axes, cmap="gray", vmin=0, vmax=255)
    else:
        extent = (0, float(hops[-1] * shown.hop_seconds), 0, float(bands[-1]))
        axes.imshow(lit, extent=extent, origin="lower", aspect="auto", interpolation="nearest")
    hertz = mel_ticks(shown.mel.shape[0], shown.rate)
    axes.set(xlim=(0, end), ylim=(0, shown.mel.shape[0]))
    axes.set_xlabel(tell("paper-time"), family=families(), **label)
    axes.set_ylabel(tell("paper-mel"), family=families(), **label)
    axes.set_yticks(list(hertz.values()), [str(value) for value in hertz])


def legend_bars(shown: PrintedMap) -> list[tuple[str, NDArray[Any]]]:
    """Returns the name and the colours, from the least to the most, of each scale that a map has."""
    if shown.versus:
        return [(tell("paper-colour"), signed_rgb(2 * _STEPS - 1, 1.0, dark=False) / 255)]
    light = np.repeat(brightness(_STEPS, 1.0)[:, None], 3, axis=1)
    return [(tell("paper-colour"), cividis(_STEPS) / 255), (tell("paper-light"), light)]


def draw_bar(axes: Axes, colours: NDArray[Any], size: float) -> None:
    """Draws a scale of these colours."""
    axes.imshow(_STEPS[None], cmap=ListedColormap(colours), aspect="auto")
    axes.set(xticks=[], yticks=[])
    style_axes(axes, size)
