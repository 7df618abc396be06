"""The section Heads: the effect of ablating each head, what each head attends to, and a run without some heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from mmviz.analysis.head_profiles import HeadProfile, all_heads, head_profiles
from mmviz.analysis.similarity import MAX_COMPARED, redundant_heads
from mmviz.app import run_change_actions
from mmviz.app.components import page_elements
from mmviz.app.components.stack_select import stack_select
from mmviz.app.components.table_downloads import table_downloads
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.pages.debug.head_edges import choose_head, edges_panel
from mmviz.app.reproduce_command import table_command
from mmviz.experiments.head_ablation import HeadEffect, measure_head_ablation
from mmviz.experiments.time_estimates import most_seconds
from mmviz.figures.colour_scale import short
from mmviz.figures.head_grid import head_grid
from mmviz.figures.token_labels import names
from mmviz.i18n.language import join_list
from mmviz.i18n.page import say
from mmviz.report.heads_table import (
    answer_probability,
    head_name,
    heads_summary,
    heads_table,
    layer_in_stack,
    layer_name,
    redundant_summary,
    redundant_table,
)
from mmviz.types import AblateHead, AttentionRecord, Modality

GRID = "heads-grid"


def heads_section(runner: ExperimentRunner) -> None:
    """Draws the grid of effects, the heads to ablate, and a table of all heads."""
    record = runner.run.record
    heads = all_heads(record)
    effects = measure_heads(runner)
    if not effects:
        return
    left, right = st.columns([1.2, 1], gap="large")
    with left:
        _grid(record, effects)
    with right:
        page_elements.note(heads_summary(record, effects), "remark")
        if len(effects) < len(heads):
            page_elements.note(say("heads-stopped", done=len(effects), of=len(heads)))
        if runner.state.edge_head is None:
            page_elements.note(say("edges-hint"))
        else:
            edges_panel(runner)
        _ablation_controls(runner, heads)
    profiles = None
    if record.is_long:
        page_elements.note(say("heads-long"))
    else:
        profiles = runner.measure(("profiles",), lambda *_: head_profiles(record))
        _redundant_note(runner, record, heads)
    _table(record, effects, profiles)
    command = table_command(runner.state, runner.request, "heads")
    table_downloads(heads_table(runner.request, record, effects, profiles, command))


def measure_heads(runner: ExperimentRunner) -> list[HeadEffect] | None:
    """Returns the effect of ablating each head; None while it is being measured."""
    record = runner.run.record
    return runner.measure(
        ("heads",),
        lambda progress, stop: measure_head_ablation(runner.backend(), runner.request, record, progress, stop),
        most_seconds(record, len(all_heads(record))),
    )


def _grid(record: AttentionRecord, effects: Sequence[HeadEffect]) -> None:
    """Draws the effects by map and head, of one stack; a click measures the edges of a head, and opens it in the
    viewer."""
    stack = stack_select(record, f"heads-stack-{record.id}")
    key = GRID if stack == record.default_stack else f"{GRID}-{record.stacks.index(stack)}"
    numbers = [number for number, attn_map in enumerate(record.maps) if attn_map.stack == stack]
    values = np.full((len(numbers), max(record.maps[number].heads for number in numbers)), np.nan)
    for effect in effects:
        if effect.map in numbers:
            values[numbers.index(effect.map), effect.head] = effect.effect
    answer = record.answers[0].label
    figure = head_grid(
        values, [layer_in_stack(record, number) for number in numbers], say("heads-title"),
        say("heads-note", answer=answer), say("heads-unit", answer=answer), page_elements.is_dark(),
    )  # fmt: skip
    event: Any = st.plotly_chart(
        figure,
        theme=None,
        config=page_elements.PLOTLY_CONFIG,
        key=key,
        on_select="rerun",
        selection_mode="points",
        alt=say("heads-title"),
    )
    points = event["selection"]["points"]
    before, st.session_state[f"{key}-points"] = st.session_state.get(f"{key}-points"), points
    if points and points != before:  # else the point is still selected, as when the visitor comes back
        row, head = (int(value) for value in points[0]["customdata"])
        choose_head(numbers[row], head)


def _ablation_controls(runner: ExperimentRunner, heads: Sequence[tuple[int, int]]) -> None:
    """Draws a box to choose heads in, and a button that runs the form without them."""
    record, ablated = runner.run.record, runner.state.ablated_heads
    default = [(change.map, change.head) for change in ablated if (change.map, change.head) in heads]
    chosen = st.multiselect(
        say("heads-ablate-choose"), heads, default=default, format_func=lambda head: head_name(record, *head),
        key=f"heads-ablate-{record.id}", help=say("heads-ablate-help"), placeholder=say("heads-ablate-none"),
    )  # fmt: skip
    changes = tuple(AblateHead(number, head) for number, head in chosen)
    with st.container(horizontal=True, gap="small"):
        st.button(
            say("heads-ablate-run"), key="heads-ablate-run", disabled=changes == ablated,
            on_click=run_change_actions.ablate_heads, args=(changes,),
        )  # fmt: skip
        if ablated:
            label = say("heads-ablate-restore")
            st.button(label, key="heads-ablate-restore", on_click=run_change_actions.ablate_heads, args=((),))


def _redundant_note(runner: ExperimentRunner, record: AttentionRecord, heads: Sequence[tuple[int, int]]) -> None:
    if len(heads) > MAX_COMPARED:
        page_elements.note(redundant_summary(record, None))
        return
    pairs = runner.measure(("redundant",), lambda *_: redundant_heads(record))
    if pairs is None:
        return
    page_elements.note(redundant_summary(record, pairs))
    if pairs:
        command = f"{table_command(runner.state, runner.request, 'heads')} --redundant"
        table_downloads(redundant_table(runner.request, record, pairs, command))


def _table(record: AttentionRecord, effects: Sequence[HeadEffect], profiles: Sequence[HeadProfile] | None) -> None:
    """Draws a row for each head, those that the answer needs most first; a click does as one in the grid."""
    profile_of = {(profile.map, profile.head): profile for profile in profiles or ()}
    ordered = sorted(effects, key=lambda effect: effect.effect)
    rows = [_row(record, effect, profile_of.get((effect.map, effect.head))) for effect in ordered]
    columns = {
        say(f"heads-column-{code}"): st.column_config.NumberColumn(format="%.3f", help=say(f"heads-help-{code}"))
        for code in ("effect", "probability", "entropy", "distance")
    }
    columns |= {
        say(f"name-{modality}"): st.column_config.NumberColumn(format="%.3f", help=say("heads-help-modality"))
        for modality in Modality
    }
    page_elements.heading(say("heads-table"), say("heads-labels-help"))
    row = page_elements.clicked_row(rows, columns, "heads-table")
    if row is not None:  # before anything is drawn, where the script may be stopped
        choose_head(ordered[row].map, ordered[row].head)
        st.rerun()
    page_elements.note(say("heads-labels-help"))


def _row(record: AttentionRecord, effect: HeadEffect, profile: HeadProfile | None) -> dict[str, Any]:
    labels = [say("heads-no-effect")] if effect.is_dead else []
    profile_cells: dict[str, Any] = {}
    if profile is not None:
        token_names = names(record.streams[record.maps[effect.map].keys])
        for key, share in profile.sinks:
            code = "heads-register" if key in profile.registers else "heads-sink"
            labels.append(say(code, token=token_names[key], share=short(share)))
        profile_cells = {say("heads-column-entropy"): profile.entropy, say("heads-column-distance"): profile.distance}
        profile_cells |= {say(f"name-{modality}"): share for modality, share in profile.modality_sums.items()}
    return {
        say("heads-column-layer"): layer_name(record, effect.map),
        say("heads-column-head"): effect.head + 1,
        say("heads-column-effect"): effect.effect,
        say("heads-column-probability"): answer_probability(record, effect),
        say("heads-column-answer"): f"{effect.answer} {effect.probability:.1%}",
        **profile_cells,
        say("heads-column-labels"): join_list(labels),
    }
