"""The sound under attention: the waveform with an amount strip, and the mel spectrogram under a spotlight."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image
from plotly.subplots import make_subplots

from mmviz.figures.amounts import CIVIDIS, UNIT, beyond, checked, exact, light, range_words
from mmviz.figures.places import places, stand_in
from mmviz.figures.theme import LEGEND_SPACE, colour_axis, layout, placeholder, plain, theme
from mmviz.types import Modality, Seconds, Token

ENVELOPE_BINS = 500
TICK_HZ = (500, 1000, 2000, 4000)
_STRIP = (-1.5, -1.15)
"""Where the strip of amounts lies below the waveform, whose values are -1 .. 1."""
_SILENCE = 0.2
"""The grey of silence in full light, so that light shows on silence too."""


def envelope(wave: NDArray[Any], rate: int, bins: int = ENVELOPE_BINS) -> tuple[NDArray[Any], NDArray[Any]]:
    """Times and values of a line through the least and largest sample of every bin; short sounds sample by sample."""
    if len(wave) <= 2 * bins:
        return np.arange(len(wave)) / rate, wave
    edges = np.linspace(0, len(wave), bins + 1).astype(int)[:-1]
    values = np.stack([np.minimum.reduceat(wave, edges), np.maximum.reduceat(wave, edges)], axis=1)
    return np.repeat(edges / rate, 2), values.ravel()


def lit_mel(
    mel: NDArray[Any], hop_seconds: float, tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float
) -> NDArray[np.uint8]:
    """The spectrogram in grey, lit by the amounts, uint8 ``[mel, hop]``, the lowest band first.

    Formula: grey is ``0.2 + 0.8 * (mel + 1) / 2`` (``mel`` in -1 .. 1), times the light of the frame,
    ``0.25 + 0.75 * min(1, amount / scale_max)``; hops outside all frames get the least.
    """
    found = np.zeros(mel.shape[1])
    middles = (np.arange(mel.shape[1]) + 0.5) * hop_seconds
    for token, amount in zip(tokens, amounts, strict=True):
        if isinstance(token.where, Seconds):
            inside = (middles >= token.where.start) & (middles < token.where.end)
            found[inside] = np.maximum(found[inside], amount)
    grey = _SILENCE + (1 - _SILENCE) * np.clip((mel + 1) / 2, 0, 1)
    return np.round(255 * grey * light(found, scale_max)).astype(np.uint8)


def mel_ticks(bands: int, rate: int) -> dict[int, float]:
    """Where `TICK_HZ` lie along ``bands`` mel bands of a sound at ``rate``, on Slaney's mel scale.

    Band ``b`` is drawn from ``b`` to ``b + 1``; its centre frequency is step ``b + 1`` of ``bands + 1`` equal steps in
    mel from 0 to ``rate / 2``.
    """
    step = _to_mel(rate / 2) / (bands + 1)
    return {hertz: _to_mel(hertz) / step - 0.5 for hertz in TICK_HZ if hertz < rate / 2}


def sound_figure(
    wave: NDArray[Any] | None,
    rate: int,
    mel: NDArray[Any] | None,
    hop_seconds: float,
    tokens: Sequence[Token],
    amounts: NDArray[Any],
    scale_max: float,
    dark: bool = False,
    title: str = "Sound",
    picked: int | None = None,
) -> go.Figure:
    """Waveform ``[sample]`` over spectrogram ``[mel, hop]`` on one time axis, with a bar to hover and click per frame.

    ``mel`` is in -1 .. 1; ``customdata`` of a bar is ``[token index]``; the ``picked`` frame is framed. Without a
    sound the figure says so.
    """
    values = checked(tokens, amounts, scale_max)
    frames = [index for index, token in enumerate(tokens) if isinstance(token.where, Seconds)]
    if wave is None or mel is None or not frames:
        sentence = f"No sound was given. {stand_in(Modality.AUDIO, tokens, list(values))}"
        return placeholder(title, sentence, dark)
    colours = theme(dark)
    spans = [where for index in frames if isinstance(where := tokens[index].where, Seconds)]
    titles = places(tokens)
    shared = {
        "x": [span.start for span in spans],
        "width": [span.end - span.start for span in spans],
        "offset": 0,
        "customdata": [[index] for index in frames],
        "text": [f"{plain(titles[index])}<br>{UNIT}: {exact(values[index])}" for index in frames],
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
    }
    unseen = {"color": "rgba(0,0,0,0)", "line": {"width": 0}}
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.04, row_heights=[0.45, 0.55])
    times, line = envelope(wave, rate)
    loudest = float(np.abs(wave).max(initial=0)) or 1.0
    figure.add_scatter(
        x=times,
        y=line / loudest,
        mode="lines",
        line={"width": 1, "color": colours.muted},
        hoverinfo="skip",
        row=1,
        col=1,
    )
    figure.add_bar(base=-1, y=[2] * len(frames), marker=unseen, **shared, row=1, col=1)
    figure.add_bar(
        base=_STRIP[0],
        y=[_STRIP[1] - _STRIP[0]] * len(frames),
        marker={"color": values[frames], "coloraxis": "coloraxis", "line": {"width": 0}},
        **shared,
        row=1,
        col=1,
    )
    figure.add_bar(base=0, y=[mel.shape[0]] * len(frames), marker=unseen, **shared, row=2, col=1)
    end = max(len(wave) / rate, *(span.end for span in spans))
    note = f"Colour of the strip and light on the spectrogram: {UNIT}, {range_words(scale_max, values[frames])}."
    figure.update_layout(
        layout(title, note, dark, height=260 + LEGEND_SPACE),
        margin={"l": 52, "b": LEGEND_SPACE + 40},
        coloraxis=colour_axis(scale_max, CIVIDIS, UNIT, dark, beyond(values[frames], scale_max)),
        barmode="overlay",
        dragmode=False,
        images=[
            {
                "source": _data_uri(lit_mel(mel, hop_seconds, tokens, values, scale_max)[::-1]),
                "xref": "x2",
                "yref": "y2",
                "x": 0,
                "y": mel.shape[0],
                "sizex": mel.shape[1] * hop_seconds,
                "sizey": mel.shape[0],
                "sizing": "stretch",
                "layer": "below",
            }
        ],
    )
    figure.update_xaxes(range=[0, end], showgrid=False, zeroline=False, linecolor=colours.line)
    figure.update_xaxes(title={"text": "time (s)", "standoff": 4}, row=2, col=1)
    figure.update_yaxes(showgrid=False, zeroline=False)
    figure.update_yaxes(range=[_STRIP[0], 1.05], tickvals=[], title="wave, scaled", row=1, col=1)
    hertz = mel_ticks(mel.shape[0], rate)
    bands = {"tickvals": list(hertz.values()), "ticktext": [str(value) for value in hertz]}
    figure.update_yaxes(bands, range=[0, mel.shape[0]], row=2, col=1)
    figure.update_yaxes(title={"text": "mel band (Hz)", "standoff": 2}, row=2, col=1)
    if picked in frames:
        span = spans[frames.index(picked)]
        for row in (1, 2):
            figure.add_vrect(
                x0=span.start, x1=span.end, line={"width": 2, "color": colours.text if row == 1 else "#ffffff"},
                row=row, col=1,
            )  # fmt: skip
    return figure


def _to_mel(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * float(np.log(hertz / 1000)) / float(np.log(6.4))


def _data_uri(grey: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grey)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
