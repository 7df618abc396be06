"""A report on one run: what it answered and what was measured, as plain text and tables, for HTML and PDF."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmviz.analysis.attributions import attributions, known_modality_shares
from mmviz.experiments.faithfulness import measure_faithfulness, variant_count
from mmviz.experiments.modality_shapley import measure_modality_effect
from mmviz.experiments.removals import present_modalities
from mmviz.experiments.route_cut import ROUTES, RouteTable, measure_routes, route_cells
from mmviz.i18n.minus_sign import signed_text
from mmviz.i18n.page import say
from mmviz.report.answer_title import share_text
from mmviz.report.effect_table import effect_rows, effect_sentences, interaction_sentences
from mmviz.report.methods_table import best_method, methods_rows
from mmviz.report.routes_table import group_words, layers_words, routes_sentences, window_words
from mmviz.report.run_interface import AnalysedRun
from mmviz.types import Card, MmvizError

ProgressOf = Callable[[int], Callable[[int, int], None]]
"""Takes the number of variants of an experiment, and returns what is told of its progress."""
_COMPUTED_BY = ("model", "weights", "device_name", "dtype", "seed")
"""What a report names of how a run was made, beside the versions."""
_BESIDE_TEXT = ("about", "answers", "sha256")
"""Details of a card that its other fields have, or that are too long for a page."""


@dataclass(frozen=True)
class ReportTable:
    """What one experiment measured, as text."""

    title: str
    """Its name for people."""
    rows: Sequence[Sequence[str]] = ()
    """Rows of equally many cells; the first is the header. Empty where it could not be measured."""
    about: str = ""
    """What the cells hold."""
    sentences: Sequence[str] = ()
    """What it shows, in words, or why it could not be measured."""


@dataclass(frozen=True, eq=False)
class RunReport:
    """A run, and what was measured of it."""

    run: AnalysedRun
    """The run that it is about."""
    tables: Sequence[ReportTable]
    """Effect by modality, routes, faithfulness."""
    card: Card | None
    """The card of the model; None where the backend has none of this name."""
    command: str
    """The command that makes the report again."""

    @property
    def answers(self) -> list[str]:
        """The most probable answers, at most five."""
        return [f"{answer.label} {share_text(answer.probability)}" for answer in self.run.record.answers[:5]]

    @property
    def notices(self) -> list[str]:
        """What was done to the inputs, and what holds of the run."""
        return [str(notice) for notice in (*self.run.sample.notices, *self.run.record.notices)]

    @property
    def versions(self) -> list[tuple[str, str]]:
        """What the run was computed by; nothing that differs between two runs of the same."""
        made_by = self.run.record.made_by
        named = {name: made_by[name] for name in _COMPUTED_BY if name in made_by}
        return [(name, str(value)) for name, value in {**named, **made_by.get("versions", {})}.items()]

    @property
    def card_lines(self) -> list[tuple[str, str]]:
        """The texts, numbers and lists of the model's card, each with its name."""
        if self.card is None:
            return []
        own = {key: value for key, value in self.card.details.items() if key not in _BESIDE_TEXT}
        lines = [("description", self.card.description), ("weights", self.card.weights_digest)]
        lines += [(key, _line(value)) for key, value in own.items() if not isinstance(value, Mapping)]
        return [(key, text) for key, text in lines if text]

    @property
    def card_figures(self) -> list[tuple[str, str]]:
        """The measured figures of the model's card, each with its path."""
        details = {} if self.card is None else self.card.details
        return [line for key, value in details.items() if isinstance(value, Mapping) for line in _flat(key, value)]


def measure_report(run: AnalysedRun, command: str, progress: ProgressOf, stop: Callable[[], bool]) -> RunReport:
    """Measures effect, routes and faithfulness of a run, and returns its report.

    Where one of them cannot be measured, or ``stop`` ended it, a sentence says so in its place.
    """
    measures = (("section-effect", _effect), ("section-routes", _routes), ("section-faithfulness", _methods))
    tables = []
    for title, measure in measures:
        try:
            if stop():
                raise _stopped()
            if not run.record.answers:
                raise MmvizError("figure-no-answers")
            tables.append(replace(measure(run, progress, stop), title=say(title)))
        except MmvizError as error:
            tables.append(ReportTable(say(title), sentences=[say("report-not-measured", why=error)]))
    model = run.rerun_request().model
    card = next((card for card in run.backend.models() if card.id == model), None)
    return RunReport(run, tables, card, command)


def _stopped() -> MmvizError:
    return MmvizError("report-stopped")


def _effect(run: AnalysedRun, progress: ProgressOf, stop: Callable[[], bool]) -> ReportTable:
    request = run.rerun_request()
    variants = 2 ** len(present_modalities(run.sample))
    effect = measure_modality_effect(run.backend, request, progress=progress(variants), stop=stop)
    if effect is None:
        raise _stopped()
    attention = known_modality_shares(run.record, run.map_ref)
    sentences = [*effect_sentences(effect, attention), *interaction_sentences(effect)]
    return ReportTable("", effect_rows(effect, attention), say("effect-phi-help"), sentences)


def _routes(run: AnalysedRun, progress: ProgressOf, stop: Callable[[], bool]) -> ReportTable:
    record = run.record
    cells = route_cells(record)
    table = measure_routes(run.backend, run.rerun_request(), record, cells, progress(len(cells)), stop)
    if not table.effects:
        raise _stopped()
    sentences = routes_sentences(record, table)
    if len(table.effects) < table.planned:
        sentences.append(say("report-not-measured", why=_stopped()))
    return ReportTable("", _route_rows(run, table), say("report-routes-cell"), sentences)


def _route_rows(run: AnalysedRun, table: RouteTable) -> list[list[str]]:
    """Returns a row for each route and a column for each window of layers, that of all layers first."""
    windows = list(dict.fromkeys(effect.cell.window for effect in table.effects))
    windows.sort(key=lambda window: window.layers is not None)
    stacks = {window.stack for window in windows if window.layers is not None}
    names = [window_words(run.record, window) if len(stacks) > 1 else layers_words(window.layers) for window in windows]
    rows = [[say("routes-column-route"), *names]]
    for route in ROUTES:
        effects = [table.at(window, route) for window in windows]
        if any(effect is not None for effect in effects):
            cells = [
                "" if effect is None else f"{signed_text(effect.effect)} ({effect.cell.attention.share:.2f})"
                for effect in effects
            ]
            rows.append([say("routes-route", queries=group_words(route[0]), keys=group_words(route[1])), *cells])
    return rows


def _methods(run: AnalysedRun, progress: ProgressOf, stop: Callable[[], bool]) -> ReportTable:
    if run.record.is_long:
        raise MmvizError("methods-run-long")
    request = run.rerun_request()
    recording = replace(request, relevance=True, norms=True, integrated=True, towers=False)
    records = run.backend.run([recording], stop=stop)
    if not records:
        raise _stopped()
    amounts = attributions(records[0])
    of = progress(variant_count(len(amounts)))
    curves = measure_faithfulness(run.backend, request, records[0], amounts, progress=of, stop=stop)
    if curves is None:
        raise _stopped()
    sentences = [best_method(curves)]
    if len(curves) < len(amounts):
        sentences.append(say("report-not-measured", why=_stopped()))
    return ReportTable("", methods_rows(curves), say("report-methods-cell"), sentences)


def _line(value: Any) -> str:
    """Returns a value of a card as text; "" for a list of other values than texts and numbers."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(map(str, value)) if all(isinstance(item, str | int | float) for item in value) else ""
    return str(value)


def _flat(path: str, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the values of a mapping and of those inside, each with its path."""
    lines: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{path}.{key}"
        lines += _flat(name, value) if isinstance(value, Mapping) else [(name, _line(value))]
    return [(name, text) for name, text in lines if text]
