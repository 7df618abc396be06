"""Texts of the tables that experiments leave: their downloads on the page, and what their commands print, by code."""

from __future__ import annotations

TABLES: dict[str, str] = {
    # downloads on the page
    "table-csv": "Table (.csv)",
    "table-csv-help": "The rows of this table, with all digits.",
    "table-json": "Table (.json)",
    "table-json-help": "The rows of this table with all digits, what holds for all of them, and the command that makes "
    "it again.",
    "table-again": "The same by command:",
    "table-changes": "The command runs the model as it is, without the changes of this run: {changes}",
    "table-options": "The command runs the model without this run's settings: {options}",
}
