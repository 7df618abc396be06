"""What the form may offer for the model in use: one picture and sound, or several, and videos."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from mmviz.app import resources
from mmviz.app.operator_config import OperatorConfig
from mmviz.models.huggingface.checkpoint_files import read_config
from mmviz.models.huggingface.checkpoint_spec import is_checkpoint, parse_checkpoint
from mmviz.models.huggingface.disk_checkpoints import disk_folder
from mmviz.models.huggingface.families import Family, family_of
from mmviz.types import MmvizError


@dataclass(frozen=True)
class ModelInputs:
    """What a model takes; None for what is not known before it is loaded."""

    several: bool | None
    """Whether it takes several pictures, or several sounds."""
    video: bool | None
    """Whether it takes a video in the place of a picture."""


def model_inputs(config: OperatorConfig) -> ModelInputs:
    """Returns what the model in use takes: by its family where the checkpoint is on this disk, else by its card."""
    if config.spec is None:
        return ModelInputs(False, False)
    family = _family_on_disk(config.spec) if is_checkpoint(config.spec) else None
    if family is not None:
        return ModelInputs(family.takes_several, family.takes_several and family.reads_image)
    card = resources.warm_backend(config).card
    if card is None:
        return ModelInputs(None, None)
    takes_several = bool(card.details.get("takes_several"))
    return ModelInputs(takes_several, takes_several)


@st.cache_data(show_spinner=False, max_entries=256, ttl=60)
def _family_on_disk(model: str) -> Family | None:
    """Returns the family of a checkpoint on this disk; None for any other."""
    try:
        checkpoint = parse_checkpoint(model)
        folder = disk_folder(checkpoint)
        return None if folder is None else family_of(read_config(folder, checkpoint.name))
    except MmvizError:
        return None
