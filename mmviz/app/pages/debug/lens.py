"""The section Lens: the answer as it forms, and what every token would answer after each layer."""

from __future__ import annotations

import html

import streamlit as st

from mmviz.app.components import page_elements
from mmviz.app.components.table_downloads import table_downloads
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.reproduce_command import table_command
from mmviz.backends import Progress, Stop
from mmviz.experiments.lens import Lens, measure_lens
from mmviz.figures.lens_forming import forming_figure
from mmviz.figures.lens_sound import sound_figure
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.language import join_list
from mmviz.i18n.page import say
from mmviz.report.lens_grid import (
    LensGrid,
    forming_html,
    legend_html,
    moment_hovers,
    pictures_html,
    shown_words,
    words_html,
)
from mmviz.report.lens_table import formed, lens_table, misleads
from mmviz.types import MmvizError


def lens_section(runner: ExperimentRunner) -> None:
    """Draws how the answer forms, the grid of layers and tokens, where it misleads, and the downloads."""
    lens = runner.measure(("lens",), lambda progress, stop: _lens_or_reason(runner, progress, stop))
    if lens is None:
        return
    if isinstance(lens, MmvizError):
        page_elements.note(str(lens), "remark")
        return
    grid = LensGrid.of(lens)
    page_elements.note(say("lens-what", through=join_list(lens.reading.through)))
    if lens.is_written:
        page_elements.note(_followed_word(runner, grid))
    left, right = st.columns([1.25, 1], gap="large")
    with left:
        _forming(grid)
    with right:
        page_elements.note(formed(lens), "remark")
        st.html(forming_html(grid))
    lines = "".join(f"<p>{html.escape(text)}</p>" for text in misleads(lens))
    st.html(f"<div class='aside misleads'><b>{html.escape(say('lens-misleads'))}</b>{lines}</div>")
    _grid(runner, grid)
    command = table_command(runner.state, runner.request, "lens")
    table_downloads(lens_table(runner.request, runner.run.record, lens, command))


def _lens_or_reason(runner: ExperimentRunner, progress: Progress, stop: Stop) -> Lens | MmvizError | None:
    """Returns the lens of the run; why there is none for a model that has none; None after a stop."""
    try:
        return measure_lens(runner.backend(), runner.request, progress, stop)
    except MmvizError as error:
        if error.code.startswith("lens-"):
            return error
        raise


def _followed_word(runner: ExperimentRunner, grid: LensGrid) -> str:
    """Returns a sentence on the word that the lens of a written answer follows."""
    words = {"answer": grid.answer, "words": say("words")}
    part = runner.request.answer_part
    return say("lens-follows-word", number=part[0] + 1, **words) if part else say("lens-follows", **words)


def _forming(grid: LensGrid) -> None:
    texts = {
        "title": say("lens-title", answer=grid.answer),
        "x": say("lens-x"),
        "rank": sentence("lens-column-rank", answer=grid.answer),
        "y": sentence("lens-column-probability"),
        "best": sentence("lens-column-best"),
        "answer": grid.answer,
    }
    reading = grid.lens.reading
    figure = forming_figure(reading, reading.answer_token, grid.layers, texts, page_elements.is_dark())
    st.plotly_chart(figure, theme=None, config=page_elements.PLOTLY_CONFIG, key="lens-forming", alt=texts["title"])


def _grid(runner: ExperimentRunner, grid: LensGrid) -> None:
    """Draws patches, words and moments by layer, on one scale."""
    page_elements.heading(say("lens-grid"))
    page_elements.note(say("lens-grid-help", answer=grid.answer))
    st.html(legend_html(grid, page_elements.is_dark()))
    if grid.is_large:
        page_elements.note(say("lens-large", cells=grid.amounts.size))
    image = runner.run.sample.image
    if image is not None and grid.patches:
        page_elements.heading(say("lens-patches"))
        st.html(pictures_html(grid, image))
    page_elements.heading(say("lens-words"))
    shown, words = shown_words(grid), grid.words
    if len(shown) < len(words):
        page_elements.note(say("lens-last-words", shown=len(shown), of=len(words)))
    st.html(words_html(grid))
    if moments := grid.moments:
        page_elements.heading(say("lens-moments"))
        figure = sound_figure(
            [grid.lens.tokens[k] for k in moments], grid.amounts[:, moments], grid.scale_max,
            moment_hovers(grid, moments), grid.layers, {"x": say("lens-moment"), "y": sentence("lens-column-layer")},
            page_elements.is_dark(),
        )  # fmt: skip
        st.plotly_chart(
            figure, theme=None, config=page_elements.PLOTLY_CONFIG, key="lens-moments", alt=say("lens-moments")
        )
