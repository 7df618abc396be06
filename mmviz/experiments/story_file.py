"""The stories of recorded runs as JSON, so that they can be shown without running the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmviz.backends.change_codec import decode_group, encode_group
from mmviz.experiments.recorded_file import (
    DIGITS,
    checked_number,
    checked_probability,
    checked_text,
    entries_to_json,
    entry_of_record,
    read_entries,
)
from mmviz.experiments.route_cut import LayerWindow
from mmviz.experiments.story import Story
from mmviz.experiments.story_search import LEAST, MOST_STEPS, Step
from mmviz.types import AttentionRecord, ChosenTokens, Modality, TokenGroup

_KIND = "stories"
_MAX_LAYERS = 1_000


def stories_to_json(stories: Mapping[str, Story]) -> str:
    """Returns complete stories, by the id of the record that each is of, as JSON with a line for each story."""
    return entries_to_json(_KIND, stories, _encode)


def read_stories(path: Path) -> dict[str, Story]:
    """Returns the stories of a file that `stories_to_json` wrote, by the id of their record. Raises as
    `mmviz.experiments.recorded_file.read_entries`."""
    return read_entries(path, _KIND, _decode)


def story_of_record(stories: Mapping[str, Story], record: AttentionRecord) -> Story | None:
    """Returns the story of ``record`` itself; None where there is none, or where it names what the record lacks.

    A run with changes is another record, and has none.
    """
    story = entry_of_record(stories, record)
    return story if story is not None and all(_is_within(record, step) for step in story.steps) else None


def _is_within(record: AttentionRecord, step: Step) -> bool:
    """Returns whether a record has the tokens and the layers of a step."""
    for group in (step.queries, step.keys):
        if isinstance(group, ChosenTokens):
            tokens = record.streams.get(group.stream or record.flow_streams[0], ())
            if not all(token < len(tokens) for token in group.tokens):
                return False
    layers = {(stack, attn_map.layer) for attn_map in record.maps for stack in ("", attn_map.stack)}
    return all((window.stack, layer) in layers for window in step.windows for layer in window.layers or ())


def _encode(story: Story) -> dict[str, Any]:
    return {
        "answer": story.answer,
        "probability": round(story.probability, DIGITS),
        "steps": [_encode_step(step) for step in story.steps],
        "ways_out": [[str(modality), round(effect, DIGITS)] for modality, effect in story.ways_out],
    }


def _encode_step(step: Step) -> dict[str, Any]:
    return {
        "queries": encode_group(step.queries),
        "keys": encode_group(step.keys),
        "modality": str(step.modality),
        "windows": [[window.stack, window.layers and list(window.layers)] for window in step.windows],
        "effect": round(step.effect, DIGITS),
        "answer": step.answer,
        "probability": round(step.probability, DIGITS),
        "is_changed": step.is_changed,
    }


def _decode(fields: Mapping[str, Any]) -> Story:
    steps, ways = fields["steps"], fields["ways_out"]
    if len(steps) > MOST_STEPS or len(ways) > len(Modality):
        raise ValueError
    ways_out = tuple((Modality(modality), _effect(effect)) for modality, effect in ways)
    return Story(
        checked_text(fields["answer"]),
        checked_probability(fields["probability"]),
        tuple(map(_decode_step, steps)),
        ways_out,
    )


def _decode_step(fields: Mapping[str, Any]) -> Step:
    windows = fields["windows"]
    if not 1 <= len(windows) <= _MAX_LAYERS or not isinstance(fields["is_changed"], bool | None):
        raise ValueError
    return Step(
        _group(fields["queries"]), _group(fields["keys"]), Modality(fields["modality"]),
        tuple(LayerWindow(checked_text(stack), _layers(layers)) for stack, layers in windows),
        _effect(fields["effect"]), checked_text(fields["answer"]), checked_probability(fields["probability"]),
        fields["is_changed"],
    )  # fmt: skip


def _group(value: Any) -> TokenGroup:
    """Returns the group that ``value`` encodes; chosen tokens are at least one."""
    group = decode_group(value)
    if isinstance(group, ChosenTokens) and not group.tokens:
        raise ValueError
    return group


def _layers(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    layers = tuple(value)
    if not 1 <= len(layers) <= _MAX_LAYERS or {*map(type, layers)} != {int}:
        raise ValueError
    return layers


def _effect(value: Any) -> float:
    """Returns what a cut takes from the answer: what takes less than `LEAST` is not told."""
    return checked_number(value, -LEAST)
