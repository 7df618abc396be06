"""Small signs of the picture and the sound that stand in the form, beside the question."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mmviz.app import resources
from mmviz.app.draft import Draft, Source, VideoFile
from mmviz.app.session_state import State
from mmviz.figures.theme import MODALITY_COLOURS
from mmviz.i18n.page import say
from mmviz.inputs.examples import Example
from mmviz.types import InputError, MmvizError, Modality, Sample

HEIGHT = 80
"""Height of a sign in pixels, twice that on the page."""
SOUND_WIDTH = 112
_STEP, _BAR = 7, 3
"""Pixels from one bar of a waveform to the next, and its width."""
Part = Literal["image", "audio"]


def input_sign(state: State, draft: Draft, modality: Part) -> str:
    """Returns the sign of the picture or the sound in the form as HTML: a word where there is none, or none to show."""
    source: Source = getattr(draft, modality)
    title = html.escape(f"{say(f'use-{modality}')}: {_origin(state, source, modality)}")
    uri = "" if source is None or isinstance(source, InputError) else _sign(state, draft, modality, source)
    if uri:
        return f"<img class='input-sign {modality}' src='{uri}' alt='{title}' title='{title}'>"
    text = say(f"sign-refused-{modality}") if isinstance(source, InputError) else say(f"sign-some-{modality}")
    text = say(f"sign-no-{modality}") if source is None else text
    return f"<span class='input-sign none' title='{title}'>{html.escape(text)}</span>"


def _origin(state: State, source: Source, modality: Part) -> str:
    if source is None:
        return say("source-none")
    is_of_example = state.example is not None and source == getattr(state.example, modality)
    return say("source-gallery" if is_of_example else "source-own")


def _sign(state: State, draft: Draft, modality: Part, source: Source) -> str:
    """Returns the sign as a data URI; "" where the input cannot be read alone."""
    if state.example is not None and source == getattr(state.example, modality):
        return _sign_of_example(state.example, modality)
    known, uri = state.input_signs.get(modality, (None, ""))
    if known != source:
        uri = sign_of_sample(_sample(state, draft, modality, source), modality)
        state.input_signs[modality] = source, uri
    return uri


def _sample(state: State, draft: Draft, modality: Part, source: Source) -> Sample | None:
    """Returns the decoded input, from the run on the screen where that was made of it."""
    if state.run is not None and state.run_draft is not None and source == getattr(state.run_draft, modality):
        return state.run.sample
    content = source.read_bytes() if isinstance(source, Path) else source
    image, audio, video = (content if modality == "image" else None), (content if modality == "audio" else None), None
    if isinstance(content, VideoFile):
        image, video = None, content.content
    assert not isinstance(image, VideoFile | InputError) and not isinstance(audio, VideoFile | InputError)
    try:
        return resources.decoder().sample(image, None, audio, video)
    except MmvizError:
        return None


@lru_cache(maxsize=128)
def _sign_of_example(example: Example, modality: Part) -> str:
    return sign_of_sample(example.sample(), modality)


def sign_of_sample(sample: Sample | None, modality: str) -> str:
    """Returns the sign of the image or the audio of a sample as a data URI; "" where it has none."""
    if sample is None:
        return ""
    if modality == "image":
        return "" if sample.image is None else webp_uri(_scaled(sample.image.pixels))
    if sample.audio is None:
        return ""
    canvas = Image.new("RGBA", (SOUND_WIDTH, HEIGHT), (0, 0, 0, 0))
    draw_waveform(canvas, sample.audio.wave, 0)
    return webp_uri(canvas)


def _scaled(pixels: NDArray[Any]) -> Image.Image:
    image = Image.fromarray(pixels)
    image.thumbnail((2 * HEIGHT, HEIGHT))
    return image


def draw_waveform(canvas: Image.Image, wave: NDArray[Any], left: int) -> None:
    """Draws a sound as bars from ``left`` to the right end of ``canvas``."""
    draw = ImageDraw.Draw(canvas)
    for x, half in _bars(wave, canvas.width - left, canvas.height):
        box = (left + x, canvas.height / 2 - half, left + x + _BAR, canvas.height / 2 + half)
        draw.rounded_rectangle(box, 2, fill=MODALITY_COLOURS[Modality.AUDIO])


def _bars(wave: NDArray[Any], width: int, height: int) -> Iterator[tuple[int, float]]:
    """Yields the left end and half the height of each bar."""
    magnitudes = np.abs(wave)
    peak = float(magnitudes.max(initial=0)) or 1
    for k, part in enumerate(np.array_split(magnitudes, width // _STEP)):
        yield _STEP * k, 2 + float(part.max(initial=0)) / peak * (height / 2 - 14)


def webp_uri(image: Image.Image) -> str:
    """Returns an image as a WebP data URI."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
