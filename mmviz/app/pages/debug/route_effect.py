"""The run with the chosen routes cut: the answer, its probability and the map, before and after."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, replace

import streamlit as st

from mmviz.analysis.answer_shares import answer_log_probability
from mmviz.analysis.answer_token import answer_token
from mmviz.analysis.available_maps import streams_of
from mmviz.app.components import page_elements
from mmviz.app.components.route_names import cuts_text
from mmviz.app.components.table_downloads import table_downloads
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.pages.debug.compare import method_select
from mmviz.app.pages.debug.side_by_side import card_html, unit_of
from mmviz.app.pages.debug.written_answer_probability import written_change
from mmviz.app.reproduce_command import compare_command
from mmviz.app.selection import Selection
from mmviz.app.selection_amounts import SelectionView
from mmviz.backends import Stop
from mmviz.experiments.sweep_requests import answers_only
from mmviz.explain import Run
from mmviz.figures.legend import amount_legend_html
from mmviz.figures.signed_colours import signed
from mmviz.i18n.language import join_sentences
from mmviz.i18n.page import say
from mmviz.i18n.unicode_display import replace_invisible
from mmviz.report.comparison_table import comparison_table
from mmviz.types import Answer, CutRoute, MapRef, MmvizError, UniformAttention


@dataclass(frozen=True)
class CutRun:
    """The run with routes cut, beside the run without."""

    run: Run
    """The run with the routes cut."""
    answer: Answer
    """The most probable answer without the cut, and its probability."""
    change: float
    """Change of that answer's log-probability, in nats."""

    @property
    def probability(self) -> float:
        """The probability of ``answer`` after the cut."""
        return self.answer.probability * math.exp(self.change)


def measure_cut(runner: ExperimentRunner, cuts: tuple[CutRoute, ...]) -> CutRun | None:
    """Returns the run on the screen with ``cuts`` in addition; None while it is made, or where it cannot be made."""
    request, before = runner.request, runner.run.record
    is_uniform = any(isinstance(change, UniformAttention) for change in request.changes)
    has_relevance = before.relevance is not None and not is_uniform  # uniform attention has no gradient
    changed = replace(request, changes=(*request.changes, *cuts), relevance=has_relevance)

    def work(_: object, stop: Stop) -> CutRun | None:
        backend = runner.backend()
        records = backend.run([changed, answers_only(request, [cuts])], stop=stop)
        if len(records) < 2:
            return None
        after, swept = records
        assert swept.sweep is not None
        change = float(swept.sweep[0][0]) - answer_log_probability(swept)
        return CutRun(Run(request.sample, after, backend, changed), swept.answers[0], change)

    return runner.measure(("routes-cut", *map(str, cuts)), work)


def cut_answer(runner: ExperimentRunner, cuts: tuple[CutRoute, ...]) -> CutRun | None:
    """Draws the answer before and after ``cuts`` in large type, and returns the run; None where there is none."""
    if not cuts:
        st.html(answers_html(runner.run.record.answers[:1], None))
        page_elements.note(say("routes-nothing-cut"))
        return None
    cut = measure_cut(runner, cuts)
    if cut is None:
        return None
    after = cut.run.record
    written = written_change(runner.run.record, cut.change)
    # a written answer is kept in every variant, whatever the model would write
    st.html(answers_html((cut.answer,), None if written else after.answers[:1]))
    st.html(f"<p class='verdict'>{html.escape(written or verdict(cut))}</p>")
    page_elements.note(say("routes-cut", routes=cuts_text(runner.run.record, cuts)))
    notices = [str(notice) for notice in after.notices if notice.code.startswith("cut-")]
    if notices:
        page_elements.note(join_sentences(notices), "notice")
    return cut


def answers_html(before: tuple[Answer, ...], after: tuple[Answer, ...] | None) -> str:
    """Returns the most probable answer before, an arrow, and that after the cut, each with its probability."""
    parts = [("before", before), *([] if after is None else [("after", after)])]
    cells = [
        f"<div class='route-answer'><span class='caption'>{html.escape(say(f'routes-{code}'))}</span>"
        + "".join(
            f"<b>{html.escape(replace_invisible(answer.label))}</b><span class='probability'>"
            f"{answer.probability:.1%}</span>"
            for answer in answers or ()
        )
        + "</div>"
        for code, answers in parts
    ]
    return f"<div class='route-answers'>{'<span aria-hidden=true>→</span>'.join(cells)}</div>"


def verdict(cut: CutRun) -> str:
    """Returns sentences on the change of the log-probability, and on whether the answer is another."""
    first = cut.run.record.answers[0]
    change = say(
        "routes-change", answer=cut.answer.label, change=signed(cut.change), before=cut.answer.probability,
        after=cut.probability,
    )  # fmt: skip
    code = "routes-stays" if first.is_same(cut.answer) else "routes-changes"
    return join_sentences(
        [say(code, answer=cut.answer.label, other=first.label, probability=first.probability), change]
    )


def cut_maps(runner: ExperimentRunner, cut: CutRun) -> None:
    """Draws the answer token's map before and after side by side, on one scale."""
    with st.columns([1, 2])[0]:
        map_ref = method_select(runner, cut.run, "routes-map")
    if map_ref is None:
        page_elements.note(say("compare-no-method"), "remark")
        return
    try:
        before, after = (_answer_view(run, map_ref) for run in (runner.run, cut.run))
        scale_max = max(before.scale_max, after.scale_max)
        columns = st.columns(2, gap="medium")
        for column, view, code in zip(columns, (before, after), ("before", "after"), strict=True):
            with column, st.container(border=True, key=f"routes-card-{code}"):
                st.html(card_html(view, say(f"routes-card-{code}"), scale_max))
    except MmvizError as error:  # a flow through a run too long for it, or one that is no longer kept
        page_elements.note(str(error), "remark")
        return
    legend = amount_legend_html(scale_max, page_elements.is_dark(), unit_of(before))
    st.html(f"<div class='compare-scale'><b>{html.escape(say('routes-scale'))}</b>{legend}</div>")
    page_elements.note(say("routes-map-help"))
    assert cut.run.request is not None
    changes = cut.run.request.changes[len(runner.request.changes) :]
    command = compare_command(runner.state, runner.request, before, changes)
    table_downloads(comparison_table(before, after, (runner.request, cut.run.request), command), "routes-cut")


def _answer_view(run: Run, map_ref: MapRef) -> SelectionView:
    """Returns what the answer token attends to in a map."""
    token = answer_token(run.record, streams_of(run.record, map_ref)[0])
    return SelectionView(run, Selection((token,), (), "from", map_ref, "spotlight", "view"))
