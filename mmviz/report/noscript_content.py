"""What the standalone document shows without scripts: answer, notices, and a still of the viewer's first view."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmviz.analysis.answer_shares import written_log_probability
from mmviz.analysis.available_maps import map_words, streams_of
from mmviz.analysis.unsure_answers import unsure_answers
from mmviz.experiments.language_prior import LanguagePrior
from mmviz.figures.audio import lit_mel
from mmviz.figures.colour_scale import CIVIDIS, hex_colour, range_text, short, text_colour
from mmviz.figures.image import data_uri, downscaled, spotlight
from mmviz.figures.split_at_tokens import split_at_tokens
from mmviz.figures.token_labels import group_name, names, stand_in
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.figures import tell, unit_name
from mmviz.i18n.language import join_sentences
from mmviz.i18n.unicode_display import replace_invisible
from mmviz.i18n.viewer import about, viewer_words
from mmviz.inputs.mel import HOP, SAMPLE_RATE, log_mel
from mmviz.report.answer_maps import maps_section
from mmviz.report.answer_title import answer_title, share_text
from mmviz.report.map_notes import map_notes
from mmviz.report.prior_and_similarity import prior_section, similarity_section
from mmviz.report.run_interface import Run
from mmviz.report.viewer_map_requests import row_from
from mmviz.report.viewer_payload_header import MAX_ANSWERS
from mmviz.types import (
    AudioInput,
    ImageInput,
    MapRef,
    Modality,
    PixelBox,
    Seconds,
    Token,
    UniformAttention,
)

IMAGE_SIDE = 480
"""Pixels of the longer side of the still image."""
SPECTROGRAM_SIZE = (480, 96)
"""Width and height of the still spectrogram in pixels."""
MAX_COLOURED = 400
"""So many words have the colours of their amounts; a long text goes on without."""
MAX_NAMED = 5
"""So many tokens with the largest amounts are named."""
_WHOLE_SOUND = Token(Modality.AUDIO, "", Seconds(0, float("inf")))


@dataclass(frozen=True)
class DocumentContent:
    """The parts of a document in HTML. Without any style they are still readable from top to bottom."""

    title: str
    """The title as plain text."""
    above: str
    """What stands above the viewer: title, banners, other answers, provenance and notices."""
    maps: str
    """The two maps of the first view, which stand between that and the viewer."""
    still: str
    """What the viewer takes the place of."""
    below: str
    """What stands below the viewer."""


def document_content(run: Run, ref: MapRef, query: int, prior: LanguagePrior | None = None) -> DocumentContent:
    """Returns the content of the document of ``run`` in the current language, with its language prior where measured.

    The still shows what the map ``ref`` gives from the token ``query`` to all keys, as the viewer does at first.
    """
    title = answer_title(run.record)
    return DocumentContent(
        title=title, above=_above(run, title), maps=maps_section(run), still=_still(run, ref, query),
        below=prior_section(prior) + similarity_section(run)
        + f'<p class="provenance">{html.escape(about("disclaimer"))}</p>',
    )  # fmt: skip


def _above(run: Run, title: str) -> str:
    record = run.record
    made_by = record.made_by
    banners = {
        "untrained": made_by.get("trained") is False,
        "uniform": record.has_change(UniformAttention),
    }
    is_written = written_log_probability(record) is not None  # then the other answer is any other text
    others = (
        []
        if is_written
        else [
            f"{replace_invisible(answer.label)} {share_text(answer.probability)}"
            for answer in record.answers[len(unsure_answers(record)) or 1 : MAX_ANSWERS]  # the title has the others
        ]
    )
    provenance = []
    if {"model", "device_name"} <= made_by.keys():
        provenance.append(sentence("figure-caption", model=made_by["model"], device=made_by["device_name"]))
    if made_by.get("recorded"):
        provenance.append(about("recorded"))
    notices = [str(notice) for notice in (*run.sample.notices, *record.notices)]
    lines = [
        *(("banner", about(code)) for code, applies in banners.items() if applies),
        *([("other-answers", about("other-answers", answers=viewer_words()["comma"].join(others)))] if others else []),
        *([("provenance", join_sentences(provenance))] if provenance else []),
        *(("notice", notice) for notice in notices),
    ]
    paragraphs = "".join(f'<p class="{name}">{html.escape(line)}</p>' for name, line in lines)
    text = run.sample.text
    question = f'<p class="question">{html.escape(replace_invisible(text))}</p>' if text else ""
    return f'<header class="about">{question}<h1>{html.escape(title)}</h1>{paragraphs}</header>'


def _still(run: Run, ref: MapRef, query: int) -> str:
    sample, words = run.sample, viewer_words()
    queries, keys = (run.record.streams[stream] for stream in streams_of(run.record, ref))
    amounts, is_exact = row_from(run, ref, query)
    scale_max = float(amounts.max(initial=0)) or 1.0
    name = map_words(ref, run.record)
    method = name if is_exact else sentence("method-pooled", method=name)
    labels = names(keys)
    strongest = words["comma"].join(
        f"“{labels[k]}” {short(float(amounts[k]))}" for k in np.argsort(-amounts, kind="stable")[:MAX_NAMED]
    )
    view = about("still-view", token=group_name([names(queries)[query]]), method=method, strongest=strongest)
    scale = tell("unit-range", unit=unit_name(ref.method), range=range_text(scale_max, amounts))
    note = f'<p class="notice" data-failed="{html.escape(about("still-failed"))}">{html.escape(about("still"))}</p>'
    parts = {
        Modality.TEXT: _text_html(sample.text, keys, amounts, scale_max) if sample.text else "",
        Modality.IMAGE: _image_html(sample.image, keys, amounts, scale_max) if sample.image else "",
        Modality.AUDIO: _audio_html(sample.audio, keys, amounts, scale_max) if sample.audio else "",
    }
    sections = "".join(
        f"<h2>{html.escape(words[modality])}</h2>" + (part or _missing_html(modality, keys, amounts))
        for modality, part in parts.items()
    )
    about_map = "".join(f"<p>{html.escape(text)}</p>" for text in map_notes(run.record, ref, query, "from"))
    bar = f'<span class="scale" style="background:linear-gradient(to right,{",".join(CIVIDIS)})"></span>'
    return f"{note}<p>{html.escape(view)}</p>{about_map}{sections}<p>{bar} {html.escape(scale)}</p>"


def _image_html(image: ImageInput, keys: Sequence[Token], amounts: NDArray[np.float64], scale_max: float) -> str:
    pixels, code = downscaled(image.pixels, IMAGE_SIDE), "still-image-plain"
    if any(isinstance(token.location, PixelBox) for token in keys):
        pixels, code = spotlight(pixels, keys, amounts, scale_max, (image.width, image.height)), "still-image"
    return _img(pixels, about(code))


def _text_html(text: str, keys: Sequence[Token], amounts: NDArray[np.float64], scale_max: float) -> str:
    """Returns the text, each word on the colour of its amount."""
    parts = []
    for place, (piece, token) in enumerate(split_at_tokens(text, keys)):
        word = html.escape(piece)
        if token is not None and place < MAX_COLOURED:
            ground = hex_colour(amounts[token], scale_max)
            style = f"background:{ground};color:{text_colour(ground)}"
            word = f'<span style="{style}" title="{short(float(amounts[token]))}">{word}</span>'
        parts.append(word)
    return f"<p>{''.join(parts) or html.escape(replace_invisible(text))}</p>"


def _audio_html(audio: AudioInput, keys: Sequence[Token], amounts: NDArray[np.float64], scale_max: float) -> str:
    code = "still-audio"
    if not any(isinstance(token.location, Seconds) for token in keys):  # shown as it is, without attention
        keys, amounts, code = [_WHOLE_SOUND], np.array([scale_max]), "still-audio-plain"
    lit = lit_mel(log_mel(audio.wave), HOP / SAMPLE_RATE, keys, amounts, scale_max)[::-1]
    grey = Image.fromarray(np.ascontiguousarray(lit)).resize(SPECTROGRAM_SIZE)
    return _img(np.asarray(grey.convert("RGB")), about(code, seconds=f"{audio.seconds:.1f}"))


def _img(pixels: NDArray[np.uint8], description: str) -> str:
    height, width = pixels.shape[:2]
    return f'<img src="{data_uri(pixels)}" width="{width}" height="{height}" alt="{html.escape(description)}">'


def _missing_html(modality: Modality, keys: Sequence[Token], amounts: NDArray[np.float64]) -> str:
    sentences = [viewer_words()[f"{modality}-none"], stand_in(modality, keys, list(amounts))]
    return f"<p>{html.escape(join_sentences(filter(None, sentences)))}</p>"
