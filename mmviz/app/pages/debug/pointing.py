"""The heads that point, in the section Audit: where examples came with places, which heads have their maximum there."""

from __future__ import annotations

import html
from collections.abc import Sequence

import streamlit as st

from mmviz.app.components import page_elements
from mmviz.app.components.page_elements import chip
from mmviz.app.components.table_downloads import table_downloads
from mmviz.app.reproduce_command import option_words
from mmviz.experiments.pointing_heads import PointingHead
from mmviz.i18n.audit import audit_words
from mmviz.report.audit_report import Audit
from mmviz.report.pointing_table import COLUMNS, experiment_table, heads_of, sentences, table
from mmviz.types import Modality


def pointing_heads_part(audit: Audit) -> None:
    """Draws the findings on heads that point, the chosen heads and the downloads; nothing without places."""
    assessments = audit.assessments
    if not any(assessment.hits for assessment in assessments):
        return
    heads = heads_of(assessments)
    for sentence in sentences(heads):
        page_elements.note(sentence, "remark")
    if heads:
        st.html(pointing_html(heads))
        page_elements.note(audit_words("pointing-means"))
        table_downloads(experiment_table(assessments, audit.model, audit.options, option_words(audit.options)))


def pointing_html(heads: Sequence[PointingHead]) -> str:
    """Returns a table with a row for each chosen head: its hits in both halves, chance, and its p-value."""
    titles = "".join(f"<th scope='col'>{html.escape(audit_words(column))}</th>" for column in COLUMNS)
    body = "".join(
        f"<tr><th scope='row'>{chip(Modality(name))}</th>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}"
        "</tr>"
        for name, cells in table(heads)
    )
    first = f"<caption>{html.escape(audit_words('pointing'))}</caption><tr><td></td>{titles}</tr>"
    return f"<table class='facts audit pointing' tabindex='0'>{first}{body}</table>"
