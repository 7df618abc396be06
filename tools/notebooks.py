"""Runs the notebooks of ``examples/`` and stores their outputs in them: ``python -m tools.notebooks``.

No Jupyter is needed. The code cells of a notebook run one after another in one namespace, in an empty folder; kept are
what they print and the value of their last line, as Jupyter shows it: a picture, else its text.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parent.parent / "examples"
Output = dict[str, Any]


def read_notebook(path: Path) -> dict[str, Any]:
    """Returns a notebook as plain values."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the code cells of a notebook in their order."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def outputs_of(notebook: dict[str, Any], folder: Path) -> list[list[Output]]:
    """Runs the code cells in ``folder`` and returns the outputs of each, as ``.ipynb`` files have them."""
    names: dict[str, Any] = {"__name__": "__main__"}
    outputs = []
    with contextlib.chdir(folder), contextlib.redirect_stderr(io.StringIO()):
        for number, cell in enumerate(code_cells(notebook), start=1):
            outputs.append(_run_cell("".join(cell["source"]), f"cell {number}", names, number))
    return outputs


def _run_cell(source: str, name: str, names: dict[str, Any], number: int) -> list[Output]:
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, name, "exec"), names)
        value = None if last is None else eval(compile(ast.Expression(last.value), name, "eval"), names)
    outputs: list[Output] = []
    if text := printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)})
    if value is not None:
        result = {"data": _shown(value), "execution_count": number, "metadata": {}, "output_type": "execute_result"}
        outputs.append(result)
    return outputs


def _shown(value: object) -> dict[str, Any]:
    """Returns a value as Jupyter shows it, by type of content."""
    picture = getattr(value, "_repr_png_", None)
    if picture is None:
        return {"text/plain": repr(value).splitlines(keepends=True)}
    return {"image/png": base64.b64encode(picture()).decode(), "text/plain": [f"<{type(value).__name__}>"]}


def store_outputs(path: Path) -> None:
    """Runs a notebook and writes its outputs into its file."""
    notebook = read_notebook(path)
    with tempfile.TemporaryDirectory() as folder:
        outputs = outputs_of(notebook, Path(folder))
    for number, (cell, shown) in enumerate(zip(code_cells(notebook), outputs, strict=True), start=1):
        cell["execution_count"], cell["outputs"] = number, shown
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for notebook_path in [EXAMPLES / name for name in sys.argv[1:]] or sorted(EXAMPLES.glob("*.ipynb")):
        store_outputs(notebook_path)
        print(f"{notebook_path.name}: {notebook_path.stat().st_size:,} bytes")
