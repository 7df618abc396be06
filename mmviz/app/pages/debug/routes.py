"""The section Routes: cut a route and see the answer without it; the table of all routes; pairs of modalities."""

from __future__ import annotations

import html
from itertools import combinations

import streamlit as st

from mmviz.app import run_change_actions
from mmviz.app.chosen_routes import EVERYWHERE, SWITCHES, current_choice, cut_stacks, cuts, restore_shown_routes
from mmviz.app.components import page_elements
from mmviz.app.components.page_elements import chip
from mmviz.app.components.table_downloads import table_downloads
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.pages.debug.layer_window_select import window_select
from mmviz.app.pages.debug.route_effect import cut_answer, cut_maps
from mmviz.app.pages.debug.route_switches import route_matrix
from mmviz.app.pages.debug.route_table import route_table_section
from mmviz.app.pages.debug.selected_tokens import selected_tokens_cut
from mmviz.app.reproduce_command import table_command
from mmviz.experiments.modality_shapley import Effect, measure_modality_effect
from mmviz.experiments.route_cut import route_cells
from mmviz.figures.colour_scale import short
from mmviz.figures.signed_colours import signed
from mmviz.i18n.page import say
from mmviz.report.effect_table import interactions_table
from mmviz.types import INPUT_MODALITIES


def routes_section(runner: ExperimentRunner) -> None:
    """Draws the switches, the answer and the map before and after, the table of routes, and interactions."""
    record = runner.run.record
    if not cut_stacks(record):
        page_elements.note(say("routes-unknown"), "remark")
        return
    choice = current_choice(record)
    left, right = st.columns([1.1, 1], gap="large")
    with left:
        window = window_select(record, choice)
        changes = runner.state.route_cuts = cuts(choice, window)
        cells = runner.measure(
            ("routes-attention", window), lambda *_: route_cells(record, [window], SWITCHES)
        )  # fmt: skip
        if cells is None:
            return
        if not cells and window == EVERYWHERE:
            page_elements.note(say("routes-unknown"), "remark")
            return
        route_matrix(record, cells, choice, window)
        selected_tokens_cut(runner, choice, window)
    with right:
        cut = cut_answer(runner, changes)
        if changes:
            with st.container(horizontal=True, gap="small"):
                restore, key = say("routes-restore"), "routes-restore"
                st.button(restore, key=key, on_click=restore_shown_routes, args=(record.id,))
                in_run = runner.state.cut_routes
                st.button(
                    say("routes-run"), key="routes-run", help=say("routes-run-help"), disabled=cut is None,
                    on_click=run_change_actions.cut_routes, args=((*in_run, *changes),),
                )  # fmt: skip
    if cut is not None:
        cut_maps(runner, cut)
    if cut is None and changes:  # one sentence on why it cannot be cut is enough
        return
    if route_table_section(runner):  # one measurement at a time: each drawing of its progress takes time from it
        _interactions(runner)


def _interactions(runner: ExperimentRunner) -> None:
    """Draws how much each pair of modalities does together beyond what each does alone."""
    page_elements.heading(say("interactions"), say("interactions-help"))
    effect = runner.measure(
        ("effect", "learned"),
        lambda progress, stop: measure_modality_effect(runner.backend(), runner.request, "learned", progress, stop),
    )
    if effect is not None:
        st.html(interactions_html(effect))
        page_elements.note(say("interactions-about", answer=effect.answer))
        command = table_command(runner.state, runner.request, "effect", interactions_csv="interactions.csv")
        table_downloads(interactions_table(runner.request, runner.run.record, effect, "learned", command))


def interactions_html(effect: Effect) -> str:
    """Returns a table with a row for each pair of modalities: its interaction in nats, as a number and a bar."""
    pairs = effect.interactions
    if not pairs:
        return f"<p class='note'>{html.escape(say('interactions-none'))}</p>"
    largest = max(map(abs, pairs.values())) or 1.0
    rows = ""
    for first, second in combinations(INPUT_MODALITIES, 2):
        amount = pairs.get(frozenset({first, second}))
        if amount is None:
            continue
        name = say("interactions-pair", first=chip(first), second=chip(second))
        side, width = "above" if amount > 0 else "below", f"{abs(amount) / largest / 2:.1%}"
        signed_bar = f"<div class='signed-bar'><i class='{side}' style='width:{width}'></i></div>"
        rows += f"<tr><th scope='row'>{name}</th><td>{signed(amount)}</td><td>{signed_bar}</td></tr>"
    unit = html.escape(say("interactions-unit"))
    ends = f"<span>−{short(largest)}</span><span>0</span><span>+{short(largest)} {unit}</span>"
    axis = f"<tr><td></td><td></td><td><div class='signed-axis'>{ends}</div></td></tr>"
    return f"<table class='facts interactions'>{rows}{axis}</table>"
