"""One slide as HTML: its heading, the inputs with its light, the legend, the caption and the notes."""

from __future__ import annotations

import html

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmviz.figures.audio import lit_mel, wav_data_uri
from mmviz.figures.colour_scale import CIVIDIS, hex_colour, short, text_colour
from mmviz.figures.image import READ_COLOUR, READER_COLOUR, data_uri, downscaled, outline_reading, spotlight
from mmviz.figures.signed_colours import diverging, signed, signed_image, signed_mel, signed_rgb
from mmviz.figures.split_at_tokens import split_at_tokens
from mmviz.i18n.page import say
from mmviz.i18n.unicode_display import replace_invisible
from mmviz.i18n.viewer import about, viewer_words
from mmviz.inputs.mel import HOP, SAMPLE_RATE, log_mel
from mmviz.present.lit_inputs import LitInputs, lit_inputs
from mmviz.present.slide_deck import Slide, SlideDeck
from mmviz.report.answer_title import answer_title, share_text
from mmviz.types import AudioInput, ImageInput, Modality, Seconds, Token, UniformAttention

SIDE = 1024
"""Longer side of a picture, in pixels."""
SPECTROGRAM_SIZE = (1024, 192)
"""Width and height of a spectrogram, in pixels."""
MAX_ANSWERS = 5
MAX_COLOURED = 400
"""So many words have the colours of their amounts; a long text goes on without."""
LONG_TEXT = 280
"""A text of more characters has a box of its own that scrolls."""
_WHOLE_SOUND = Token(Modality.AUDIO, "", Seconds(0, float("inf")))


def slide_html(deck: SlideDeck, number: int) -> str:
    """Returns slide ``number`` of a deck, from 0, in the current language. All of its texts are escaped.

    Raises ``MmvizError`` where the run does not hold its map.
    """
    slide = deck.slides[number]
    run = deck.runs[slide.run]
    lit = lit_inputs(run, slide)
    things = [_thing(deck, number, modality, lit) for modality in _modalities(deck, slide)]
    if slide.kind == "answer":
        things.append(_answers(deck, slide))
    pictures = [thing for thing in things if thing.startswith("<figure class='picture'")]
    others = [thing for thing in things if thing and thing not in pictures]
    size = f"<p class='size'>{html.escape(slide.size)}</p>" if slide.size else ""
    caption = f"<p class='caption'>{html.escape(slide.caption)}</p>" if slide.caption else ""
    below = [f"<div class='below'>{size}{caption}{_legend(lit)}</div>"]
    if slide.kind == "step" and pictures:  # there is room beside the picture
        others, below = [*others, *below], []
    columns = [f"<div class='side'>{''.join(part)}</div>" for part in (pictures, others) if part]
    body = f"<div class='things of{len(columns)}'>{''.join(columns)}</div>" if columns else ""
    notes = f"<aside class='notes'><p>{html.escape(slide.notes)}</p></aside>" if slide.notes else ""
    place = number + 1 + has_cover(deck)
    content = f"{_banners(deck, slide)}{body}{''.join(below)}"
    return _section(deck, place, slide.kind.replace("_", "-"), slide.title, content, notes)


def has_cover(deck: SlideDeck) -> bool:
    """Returns whether a deck begins with a slide of its title: one of a single run begins with that."""
    return len(deck.runs) > 1


def cover_html(deck: SlideDeck) -> str:
    """Returns the slide of a deck's title, with the question and the answer of each of its runs."""
    models = {run.record.made_by.get("model") for run in deck.runs}
    rows = []
    for run in deck.runs:
        record = run.record
        question = html.escape(replace_invisible(run.sample.text or "") or say("talk-inputs"))
        about_run = [answer_title(record), *([str(record.made_by.get("model"))] if len(models) > 1 else [])]
        rows.append(f"<li>{question}<span>{html.escape(' · '.join(about_run))}</span></li>")
    return _section(deck, 1, "cover", deck.title, f"<ol class='runs'>{''.join(rows)}</ol>", "")


def _section(deck: SlideDeck, place: int, kind: str, title: str, content: str, notes: str) -> str:
    """Returns a slide with its heading, content and notes; ``place`` counts from 1."""
    return (
        f"<section class='slide {kind}' id='slide-{place}' tabindex='-1' aria-labelledby='title-{place}'>"
        f"<h2 id='title-{place}'>{html.escape(title)}</h2>{content}"
        f"<p class='place'>{place} / {slide_count(deck)}</p>{notes}</section>"
    )


def slide_count(deck: SlideDeck) -> int:
    """Returns how many slides the document has."""
    return len(deck.slides) + has_cover(deck)


def _modalities(deck: SlideDeck, slide: Slide) -> list[Modality]:
    """Returns the inputs that a slide shows: those that its run has."""
    sample = deck.runs[slide.run].sample
    there = {Modality.IMAGE: sample.image, Modality.TEXT: sample.text, Modality.AUDIO: sample.audio}
    return [] if slide.kind == "text" else [modality for modality in slide.modalities if there.get(modality)]


def _banners(deck: SlideDeck, slide: Slide) -> str:
    """Returns what must stand beside every map of a run that has learned nothing, or whose attention is a control."""
    record = deck.runs[slide.run].record
    banners = {"untrained": record.made_by.get("trained") is False, "uniform": record.has_change(UniformAttention)}
    return "".join(f"<p class='banner'>{html.escape(about(code))}</p>" for code, holds in banners.items() if holds)


def _thing(deck: SlideDeck, number: int, modality: Modality, lit: LitInputs | None) -> str:
    """Returns an input of a slide, with its light where it has any."""
    slide = deck.slides[number]
    sample = deck.runs[slide.run].sample
    shown = lit if lit is not None and lit.has(modality) else None
    if modality is Modality.IMAGE and sample.image is not None:
        return _picture(sample.image, shown)
    if modality is Modality.TEXT and sample.text is not None:
        return _words(sample.text, shown)
    if modality is Modality.AUDIO and sample.audio is not None:
        is_first = not any(_has_whole_sound(deck, other) for other in deck.slides[:number] if other.run == slide.run)
        return _sound(sample.audio, shown, slide, is_first)
    return ""


def _has_whole_sound(deck: SlideDeck, slide: Slide) -> bool:
    """Returns whether a slide shows the sound of its run, and not some moments of it alone."""
    lit = lit_inputs(deck.runs[slide.run], slide) if slide.kind == "step" else None
    return Modality.AUDIO in _modalities(deck, slide) and not _moments(lit)


def _picture(image: ImageInput, lit: LitInputs | None) -> str:
    pixels, name = downscaled(image.pixels, SIDE), say("talk-picture")
    if lit is not None:
        size = (image.width, image.height)
        draw = signed_image if lit.is_difference else spotlight
        pixels = draw(pixels, lit.tokens, lit.amounts, lit.scale_max, size=size)
        pixels = outline_reading(pixels, lit.read, lit.readers, size) if lit.readers else pixels
        name = say("picture-alt")
    return f"<figure class='picture'><img src='{data_uri(pixels)}' alt='{html.escape(name)}'></figure>"


def _words(text: str, lit: LitInputs | None) -> str:
    """Returns the text, each word on the colour of its amount."""
    pieces = split_at_tokens(text, lit.tokens) if lit is not None else []
    parts = []
    for place, (piece, token) in enumerate(pieces):
        word = html.escape(piece)
        amount = float(lit.amounts[token]) if lit is not None and token is not None else 0.0
        is_coloured = token is not None and place < MAX_COLOURED
        if lit is not None and is_coloured and (lit.is_amount or amount):
            ground = _colour(lit, amount)
            title = f" title='{(signed if lit.is_difference else short)(amount)}'" if lit.is_amount else ""
            word = f"<span style='background:{ground};color:{text_colour(ground)}'{title}>{word}</span>"
        parts.append(word)
    kind = " long' tabindex='0" if len(text) > LONG_TEXT else ""
    name = html.escape(viewer_words()[Modality.TEXT])
    content = "".join(parts) or html.escape(replace_invisible(text))
    return f"<div class='words{kind}' role='group' aria-label='{name}'><p>{content}</p></div>"


def _colour(lit: LitInputs, amount: float) -> str:
    if lit.is_difference:
        return "#" + bytes(signed_rgb(np.array(amount), lit.scale_max, dark=False)).hex()
    return hex_colour(amount, lit.scale_max)


def _sound(audio: AudioInput, lit: LitInputs | None, slide: Slide, is_first: bool) -> str:
    """Returns the spectrogram and its player: of the moments of a step alone, else of the whole sound.

    The whole sound of a run is in the document once (``is_first``); the script gives it to the other slides.
    """
    tokens, amounts, scale_max = (_WHOLE_SOUND,), np.array([1.0]), 1.0
    if lit is not None:
        tokens, amounts, scale_max = lit.tokens, lit.amounts, lit.scale_max  # type: ignore[assignment]
    draw = signed_mel if lit is not None and lit.is_difference else lit_mel
    mel = draw(log_mel(audio.wave), HOP / SAMPLE_RATE, tokens, amounts, scale_max)[::-1]
    pixels = np.asarray(Image.fromarray(np.ascontiguousarray(mel)).resize(SPECTROGRAM_SIZE).convert("RGB"))
    name = say("talk-spectrogram", seconds=audio.seconds)
    places = _moments(lit)
    if places:
        start, end = min(place.start for place in places), max(place.end for place in places)
        caption = say("talk-moments", start=start, end=end)
        part = audio.wave[round(start * audio.rate) : round(end * audio.rate)]
        source = f" src='{_wav(part, audio.rate)}'"
    else:
        caption = name
        source = f" data-sound='{slide.run}'" + (f" src='{_wav(audio.wave, audio.rate)}'" if is_first else "")
    return (
        f"<figure class='sound'><img src='{data_uri(pixels)}' alt='{html.escape(name)}'>"
        f"<figcaption>{html.escape(caption)}</figcaption>"
        f"<audio controls preload='metadata' aria-label='{html.escape(caption)}'{source}></audio></figure>"
    )


def _moments(lit: LitInputs | None) -> list[Seconds]:
    """Returns the time spans of the bright tokens of a step; none of any other slide."""
    if lit is None or lit.is_amount:
        return []
    places = [token.location for token, amount in zip(lit.tokens, lit.amounts, strict=True) if amount]
    return [place for place in places if isinstance(place, Seconds)]


def _wav(samples: NDArray[np.float32], rate: int) -> str:
    return wav_data_uri(np.rint(np.clip(samples, -1, 1) * 32_767), rate)


def _answers(deck: SlideDeck, slide: Slide) -> str:
    """Returns the most probable answers with bars; nothing of an answer that the model wrote."""
    record = deck.runs[slide.run].record
    if record.made_by.get("answer") or not record.answers:
        return ""
    rows = "".join(
        f"<li><span>{html.escape(replace_invisible(answer.label))}</span><b>{share_text(answer.probability)}</b>"
        f"<i style='width:{max(0.5, 100 * answer.probability):.1f}%'></i></li>"
        for answer in record.answers[:MAX_ANSWERS]
    )
    return f"<ol class='answers'>{rows}</ol>"


def _legend(lit: LitInputs | None) -> str:
    """Returns what brightness and colours mean, with unit and range."""
    if lit is None:
        return ""
    if not lit.is_amount:
        outlines = [("talk-reads-here", READER_COLOUR), ("talk-read-here", READ_COLOUR)] if lit.readers else []
        texts = "".join(
            f"<span class='scale'><i class='outline' style='border-color:{colour}'></i>{html.escape(say(code))}</span>"
            for code, colour in outlines
        )
        return f"<p class='legend'>{texts or html.escape(say('talk-bright'))}</p>"
    what = lit.method if lit.method.startswith(lit.unit) else f"{lit.unit} ({lit.method})"
    if lit.is_difference:
        most, stops = short(lit.scale_max), ",".join(diverging(dark=False))
        scale = f"−{most}<i style='background:linear-gradient(to right,{stops})'></i>+{most}"
        text = html.escape(say("talk-legend-difference", unit=what))
        return f"<p class='legend'><span>{text}</span><span class='scale'>{scale}</span></p>"
    light = lit.has(Modality.IMAGE) or lit.has(Modality.AUDIO)
    bars = [
        ("talk-legend-light", "#666666,#ffffff") if light else None,
        ("talk-legend-colour", ",".join(CIVIDIS)) if lit.has(Modality.TEXT) else None,
    ]
    scales = "".join(
        f"<span class='scale'>{html.escape(say(code))} <span>0</span>"
        f"<i style='background:linear-gradient(to right,{colours})'></i><span>{short(lit.scale_max)}</span></span>"
        for code, colours in filter(None, bars)
    )
    return f"<p class='legend'><span>{html.escape(what)}</span>{scales}</p>"
