"""Figures of the page have a text for those who do not see them."""

from __future__ import annotations

import ast
from pathlib import Path

import mmviz

PAGE = Path(mmviz.__file__).parent / "app"


def test_every_figure_of_the_page_has_an_alternative_text() -> None:
    calls = [
        (path.name, node.lineno, {keyword.arg for keyword in node.keywords})
        for path in PAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "plotly_chart"
    ]
    assert len(calls) > 10
    assert not [(name, line) for name, line, given in calls if "alt" not in given]
