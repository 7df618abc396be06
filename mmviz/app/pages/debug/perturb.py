"""Take something away, or put another trio's in its place, and see what becomes of the answer and of attention."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from mmviz.app.components import widgets
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.pages.explore.method_cards import lit_html
from mmviz.backends import Stop
from mmviz.experiments.faithfulness import removable_tokens, token_removal
from mmviz.experiments.modality_shapley import Baseline, given, without
from mmviz.experiments.runs import answer_query, modality_shares
from mmviz.explain import Run
from mmviz.figures.token_labels import names, together
from mmviz.i18n.language import translated
from mmviz.i18n.page import say
from mmviz.inputs.baseline import swapped
from mmviz.inputs.examples import Example, load_gallery
from mmviz.types import INPUT_MODALITIES, AttentionRecord, Modality, PixelBox, Request, Sample, Token

AS_GIVEN, AWAY = "as-given", "away"


def taking(bench: ExperimentRunner, baseline: Baseline) -> None:
    """Switches for whole modalities, and for single words, patches and moments; ``baseline``: what away means."""
    widgets.heading(say("perturb"), say("perturb-help"))
    left, right = st.columns(2, gap="large")
    with left:
        _modalities(bench, baseline)
    with right:
        _tokens(bench, baseline)


def _modalities(bench: ExperimentRunner, baseline: Baseline) -> None:
    sample = bench.run.sample
    examples = {example.id: example for example in load_gallery()}
    choice: dict[Modality, str] = {}
    for modality in given(sample):
        options = [AS_GIVEN, AWAY, *(name for name, example in examples.items() if modality in given(example.sample()))]
        choice[modality] = st.selectbox(
            say(f"name-{modality}"), options, key=f"take-{modality}", help=say("perturb-choice-help"),
            format_func=lambda one: say(f"take-{one}") if one not in examples else _swapping(examples[one]),
        )  # fmt: skip
    changed = {modality: what for modality, what in choice.items() if what != AS_GIVEN}
    if not changed:
        widgets.note(say("perturb-nothing"))
        return
    for modality, what in changed.items():
        if what != AWAY:
            sample = swapped(sample, examples[what].sample(), modality)
    gone = [modality for modality, what in changed.items() if what == AWAY]
    changes = (*bench.request.changes, *without(gone, baseline))
    asked = replace(bench.request, sample=sample, changes=changes, relevance=False)
    found = _run(bench, ("take", baseline, *sorted(changed.items())), asked)
    if found is not None:
        st.html(_before_after(bench.run.record, found, bench.run))
        for record, shown, title in ((bench.run.record, bench.run.sample, "before"), (found, sample, "after")):
            _lit(say(f"take-{title}"), shown, record, bench)


def _tokens(bench: ExperimentRunner, baseline: Baseline) -> None:
    """The same for the tokens that are pinned in the viewer, or chosen here."""
    record, now = bench.run.record, bench.now
    tokens = record.streams[record.maps[-1].keys]
    known = removable_tokens(tokens)
    named = names(tokens)
    pinned = [k for k in (now.selection.tokens if now.selection else ()) if k in known]
    chosen = st.multiselect(
        say("span"), known, default=pinned, format_func=lambda k: named[k], key=f"span-{record.id}",
        help=say("span-help"), placeholder=say("span-none"),
    )  # fmt: skip
    examples = {example.id: example for example in load_gallery()}
    how = st.selectbox(
        say("span-how"), [AWAY, *examples], key="span-how", help=say("perturb-choice-help"),
        format_func=lambda one: say(f"absent-{baseline}") if one == AWAY else _swapping(examples[one]),
    )  # fmt: skip
    if not chosen:
        widgets.note(say("span-nothing"))
        return
    if how == AWAY:
        changes = (*bench.request.changes, *token_removal(tokens, chosen, baseline))
        asked = replace(bench.request, changes=changes, relevance=False)
        sample = bench.run.sample
    else:
        sample = _spans_swapped(bench.run.sample, examples[how].sample(), tokens, chosen)
        asked = replace(bench.request, sample=sample, relevance=False)
    found = _run(bench, ("span", baseline, how, *chosen), asked)
    if found is not None:
        widgets.note(say("span-of", tokens=together([named[k] for k in chosen])))
        st.html(_before_after(record, found, bench.run))
        _lit(say("perturb-after"), sample, found, bench)


def _swapping(example: Example) -> str:
    return say("perturb-swap", example=translated(example.title))


def _spans_swapped(sample: Sample, other: Sample, tokens: Sequence[Token], chosen: Sequence[int]) -> Sample:
    for modality in INPUT_MODALITIES:
        where = [tokens[k].location for k in chosen if tokens[k].modality is modality]
        if where:
            sample = swapped(sample, other, modality, [place for place in where if place is not None])
    return sample


def _run(bench: ExperimentRunner, name: tuple[object, ...], asked: Request) -> AttentionRecord | None:
    def make(_: object, stop: Stop) -> AttentionRecord | None:
        records = bench.backend().run([asked], stop=stop)
        return records[0] if records else None

    return bench.measured(name, make)


def _before_after(before: AttentionRecord, after: AttentionRecord, run: Run) -> str:
    """What became of the answer, and of where attention goes."""
    first, now = before.answers[0], after.answers[0]
    left = next(answer.probability for answer in after.answers if answer.label == first.label)
    code = "perturb-stays" if now.label == first.label else "perturb-changes"
    words = say(code, answer=first.label, before=first.probability, after=left, other=now.label, now=now.probability)
    rows = ""
    for title, record in (("before", before), ("after", after)):
        shares = _shares(record, run)
        if shares is not None:
            cells = "".join(f"<td>{shares[modality]:.2f}</td>" for modality in INPUT_MODALITIES)
            rows += f"<tr><th scope='row'>{html.escape(say(f'take-{title}'))}</th>{cells}</tr>"
    heads = "".join(f"<th scope='col'>{html.escape(say(f'name-{modality}'))}</th>" for modality in INPUT_MODALITIES)
    caption = html.escape(say("perturb-attention"))
    table = f"<table class='facts'><caption>{caption}</caption><tr><td></td>{heads}</tr>{rows}</table>" if rows else ""
    return f"<p class='verdict'>{html.escape(words)}</p>{table}"


def _shares(record: AttentionRecord, run: Run) -> Mapping[Modality, float] | None:
    try:
        return modality_shares(record, run.map_ref)
    except (LookupError, ValueError):
        return None


def _lit(title: str, sample: Sample, record: AttentionRecord, bench: ExperimentRunner) -> None:
    """Attention of the answering token on the inputs."""
    if record.is_long:
        return
    map_ref = bench.run.map_ref if bench.run.map_ref.method != "relevance" else None
    run = Run(sample, replace(record, made_by={**record.made_by, "map_ref": str(map_ref) if map_ref else None}))
    amounts = run.attention(map_ref, answer_query(record))
    tokens = run.tokens
    drawn = [float(amount) for token, amount in zip(tokens, amounts, strict=True) if token.location is not None]
    top = max(drawn, default=0.0) or 1.0
    has_picture = any(isinstance(token.location, PixelBox) for token in tokens)
    st.html(lit_html(title, sample if has_picture else replace(sample, image=None), tokens, amounts, top))
