"""What the viewer's header says of tokens, of the sound and of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmviz.figures.audio import mel_ticks
from mmviz.figures.token_labels import names, places
from mmviz.i18n.language import joined
from mmviz.i18n.messages import sentence, visible
from mmviz.i18n.viewer import about
from mmviz.inputs.mel import HOP, N_MELS, SAMPLE_RATE
from mmviz.types import AttentionRecord, AudioInput, Sample, Token


def stream_header(tokens: Sequence[Token]) -> dict[str, list[Any]]:
    return {
        "modality": [str(token.modality) for token in tokens],
        "name": names(tokens),
        "place": places(tokens),
        "where": [None if token.location is None else [*vars(token.location).values()] for token in tokens],
    }


def about_header(sample: Sample, record: AttentionRecord) -> dict[str, Any]:
    """Sentences about the run, for where nothing else says them."""
    made, answers = record.made_by, record.answers
    best = {"answer": visible(answers[0].label), "probability": answers[0].probability} if answers else {}
    origin = []
    if {"model", "device_name"} <= made.keys():
        origin.append(sentence("figure-caption", model=made["model"], device=made["device_name"]))
    if made.get("recorded"):
        origin.append(about("recorded"))
    banners = {
        "untrained": made.get("trained") is False,
        "evened": any("Uniform" in change for change in made.get("changes", ())),
    }
    return {
        "title": sentence("figure-title", **best) if best else about("no-answers"),
        "made": joined(origin),
        "notices": [str(notice) for notice in (*sample.notices, *record.notices)],
        "banners": [about(code) for code, holds in banners.items() if holds],
    }


def sound_header(sound: AudioInput) -> dict[str, Any]:
    return {
        "seconds": float(sound.seconds),
        "rate": sound.rate,
        "hop_seconds": HOP / SAMPLE_RATE,
        "ticks": [[hertz, band] for hertz, band in mel_ticks(N_MELS, sound.rate).items()],
    }
