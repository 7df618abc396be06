"""An experiment's result as a table: rows for a data frame, CSV and JSON, the same from a command and on the page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmviz.report.csv_table import csv_text
from mmviz.types import MmvizError

if TYPE_CHECKING:
    from pandas import DataFrame


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
        """Returns the rows as CSV; a list stands in its cell with spaces between its values.

        A number that is not finite has an empty cell.
        """
        return csv_text(self.columns, ([_cell(row[column]) for column in self.columns] for row in self.rows))

    def to_json(self) -> str:
        """Returns the facts, the command and the rows as one JSON document. A number that is not finite is null."""
        rows = [{column: row[column] for column in self.columns} for row in self.rows]
        document = plain({**self.facts, "command": self.command, self.name: rows})
        return json.dumps(document, indent=1, allow_nan=False) + "\n"

    def to_frame(self) -> DataFrame:
        """Returns the rows as a data frame of pandas, its ``attrs`` the facts and the command.

        Raises ``MmvizError`` (``frame-pandas``) where pandas, which mmviz does not need, is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError:
            raise MmvizError("frame-pandas") from None
        frame = DataFrame(list(self.rows), columns=list(self.columns))
        frame.attrs |= {**self.facts, "command": self.command}
        return frame


def _cell(value: object) -> object:
    """Returns the value of a cell of CSV; None for a number that is not finite."""
    value = plain(value)
    return " ".join(map(str, value)) if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """Returns a value with lists for tuples, and None for numbers that are not finite, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
