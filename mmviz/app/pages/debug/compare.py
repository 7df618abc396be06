"""The part Compare: the run on the screen (A) beside another one (B), looked at alike, and A minus B."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import streamlit as st

from mmviz.analysis.comparison import difference, modality_difference, pairs, symmetric
from mmviz.analysis.map_refs import has_map, map_refs, map_words, parse_map_ref, streams_of
from mmviz.analysis.map_weights import Direction
from mmviz.app.components import widgets
from mmviz.app.experiment_runner import QUICK, ExperimentRunner
from mmviz.app.jobs import Job
from mmviz.app.pages.debug.side_by_side import card_html, difference_html, unit_of, verdict
from mmviz.app.selection import Selection
from mmviz.app.selection_view import SelectionView
from mmviz.app.session_state import CONTROLS, Control
from mmviz.backends import Stop
from mmviz.backends.replay import sample_digest
from mmviz.explain import Run
from mmviz.figures.difference import signed_matrix, signed_modalities
from mmviz.figures.legend import amount_legend_html
from mmviz.figures.token_labels import names
from mmviz.i18n.language import joined, listed, translated
from mmviz.i18n.page import say
from mmviz.inputs.examples import load_gallery
from mmviz.types import Change, MapRef, MmvizError, Modality, Request, ShuffleWeights, UniformAttention

_PLOTLY = {"displayModeBar": False}


def compare(bench: ExperimentRunner) -> None:
    """What to compare with; A and B side by side; A minus B."""
    first, second, third, fourth = st.columns([1.8, 1, 1.4, 0.9], vertical_alignment="bottom")
    with first:
        chosen = st.selectbox(
            say("compare-with"), _options(bench), key="compare-with", help=say("compare-with-help"),
            format_func=_named, persist_state="session",
        )  # fmt: skip
    other = bench.measured(("compare", chosen), lambda _, stop: _made(bench, chosen, stop))
    if other is None:
        return
    with fourth:
        direction: Direction = st.segmented_control(
            say("compare-direction"), get_args(Direction), default="from", required=True, key="compare-direction",
            format_func=lambda one: say(f"compare-asks-{one}"), help=say("compare-direction-help"),
            persist_state="session",
        )  # fmt: skip
    with third:
        map_ref = _way(bench, other)
    if map_ref is None:
        widgets.note(say("compare-no-way"), "remark")
        return
    plain = Selection((0,), (), direction, map_ref, "spotlight", "view")
    a, b = SelectionView(bench.run, plain), SelectionView(other, plain)
    with second:
        token = _token(bench, a)
    partner = pairs(a.chosen, b.chosen).partner(token)
    a = SelectionView(bench.run, replace(plain, tokens=(token,)))
    b = SelectionView(other, replace(plain, tokens=(0 if partner is None else partner,)))
    try:
        _side_by_side(a, b, _named(chosen), partner is not None)
        if is_same(a.run, b.run):
            widgets.note(say("compare-same"), "remark")
        else:
            _minus(a, b, partner is not None)
    except MmvizError as refusal:  # a flow through a run too long for it, or one that is no longer kept
        widgets.note(str(refusal), "remark")


# what is compared


def _options(bench: ExperimentRunner) -> list[str]:
    """What there is to compare with: trios of the gallery, the same inputs with other changes, other models."""
    examples = [f"trio/{example.id}" for example in load_gallery() if example != bench.now.shown]
    return [*examples, *(one for one in CONTROLS if _changes(bench, one) != bench.request.changes), *_models(bench)]


def _models(bench: ExperimentRunner) -> list[str]:
    """Other models that could take the sample; none as long as the backend has not said which it has."""
    key = (bench.run.record.id, "models")
    job = bench.now.works.setdefault(key, Job(lambda *_: bench.backend().models()))
    job.wait(QUICK)
    sample, own = bench.run.sample, bench.request.model
    return [
        f"model/{card.id}" for card in job.result or () if card.id != own and (card.id != "toy" or sample.text)
    ]  # the toy reads nothing but text


def _changes(bench: ExperimentRunner, control: Control) -> tuple[Change, ...]:
    """The changes of a control; heads that A has off stay off, but in the model as it is."""
    kept = () if control == "trained" else bench.request.changes
    return (
        *(change for change in kept if not isinstance(change, ShuffleWeights | UniformAttention)),
        *CONTROLS[control],
    )


def _named(option: str) -> str:
    """What B is, in words."""
    kind, _, which = option.partition("/")
    if kind == "trio":
        found = next(example for example in load_gallery() if example.id == which)
        return say("compare-trio", title=translated(found.title), question=found.question)
    return say(f"compare-with-{kind}", model=which)


def _made(bench: ExperimentRunner, option: str, stop: Stop) -> Run | None:
    """B; None where it was stopped."""
    kind, _, which = option.partition("/")
    asked: Request = bench.request
    if kind == "trio":
        asked = replace(asked, sample=next(example for example in load_gallery() if example.id == which).sample())
    elif kind == "model":  # whose heads are not those of A
        kept = tuple(change for change in asked.changes if isinstance(change, ShuffleWeights | UniformAttention))
        asked = replace(asked, model=which, changes=kept)
    else:
        asked = replace(asked, changes=_changes(bench, kind))  # type: ignore[arg-type]  # the rest are controls
    is_even = any(
        isinstance(change, UniformAttention) for change in asked.changes
    )  # which has no gradient to be relevant by
    asked = replace(asked, relevance=bench.run.record.relevance is not None and not is_even)
    backend = bench.backend()
    records = backend.run([asked], stop=stop)
    return Run(asked.sample, records[0], backend, asked) if records else None


def is_same(a: Run, b: Run) -> bool:
    """Whether two runs are one: the same inputs through the same weights, with the same changes."""

    def made(run: Run) -> list[object]:
        told = run.record.made_by
        changes = list(told.get("changes") or ())
        return [*map(told.get, ("model", "weights", "seed")), changes, sample_digest(run.sample)]

    return made(a) == made(b)


# how it is looked at


def _way(bench: ExperimentRunner, other: Run) -> MapRef | None:
    """A way of looking that both have; at first that of the viewer, else the one chosen for the model."""
    found = map_refs(bench.run.record)
    found = [map_ref for map_ref in found if has_map(other.record, map_ref)]
    if not found:
        return None
    found.sort(key=lambda map_ref: (map_ref.layer is not None, map_ref.head is not None, -(map_ref.layer or 0)))
    before = bench.now.selection
    wanted = [map_ref for map_ref in (before and before.map_ref, bench.run.map_ref) if map_ref in found]
    words = _apart([map_words(map_ref) for map_ref in found])
    labels = {str(map_ref): label for map_ref, label in zip(found, words, strict=True)}
    chosen: str = st.selectbox(
        say("compare-way"), list(labels), index=found.index(wanted[0]) if wanted else 0, key="compare-way",
        format_func=lambda one: labels[one], help=say("compare-way-help"), persist_state="session",
    )  # fmt: skip
    return parse_map_ref(bench.run.record, chosen)


def _token(bench: ExperimentRunner, seen: SelectionView) -> int:
    """A token of A by name; at first the one that answers. Each stream of tokens has a choice of its own."""
    record, tokens = bench.run.record, seen.chosen
    labels = _apart(names(tokens))
    answering = next((k for k, token in enumerate(tokens) if token.modality is Modality.SPECIAL), 0)
    streams = streams_of(record, seen.selection.map_ref)
    stream = streams[0 if seen.selection.direction == "from" else 1]
    found: int = st.selectbox(
        say("compare-token"), range(len(tokens)), index=answering, format_func=lambda k: labels[k],
        key=f"compare-token-{record.id}-{stream}", help=say("compare-token-help"),
    )  # fmt: skip
    return found


def _apart(labels: Sequence[str]) -> list[str]:
    """Labels of which no two are alike: what comes again is numbered."""
    return [
        f"{label} ({labels[: k + 1].count(label)})" if labels.count(label) > 1 else label
        for k, label in enumerate(labels)
    ]


# what is shown


def _side_by_side(a: SelectionView, b: SelectionView, what: str, has_partner: bool) -> None:
    """A left, B right, on one scale."""
    top = max(a.scale_max, b.scale_max) if has_partner else a.scale_max
    titles = (say("compare-a"), say("compare-b", what=what))
    for side, title, column in zip((a, b), titles, st.columns(2, gap="medium"), strict=True):
        is_lit = has_partner or side is a
        with column, st.container(border=True, key=f"compare-{'a' if side is a else 'b'}"):
            made = side.run.record.made_by
            if made.get("trained") is False:
                widgets.note(say("untrained"), "banner")
            if any("Uniform" in change for change in made.get("changes") or ()):
                widgets.note(say("evened"), "banner")
            st.html(card_html(side, title, top if is_lit else None))
            if not is_lit:
                widgets.note(say("compare-no-partner", token=a.name), "remark")
            if side is b and (told := [str(one) for one in (*b.run.sample.notices, *b.run.record.notices)]):
                widgets.note(joined(told), "notice")
    words = say("compare-scale" if has_partner else "compare-scale-a")
    st.html(f"<div class='compare-scale'><b>{words}</b>{amount_legend_html(top, widgets.is_dark())}</div>")
    if a.is_about or b.is_about:
        widgets.note(say("ways-about"))


def _minus(a: SelectionView, b: SelectionView, has_partner: bool) -> None:
    """A minus B: in a sentence, on the inputs, between modalities, token by token."""
    dark = widgets.is_dark()
    widgets.heading(say("compare-minus"), say("compare-minus-help"))
    if has_partner:
        st.html(f"<p class='verdict'>{verdict(a, b)}</p>")
    left, right = st.columns([2.2, 1], gap="large")
    with left:
        if has_partner:
            st.html(difference_html(a, b, dark))
        else:
            widgets.note(say("compare-no-difference", token=a.name))
    with right:
        found = modality_difference(a.run.matrix(a.selection.map_ref), b.run.matrix(b.selection.map_ref))
        most = symmetric(found.sums)
        title = say("compare-modalities", method=a.method_words)
        figure = signed_modalities(
            found.sums, found.per_token, found.queries, found.keys, title, most, dark, unit_of(a)
        )  # fmt: skip
        st.plotly_chart(figure, theme=None, config=_PLOTLY, key="compare-modalities", alt=title)
        for side in "ab":
            if alone := getattr(found, f"only_{side}"):
                found_alone = listed(say(f"name-{one}") for one in alone)
                widgets.note(say(f"compare-alone-modality-{side}", modalities=found_alone))
    if a.run.record.is_long or b.run.record.is_long:
        widgets.note(say("compare-long"))
        return
    sides = [pairs(*both) for both in zip(a.sides, b.sides, strict=True)]
    if not all(side.is_whole for side in sides):
        widgets.note(say("compare-not-whole"))
        return
    with st.expander(say("compare-matrix"), key="compare-weights", on_change="rerun") as part:
        if part.open:
            values = difference(a.map, b.map, *sides)
            title = say("compare-matrix-title", method=a.method_words)
            figure = signed_matrix(values, *a.sides, title, symmetric(values), dark, unit_of(a))
            st.plotly_chart(figure, theme=None, config=_PLOTLY, key="compare-matrix-figure", alt=title)
