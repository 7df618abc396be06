"""Take something away, or put another trio's in its place, and see what becomes of the answer and of attention."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from mmviz.analysis.effect import MODALITIES, Absent, given, without
from mmviz.analysis.faith import judged_tokens, taken
from mmviz.app import widgets
from mmviz.app.debug.measuring import Bench
from mmviz.app.texts import say
from mmviz.app.ways import lit_html
from mmviz.backends import Stop
from mmviz.evidence import answering, shares_of
from mmviz.explain import Run
from mmviz.figures.places import names, together
from mmviz.inputs.absent import swapped
from mmviz.language import translated
from mmviz.trios import Trio, load_gallery
from mmviz.types import AttentionRecord, Modality, PixelBox, Request, Sample, Token

AS_GIVEN, AWAY = "as-given", "away"


def taking(bench: Bench, absent: Absent) -> None:
    """Switches for whole modalities, and for single words, patches and moments; ``absent``: what away means."""
    widgets.heading(say("taking"), say("taking-help"))
    left, right = st.columns(2, gap="large")
    with left:
        _modalities(bench, absent)
    with right:
        _tokens(bench, absent)


def _modalities(bench: Bench, absent: Absent) -> None:
    sample = bench.run.sample
    trios = {trio.id: trio for trio in load_gallery()}
    choice: dict[Modality, str] = {}
    for modality in given(sample):
        options = [AS_GIVEN, AWAY, *(name for name, trio in trios.items() if modality in given(trio.sample()))]
        choice[modality] = st.selectbox(
            say(f"name-{modality}"), options, key=f"take-{modality}", help=say("take-help"),
            format_func=lambda one: say(f"take-{one}") if one not in trios else _swapping(trios[one]),
        )  # fmt: skip
    changed = {modality: what for modality, what in choice.items() if what != AS_GIVEN}
    if not changed:
        widgets.note(say("take-nothing"))
        return
    for modality, what in changed.items():
        if what != AWAY:
            sample = swapped(sample, trios[what].sample(), modality)
    gone = [modality for modality, what in changed.items() if what == AWAY]
    changes = (*bench.request.changes, *without(gone, absent))
    asked = replace(bench.request, sample=sample, changes=changes, relevance=False)
    found = _run(bench, ("take", absent, *sorted(changed.items())), asked)
    if found is not None:
        st.html(_before_after(bench.run.record, found, bench.run))
        for record, shown, title in ((bench.run.record, bench.run.sample, "before"), (found, sample, "after")):
            _lit(say(f"take-{title}"), shown, record, bench)


def _tokens(bench: Bench, absent: Absent) -> None:
    """The same for the tokens that are pinned in the viewer, or chosen here."""
    record, now = bench.run.record, bench.now
    tokens = record.streams[record.maps[-1].keys]
    known = judged_tokens(tokens)
    named = names(tokens)
    pinned = [k for k in (now.selection.tokens if now.selection else ()) if k in known]
    chosen = st.multiselect(
        say("span"), known, default=pinned, format_func=lambda k: named[k], key=f"span-{record.id}",
        help=say("span-help"), placeholder=say("span-none"),
    )  # fmt: skip
    trios = {trio.id: trio for trio in load_gallery()}
    how = st.selectbox(
        say("span-how"), [AWAY, *trios], key="span-how", help=say("take-help"),
        format_func=lambda one: say(f"absent-{absent}") if one == AWAY else _swapping(trios[one]),
    )  # fmt: skip
    if not chosen:
        widgets.note(say("span-nothing"))
        return
    if how == AWAY:
        changes = (*bench.request.changes, *taken(tokens, chosen, absent))
        asked = replace(bench.request, changes=changes, relevance=False)
        sample = bench.run.sample
    else:
        sample = _spans_swapped(bench.run.sample, trios[how].sample(), tokens, chosen)
        asked = replace(bench.request, sample=sample, relevance=False)
    found = _run(bench, ("span", absent, how, *chosen), asked)
    if found is not None:
        widgets.note(say("span-of", tokens=together([named[k] for k in chosen])))
        st.html(_before_after(record, found, bench.run))
        _lit(say("take-after"), sample, found, bench)


def _swapping(trio: Trio) -> str:
    return say("take-swap", trio=translated(trio.title))


def _spans_swapped(sample: Sample, other: Sample, tokens: Sequence[Token], chosen: Sequence[int]) -> Sample:
    for modality in MODALITIES:
        where = [tokens[k].where for k in chosen if tokens[k].modality is modality]
        if where:
            sample = swapped(sample, other, modality, [place for place in where if place is not None])
    return sample


def _run(bench: Bench, name: tuple[object, ...], asked: Request) -> AttentionRecord | None:
    def make(_: object, stop: Stop) -> AttentionRecord | None:
        records = bench.backend().run([asked], stop=stop)
        return records[0] if records else None

    return bench.measured(name, make)


def _before_after(before: AttentionRecord, after: AttentionRecord, run: Run) -> str:
    """What became of the answer, and of where attention goes."""
    first, now = before.answers[0], after.answers[0]
    left = next(answer.probability for answer in after.answers if answer.label == first.label)
    code = "take-stays" if now.label == first.label else "take-turns"
    words = say(code, answer=first.label, before=first.probability, after=left, other=now.label, now=now.probability)
    rows = ""
    for title, record in (("before", before), ("after", after)):
        shares = _shares(record, run)
        if shares is not None:
            cells = "".join(f"<td>{shares[modality]:.2f}</td>" for modality in MODALITIES)
            rows += f"<tr><th scope='row'>{html.escape(say(f'take-{title}'))}</th>{cells}</tr>"
    heads = "".join(f"<th scope='col'>{html.escape(say(f'name-{modality}'))}</th>" for modality in MODALITIES)
    caption = html.escape(say("take-attention"))
    table = f"<table class='facts'><caption>{caption}</caption><tr><td></td>{heads}</tr>{rows}</table>" if rows else ""
    return f"<p class='verdict'>{html.escape(words)}</p>{table}"


def _shares(record: AttentionRecord, run: Run) -> Mapping[Modality, float] | None:
    try:
        return shares_of(record, run.way)
    except (LookupError, ValueError):
        return None


def _lit(title: str, sample: Sample, record: AttentionRecord, bench: Bench) -> None:
    """Attention of the answering token on the inputs."""
    if record.is_long:
        return
    way = bench.run.way if bench.run.way.method != "relevance" else None
    run = Run(sample, replace(record, made_by={**record.made_by, "way": str(way) if way else None}))
    amounts = run.attention(way, answering(record))
    tokens = run.tokens
    drawn = [float(amount) for token, amount in zip(tokens, amounts, strict=True) if token.where is not None]
    top = max(drawn, default=0.0) or 1.0
    has_picture = any(isinstance(token.where, PixelBox) for token in tokens)
    st.html(lit_html(title, sample if has_picture else replace(sample, image=None), tokens, amounts, top))
