"""Which routes carry an answer, as a table and in words: what ``mmviz routes`` and the section Routes show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from mmviz.analysis.route_attention import group_members
from mmviz.analysis.stack_words import stack_words
from mmviz.experiments.route_cut import LayerWindow, RouteCell, RouteEffect, RouteTable
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.page import say
from mmviz.io.index_ranges import write_group
from mmviz.report.result_table import ExperimentTable
from mmviz.report.run_facts import run_facts
from mmviz.types import AttentionRecord, ChosenTokens, Request, TokenGroup

T = TypeVar("T")
COLUMNS = (
    "queries", "keys", "stack", "layers", "modules", "query_streams", "key_streams", "attention", "uniform", "only",
    "effect", "other_answer", "other_probability", "changed", "disagreement",
)  # fmt: skip
MOVES = 0.1
"""Routes whose cut moves the answer's log-probability by less than this, in nats, are not said to carry it."""
MOST_NAMED = 4
"""Disagreements that are named, those with the largest gap first."""


def routes_table(request: Request, record: AttentionRecord, table: RouteTable, command: str) -> ExperimentTable:
    """Returns a row for each route in each window of layers that was cut, in the order of cells; named ``routes``.

    A row holds ``queries`` and ``keys`` (groups of tokens); ``stack`` ("": all but those of towers) and ``layers``
    (from 0; None: all), the ``modules`` cut there and the streams that they run between; ``attention``, the share that
    the route has without a cut, ``uniform``, what it would have if all keys got the same, and ``only``, the number of
    queries that a cut leaves nothing; ``effect``, the change of the answer's log-probability in nats;
    ``other_answer`` and ``other_probability``, the most probable answer with the cut, and whether that is another
    (``changed``, None where it cannot be told); ``disagreement`` ("unused", "unattended" or None, see
    `RouteEffect.disagreement`). The facts hold how many cells were ``planned``, and the ``verdict`` in words.
    """
    rows = [_row(record, effect) for effect in table.effects]
    facts = {**run_facts(request, record), "planned": table.planned, "verdict": routes_sentences(record, table)}
    return ExperimentTable("routes", COLUMNS, rows, facts, command)


def routes_sentences(record: AttentionRecord, table: RouteTable) -> list[str]:
    """Returns in words which route carries the answer most, and where attention and effect disagree."""
    if not table.effects:
        return []
    strongest = min(table.effects, key=lambda effect: effect.effect)
    if strongest.effect > -MOVES:
        is_whole = any(effect.cell.window.layers is None for effect in table.effects)
        lines = [say("routes-none" if is_whole else "routes-none-measured", answer=table.answer, least=MOVES)]
    else:
        words = {"route": route_words(strongest.cell), "layers": window_words(record, strongest.cell.window)}
        code = {None: "routes-strongest-untold", True: "routes-strongest-changed", False: "routes-strongest"}[
            strongest.is_changed
        ]
        lines = [
            say(code, **words, answer=table.answer, effect=strongest.effect, other=strongest.answer)
        ]  # fmt: skip
    for kind in ("unused", "unattended"):
        cases = [effect for effect in table.disagreements if effect.disagreement == kind]
        cases.sort(key=lambda effect: -(effect.cell.attention.share if kind == "unused" else abs(effect.effect)))
        lines += [_disagreement(record, kind, effect) for effect in cases[:MOST_NAMED]]
    return lines


def route_words(cell: RouteCell) -> str:
    """Returns what people call a route: what reads what."""
    return say("routes-route", queries=group_words(cell.queries), keys=group_words(cell.keys))


def group_words(group: TokenGroup) -> str:
    """Returns what people call a group of tokens."""
    if isinstance(group, ChosenTokens):
        return say("routes-chosen", count=len(group.tokens))
    return say(f"the-{group}")


def window_words(record: AttentionRecord, window: LayerWindow) -> str:
    """Returns what people call a window of layers; they count from 1. The stack is named where there are several."""
    words = layers_words(window.layers)
    has_several = window.stack and len(record.stacks) > 1
    return sentence("map-of-stack", stack=stack_words(record, window.stack), map=words) if has_several else words


def layers_words(layers: Sequence[int] | None) -> str:
    """Returns what people call layers of a stack; they count from 1. None: all."""
    if layers is None:
        return say("routes-all-layers")
    if len(layers) == 1:
        return say("heads-layer", layer=layers[0] + 1)
    numbers = sorted(layers)
    if numbers[-1] - numbers[0] >= len(numbers):  # some between them are not meant
        return say("heads-layer", layer=write_group([number + 1 for number in numbers]).replace(".", ", "))
    return say("routes-layers", first=numbers[0] + 1, last=numbers[-1] + 1)


def _disagreement(record: AttentionRecord, kind: str, effect: RouteEffect) -> str:
    text = say(
        f"routes-{kind}", route=route_words(effect.cell), layers=window_words(record, effect.cell.window),
        attention=effect.cell.attention.share, effect=round(effect.effect, 2) + 0.0,  # never -0.00
    )  # fmt: skip
    return text[0].upper() + text[1:]


def _row(record: AttentionRecord, effect: RouteEffect) -> dict[str, Any]:
    cell = effect.cell
    maps = [record.maps[number] for number in maps_with(record, cell.window, cell.queries, cell.keys)]
    return {
        "queries": group_text(cell.queries),
        "keys": group_text(cell.keys),
        "stack": cell.window.stack,
        "layers": None if cell.window.layers is None else list(cell.window.layers),
        "modules": unique([attn_map.name for attn_map in maps]),
        "query_streams": unique([attn_map.queries for attn_map in maps]),
        "key_streams": unique([attn_map.keys for attn_map in maps]),
        "attention": cell.attention.share,
        "uniform": cell.attention.uniform,
        "only": cell.attention.only,
        "effect": effect.effect,
        "other_answer": effect.answer,
        "other_probability": effect.probability,
        "changed": effect.is_changed,
        "disagreement": effect.disagreement,
    }


def group_text(group: TokenGroup) -> str:
    """Returns a group of tokens as a plain value: a modality, ``answer``, or ``STREAM:3+4`` for chosen tokens."""
    if isinstance(group, ChosenTokens):
        return f"{group.stream}:{'+'.join(map(str, group.tokens))}"
    return str(group)


def maps_with(record: AttentionRecord, window: LayerWindow, queries: TokenGroup, keys: TokenGroup) -> list[int]:
    """Returns the maps of a window in which tokens of ``queries`` may attend to those of ``keys``."""
    towers = record.made_by.get("towers", ())
    return [
        number for number, attn_map in enumerate(record.maps)
        if (attn_map.stack == window.stack if window.stack else attn_map.stack not in towers)
        and (window.layers is None or attn_map.layer in window.layers)
        and group_members(record, queries, attn_map.queries).any()
        and group_members(record, keys, attn_map.keys).any()
    ]  # fmt: skip


def unique(values: Sequence[T]) -> list[T]:
    """Returns each of ``values`` once, in their order."""
    return list(dict.fromkeys(values))
