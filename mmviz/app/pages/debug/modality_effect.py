"""The part Effect: what the answer depends on, beside attention; and what happens when something is taken away."""

from __future__ import annotations

import html
from collections.abc import Mapping

import streamlit as st

from mmviz.app.components import widgets
from mmviz.app.experiment_runner import ExperimentRunner, absent_box
from mmviz.app.pages.debug.perturb import taking
from mmviz.experiments.modality_shapley import Effect, coalitions, disagreements, given
from mmviz.experiments.runs import measure_modality_effect, modality_shares
from mmviz.figures.theme import MODALITY_COLOURS
from mmviz.i18n.page import say
from mmviz.types import INPUT_MODALITIES, MmvizError, Modality


def effect(bench: ExperimentRunner) -> None:
    """Attention and effect of each modality side by side, the eight subsets, and the switches."""
    left, right = st.columns([1.25, 1], gap="large")
    with left:
        baseline = absent_box("effect-absent")
        found = bench.measured(
            ("effect", baseline),
            lambda tell, stop: measure_modality_effect(bench.backend(), bench.request, baseline, tell, stop),
        )
        if found is not None:
            seen = _attention(bench)
            st.html(effect_html(found, seen))
            for words in verdicts(found, seen):
                widgets.note(words, "remark")
    if found is not None:
        with right:
            st.html(subsets_html(found, given(bench.run.sample)))
    taking(bench, baseline)


def _attention(bench: ExperimentRunner) -> Mapping[Modality, float] | None:
    """Shares of attention from the answering token, in the way chosen for the model; None of a run too long for
    that."""
    try:
        return modality_shares(bench.run.record, bench.run.map_ref)
    except (LookupError, ValueError, MmvizError):
        return None


def effect_html(found: Effect, attention: Mapping[Modality, float] | None) -> str:
    """A row a modality: its share of attention, its share of the effect, and the effect in nats."""
    heads = "".join(
        f"<th scope='col' title='{html.escape(say(f'effect-{code}-help'))}'>{html.escape(say(f'effect-{code}'))}</th>"
        for code in ("attention", "share", "phi")
    )
    rows = ""
    for modality in INPUT_MODALITIES:
        cells = [None if attention is None else attention[modality], found.shares[modality]]
        bars = "".join("<td>–</td>" if share is None else f"<td>{_bar(share)}</td>" for share in cells)
        rows += f"<tr><th scope='row'>{chip(modality)}</th>{bars}<td>{found.phi[modality]:+.2f}</td></tr>"
    rows += f"<tr class='sum'><th scope='row'>{html.escape(say('effect-total'))}</th><td></td><td></td>"
    caption = html.escape(say("effect-caption", answer=found.answer))
    return (
        f"<table class='facts'><caption>{caption}</caption><tr><td></td>{heads}</tr>{rows}"
        f"<td>{found.total:+.2f}</td></tr></table>"
    )


def verdicts(found: Effect, attention: Mapping[Modality, float] | None) -> list[str]:
    """Where attention and effect disagree, in words; one sentence where they do not."""
    if attention is None:
        return [say("effect-no-attention")]
    told = []
    for one in disagreements(attention, found.shares):
        names = {"modality": say(f"the-{one.modality}"), "other": say(f"the-{one.other}") if one.other else ""}
        words = say(f"effect-{one.kind}", **names, attention=one.attention, effect=one.effect)
        told.append(words[0].upper() + words[1:])
    return told or [say("effect-agrees")]


def subsets_html(found: Effect, there: tuple[Modality, ...]) -> str:
    """What the model says with every subset of the modalities that were given."""
    heads = "".join(f"<th scope='col'>{chip(modality)}</th>" for modality in there)
    rows = ""
    for kept in reversed(coalitions(there)):
        label, probability = found.answers[kept]
        marks = "".join(f"<td class='mark'>{'●' if modality in kept else '–'}</td>" for modality in there)
        same = "" if label == found.answer else " class='other'"
        rows += (
            f"<tr>{marks}<td{same}>{html.escape(label)} {probability:.1%}</td><td>{found.values[kept]:.2f}</td></tr>"
        )
    columns = f"<th scope='col'>{html.escape(say('subsets-answer'))}</th>"
    value = html.escape(say("subsets-value", answer=found.answer))
    caption = html.escape(say("subsets-caption"))
    return (
        f"<table class='facts'><caption>{caption}</caption><tr>{heads}{columns}<th scope='col'>{value}</th></tr>"
        f"{rows}</table>"
    )


def chip(modality: Modality) -> str:
    """A modality by name, with its colour before it."""
    return f"<i class='dot' style='background:{MODALITY_COLOURS[modality]}'></i>{html.escape(say(f'name-{modality}'))}"


def _bar(share: float) -> str:
    return f"{share:.2f}<div class='bar'><i style='width:{share:.1%}'></i></div>"
