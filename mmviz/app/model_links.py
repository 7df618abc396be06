"""The model in the page's address: its name where visitors may choose among several, never a path of the server."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from mmviz.app.components.model_picker import model_title
from mmviz.app.operator_config import OperatorConfig
from mmviz.models.huggingface.checkpoint_spec import is_checkpoint

NAME = "model"
"""The parameter of the address."""
_DIGEST_CHARS = 6


def link_names(config: OperatorConfig) -> dict[str, str]:
    """Returns the name in the address of each model that visitors may choose, by what ``--model`` names.

    It is the name that people read. Where several models have the same one, part of a digest of what ``--model`` names
    follows it, so that it stays when the operator offers other models.
    """
    models = config.models or (config.model,)
    titles = [model_title(model) if is_checkpoint(model) else Path(model).name for model in models]
    return {
        model: title if titles.count(title) == 1 else f"{title}~{sha256(model.encode()).hexdigest()[:_DIGEST_CHARS]}"
        for model, title in zip(models, titles, strict=True)
    }


def model_params(config: OperatorConfig) -> dict[str, str]:
    """Returns the parameter of the address that names the model in use; none where there is no choice."""
    return {NAME: link_names(config)[config.model]} if len(config.models) > 1 else {}


def linked_model(config: OperatorConfig, params: Mapping[str, str]) -> str | None:
    """Returns the model that the address names; None for one that visitors may not choose.

    It is the one in use where the address names none.
    """
    if NAME not in params:
        return config.model
    return next((model for model, name in link_names(config).items() if name == params[NAME]), None)
