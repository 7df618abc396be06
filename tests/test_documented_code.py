"""The Python code of README and docs runs as it is printed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from spoken_place import write_inputs

import mmviz

ROOT = Path(__file__).parent.parent
CELLS = 84
"""Twelve routes in six layers of `trio`, and in all of them."""
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    if "```python\n" in path.read_text(encoding="utf-8")
)
CUT_A_ROUTE = "docs/how-to/cut-a-route.md"
OWN_TESTS = {"README.md", CUT_A_ROUTE}
"""Pages of which more is tested than that their code runs."""


def run_page(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Runs the code of a page, block by block, in a folder that holds the files it names; returns its variables."""
    write_inputs(folder)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "documented"}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, name, "exec"), names)
    return names


def test_the_pages_are_found() -> None:
    assert {"docs/tutorial.md", "docs/custom-models.md", *OWN_TESTS} <= set(PAGES)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(PAGES) - OWN_TESTS))
def test_the_code_of_a_page_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page(name, tmp_path, monkeypatch)


@pytest.mark.slow
def test_the_readme_prints_and_saves_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_page("README.md", tmp_path, monkeypatch)["run"]
    answer, effect, *_ = capsys.readouterr().out.splitlines()
    best = run.record.answers[0]
    assert answer == f"{best.label} {best.probability}"
    parts = json.loads(effect.replace("'", '"'))
    assert set(parts) == {"image", "text", "audio", "total"}
    assert sum(parts.values()) == pytest.approx(2 * parts["total"])
    assert mmviz.Run.load(tmp_path / "run.npz").record.answers[0].label == best.label
    assert (tmp_path / "run.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.slow
def test_the_example_of_a_cut_route_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = run_page(CUT_A_ROUTE, tmp_path, monkeypatch)
    answers, *cells = capsys.readouterr().out.splitlines()
    assert len(cells) == CELLS == names["table"].planned and answers.count("Answer(label=") == 2
    plain, cut = names["run"].record.answers[0], names["record"].answers[0]
    assert str(plain) in answers and str(cut) in answers and plain.probability != cut.probability
    assert any(line.startswith("(2,) answer audio ") for line in cells) and cells[-1].startswith("None answer audio ")
