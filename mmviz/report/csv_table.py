"""Tables as CSV that a spreadsheet reads as values, never as formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA_STARTS = tuple("=+-@＝＋－＠\t\r\n")
"""Spreadsheets take a cell that begins with one of these for a formula."""


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Returns a table as CSV: text in quotes, numbers as they are, None as an empty cell."""
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([csv_cell(value) for value in row] for row in rows)
    return file.getvalue()


def csv_cell(value: object) -> str | float:
    """Returns a number as it is, and text so that no spreadsheet takes it for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    text = str(value).encode("utf-8", "replace").decode()
    return f"'{text}" if text.startswith(_FORMULA_STARTS) or text.lstrip().startswith(_FORMULA_STARTS) else text
