"""Inputs to remove, or to replace by those of another example; the answer and the attention before and after."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from mmviz.analysis.answer_shares import written_log_probability
from mmviz.analysis.attributions import known_modality_shares
from mmviz.analysis.available_maps import has_map, last_keys
from mmviz.analysis.comparison import pair_tokens
from mmviz.app.components import page_elements
from mmviz.app.components.table_downloads import table_downloads
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.pages.debug.side_by_side import SIDE
from mmviz.app.pages.debug.written_answer_probability import written_change
from mmviz.app.reproduce_command import compare_command
from mmviz.app.selection import Selection, answer_selection
from mmviz.app.selection_amounts import SelectionView
from mmviz.backends import Stop
from mmviz.experiments.removals import (
    Baseline,
    modality_removal,
    present_modalities,
    removable_tokens,
    token_removal,
)
from mmviz.explain import Run
from mmviz.figures.token_labels import group_name, names
from mmviz.i18n.language import translated
from mmviz.i18n.page import say
from mmviz.inputs.baseline import swap_input
from mmviz.inputs.examples import Example, load_gallery
from mmviz.report.attribution_card import method_card_html
from mmviz.report.comparison_table import comparison_table
from mmviz.types import INPUT_MODALITIES, AttentionRecord, MmvizError, Modality, PixelBox, Request, Sample, Token

KEEP, REMOVE = "keep", "remove"


def perturb(runner: ExperimentRunner, baseline: Baseline) -> None:
    """Draws boxes for whole modalities, and for single tokens; ``baseline`` stands in for what is removed."""
    page_elements.heading(say("perturb"), say("perturb-help"))
    left, right = st.columns(2, gap="large")
    with left:
        _perturb_modalities(runner, baseline)
    with right:
        _perturb_tokens(runner, baseline)


def _perturb_modalities(runner: ExperimentRunner, baseline: Baseline) -> None:
    sample = runner.run.sample
    examples = {example.id: example for example in load_gallery()}
    choices: dict[Modality, str] = {}
    for modality in present_modalities(sample):
        sources = [name for name, example in examples.items() if modality in present_modalities(example.sample())]
        choices[modality] = st.selectbox(
            say(f"name-{modality}"), [KEEP, REMOVE, *sources], key=f"perturb-{modality}",
            help=say("perturb-choice-help"),
            format_func=lambda choice: (
                _swap_label(examples[choice]) if choice in examples else say(f"perturb-{choice}")
            ),
        )  # fmt: skip
    changed = {modality: choice for modality, choice in choices.items() if choice != KEEP}
    if not changed:
        page_elements.note(say("perturb-nothing"))
        return
    for modality, choice in changed.items():
        if choice != REMOVE:
            sample = swap_input(sample, examples[choice].sample(), modality)
    removed = [modality for modality, choice in changed.items() if choice == REMOVE]
    changes = (*runner.request.changes, *modality_removal(removed, baseline))
    request = replace(runner.request, sample=sample, changes=changes, relevance=False, depends_on=False, towers=False)
    after = _measure_run(runner, ("perturb", baseline, *sorted(changed.items())), request)
    if after is not None:
        before = runner.run.record
        st.html(_before_after_html(before, after, runner.run))
        _attention_cards(after, sample, runner)
        if len(removed) == len(changed):  # else inputs of another example stand in A's place
            _removal_downloads(runner, after, request)


def _removal_downloads(runner: ExperimentRunner, after: AttentionRecord, request: Request) -> None:
    """Draws what the answer token attends to before and after a removal as a table, where both have that token."""
    map_ref = runner.run.map_ref
    other = Run(request.sample, after, runner.backend(), request)
    if not has_map(after, map_ref):
        return
    selection = Selection(answer_selection(runner.run, map_ref, "from"), (), "from", map_ref, "spotlight", "view")
    a, b = SelectionView(runner.run, selection), SelectionView(other, selection)
    partner = pair_tokens(a.selectable_tokens, b.selectable_tokens).partner(selection.tokens[0])
    if partner is None:
        return
    b = SelectionView(other, replace(selection, tokens=(partner,)))
    changes = request.changes[len(runner.request.changes) :]
    command = compare_command(runner.state, runner.request, a, changes)
    try:
        table = comparison_table(a, b, (runner.request, request), command)
    except MmvizError:  # a flow through a run too long for it
        return
    table_downloads(table, "perturb")


def _perturb_tokens(runner: ExperimentRunner, baseline: Baseline) -> None:
    """Draws a box for single tokens; those pinned in the viewer are chosen at first."""
    record, selection = runner.run.record, runner.state.selection
    tokens = last_keys(record)
    removable = removable_tokens(tokens)
    labels = names(tokens)
    pinned = [k for k in (selection.tokens if selection else ()) if k in removable]
    chosen = st.multiselect(
        say("perturb-tokens"), removable, default=pinned, format_func=lambda k: labels[k],
        key=f"perturb-tokens-{record.id}", help=say("perturb-tokens-help"), placeholder=say("perturb-tokens-none"),
    )  # fmt: skip
    modalities = {tokens[k].modality for k in chosen}
    examples = {  # of an example without such an input, nothing could stand in the place of the tokens
        example.id: example
        for example in load_gallery() if modalities <= {*present_modalities(example.sample())}
    }  # fmt: skip
    if st.session_state.get("perturb-tokens-by") not in examples:  # Streamlit keeps what is no longer offered
        st.session_state["perturb-tokens-by"] = REMOVE
    replacement = st.selectbox(
        say("perturb-tokens-by"), [REMOVE, *examples], key="perturb-tokens-by", help=say("perturb-tokens-by-help"),
        format_func=lambda choice: (
            _swap_label(examples[choice]) if choice in examples else say(f"baseline-{baseline}")
        ),
    )  # fmt: skip
    if not chosen:
        page_elements.note(say("perturb-tokens-nothing"))
        return
    if replacement == REMOVE:
        sample = runner.run.sample
        changes = (*runner.request.changes, *token_removal(tokens, chosen, baseline))
        request = replace(runner.request, changes=changes, relevance=False, depends_on=False, towers=False)
    else:
        sample = _swap_tokens(runner.run.sample, examples[replacement].sample(), tokens, chosen)
        request = replace(runner.request, sample=sample, relevance=False, depends_on=False, towers=False)
    after = _measure_run(runner, ("perturb-tokens", baseline, replacement, *chosen), request)
    if after is not None:
        page_elements.note(say("perturb-tokens-without", tokens=group_name([labels[k] for k in chosen])))
        st.html(_before_after_html(record, after, runner.run))
        _attention_cards(after, sample, runner)


def _swap_label(example: Example) -> str:
    return say("perturb-swap", example=translated(example.title))


def _swap_tokens(sample: Sample, other: Sample, tokens: Sequence[Token], chosen: Sequence[int]) -> Sample:
    """Returns ``sample`` with the locations of the chosen tokens filled from ``other``."""
    for modality in INPUT_MODALITIES:
        locations = [tokens[k].location for k in chosen if tokens[k].modality is modality]
        if locations:
            places = [location for location in locations if location is not None]
            sample = swap_input(sample, other, modality, places)
    return sample


def _measure_run(runner: ExperimentRunner, name: tuple[object, ...], request: Request) -> AttentionRecord | None:
    def work(_: object, stop: Stop) -> AttentionRecord | None:
        records = runner.backend().run([request], stop=stop)
        return records[0] if records else None

    return runner.measure(name, work)


def _before_after_html(before: AttentionRecord, after: AttentionRecord, run: Run) -> str:
    """Returns how the answer changed, and a table of the answer token's attention before and after."""
    verdict = _verdict(before, after)
    rows = ""
    for title, record in (("before", before), ("after", after)):
        shares = known_modality_shares(record, run.map_ref)
        if shares is not None:
            cells = "".join(f"<td>{shares[modality]:.2f}</td>" for modality in INPUT_MODALITIES)
            rows += f"<tr><th scope='row'>{html.escape(say(f'perturb-{title}'))}</th>{cells}</tr>"
    heads = "".join(f"<th scope='col'>{html.escape(say(f'name-{modality}'))}</th>" for modality in INPUT_MODALITIES)
    caption = html.escape(say("perturb-attention"))
    table = f"<table class='facts'><caption>{caption}</caption><tr><td></td>{heads}</tr>{rows}</table>" if rows else ""
    return f"<p class='verdict'>{html.escape(verdict)}</p>{table}"


def _verdict(before: AttentionRecord, after: AttentionRecord) -> str:
    """Returns whether the answer changed, with its probability; of a written answer, which is kept, that alone."""
    log_p, log_p_after = written_log_probability(before), written_log_probability(after)
    if log_p is not None and log_p_after is not None:
        return written_change(before, log_p_after - log_p)
    answer, new_answer = before.answers[0], after.answers[0]
    # an answer that is no longer among the kept ones of a large vocabulary has hardly any probability
    probability_after = next((other.probability for other in after.answers if other.is_same(answer)), 0.0)
    code = "perturb-stays" if new_answer.is_same(answer) else "perturb-changes"
    return say(
        code, answer=answer.label, before=answer.probability, after=probability_after, other=new_answer.label,
        now=new_answer.probability,
    )  # fmt: skip


def _attention_cards(after: AttentionRecord, sample: Sample, runner: ExperimentRunner) -> None:
    """Draws the answer token's attention before the change and after it, which has the inputs ``sample``, side by side
    on one scale.

    Left out are runs too long to hold their weights.
    """
    cards = (
        (say("perturb-before"), runner.run.sample, runner.run.record),
        (say("perturb-after"), sample, after),
    )
    map_ref = runner.run.map_ref if runner.run.map_ref.method != "relevance" else None
    made_by = {"map_ref": str(map_ref) if map_ref else None}
    shown = [
        (title, Run(sample, replace(record, made_by={**record.made_by, **made_by})))
        for title, sample, record in cards if not record.is_long
    ]  # fmt: skip
    amounts = [run.attention(map_ref) for _, run in shown]
    located = [
        float(amount)
        for (_, run), row in zip(shown, amounts, strict=True)
        for token, amount in zip(run.tokens, row, strict=True)
        if token.location is not None
    ]
    scale_max = max(located, default=0.0) or 1.0
    with st.container(key="perturb-cards"):
        places = st.columns(len(shown), gap="medium") if shown else []
    for place, (title, run), row in zip(places, shown, amounts, strict=True):
        has_patches = any(isinstance(token.location, PixelBox) for token in run.tokens)
        inputs = run.sample if has_patches else replace(run.sample, image=None)
        place.html(method_card_html(title, inputs, run.tokens, row, scale_max, page_elements.is_dark(), side=SIDE))
