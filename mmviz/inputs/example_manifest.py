"""The list of the examples of a folder, as ``examples.json``, ``examples.csv`` or another CSV file writes it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from mmviz.inputs.source_file import short_name
from mmviz.inputs.text import decode_text
from mmviz.types import MmvizError, Notice

JSON_LISTING, CSV_LISTING = "examples.json", "examples.csv"
LISTINGS = (JSON_LISTING, CSV_LISTING)
"""The first that a folder has counts."""
COLUMNS = ("id", "name", "image", "audio", "text", "question", "truth", "places")
"""The keys of an example."""
_DELIMITERS = ",;\t"


def entries_of(listing: str, data: bytes) -> list[Any]:
    """Returns the entries of a listing of this name, one for each example: what JSON has there, or a row's cells. What
    has another name than `JSON_LISTING` is CSV.

    An error stands in the place of a row that is none. Raises ``MmvizError`` (``examples-list``, ``examples-csv``) for
    what is no list at all.
    """
    return _json_entries(data) if listing == JSON_LISTING else _csv_entries(listing, data)


def listing_error(listing: str, why: Notice | str) -> MmvizError:
    """Returns the error of a listing that cannot be used."""
    if listing == JSON_LISTING:
        return MmvizError("examples-list", why=why)
    return MmvizError("examples-csv", name=short_name(listing), why=why)


def _json_entries(data: bytes) -> list[Any]:
    try:
        entries = json.loads(decode_text(data))
    except UnicodeDecodeError:
        raise listing_error(JSON_LISTING, Notice("reason-encoding")) from None
    except json.JSONDecodeError as error:
        raise listing_error(
            JSON_LISTING, Notice("reason-line", {"line": error.lineno, "column": error.colno})
        ) from None
    except (ValueError, RecursionError):
        raise listing_error(JSON_LISTING, Notice("reason-bounds")) from None
    if not isinstance(entries, list) or (entries and not any(isinstance(entry, dict) for entry in entries)):
        raise listing_error(JSON_LISTING, Notice("reason-list"))
    return entries


def _csv_entries(listing: str, data: bytes) -> list[Any]:
    """Returns the rows of a table whose first line names its columns, some of `COLUMNS`, in any order.

    Commas, semicolons or tabs stand between cells. Other columns are passed over, and so are empty lines.
    """
    try:
        text = decode_text(data)
    except UnicodeDecodeError:
        raise listing_error(listing, Notice("reason-encoding")) from None
    try:
        rows = max((_rows(text, delimiter) for delimiter in _DELIMITERS), key=lambda rows: len(_known(rows)))
    except csv.Error as error:
        raise listing_error(listing, str(error)) from None
    if not _known(rows):
        raise listing_error(listing, Notice("reason-columns", {"columns": ", ".join(COLUMNS)}))
    header = [cell.strip().casefold() for cell in rows[0]]
    twice = next((name for name in COLUMNS if header.count(name) > 1), None)
    if twice is not None:
        raise listing_error(listing, Notice("reason-column-twice", {"column": twice}))
    return [_row(listing, header, row, number) for number, row in enumerate(rows[1:], 1)]


def _rows(text: str, delimiter: str) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(map(str.strip, row))]


def _known(rows: list[list[str]]) -> set[str]:
    return set(COLUMNS) & {cell.strip().casefold() for cell in (rows or [[]])[0]}


def _row(listing: str, header: list[str], row: list[str], number: int) -> Mapping[str, str] | MmvizError:
    """Returns the cells of a row that are not empty, by column, or the error of a row with too many cells."""
    if any(map(str.strip, row[len(header) :])):
        return MmvizError("examples-row", name=short_name(listing), number=number, cells=len(row), columns=len(header))
    cells = zip(header, map(str.strip, row), strict=False)
    return {name: cell for name, cell in cells if name in COLUMNS and cell}
