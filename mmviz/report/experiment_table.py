"""An experiment's result as a table: rows for a data frame, CSV and JSON, the same from a command and on the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmviz.report.csv_table import csv_text


@dataclass(frozen=True)
class ExperimentTable:
    """The rows of one experiment, and what they are about."""

    name: str
    """What the list of rows is called in JSON: the command that makes the table, for instance ``routes``."""
    columns: tuple[str, ...]
    """The keys of each row, in order."""
    rows: Sequence[Mapping[str, Any]]
    """Plain values by column: text, numbers, booleans, None, or lists of these; as ``pandas.DataFrame`` takes them."""
    facts: Mapping[str, Any]
    """What holds for all rows: the answer, its probability, the model, the baseline and so on, as plain values."""
    command: str
    """The command that makes the table again."""

    def to_csv(self) -> str:
        """Returns the rows as CSV; a list stands in its cell with spaces between its values."""
        return csv_text(self.columns, ([_cell(row[column]) for column in self.columns] for row in self.rows))

    def to_json(self) -> str:
        """Returns the facts, the command and the rows as one JSON document."""
        document = {**self.facts, "command": self.command, self.name: [dict(row) for row in self.rows]}
        return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _cell(value: object) -> object:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else value
