"""What stands below every table of an experiment: its downloads, and the command that makes it again."""

from __future__ import annotations

import streamlit as st

from mmviz.app.components import widgets
from mmviz.i18n.language import join_list
from mmviz.i18n.page import say
from mmviz.report.experiment_table import ExperimentTable


def table_downloads(table: ExperimentTable) -> None:
    """Draws buttons for the table as CSV and JSON, and the command that makes it again.

    Where the run had changes or settings that no command has (the facts ``changes`` and ``options``), a note says that
    the command leaves them out. The keys of the buttons begin with the table's name.
    """
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=f"{table.name}-downloads"):
        for kind, text, mime_type in (
            ("csv", table.to_csv(), "text/csv"),
            ("json", table.to_json(), "application/json"),
        ):
            st.download_button(
                say(f"table-{kind}"), text.encode(), f"mmviz-{table.name}.{kind}", mime_type, type="tertiary",
                key=f"{table.name}-{kind}", help=say(f"table-{kind}-help"), on_click="ignore",
            )  # fmt: skip
    with st.container(key=f"{table.name}-again", gap=None):
        widgets.note(say("table-again"))
        st.code(table.command, language=None, wrap_lines=True)
    for fact in ("changes", "options"):
        if table.facts.get(fact):
            widgets.note(say(f"table-{fact}", **{fact: join_list(map(str, table.facts[fact]))}))
