"""The header of the viewer's container: tokens, maps, inputs, answers and texts of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmviz.analysis.answer_shares import answer_words
from mmviz.analysis.answer_token import answer_token
from mmviz.analysis.stack_words import stack_words
from mmviz.figures.audio import mel_ticks
from mmviz.figures.split_at_tokens import split_at_tokens
from mmviz.figures.token_labels import full_names, names, part_name
from mmviz.i18n.language import TAGS, current_language
from mmviz.i18n.unicode_display import replace_invisible
from mmviz.i18n.viewer import viewer_words
from mmviz.inputs.mel import HOP, N_MELS, SAMPLE_RATE
from mmviz.report.receptive_field_note import patch_note
from mmviz.report.viewer_attention_steps import steps_header
from mmviz.report.viewer_map_requests import bin_edges_of
from mmviz.types import AttentionRecord, AudioInput, ImageInput, Sample, Token, location_numbers
from mmviz.viewer.thumbnails import thumbnail_edges

MAX_ANSWERS = 5
"""Answers that are listed, the most probable first."""


def run_header(sample: Sample, record: AttentionRecord) -> dict[str, Any]:
    """Returns the header of a run in the current language, but for what depends on the view and on the sender."""
    image, audio = sample.image, sample.audio
    text_pieces = {stream: split_at_tokens(sample.text, tokens) for stream, tokens in record.streams.items()}
    answers = record.answers[:MAX_ANSWERS]
    return {
        "run": record.id,
        "streams": {stream: stream_header(tokens) for stream, tokens in record.streams.items()},
        "answer_tokens": {stream: answer_token(record, stream) for stream in record.streams},
        "answer_words": {stream: list(words) for stream in record.streams if (words := answer_words(record, stream))},
        "default_stack": record.default_stack,
        "bins": {stream: thumbnail_edges(tokens) for stream, tokens in record.streams.items()},
        "maps": [map_header(record, number) for number in range(len(record.maps))],
        "steps": steps_header(record),
        "timeline": None,
        "image": {**image_header(image), "note": patch_note(record)} if image else None,
        "audio": audio_header(audio) if audio else None,
        "text_pieces": {stream: [list(piece) for piece in parts] for stream, parts in text_pieces.items() if parts},
        "answers": [[replace_invisible(answer.label), float(answer.probability)] for answer in answers],
        "answer_count": len(record.answers),
        "texts": viewer_words(),
        "language": TAGS[current_language()],
    }


def stream_header(tokens: Sequence[Token]) -> dict[str, list[Any]]:
    """Returns what the viewer shows of each token of a stream. A location is a list of the numbers of a `Location`."""
    return {
        "modality": [str(token.modality) for token in tokens],
        "name": names(tokens),
        "full_name": full_names(tokens),
        "location": [location_numbers(token.location) or None for token in tokens],
    }


def map_header(record: AttentionRecord, number: int) -> dict[str, Any]:
    """Returns names, streams and heads of map ``number``; ``ref`` is its `MapRef` without the head."""
    attn_map = record.maps[number]
    return {
        "name": attn_map.name,
        "ref": str(record.map_ref(number)).rpartition(":")[0],
        "stack": attn_map.stack,
        "stack_name": stack_words(record, attn_map.stack),
        "layer": attn_map.layer,
        "queries": attn_map.queries,
        "keys": attn_map.keys,
        "heads": attn_map.heads,
        "edges": bin_edges_of(attn_map),
        "absorbed_by": attn_map.absorbed_by,
        "windows": len(set(attn_map.windows)),
    }


def image_header(image: ImageInput) -> dict[str, Any]:
    """Returns the size of the image in pixels, and of several pictures on it the ``box`` and the ``name`` of each."""
    return {
        "width": image.width,
        "height": image.height,
        "parts": [{"box": [part.x0, part.y0, part.x1, part.y1], "name": part_name(part)} for part in image.parts],
    }


def audio_header(audio: AudioInput) -> dict[str, Any]:
    """Returns length and rate of the audio, the hop of its spectrogram, and its ticks as ``[hertz, mel band]``.

    ``parts``: start and end in seconds of each of several sounds.
    """
    return {
        "parts": [[part.start, part.end] for part in audio.parts],
        "seconds": float(audio.seconds),
        "rate": audio.rate,
        "hop_seconds": HOP / SAMPLE_RATE,
        "ticks": [[hertz, band] for hertz, band in mel_ticks(N_MELS, audio.rate).items()],
    }
