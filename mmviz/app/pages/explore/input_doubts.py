"""Tells below the form, before a run, that an image or audio is out of the world of the bundled model."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from mmviz.app import resources
from mmviz.app.components import page_elements
from mmviz.app.draft import Draft, Source
from mmviz.app.operator_config import OperatorConfig
from mmviz.app.session_state import State
from mmviz.types import MmvizError, Notice, Request

CODES = ("image-out-of-distribution", "audio-out-of-distribution")


def input_doubts(state: State, draft: Draft) -> None:
    """Draws a note for an image and for an audio of ``draft`` for which the model's answer would mean little.

    Not for what the run on the screen was made of, which says so itself, nor while the model is being loaded or runs.
    """
    backend = resources.warm_backend(state.config)
    if state.config.spec is not None or not backend.is_warm or state.run_requested or state.job is not None:
        return
    for modality in ("image", "audio"):
        source: Source = getattr(draft, modality)
        is_shown = state.run_draft is not None and source == getattr(state.run_draft, modality)
        content = source.read_bytes() if isinstance(source, Path) else source
        if isinstance(content, bytes) and not is_shown:
            for notice in _doubts(state.config, modality, content):
                page_elements.note(str(notice), "out-of-distribution")


@st.cache_data(show_spinner=False, max_entries=256, ttl=3600)
def _doubts(config: OperatorConfig, modality: str, content: bytes) -> tuple[Notice, ...]:
    """Returns the notices of one input, by a run without attention; none where it cannot be run, as a run then says."""
    image, audio = (content, None) if modality == "image" else (None, content)
    try:
        sample = resources.decoder().sample(image, "", audio, None)
        backend = resources.warm_backend(config).backend()
        (record,) = backend.run([Request(config.model, sample, maps=False)])
    except MmvizError:
        return ()
    return tuple(notice for notice in record.notices if notice.code in CODES)
