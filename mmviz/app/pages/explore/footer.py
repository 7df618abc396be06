"""The footer of the page Explore: how to read it, controls, downloads, and the whole map token by token."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

import streamlit as st

from mmviz.app import change_links, page_address, run_change_actions, run_links
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.kept_runs import MAX_AGE, MAX_RUNS_OF_VISITOR
from mmviz.app.pages.explore.answer_words import measured_prior
from mmviz.app.pages.explore.story import told_story
from mmviz.app.selection import view_of
from mmviz.app.selection_amounts import SelectionView
from mmviz.explain import Run
from mmviz.figures.printed_parts import FigureFormat, FigureLayout
from mmviz.figures.token_matrix import token_matrix
from mmviz.i18n.figures import unit_name
from mmviz.i18n.language import current_language, join_sentences, use_language
from mmviz.i18n.page import say
from mmviz.io.change_text import CONTROLS
from mmviz.present import make_talk
from mmviz.report.exact_attention_size import size_per_token, size_text
from mmviz.types import MmvizError

FIGURE_TYPES: dict[FigureFormat, str] = {"png": "image/png", "pdf": "application/pdf", "svg": "image/svg+xml"}
NAME_LENGTH = 60
"""Characters of the name of a file, at most."""
WEIGHTS = "weights"
"""The key of the expander that holds the token matrix."""


class Download(NamedTuple):
    """A file that the page offers."""

    create: Callable[[], bytes]
    """Returns the bytes of the file, in the language that was current when it was offered, in any thread."""
    name: str
    """The name that the file is saved under, with its ending."""
    mime_type: str
    """The MIME type of the file, such as ``image/png``."""


def footer(view: SelectionView) -> None:
    """Draws reading help, controls and downloads side by side, and the token matrix once it is opened."""
    first, second, third = st.columns([1.5, 1, 1.2], gap="medium")
    with first:
        page_elements.heading(say("reading"))
        page_elements.note(join_sentences(say(f"reading-{number}") for number in range(1, 5)))
    with second:
        page_elements.heading(say("controls"))
        control_buttons()
    with third:
        page_elements.heading(say("save"))
        _download_buttons(view)
        _privacy()
    if view.run.record.is_long:
        page_elements.note(say("all-weights-long" if view.run.is_exact else "all-weights-kept"))
        return
    with st.expander(say("all-weights"), key=WEIGHTS, on_change="rerun") as expander:
        if expander.open:
            _matrix(view)


def control_buttons() -> None:
    """Draws a button for each control: the same inputs through a model whose attention cannot have been learned."""
    state = session.current_state()
    active = state.control if state.run is None else change_links.control_of(state.run)
    with st.container(horizontal=True, gap="small"):
        for control in CONTROLS:
            label, hint = say(f"control-{control}"), say(f"control-{control}-help")
            kind: Literal["primary", "secondary"] = "primary" if control == active else "secondary"
            st.button(
                label,
                key=f"control-{control}",
                help=hint,
                type=kind,
                on_click=run_change_actions.set_control,
                args=(control,),
            )


def downloads(view: SelectionView) -> dict[str, Download]:
    """Returns the files that the page offers, by the key of their button."""
    run, language = view.run, current_language()
    state = session.current_state()
    prior, story = measured_prior(state, run), told_story(state, run.record)

    def in_language(create: Callable[[], bytes]) -> Callable[[], bytes]:
        def create_in_language() -> bytes:
            with use_language(language):
                return create()

        return create_in_language

    def summary() -> bytes:
        return json.dumps(run.summary(), indent=1, ensure_ascii=False).encode()

    def page() -> bytes:
        return run.to_html(prior, view_of(view.selection, run)).encode()

    def talk() -> bytes:
        return make_talk(run, story, view_of(view.selection, run)).to_html().encode()

    def table() -> bytes:
        selection = view.selection
        return run.table(selection.map_ref, selection.tokens, selection.direction, selection.versus).to_csv().encode()

    def figure(file_format: FigureFormat, layout: FigureLayout = "page") -> Download:
        def create() -> bytes:
            selection = view.selection
            shown = selection.map_ref, selection.tokens, selection.direction
            scale_max = None if selection.versus else view.scale_max  # a difference has a scale of its own
            return run.figure(file_format, *shown, scale_max, selection.versus, layout)

        suffix = "" if layout == "page" else "-column"
        return Download(in_language(create), f"{name}{suffix}.{file_format}", FIGURE_TYPES[file_format])

    answers = run.record.answers
    name = file_stem(run.sample.text or (answers[0].label if answers else ""))
    return {
        "save-talk": Download(in_language(talk), f"{name}-talk.html", "text/html"),
        "save-page": Download(in_language(page), f"{name}.html", "text/html"),
        "save-run": Download(run.to_bytes, f"{name}.npz", "application/octet-stream"),
        **_exact_download(run, name),
        "save-summary": Download(in_language(summary), f"{name}.json", "application/json"),
        "save-table": Download(in_language(table), f"{name}.csv", "text/csv"),
        "save-figure": figure("png"),
        "save-pdf": figure("pdf"),
        "save-column": figure("pdf", "column"),
        "save-svg": figure("svg"),
    }


def file_stem(text: str) -> str:
    """Returns what files of a run are called, without their endings, by its question or its answer."""
    return "-".join(["mmviz", *re.findall(r"\w+", text.lower())])[:NAME_LENGTH]


def _exact_download(run: Run, name: str) -> dict[str, Download]:
    """Returns the file of a long run with the tensors behind it, where it can be had."""
    try:
        is_offered = run.exact_nbytes() > 0
    except MmvizError:
        is_offered = False
    if not is_offered:
        return {}
    return {"save-exact": Download(lambda: run.to_bytes("exact"), f"{name}-exact.npz", "application/octet-stream")}


def _download_buttons(view: SelectionView) -> None:
    with st.container(horizontal=True, gap="small"):
        for key, (create, name, mime_type) in downloads(view).items():
            sizes = _sizes(view.run) if key == "save-exact" else {}
            label, hint = say(key, **sizes), say(f"{key}-help", **sizes)
            st.download_button(label, create, name, mime_type, key=key, help=hint, on_click="ignore")


def _sizes(run: Run) -> dict[str, str]:
    """Returns how much `_exact_download` adds to the file of a run, in words."""
    nbytes = run.exact_nbytes()
    return {"size": size_text(nbytes), "token": size_per_token(run.record, nbytes)}


def _privacy() -> None:
    """Draws how long inputs are kept, whether the run has a link, and a button that deletes both."""
    state = session.current_state()
    page_elements.note(say("private", runs=MAX_RUNS_OF_VISITOR, minutes=round(MAX_AGE / 60)))
    is_own = state.run_example is None and not state.is_saved
    if is_own:
        page_elements.note(say("run-link" if run_links.is_kept(state) else "run-link-none"))
    if is_own or run_links.is_visitor_kept(state):
        st.button(say("forget"), key="forget", help=say("forget-help"), on_click=page_address.forget_inputs)


def _matrix(view: SelectionView) -> None:
    scale_max = float(view.weights.max()) or 1.0
    title = say("matrix", method=view.method_text)
    unit = unit_name(view.selection.map_ref.method)
    figure = token_matrix(view.weights, *view.sides, title, scale_max, page_elements.is_dark(), unit)
    st.plotly_chart(
        figure, theme=None, config=page_elements.PLOTLY_CONFIG, key="matrix-figure", alt=say("matrix-alt")
    )  # fmt: skip
