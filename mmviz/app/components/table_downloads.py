"""What stands below every table of an experiment: its downloads, and the command that makes it again."""

from __future__ import annotations

import streamlit as st

from mmviz.app.components import page_elements
from mmviz.i18n.page import say
from mmviz.report.result_table import ExperimentTable


def table_downloads(table: ExperimentTable, key: str | None = None) -> None:
    """Draws buttons for the table as CSV and JSON, and the command that makes it again.

    The keys of the buttons begin with ``key``, by default the table's name.
    """
    downloads(table.name, table.to_csv(), table.to_json(), table.command, key=key)


def downloads(
    name: str, csv: str, json: str, command: str, labels: tuple[str, str] = ("table-csv", "table-json"),
    key: str | None = None,
) -> None:  # fmt: skip
    """Draws buttons for the files ``mmviz-NAME.csv`` and ``.json`` with these contents, and the command that makes them
    again.

    ``labels``: the codes of their labels; ``key``: what the keys of the buttons begin with, where that is not
    ``name``.
    """
    key = key or name
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=f"{key}-downloads"):
        files = (("csv", csv, "text/csv"), ("json", json, "application/json"))
        for label, (kind, content, mime_type) in zip(labels, files, strict=True):
            st.download_button(
                say(label), content.encode(), f"mmviz-{name}.{kind}", mime_type, type="tertiary",
                key=f"{key}-{kind}", help=say(f"{label}-help"), on_click="ignore",
            )  # fmt: skip
    with st.container(key=f"{key}-again", gap=None):
        page_elements.note(say("table-again"))
        st.code(command, language=None, wrap_lines=True)
