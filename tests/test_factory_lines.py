"""The lines that a factory of one's own takes are those of the table in the documentation."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from mmviz.models.huggingface.families import FAMILIES

TESTS = Path(__file__).parent
TABLE = TESTS.parent / "docs" / "custom-models.md"


def lines_of(source: str, factory: str) -> int:
    """Returns how many lines ``prepare`` and the call of ``CustomModel`` in a function take, a statement a line.

    Comments, docstrings and blank lines do not count, nor does what builds the network and its processors: with a
    model of one's own that is there before.
    """
    functions = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    (function,) = [node for node in functions if node.name == factory]
    texts = [
        ast.unparse(node) for node in function.body
        if (isinstance(node, ast.FunctionDef) and node.name == "prepare")
        or (isinstance(node, ast.Assign) and "CustomModel" in ast.unparse(node))
    ]  # fmt: skip
    assert len(texts) == 2
    return sum(bool(line.strip()) for text in texts for line in text.splitlines())


@pytest.mark.parametrize(
    ("name", "factory", "family"),
    [("Qwen2.5-Omni", "omni", "qwen2_5_omni"), ("CLIP", "clip", "clip"), ("Whisper", "whisper", "whisper")],
)
def test_the_table_says_how_many_lines_a_factory_takes(name: str, factory: str, family: str) -> None:
    (row,) = re.findall(rf"^\| {re.escape(name)} \| (\d+) \| (\d+) \| 0 \|$", TABLE.read_text("utf-8"), re.MULTILINE)
    before, now = map(int, row)
    assert now == lines_of((TESTS / "hf_factories.py").read_text("utf-8"), factory) < before
    assert family in FAMILIES, "it needs no factory"
