"""Twelve families of the coverage table: what capture records of them is right by their own weights and configs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.model_coverage.__main__ import BEGIN, END, ROOT, SUMMARISED, with_summary
from tools.model_coverage.build_registry import AREAS, TESTED, build_of
from tools.model_coverage.judge_build import judge_build

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("family", TESTED)
def test_what_is_recorded_of_a_family_is_right(family: str) -> None:
    outcome = judge_build(build_of(family))
    assert outcome.all_wrong == {}
    assert outcome.is_whole, "every softmax over tokens is recorded"


def test_the_table_has_at_least_95_builds_of_which_none_is_twice() -> None:
    families = [build.family for builds in AREAS.values() for build in builds]
    assert len(families) == len(set(families)) and len(families) >= 95


def summary_in(page: str) -> list[str]:
    """The lines of the summary that a page holds."""
    text = (ROOT / page).read_text("utf-8")
    return text.split(BEGIN)[1].split(END)[0].splitlines()


def test_readme_and_explanation_hold_the_five_lines_of_the_table() -> None:
    head = (ROOT / "docs" / "coverage.md").read_text("utf-8").split("\n## ")[0]
    lines = [line for line in head.splitlines() if line.startswith("- ")]
    assert len(lines) == 5
    for page in SUMMARISED:
        text = page.read_text("utf-8")
        assert summary_in(str(page.relative_to(ROOT))) == lines
        assert with_summary(text, [line.removeprefix("- ") for line in lines]) == text, "the rest of the page stays"


def test_the_figures_in_readme_are_those_of_the_rows_of_the_table() -> None:
    tables = [line for line in (ROOT / "docs" / "coverage.md").read_text("utf-8").splitlines() if line[:1] == "|"]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in tables if not re.match(r"\| family |\|---", line)]
    cells = [[cell.strip() for cell in row] for row in rows]
    left_out = [number for number, row in enumerate(cells) if "left out: " in row[-1]]
    builds = [row for row in cells if row[0]]
    starts = [number for number, row in enumerate(cells) if row[0]]
    in_part = {max(start for start in starts if start <= number) for number in left_out}
    first, second, *_ = (re.findall(r"\d[\d,]*", line) for line in summary_in("README.md"))
    assert first[:2] == [str(len(builds)), str(len({row[1] for row in builds}))]
    assert second == [str(len(builds) - len(in_part)), str(len(left_out)), str(len(cells))]
