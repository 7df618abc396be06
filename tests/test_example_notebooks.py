"""The notebooks of ``examples/`` run, and show what is stored in them."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tools.notebooks import EXAMPLES, Output, code_cells, outputs_of, read_notebook

NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
SLOW = {"teaching", "talk"}
"""Notebooks that run the bundled models many times."""
MAX_BYTES = 300_000
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


def notebook(name: str) -> dict[str, Any]:
    return read_notebook(EXAMPLES / f"{name}.ipynb")


def printed(outputs: list[list[Output]]) -> str:
    return "".join("".join(output.get("text", [])) for cell in outputs for output in cell)


def pictures(outputs: list[list[Output]]) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """Returns the pictures among outputs, as grey levels."""
    shown = [output["data"]["image/png"] for cell in outputs for output in cell if "data" in output]
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA").convert("L"), np.float64)
        for png in shown
    ]


def test_there_are_three_and_each_is_small_and_names_no_local_path() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["debug_huggingface", "talk", "teaching"]
    for path in NOTEBOOKS:
        book, text = read_notebook(path), path.read_text(encoding="utf-8")
        assert len(text.encode()) < MAX_BYTES and book["nbformat"] == 4
        assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"]), "nbformat wants ids of their own"
        stored = printed([cell["outputs"] for cell in code_cells(book)])
        assert not re.search(r"/(?:root|home|tmp|Users|work)/|\\Users\\", stored)
        assert all(cell["outputs"] for cell in code_cells(book) if "print(" in "".join(cell["source"]))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_link_of_a_notebook_leads_to_a_file(path: Path) -> None:
    prose = "".join("".join(cell["source"]) for cell in read_notebook(path)["cells"] if cell["cell_type"] == "markdown")
    targets = re.findall(r"\]\(([^)\s]+)\)", prose)
    assert targets and not [target for target in targets if not (EXAMPLES / target).exists()]


@pytest.mark.parametrize(
    "name", [pytest.param(path.stem, marks=pytest.mark.pages if path.stem in SLOW else ()) for path in NOTEBOOKS]
)
def test_a_notebook_shows_what_is_stored_in_it(name: str, tmp_path: Path) -> None:
    if name == "debug_huggingface":
        pytest.importorskip("transformers")
    book = notebook(name)
    stored = [cell["outputs"] for cell in code_cells(book)]
    outputs = outputs_of(book, tmp_path)
    assert NUMBER.sub("#", printed(outputs)) == NUMBER.sub("#", printed(stored))
    numbers, before = ([float(number) for number in NUMBER.findall(printed(each))] for each in (outputs, stored))
    np.testing.assert_allclose(numbers, before, rtol=0.02, atol=0.011)
    for picture, other in zip(pictures(outputs), pictures(stored), strict=True):
        assert picture.shape == other.shape and np.abs(picture - other).mean() < 3  # grey levels of 255
    assert bool(pictures(stored)) == (name != "debug_huggingface")
