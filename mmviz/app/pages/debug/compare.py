"""The section Compare: the run on the screen (A) beside another run (B) under the same method, and A minus B."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import streamlit as st

from mmviz.analysis.answer_token import answer_token
from mmviz.analysis.available_maps import has_map, map_refs, map_words, parse_map_ref, streams_of
from mmviz.analysis.comparison import difference, modality_difference, pair_tokens, symmetric_limit
from mmviz.analysis.map_weights import Direction
from mmviz.app.components import page_elements
from mmviz.app.components.stack_select import stack_select
from mmviz.app.components.table_downloads import table_downloads
from mmviz.app.experiment_runner import QUICK, ExperimentRunner
from mmviz.app.jobs import Job
from mmviz.app.pages.debug.side_by_side import card_html, difference_html, unit_of, verdict
from mmviz.app.reproduce_command import table_command
from mmviz.app.selection import Selection
from mmviz.app.selection_amounts import SelectionView
from mmviz.backends import Stop
from mmviz.backends.replay import sample_digest
from mmviz.explain import Run
from mmviz.figures.difference import signed_matrix, signed_modalities
from mmviz.figures.legend import amount_legend_html
from mmviz.figures.token_labels import names
from mmviz.i18n.language import join_list, join_sentences, translated
from mmviz.i18n.page import say
from mmviz.inputs.examples import load_gallery
from mmviz.io.change_text import CONTROLS, with_control
from mmviz.report.comparison_table import comparison_table
from mmviz.types import MapRef, MmvizError, Request, ShuffleWeights, UniformAttention


def compare_section(runner: ExperimentRunner) -> None:
    """Draws the choice of B, A and B side by side, and A minus B."""
    first, second, third, fourth = st.columns([1.8, 1, 1.4, 0.9], vertical_alignment="bottom")
    with first:
        option = st.selectbox(
            say("compare-with"), _options(runner), key="compare-with", help=say("compare-with-help"),
            format_func=_option_text, persist_state="session",
        )  # fmt: skip
    other = runner.measure(("compare", option), lambda _, stop: _make_other_run(runner, option, stop))
    if other is None:
        return
    with fourth:
        direction: Direction = st.segmented_control(
            say("compare-direction"), get_args(Direction), default="from", required=True, key="compare-direction",
            format_func=lambda direction: say(f"compare-direction-{direction}"), help=say("compare-direction-help"),
            persist_state="session",
        )  # fmt: skip
    with third:
        map_ref = method_select(runner, other, "compare")
    if map_ref is None:
        page_elements.note(say("compare-no-method"), "remark")
        return
    selection = Selection((0,), (), direction, map_ref, "spotlight", "view")
    a, b = SelectionView(runner.run, selection), SelectionView(other, selection)
    with second:
        token = _token_select(runner, a)
    partner = pair_tokens(a.selectable_tokens, b.selectable_tokens).partner(token)
    a = SelectionView(runner.run, replace(selection, tokens=(token,)))
    b = SelectionView(other, replace(selection, tokens=(0 if partner is None else partner,)))
    try:
        _cards(a, b, _option_text(option), partner is not None)
        if is_same_run(a.run, b.run):
            page_elements.note(say("compare-same"), "remark")
        else:
            _difference(a, b, partner is not None)
        if partner is not None:
            command = _command(runner, option, a)
            table_downloads(comparison_table(a, b, (runner.request, other.request or runner.request), command))
    except MmvizError as error:  # a flow through a run too long for it, or one that is no longer kept
        page_elements.note(str(error), "remark")


def _command(runner: ExperimentRunner, option: str, a: SelectionView) -> str:
    """Returns the command that compares the same two runs in the same view."""
    kind, _, name = option.partition("/")
    options = {"other": name} if kind == "model" else {"other_control": kind}
    if kind == "example":
        example = next(example for example in load_gallery() if example.id == name)
        parts = {"other_image": example.image, "other_audio": example.audio}
        options = {part: path.name if isinstance(path, Path) else "" for part, path in parts.items()}
        options["other_text"] = example.question
    selection = a.selection
    view = {"method": str(selection.map_ref), "direction": selection.direction, "token": str(selection.tokens[0])}
    return table_command(runner.state, runner.request, "compare", **options, **view)


# what A is compared with


def _options(runner: ExperimentRunner) -> list[str]:
    """Returns the choices of B: examples of the gallery, other controls on the same inputs, other models."""
    examples = [f"example/{example.id}" for example in load_gallery() if example != runner.state.run_example]
    changes = runner.request.changes
    controls = [control for control in CONTROLS if with_control(changes, control) != changes]
    return [*examples, *controls, *_model_options(runner)]


def _model_options(runner: ExperimentRunner) -> list[str]:
    """Returns the other models that can take the sample; none until the backend has named its models."""
    key = (runner.run.record.id, "models")
    if key not in runner.state.experiments:
        runner.state.experiments[key] = Job(lambda *_: runner.backend().models())
    job = runner.state.experiments[key]
    job.wait(QUICK)
    sample, model = runner.run.sample, runner.request.model
    return [
        f"model/{card.id}" for card in job.result or () if card.id != model and (card.id != "toy" or sample.text)
    ]  # the toy model reads text only


def _option_text(option: str) -> str:
    """Returns a choice of B in words."""
    kind, _, name = option.partition("/")
    if kind == "example":
        example = next(example for example in load_gallery() if example.id == name)
        return say("compare-example", title=translated(example.title), question=example.question)
    return say(f"compare-with-{kind}", model=name)


def _make_other_run(runner: ExperimentRunner, option: str, stop: Stop) -> Run | None:
    """Returns B; None after a stop. A model that writes its answer writes that of B, and is not held to that of A."""
    kind, _, name = option.partition("/")
    request: Request = replace(runner.request, answer=(), answer_part=())
    if kind == "example":
        example = next(example for example in load_gallery() if example.id == name)
        request = replace(request, sample=example.sample())
    elif kind == "model":  # its heads are not those of A
        kept = tuple(change for change in request.changes if isinstance(change, ShuffleWeights | UniformAttention))
        request = replace(request, model=name, changes=kept, pairs=())
    else:
        request = replace(request, changes=with_control(request.changes, kind))  # type: ignore[arg-type]  # a control
    is_uniform = any(isinstance(change, UniformAttention) for change in request.changes)
    has_relevance = runner.run.record.relevance is not None and not is_uniform  # uniform attention has no gradient
    request = replace(request, relevance=has_relevance)
    backend = runner.backend()
    records = backend.run([request], stop=stop)
    return Run(request.sample, records[0], backend, request) if records else None


def is_same_run(a: Run, b: Run) -> bool:
    """Returns whether two runs had the same inputs, the same weights and the same changes."""

    def identity(run: Run) -> list[object]:
        made_by = run.record.made_by
        changes = list(made_by.get("changes") or ())
        return [*map(made_by.get, ("model", "weights", "seed")), changes, sample_digest(run.sample)]

    return identity(a) == identity(b)


# method and token, the same for both


def method_select(runner: ExperimentRunner, other: Run, key: str) -> MapRef | None:
    """Draws a box with the maps and methods that both runs have; at first that of the viewer, else the model's.

    ``key`` is that of the section, since each has a box of its own. Returns None where they have none in common.
    """
    shared = [map_ref for map_ref in map_refs(runner.run.record) if has_map(other.record, map_ref)]
    if not shared:
        return None
    record = runner.run.record
    selection = runner.state.selection
    defaults = [map_ref for map_ref in (selection and selection.map_ref, runner.run.map_ref) if map_ref in shared]
    if len(record.stacks) > 1:
        stacks = [record.maps[record.map_number(ref)].stack for ref in defaults if ref.layer is not None]
        stack = stack_select(record, f"{key}-stack-{record.id}", record.stacks.index(stacks[0]) if stacks else None)
        shared = [ref for ref in shared if ref.layer is None or ref.stack == stack]
        defaults = [ref for ref in defaults if ref in shared]
        if not shared:
            return None
    shared.sort(key=lambda map_ref: (map_ref.layer is not None, map_ref.head is not None, -(map_ref.layer or 0)))
    texts = number_repeated([map_words(map_ref, record) for map_ref in shared])
    labels = {str(map_ref): text for map_ref, text in zip(shared, texts, strict=True)}
    choice: str = st.selectbox(
        say("compare-method"), list(labels), index=shared.index(defaults[0]) if defaults else 0,
        key=f"{key}-method", format_func=lambda text: labels[text], help=say("compare-method-help"),
        persist_state="session",
    )  # fmt: skip
    return parse_map_ref(record, choice)


def _token_select(runner: ExperimentRunner, view: SelectionView) -> int:
    """Draws a box with the tokens of A, at first the answer token. Each stream of tokens has a box of its own."""
    record, tokens = runner.run.record, view.selectable_tokens
    labels = number_repeated(names(tokens))
    streams = streams_of(record, view.selection.map_ref)
    stream = streams[0 if view.selection.direction == "from" else 1]
    choice: int = st.selectbox(
        say("compare-token"), range(len(tokens)), index=answer_token(record, stream), format_func=lambda k: labels[k],
        key=f"compare-token-{record.id}-{stream}", help=say("compare-token-help"),
    )  # fmt: skip
    return choice


def number_repeated(labels: Sequence[str]) -> list[str]:
    """Returns the labels, with a number after those that occur more than once."""
    return [
        f"{label} ({labels[: k + 1].count(label)})" if labels.count(label) > 1 else label
        for k, label in enumerate(labels)
    ]


# figures


def _cards(a: SelectionView, b: SelectionView, option_text: str, has_partner: bool) -> None:
    """Draws A on the left and B on the right, on one scale."""
    scale_max = max(a.scale_max, b.scale_max) if has_partner else a.scale_max
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True, key="compare-a"):
        page_elements.weight_banners(a.run.record)
        st.html(card_html(a, say("compare-a"), scale_max))
    with right, st.container(border=True, key="compare-b"):
        page_elements.weight_banners(b.run.record)
        st.html(card_html(b, say("compare-b", what=option_text), scale_max if has_partner else None))
        if not has_partner:
            page_elements.note(say("compare-no-counterpart", token=a.name), "remark")
        notices = [str(notice) for notice in (*b.run.sample.notices, *b.run.record.notices)]
        if notices:
            page_elements.note(join_sentences(notices), "notice")
    title = say("compare-scale" if has_partner else "compare-scale-a")
    legend = amount_legend_html(scale_max, page_elements.is_dark(), unit_of(a))
    st.html(f"<div class='compare-scale'><b>{title}</b>{legend}</div>")
    if a.is_pooled or b.is_pooled:
        page_elements.note(say("methods-pooled"))


def _difference(a: SelectionView, b: SelectionView, has_partner: bool) -> None:
    """Draws A minus B: in a sentence, on the inputs, between modalities, and token by token."""
    dark = page_elements.is_dark()
    page_elements.heading(say("compare-minus"), say("compare-minus-help"))
    if has_partner:
        st.html(f"<p class='verdict'>{verdict(a, b)}</p>")
    left, right = st.columns([2.2, 1], gap="large")
    with left:
        if has_partner:
            st.html(difference_html(a, b, dark))
        else:
            page_elements.note(say("compare-no-difference", token=a.name))
    with right:
        _modality_difference(a, b, dark)
    if a.run.record.is_long or b.run.record.is_long:
        page_elements.note(say("compare-long"))
        return
    pairings = [pair_tokens(*tokens) for tokens in zip(a.sides, b.sides, strict=True)]
    if not all(pairing.is_whole for pairing in pairings):
        page_elements.note(say("compare-not-whole"))
        return
    with st.expander(say("compare-matrix"), key="compare-weights", on_change="rerun") as expander:
        if expander.open:
            values = difference(a.weights, b.weights, *pairings)
            title = say("compare-matrix-title", method=a.method_text)
            figure = signed_matrix(values, *a.sides, title, symmetric_limit(values), dark, unit_of(a))
            st.plotly_chart(
                figure, theme=None, config=page_elements.PLOTLY_CONFIG, key="compare-matrix-figure", alt=title
            )  # fmt: skip


def _modality_difference(a: SelectionView, b: SelectionView, dark: bool) -> None:
    """Draws A minus B between modalities, and names the modalities that only one of them has."""
    matrices = (view.run.modality_matrix(view.selection.map_ref) for view in (a, b))
    minus = modality_difference(*matrices)
    title = say("compare-modalities", method=a.method_text)
    limit = symmetric_limit(minus.sums)
    figure = signed_modalities(
        minus.sums, minus.per_token, minus.queries, minus.keys, title, limit, dark, unit_of(a)
    )  # fmt: skip
    st.plotly_chart(figure, theme=None, config=page_elements.PLOTLY_CONFIG, key="compare-modalities", alt=title)
    for side, unpaired in (("a", minus.only_a), ("b", minus.only_b)):
        if unpaired:
            modalities = join_list(say(f"name-{modality}") for modality in unpaired)
            page_elements.note(say(f"compare-unpaired-modality-{side}", modalities=modalities))
