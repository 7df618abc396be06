"""A box to choose a model in, among those that whoever started mmviz allows."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from mmviz.app.components import page_elements
from mmviz.app.model_loading import request_model
from mmviz.app.session_state import State
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.page import say
from mmviz.models.huggingface.checkpoint_files import gigabytes, read_checkpoint
from mmviz.models.huggingface.checkpoint_spec import is_checkpoint, parse_checkpoint
from mmviz.models.huggingface.disk_checkpoints import disk_folder
from mmviz.models.huggingface.families import family_of
from mmviz.models.huggingface.presets import PRESETS
from mmviz.types import MmvizError


def model_picker(state: State) -> None:
    """Draws the models with what each costs, behind a button; nothing where there is no choice."""
    models = state.config.models
    if len(models) < 2:
        return
    labels = model_labels(models)
    current = labels[state.config.model]
    label = say("model", model=page_elements.as_label(current))
    with st.popover(label, key="model-picker"), st.container(key="model-list"):
        page_elements.note(say("model-help"))
        for number, model in enumerate(models):
            is_current = model == state.config.model
            st.button(
                page_elements.as_label(labels[model]), key=f"model-{number}", disabled=is_current, width="stretch",
                on_click=request_model, args=(model,),
            )  # fmt: skip
            text = say("model-shown") if is_current else _model_text(model)
            if text:
                page_elements.note(text)


def model_labels(models: Sequence[str]) -> dict[str, str]:
    """Returns the name of each model for people; the whole text that names it where two names would be equal."""
    names = {model: model_title(model) for model in models}
    counts = list(names.values())
    return {model: name if counts.count(name) == 1 else model for model, name in names.items()}


def model_title(model: str) -> str:
    """Returns the name of a model for people: that of its repository or folder for a checkpoint."""
    return parse_checkpoint(model).name if is_checkpoint(model) else model


@st.cache_data(show_spinner=False, max_entries=256, ttl=60)
def _checkpoint_size(model: str) -> tuple[str, int, int] | None:
    """Returns family, number of weights and bytes of a checkpoint on disk; None for one that must be downloaded."""
    folder = disk_folder(parse_checkpoint(model))
    if folder is None:
        return None
    try:
        files = read_checkpoint(folder, model)
    except MmvizError:
        return None
    family = family_of(files.config)
    return (family.title if family else "", files.parameters, files.disk_bytes)


def _model_text(model: str) -> str:
    """Returns what a checkpoint costs; "" for other models, of which nothing is known before they are loaded."""
    if not is_checkpoint(model):
        return ""
    checkpoint = parse_checkpoint(model)
    preset = next((preset for preset in PRESETS if preset.repository == checkpoint.name), None)
    about = sentence(f"preset-{preset.name}") if preset else ""
    size = _checkpoint_size(model)
    if size:
        family, parameters, disk_bytes = size
        return say(
            "model-on-disk", about=about, family=family, millions=parameters / 1e6, size=gigabytes(disk_bytes)
        ).strip()
    known = gigabytes(preset.disk_bytes) if preset else ""
    return say("model-download-size" if known else "model-download", about=about, size=known).strip()
