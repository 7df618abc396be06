"""The part Heads: what each head does, what is left without it, and a run with some switched off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from mmviz.app import session_state as keep
from mmviz.app.components import widgets
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.experiments.head_ablation import DEAD, HeadEffect, HeadProfile, every_head, head_profiles, redundant_heads
from mmviz.experiments.runs import measure_head_ablation
from mmviz.figures.colour_scale import short
from mmviz.figures.head_grid import head_grid
from mmviz.figures.token_labels import names
from mmviz.i18n.language import listed
from mmviz.i18n.page import say
from mmviz.types import AblateHead, AttentionRecord, Modality

MOST_TWINS = 128
"""With more heads, comparing each with each takes too long."""
GRID = "heads-grid"


def heads(bench: ExperimentRunner) -> None:
    """The grid of effects, switches, and the table of everything known about each head."""
    record = bench.run.record
    every = every_head(record)
    found = bench.measured(
        ("heads",), lambda tell, stop: measure_head_ablation(bench.backend(), bench.request, record, tell, stop)
    )
    if not found:
        return
    left, right = st.columns([1.2, 1], gap="large")
    with left:
        _grid(record, found)
    with right:
        widgets.note(summary(record, found), "remark")
        if len(found) < len(every):
            widgets.note(say("heads-few", done=len(found), of=len(every)))
        _switches(bench, every)
    known = None
    if record.is_long:
        widgets.note(say("heads-long"))
    else:
        known = bench.measured(("profiles",), lambda *_: head_profiles(record, bench.run.answer_query))
        _twins(bench, record, every)
    _table(record, found, known)


def summary(record: AttentionRecord, found: Sequence[HeadEffect]) -> str:
    """How many heads matter, in words."""
    answer = record.answers[0].label
    needed = [one for one in found if abs(one.effect) > DEAD]
    if not needed:
        return say("heads-none", answer=answer)
    best = max(needed, key=lambda one: abs(one.effect))
    return say(
        "heads-of", of=len(found), needed=len(needed), answer=answer, effect=best.effect,
        strongest=_named(record, best.map, best.head), dead=sum(one.is_dead for one in found),
    )  # fmt: skip


def _grid(record: AttentionRecord, found: Sequence[HeadEffect]) -> None:
    effects = np.full((len(record.maps), max(one.heads for one in record.maps)), np.nan)
    for one in found:
        effects[one.map, one.head] = one.effect
    answer = record.answers[0].label
    figure = head_grid(
        effects, [_layer(record, number) for number in range(len(record.maps))], say("heads-title"),
        say("heads-note", answer=answer), say("heads-unit", answer=answer), widgets.is_dark(),
    )  # fmt: skip
    chosen: Any = st.plotly_chart(
        figure, theme=None, config={"displayModeBar": False}, key=GRID, on_select="rerun", selection_mode="points"
    )
    points = chosen["selection"]["points"]
    if points and points != st.session_state.get(f"{GRID}-seen"):
        st.session_state[f"{GRID}-seen"] = points  # the page comes back to this part with the point still chosen
        number, head = (int(value) for value in points[0]["customdata"])
        keep.look_by(record.map_ref(number, head))
        keep.turn_to("explore")
        st.rerun()


def _switches(bench: ExperimentRunner, every: Sequence[tuple[int, int]]) -> None:
    record, ablated_heads = bench.run.record, bench.now.ablated_heads
    key = f"heads-off-{record.id}"
    default = [(one.map, one.head) for one in ablated_heads if (one.map, one.head) in every]
    chosen = st.multiselect(
        say("heads-off-choose"), every, default=default, format_func=lambda place: _named(record, *place), key=key,
        help=say("heads-off-help"), placeholder=say("heads-off-none"),
    )  # fmt: skip
    wanted = tuple(AblateHead(number, head) for number, head in chosen)
    with st.container(horizontal=True, gap="small"):
        st.button(
            say("heads-off-run"),
            key="heads-off-run",
            disabled=wanted == ablated_heads,
            on_click=keep.switch_off,
            args=(wanted,),
        )
        if ablated_heads:
            st.button(say("heads-off-back"), key="heads-off-back", on_click=keep.switch_off, args=((),))


def _twins(bench: ExperimentRunner, record: AttentionRecord, every: Sequence[tuple[int, int]]) -> None:
    if len(every) > MOST_TWINS:
        widgets.note(say("heads-many-twins", most=MOST_TWINS))
        return
    pairs = bench.measured(("twins",), lambda *_: redundant_heads(record))
    if pairs is None:
        return
    told = "; ".join(
        say("heads-pair", one=_named(record, *one), other=_named(record, *other), distance=far)
        for one, other, far in pairs[:6]
    )
    widgets.note(say("heads-twins", pairs=told) if pairs else say("heads-no-twins"))


def _table(record: AttentionRecord, found: Sequence[HeadEffect], known: Sequence[HeadProfile] | None) -> None:
    """One row a head, those that the answer needs most first."""
    by_place = {(one.map, one.head): one for one in known or ()}
    rows = [_row(record, one, by_place.get((one.map, one.head))) for one in sorted(found, key=lambda one: one.effect)]
    columns = {
        say(f"heads-column-{code}"): st.column_config.NumberColumn(format="%.3f", help=say(f"heads-help-{code}"))
        for code in ("effect", "probability", "entropy", "distance")
    }
    columns |= {
        say(f"name-{modality}"): st.column_config.NumberColumn(format="%.3f", help=say("heads-help-given"))
        for modality in Modality
    }
    widgets.heading(say("heads-table"), say("heads-labels-help"))
    st.dataframe(rows, hide_index=True, column_config=columns, key="heads-table")
    widgets.note(say("heads-labels-help"))


def _row(record: AttentionRecord, one: HeadEffect, profile: HeadProfile | None) -> dict[str, Any]:
    labels = [say("head-dead")] if one.is_dead else []
    more: dict[str, Any] = {}
    if profile is not None:
        named = names(record.streams[record.maps[one.map].keys])
        for key, share in profile.sinks:
            code = "head-register" if key in profile.registers else "head-sink"
            labels.append(say(code, token=named[key], share=short(share)))
        more = {say("heads-column-entropy"): profile.entropy, say("heads-column-distance"): profile.distance}
        more |= {say(f"name-{modality}"): share for modality, share in profile.given.items()}
    base = record.answers[0].probability * float(np.exp(one.effect))
    return {
        say("heads-column-layer"): _layer(record, one.map),
        say("heads-column-head"): one.head + 1,
        say("heads-column-effect"): one.effect,
        say("heads-column-probability"): base,
        say("heads-column-answer"): f"{one.answer} {one.probability:.1%}",
        **more,
        say("heads-column-labels"): listed(labels),
    }


def _layer(record: AttentionRecord, number: int) -> str:
    found = record.maps[number]
    words = say("heads-layer", layer=found.layer + 1)
    if found.queries == found.keys:
        return words
    return say("heads-streams", layer=words, queries=found.queries, keys=found.keys)


def _named(record: AttentionRecord, number: int, head: int) -> str:
    return say("heads-head", layer=_layer(record, number), head=head + 1)
