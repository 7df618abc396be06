"""How similar the tokens of two encoders are that have no attention across modalities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

DIGITS = 5
"""Digits of a cosine that are kept."""


def token_similarity(module: nn.Module, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the cosines between the tokens of a picture or sound and those of a text, as plain values.

    The vector of a token is what its tower's pooling and projection make of that token alone, as if it were all that
    the tower had read last. So the vector of the token that a model pools, such as CLIP's class token, is that of the
    whole picture or text. Formula: ``cos(v_i, t_j)``, in float64.

    ``places``, ``words``: the paths of the two towers, whose tokens are compared; ``values``: a row for each token of
    the first, with one cosine for each of the second; ``text``: for each token of the first the cosine with the vector
    of the whole text.
    """
    states, output = _last_states(module, inputs)
    places = _unit(_place_vectors(module, states))
    words = _unit(_word_vectors(module, output.text_model_output.last_hidden_state[0]))
    text = _unit(output.text_embeds)[0]
    return {
        "places": _tower_path(module), "words": "text_model", "values": _plain(places @ words.T),
        "text": _plain(places @ text),
    }  # fmt: skip


def _tower_path(module: nn.Module) -> str:
    return "audio_model" if hasattr(module, "audio_model") else "vision_model"


def _last_states(module: Any, inputs: Mapping[str, Any]) -> tuple[Tensor, Any]:
    """Returns the last states of the tower ``[token, width]``, in the order of its tokens, and the module's output."""
    if _tower_path(module) == "vision_model":
        output = module(**inputs)
        return output.vision_model_output.last_hidden_state[0], output
    kept: list[Tensor] = []  # CLAP returns them in another order
    norm = module.audio_model.audio_encoder.norm
    handle = norm.register_forward_hook(lambda _module, _inputs, states: kept.append(states[0]))
    try:
        output = module(**inputs)
    finally:
        handle.remove()
    return kept[-1], output


def _place_vectors(module: Any, states: Tensor) -> Tensor:
    """Returns the vector of each patch or moment ``[token, width]``; ``states``: the last ones of the tower."""
    if hasattr(module, "audio_projection"):  # CLAP pools by the mean
        projected: Tensor = module.audio_projection(states)
        return projected
    tower = module.vision_model
    if hasattr(module, "visual_projection"):  # CLIP
        vectors: Tensor = module.visual_projection(tower.post_layernorm(states))
    else:  # SigLIP pools by attention, which a single token takes whole
        vectors = tower.head(states[:, None])
    return vectors


def _word_vectors(module: Any, states: Tensor) -> Tensor:
    """Returns the vector of each token of the text ``[token, width]``; ``states``: the last ones of the tower."""
    pooler = getattr(module.text_model, "pooler", None)  # CLAP has one, which takes the first token
    projection = module.text_projection if hasattr(module, "text_projection") else module.text_model.head
    vectors: Tensor = projection(states if pooler is None else pooler(states[:, None]))
    return vectors


def _unit(vectors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors.double(), dim=-1)


def _plain(cosines: Tensor) -> Any:
    return (cosines * 10**DIGITS).round().div(10**DIGITS).tolist()
