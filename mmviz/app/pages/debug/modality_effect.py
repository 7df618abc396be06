"""The section Effect: what the answer depends on, beside attention; and inputs to remove or replace."""

from __future__ import annotations

import html
from collections.abc import Mapping

import streamlit as st

from mmviz.analysis.attributions import known_modality_shares
from mmviz.app.components import page_elements
from mmviz.app.components.page_elements import chip
from mmviz.app.components.table_downloads import table_downloads
from mmviz.app.experiment_runner import ExperimentRunner, baseline_select
from mmviz.app.pages.debug.perturb import perturb
from mmviz.app.reproduce_command import table_command
from mmviz.experiments.modality_shapley import Effect, measure_modality_effect
from mmviz.experiments.removals import present_modalities
from mmviz.experiments.time_estimates import most_seconds
from mmviz.figures.heat_strip import bar
from mmviz.i18n.minus_sign import signed_text
from mmviz.i18n.page import say
from mmviz.report.effect_table import (
    effect_sentences,
    effect_table,
    interaction_sentences,
    measured_subsets,
    subsets_table,
)
from mmviz.types import INPUT_MODALITIES, Modality


def effect_section(runner: ExperimentRunner) -> None:
    """Draws attention and effect of each modality, the answers to all subsets, and the inputs to perturb."""
    left, right = st.columns([1.25, 1], gap="large")
    run, request = runner.run, runner.request
    with left:
        baseline = baseline_select("effect-baseline")
        effect = runner.measure(
            ("effect", baseline),
            lambda progress, stop: measure_modality_effect(runner.backend(), request, baseline, progress, stop),
            most_seconds(run.record, 2 ** len(present_modalities(run.sample))),
        )
        if effect is not None:
            attention = known_modality_shares(runner.run.record, runner.run.map_ref)
            st.html(effect_html(effect, attention))
            for text in (*effect_sentences(effect, attention), *interaction_sentences(effect)):
                page_elements.note(text, "remark")
            command = table_command(runner.state, request, "effect", baseline=baseline)
            table_downloads(effect_table(request, run.record, effect, attention, run.map_ref, baseline, command))
    if effect is not None:
        with right:
            st.html(subsets_html(effect))
            command = table_command(runner.state, request, "effect", baseline=baseline, subsets_csv="subsets.csv")
            table_downloads(subsets_table(request, run.record, effect, baseline, command))
    perturb(runner, baseline)


def effect_html(effect: Effect, attention: Mapping[Modality, float] | None) -> str:
    """Returns a table with a row for each modality: its share of attention, its share of the effect, its effect."""
    heads = "".join(
        f"<th scope='col' title='{html.escape(say(f'effect-{code}-help'))}'>{html.escape(say(f'effect-{code}'))}</th>"
        for code in ("attention", "share", "phi")
    )
    rows = ""
    for modality in INPUT_MODALITIES:
        is_measured = modality not in effect.required
        shares = [None if attention is None else attention[modality], effect.shares[modality] if is_measured else None]
        cells = "".join("<td>–</td>" if share is None else f"<td>{share:.2f}{bar(share)}</td>" for share in shares)
        phi = signed_text(effect.phi[modality]) if is_measured else "–"
        rows += f"<tr><th scope='row'>{chip(modality)}</th>{cells}<td>{phi}</td></tr>"
    rows += f"<tr class='sum'><th scope='row'>{html.escape(say('effect-total'))}</th><td></td><td></td>"
    caption = html.escape(say("effect-caption", answer=effect.answer))
    return (
        f"<table class='facts'><caption>{caption}</caption><tr><td></td>{heads}</tr>{rows}"
        f"<td>{signed_text(effect.total)}</td></tr></table>"
    )


def subsets_html(effect: Effect) -> str:
    """Returns a table with the likeliest answer to every subset of the sample's modalities that was measured."""
    modalities = [modality for modality in INPUT_MODALITIES if modality in effect.everything]
    heads = "".join(f"<th scope='col'>{chip(modality)}</th>" for modality in modalities)
    rows = ""
    for subset in measured_subsets(effect):
        label, probability = effect.answers[subset]
        marks = "".join(f"<td class='mark'>{'●' if modality in subset else '–'}</td>" for modality in modalities)
        other = " class='other'" if effect.is_changed(subset) else ""  # of a written answer that is not known
        answer = f"<td{other}>{html.escape(label)} {probability:.1%}</td>"
        rows += f"<tr>{marks}{answer}<td>{signed_text(effect.values[subset])}</td></tr>"
    columns = f"<th scope='col'>{html.escape(say('subsets-answer'))}</th>"
    value = html.escape(say("subsets-value", answer=effect.answer))
    caption = html.escape(say("subsets-caption"))
    return (
        f"<table class='facts'><caption>{caption}</caption><tr>{heads}{columns}<th scope='col'>{value}</th></tr>"
        f"{rows}</table>"
    )
