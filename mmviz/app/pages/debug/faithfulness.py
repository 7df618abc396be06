"""The part Ways of looking: six of them side by side, and whether what each lights up matters for the answer."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mmviz.analysis.map_refs import map_words
from mmviz.analysis.map_weights import spread
from mmviz.app.components import widgets
from mmviz.app.experiment_runner import ExperimentRunner, absent_box
from mmviz.app.pages.explore.footer import controls
from mmviz.app.pages.explore.method_cards import lit_html
from mmviz.experiments.faithfulness import ORDERS, FaithfulnessCurves
from mmviz.experiments.head_ablation import HeadEffect, every_head
from mmviz.experiments.runs import answer_query, attributions, measure_faithfulness, measure_head_ablation
from mmviz.figures.colour_scale import short
from mmviz.figures.curves import curve_figure
from mmviz.i18n.page import say
from mmviz.types import AttentionRecord, MapRef

Ways = Mapping[str, NDArray[np.float64]]


def faith(bench: ExperimentRunner) -> None:
    """A card for each way of looking with its test, the curves of one of them, and the controls."""
    if bench.run.record.is_long:
        widgets.note(say("ways-long"))
        return
    asked = replace(bench.request, relevance=True, norms=True, integrated=True)
    records = bench.measured(("ways",), lambda _, stop: bench.backend().run([asked], stop=stop))
    effects = bench.measured(
        ("heads",),
        lambda tell, stop: measure_head_ablation(bench.backend(), bench.request, bench.run.record, tell, stop),
    )
    if not records or effects is None:
        return
    record = records[0]
    first, second, third = st.columns([1, 1, 1.6], gap="medium", vertical_alignment="bottom")
    with first:
        # a model of one's own may not do without single tokens
        baseline = absent_box("faith-absent", "learned" if bench.now.setup.spec is None else "mean")
    with second:
        head = _head(record, effects)
    with third:
        widgets.note(say("faith-controls"))
        controls()
    ways = attributions(record, head)
    curves = bench.measured(
        ("faith", baseline, str(head)),
        lambda tell, stop: measure_faithfulness(bench.backend(), bench.request, record, ways, baseline, tell, stop),
    )
    if curves is not None:
        best = max(curves, key=lambda name: curves[name].score)
        verdict = say(f"faith-{curves[best].verdict}")
        if curves[best].verdict == "flat":
            widgets.note(verdict, "remark")
        else:
            words = say("faith-best", method=_name(best), score=curves[best].score, verdict=verdict)
            widgets.note(words, "remark")
    columns = st.columns(3, gap="medium") + st.columns(3, gap="medium")
    for name, column in zip(ways, columns, strict=False):
        with column, st.container(border=True, key=f"faith-{name.replace(':', '-')}"):
            _card(bench, record, name, ways[name], curves[name] if curves else None)
    for notice in record.notices:
        if notice.code.startswith(("norms", "integrated")):
            widgets.note(say("faith-left-out", why=str(notice)))
    if curves is not None:
        _curves(bench, ways, curves)


def _head(record: AttentionRecord, effects: list[HeadEffect]) -> MapRef:
    """The single head that is looked at: at first the one that the answer needs most."""
    ways = [record.map_ref(number, head) for number, head in every_head(record)]
    needed = min(range(len(effects)), key=lambda k: effects[k].effect, default=0)
    chosen: MapRef = st.selectbox(
        say("faith-head"), ways, index=needed, format_func=map_words, key=f"faith-head-{record.id}",
        help=say("faith-head-help"),
    )  # fmt: skip
    return chosen


def _name(name: str) -> str:
    """A way of looking for people."""
    method, *rest = name.split(":")
    if method == "head":
        return say("faith-raw", layer=int(rest[0]) + 1, head=int(rest[1]) + 1)
    return say(f"way-name-{method}")


def _formula(record: AttentionRecord, name: str) -> str:
    method = name.split(":")[0]
    if method == "mean":
        heads = record.maps[-1].weights[:, answer_query(record)]
        return say("formula-mean", spread=short(float(spread(heads).mean())))
    if method == "integrated":
        made = record.made_by["integrated"]
        return say("formula-integrated", total=made["total"], gap=abs(made["gap"]) / max(abs(made["total"]), 1e-9))
    return say(f"formula-{method}")


def _card(
    bench: ExperimentRunner,
    record: AttentionRecord,
    name: str,
    amounts: NDArray[Any],
    curves: FaithfulnessCurves | None,
) -> None:
    """One way of looking on a scale of its own."""
    tokens = record.streams[record.maps[-1].keys]
    shown = np.maximum(amounts, 0)  # what speaks against the answer has no light
    top = float(max((shown[k] for k, token in enumerate(tokens) if token.location is not None), default=0)) or 1.0
    test = ""
    if curves is not None and not curves.is_flat:
        score, hint = say("faith-score", score=curves.score), say("faith-score-help", orders=ORDERS)
        words = say(f"faith-{curves.verdict}")
        test = f"<div class='test' title='{html.escape(hint)}'><b>{html.escape(score)}</b> {html.escape(words)}</div>"
    more = f"<div class='formula'>{html.escape(_formula(record, name))}</div>{test}"
    unit = say(f"unit-{name}") if name in ("value", "relevance", "integrated") else ""
    st.html(lit_html(_name(name), bench.run.sample, tokens, shown, top, more, unit))


def _curves(bench: ExperimentRunner, ways: Ways, curves: Mapping[str, FaithfulnessCurves]) -> None:
    """Deletion and insertion of one way of looking, beside the random orders."""
    chosen: str = st.selectbox(
        say("faith-show"), list(ways), format_func=_name, key="faith-show", width=340,
        index=max(range(len(ways)), key=lambda k: curves[list(ways)[k]].score),
    )  # fmt: skip
    found, answer = curves[chosen], bench.run.record.answers[0].label
    for kind, column in zip(("deletion", "insertion"), st.columns(2, gap="medium"), strict=True):
        curve = found.deletion if kind == "deletion" else found.insertion
        words = {
            "title": say(f"faith-{kind}"), "note": say("faith-probability", answer=answer),
            "x": say("faith-axis", done=say(f"faith-axis-{kind}")), "y": f"p({answer})", "curve": _name(chosen),
            "band": say("faith-random"),
        }  # fmt: skip
        with column:
            figure = curve_figure(curve, found.band(kind == "insertion"), words, widgets.is_dark())
            st.plotly_chart(figure, theme=None, config={"displayModeBar": False}, key=f"faith-{kind}")
