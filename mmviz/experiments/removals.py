"""The changes that remove modalities or tokens from the inputs of a model, and what stands in their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mmviz.types import INPUT_MODALITIES, Change, DropModality, DropTokens, Modality, ReplaceInput, Sample, Token

Baseline = Literal["learned", "mean", "blur", "noise"]
"""What stands in the place of a removed input. ``learned``: the model's own way to do without it (a token for a missing
modality, a mask over tokens); else what `mmviz.types.ReplaceInput` puts there."""


def present_modalities(sample: Sample) -> tuple[Modality, ...]:
    """Returns the modalities that ``sample`` has, in the order image, text, audio."""
    inputs = (sample.image, sample.text, sample.audio)
    return tuple(modality for modality, value in zip(INPUT_MODALITIES, inputs, strict=True) if value is not None)


def modality_removal(removed: Sequence[Modality], baseline: Baseline) -> tuple[Change, ...]:
    """Returns the changes that remove whole modalities."""
    if baseline == "learned":
        return tuple(DropModality(modality) for modality in removed)
    return tuple(ReplaceInput(modality, baseline) for modality in removed)


def removable_tokens(tokens: Sequence[Token]) -> list[int]:
    """Returns the indices of the tokens that can be removed: those with a location in an input."""
    return [k for k, token in enumerate(tokens) if token.location is not None]


def token_removal(tokens: Sequence[Token], removed: Sequence[int], baseline: Baseline) -> tuple[Change, ...]:
    """Returns the changes that remove the tokens at the indices ``removed``.

    With the baseline ``learned`` the tokens are masked, so that the model does not attend to them; with any other their
    locations are replaced in the inputs.
    """
    if baseline == "learned":
        return (DropTokens(tuple(sorted(int(k) for k in removed))),)
    changes = []
    for modality in INPUT_MODALITIES:
        all_locations = (tokens[k].location for k in removed if tokens[k].modality is modality)
        locations = tuple(location for location in all_locations if location is not None)
        if locations:
            changes.append(ReplaceInput(modality, baseline, locations))
    return tuple(changes)
