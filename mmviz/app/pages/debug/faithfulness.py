"""The section Faithfulness: six methods side by side, and whether the tokens that each marks matter for the answer."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mmviz.analysis.answer_shares import written_log_probability
from mmviz.analysis.answer_token import answer_token
from mmviz.analysis.attributions import attributions
from mmviz.analysis.available_maps import last_keys, last_map, map_words
from mmviz.analysis.head_profiles import all_heads
from mmviz.analysis.map_weights import spread
from mmviz.app.components import page_elements
from mmviz.app.components.table_downloads import table_downloads
from mmviz.app.experiment_runner import ExperimentRunner, baseline_select
from mmviz.app.pages.debug.heads import measure_heads
from mmviz.app.pages.explore.footer import control_buttons
from mmviz.app.reproduce_command import table_command
from mmviz.experiments.faithfulness import (
    ORDERS,
    FaithfulnessCurves,
    measure_faithfulness,
    variant_count,
)
from mmviz.experiments.head_ablation import HeadEffect
from mmviz.experiments.time_estimates import most_seconds
from mmviz.figures.colour_scale import short
from mmviz.figures.faithfulness_curves import curve_figure
from mmviz.i18n.figures import unit_name
from mmviz.i18n.page import say
from mmviz.report.attribution_card import method_card_html
from mmviz.report.methods_table import best_method, method_name, methods_table
from mmviz.types import AttentionRecord, MapRef


def faithfulness_section(runner: ExperimentRunner) -> None:
    """Draws a card with its test for each method, the curves of one of them, and the controls."""
    if runner.run.record.is_long:
        page_elements.note(say("methods-long"))
        return
    request = replace(runner.request, relevance=True, norms=True, integrated=True, towers=False)
    records = runner.measure(("methods",), lambda _, stop: runner.backend().run([request], stop=stop))
    effects = measure_heads(runner)
    if not records or effects is None:
        return
    record = records[0]
    first, second, third = st.columns([1, 1, 1.6], gap="medium", vertical_alignment="bottom")
    with first:
        # a custom model may be unable to mask single tokens
        default: Any = "learned" if runner.state.config.spec is None else "mean"
        baseline = baseline_select("faithfulness-baseline", default)
    with second:
        head = _head_select(record, effects)
    with third:
        page_elements.note(say("faithfulness-controls"))
        control_buttons()
    amounts = attributions(record, head)
    curves = runner.measure(
        ("faithfulness", baseline, str(head)),
        lambda progress, stop: measure_faithfulness(
            runner.backend(), runner.request, record, amounts, baseline, progress, stop
        ),
        most_seconds(runner.run.record, variant_count(len(amounts))),
    )
    if curves is not None:
        page_elements.note(best_method(curves), "remark")
    columns = st.columns(3, gap="medium") + st.columns(3, gap="medium")
    for method, column in zip(amounts, columns, strict=False):
        key = f"faithfulness-{method.replace(':', '-').replace('.', '-')}"
        with column, st.container(border=True, key=key):
            _card(runner, record, method, amounts[method], curves.get(method) if curves else None)
    for notice in record.notices:
        if notice.code.startswith(("norms", "integrated")):
            page_elements.note(say("faithfulness-left-out", why=str(notice)))
    if curves is not None:
        _curve_figures(runner, curves)
        command = table_command(runner.state, runner.request, "methods", baseline=baseline, head=str(head))
        table_downloads(methods_table(runner.request, record, curves, baseline, command))


def _head_select(record: AttentionRecord, effects: list[HeadEffect]) -> MapRef:
    """Draws a box to choose a single head in; at first the head that the answer needs most."""
    last = record.maps[last_map(record)]  # the amounts of all methods are of its keys
    heads = [(number, head) for number, head in all_heads(record) if record.maps[number].keys == last.keys]
    effect_of = {(effect.map, effect.head): effect.effect for effect in effects}
    needed = min(range(len(heads)), key=lambda k: effect_of.get(heads[k], 0.0))
    choice: MapRef = st.selectbox(
        say("faithfulness-head"), [record.map_ref(number, head) for number, head in heads], index=needed,
        format_func=lambda ref: map_words(ref, record), key=f"faithfulness-head-{record.id}",
        help=say("faithfulness-head-help"),
    )  # fmt: skip
    return choice


def _unit(method: str) -> str:
    """Returns the unit of the amounts of a method of `attributions`."""
    return unit_name("attention" if ":" in method else method)


def _formula(record: AttentionRecord, method: str) -> str:
    if method == "integrated":
        stream = record.maps[last_map(record)].keys
        completeness = record.made_by.get("integrated_of", {}).get(stream) or record.made_by["integrated"]
        total, gap = completeness["total"], completeness["gap"]
        return say("formula-integrated", total=total, gap=abs(gap) / max(abs(total), 1e-9))
    if ":" not in method:
        return say(f"formula-{method}")
    if MapRef.parse(method).head is not None:
        return say("formula-head")
    last = record.maps[last_map(record)]
    deviations = spread(last.weights[:, answer_token(record, last.queries)])
    return say("formula-mean", spread=short(float(deviations.mean())))


def _card(
    runner: ExperimentRunner, record: AttentionRecord, method: str, amounts: NDArray[Any],
    curves: FaithfulnessCurves | None,
) -> None:  # fmt: skip
    """Draws the amounts ``[token]`` of one method on a scale of its own, and its test."""
    tokens = last_keys(record)
    shown = np.maximum(amounts, 0)  # negative amounts, against the answer, are not drawn
    located = (shown[k] for k, token in enumerate(tokens) if token.location is not None)
    scale_max = float(max(located, default=0)) or 1.0
    test = ""
    if curves is not None and not curves.is_flat:
        score, hint = say("faithfulness-score", score=curves.score), say("faithfulness-score-help", orders=ORDERS)
        verdict = say(f"faithfulness-{curves.verdict}")
        test = f"<div class='test' title='{html.escape(hint)}'><b>{html.escape(score)}</b> {html.escape(verdict)}</div>"
    details = f"<div class='formula'>{html.escape(_formula(record, method))}</div>{test}"
    name, unit = method_name(method), _unit(method)
    st.html(method_card_html(name, runner.run.sample, tokens, shown, scale_max, page_elements.is_dark(), details, unit))


def _curve_figures(runner: ExperimentRunner, curves: Mapping[str, FaithfulnessCurves]) -> None:
    """Draws deletion and insertion of one method, beside the random orders."""
    methods = list(curves)
    choice: str = st.selectbox(
        say("faithfulness-show"), methods, format_func=method_name, key="faithfulness-show", width=340,
        index=max(range(len(methods)), key=lambda k: curves[methods[k]].score),
    )  # fmt: skip
    chosen, record = curves[choice], runner.run.record
    code, symbol = ("probability", "p") if written_log_probability(record) is None else ("log-probability", "log p")
    answer = record.answers[0].label
    shown = np.concatenate([chosen.deletion, chosen.insertion, *chosen.band(), [0.0, 1.0]])
    limits = float(shown.min()), float(shown.max())  # one scale for the two
    for kind, column in zip(("deletion", "insertion"), st.columns(2, gap="medium"), strict=True):
        curve = chosen.deletion if kind == "deletion" else chosen.insertion
        texts = {
            "title": say(f"faithfulness-{kind}"),
            "note": say(f"faithfulness-{code}", answer=answer),
            "x": say("faithfulness-axis", done=say(f"faithfulness-axis-{kind}")),
            "y": f"{symbol}({answer})",
            "curve": method_name(choice),
            "band": say("faithfulness-random"),
        }
        with column:
            figure = curve_figure(curve, chosen.band(kind == "insertion"), texts, limits, page_elements.is_dark())
            st.plotly_chart(
                figure, theme=None, config=page_elements.PLOTLY_CONFIG, key=f"faithfulness-{kind}", alt=texts["title"]
            )
