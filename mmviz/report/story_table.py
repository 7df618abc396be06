"""The story of an answer as a table and in words: what ``mmviz story`` shows."""

from __future__ import annotations

from typing import Any

from mmviz.experiments.route_cut import LayerWindow
from mmviz.experiments.story import Story
from mmviz.experiments.story_search import Step
from mmviz.figures.token_labels import names
from mmviz.i18n.page import say
from mmviz.report.result_table import ExperimentTable
from mmviz.report.routes_table import group_text, maps_with, unique
from mmviz.report.run_facts import run_facts
from mmviz.report.story_cards import step_sentence, story_verdict
from mmviz.types import AttentionRecord, ChosenTokens, Request, TokenGroup

COLUMNS = (
    "step", "queries", "query_tokens", "keys", "key_tokens", "modality", "layers", "modules", "query_streams",
    "key_streams", "effect", "other_answer", "other_probability", "changed", "sentence",
)  # fmt: skip


def story_table(request: Request, record: AttentionRecord, story: Story, command: str) -> ExperimentTable:
    """Returns a row for each step, in the order of the layers; named ``story``.

    A row holds ``step``, from 1; ``queries`` and ``keys``, a group of tokens or ``STREAM:3+4``, and the names of chosen
    ones, ``query_tokens`` and ``key_tokens`` (empty for a group); ``modality``, that of the keys; ``layers``, what is
    cut of each stack (``STACK:2+3``, from 0; or ``all``), the ``modules`` there, and the streams that they run between;
    ``effect``, the change of the answer's log-probability if exactly this is cut, in nats; ``other_answer`` and
    ``other_probability``, the most probable answer with the cut, and whether that is another (``changed``); and the
    ``sentence`` that says it. The facts hold whether the search ``is_complete``; of an answer that no single route
    carries, the ``ways_out`` that it needs (``modality`` and ``effect``, see `Story.ways_out`); and the ``verdict``.
    """
    rows = [_row(record, number, step) for number, step in enumerate(story.steps, 1)]
    facts = {
        **run_facts(request, record),
        "is_complete": story.is_complete,
        "ways_out": [{"modality": str(modality), "effect": effect} for modality, effect in story.ways_out],
        "verdict": story_sentences(story),
    }
    return ExperimentTable("story", COLUMNS, rows, facts, command)


def story_sentences(story: Story) -> list[str]:
    """Returns in words how many routes carry the answer and how much, or that none does; and whether it was stopped."""
    sizes = [-step.effect for step in story.steps]
    lines = []
    if len(sizes) == 1:
        lines.append(say("story-carried-one", answer=story.answer, size=sizes[0]))
    elif sizes:
        lines.append(
            say("story-carried", answer=story.answer, count=len(sizes), least=min(sizes), most=max(sizes))
        )  # fmt: skip
    verdict = story_verdict(story)
    return [*lines, verdict] if verdict else lines


def _row(record: AttentionRecord, number: int, step: Step) -> dict[str, Any]:
    maps = [
        record.maps[k] for k in unique(
            [k for window in step.windows for k in maps_with(record, window, step.queries, step.keys)]
        )
    ]  # fmt: skip
    return {
        "step": number,
        "queries": group_text(step.queries),
        "query_tokens": _names(record, step.queries),
        "keys": group_text(step.keys),
        "key_tokens": _names(record, step.keys),
        "modality": str(step.modality),
        "layers": [_window_text(window) for window in step.windows],
        "modules": unique([attn_map.name for attn_map in maps]),
        "query_streams": unique([attn_map.queries for attn_map in maps]),
        "key_streams": unique([attn_map.keys for attn_map in maps]),
        "effect": step.effect,
        "other_answer": step.answer,
        "other_probability": step.probability,
        "changed": step.is_changed,
        "sentence": step_sentence(record, step, names_patches=True),
    }


def _names(record: AttentionRecord, group: TokenGroup) -> list[str]:
    """Returns the names of chosen tokens, in their order; none of a group."""
    if not isinstance(group, ChosenTokens):
        return []
    return names(record.streams[group.stream or record.flow_streams[0]], group.tokens)


def _window_text(window: LayerWindow) -> str:
    layers = "all" if window.layers is None else "+".join(map(str, window.layers))
    return f"{window.stack}:{layers}" if window.stack else layers
