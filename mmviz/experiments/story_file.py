"""The stories of recorded runs as JSON, so that they can be shown without running the model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmviz.backends.wire import decode_group, encode_group
from mmviz.experiments.route_cut import LayerWindow
from mmviz.experiments.story import Story
from mmviz.experiments.story_search import LEAST, MOST_STEPS, Step
from mmviz.types import AttentionRecord, ChosenTokens, MmvizError, Modality, TokenGroup

FORMAT = 1
MAX_BYTES = 1_000_000
"""Bytes of the file; the story of a run takes about a thousand."""
_MAX_NAME = 1_000
_MAX_LAYERS = 1_000
_DIGITS = 6
"""Decimal places of effects and probabilities."""


def stories_to_json(stories: Mapping[str, Story]) -> str:
    """Returns complete stories, by the id of the record that each is of, as JSON with a line for each story."""
    lines = (f"{json.dumps(name)}: {json.dumps(_encode(story))}" for name, story in stories.items())
    return f'{{"format": {FORMAT}, "stories": {{\n' + ",\n".join(lines) + "\n}}\n"


def read_stories(path: Path) -> dict[str, Story]:
    """Returns the stories of a file that `stories_to_json` wrote, by the id of their record.

    Raises ``MmvizError`` (``stories-unreadable``) for any other file, and where there is none.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError
        content = json.loads(data)
        if content["format"] != FORMAT:
            raise ValueError
        return {_text(name): _decode(fields) for name, fields in content["stories"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        raise MmvizError("stories-unreadable", name=path.name) from problem


def story_of_record(stories: Mapping[str, Story], record: AttentionRecord) -> Story | None:
    """Returns the story of ``record`` itself; None where there is none, or where it names what the record lacks.

    A run with changes is another record, and has none.
    """
    story = stories.get(record.id)
    if story is None or record.made_by.get("changes") or not record.answers:
        return None
    is_of_answer = record.answers[0].label == story.answer
    return story if is_of_answer and all(_is_within(record, step) for step in story.steps) else None


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
        "probability": round(story.probability, _DIGITS),
        "steps": [_encode_step(step) for step in story.steps],
        "ways_out": [[str(modality), round(effect, _DIGITS)] for modality, effect in story.ways_out],
    }


def _encode_step(step: Step) -> dict[str, Any]:
    return {
        "queries": encode_group(step.queries),
        "keys": encode_group(step.keys),
        "modality": str(step.modality),
        "windows": [[window.stack, window.layers and list(window.layers)] for window in step.windows],
        "effect": round(step.effect, _DIGITS),
        "answer": step.answer,
        "probability": round(step.probability, _DIGITS),
        "is_changed": step.is_changed,
    }


def _decode(fields: Mapping[str, Any]) -> Story:
    steps, ways = fields["steps"], fields["ways_out"]
    if len(steps) > MOST_STEPS or len(ways) > len(Modality):
        raise ValueError
    ways_out = tuple((Modality(modality), _effect(effect)) for modality, effect in ways)
    return Story(
        _text(fields["answer"]), _probability(fields["probability"]), tuple(map(_decode_step, steps)), ways_out
    )


def _decode_step(fields: Mapping[str, Any]) -> Step:
    windows = fields["windows"]
    if not 1 <= len(windows) <= _MAX_LAYERS or not isinstance(fields["is_changed"], bool):
        raise ValueError
    return Step(
        _group(fields["queries"]), _group(fields["keys"]), Modality(fields["modality"]),
        tuple(LayerWindow(_text(stack), _layers(layers)) for stack, layers in windows),
        _effect(fields["effect"]), _text(fields["answer"]), _probability(fields["probability"]), fields["is_changed"],
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


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_NAME:
        raise ValueError
    return value


def _effect(value: Any) -> float:
    """Returns what a cut takes from the answer: what takes less than `LEAST` is not told."""
    if isinstance(value, bool) or not math.isfinite(value) or value > -LEAST:
        raise ValueError
    return float(value)


def _probability(value: Any) -> float:
    if isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError
    return float(value)
