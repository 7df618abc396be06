"""The benchmark for a GPU runs without one, says that it did, and its rows are what they are called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DEADLINE = 200


def tables(text: str) -> dict[str, list[dict[str, str]]]:
    """Returns the rows of each Markdown table by its title, each by the names of the columns."""
    parsed: dict[str, list[dict[str, str]]] = {}
    title, head = "", []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if line.startswith("**"):
            title, head = line.strip("*"), []
        elif line.startswith("|") and set(line) - set("|-"):
            if head:
                parsed.setdefault(title, []).append(
                    dict(zip(head, [c.strip() for c in line.split("|")[1:-1]], strict=True))
                )
            else:
                head = cells
    return parsed


@pytest.mark.slow
@pytest.mark.long
def test_the_benchmark_for_a_gpu_runs_on_the_cpu_and_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--sizes", "520"], cwd=ROOT, capture_output=True,
        text=True, timeout=DEADLINE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "dry run without a GPU" in done.stdout and "Left out" not in done.stdout
    exactness, costs, aims = tables(done.stdout).values()
    kinds = {(row["kernel"], row["dtype"], row["case"]) for row in exactness}
    fused = ("no mask", "causal", "padding mask", "bias", "grouped queries", "cross-attention")
    for dtype in ("float32", "float16", "bfloat16"):
        assert {(kernel, dtype, case) for kernel in ("flash", "efficient", "math") for case in fused} <= kinds
        assert ("as torch chooses", dtype, "softmax and einsum") in kinds
    measured = [row for row in exactness if row["error"]]
    assert {row["kernel"] for row in exactness if not row["error"]} == {"efficient"}, "which a CPU does not have"
    assert all(row["same output"] == "yes" and row["verdict"] == "met" for row in measured)
    assert {row["route"] for row in measured} == {"sdpa", "sdpa with log-sum-exp", "eager"}
    (cost,) = costs
    assert (cost["tokens"], cost["same output"], cost["pooled maps"]) == ("520", "yes", "6")
    assert float(cost["captured / plain"]) > 0 and cost["peak memory / plain"] == ""
    assert [row["verdict"] for row in aims if "memory" in row["aim"]] == ["not measured"]


@pytest.mark.long
@pytest.mark.slow
def test_an_error_beyond_the_limit_and_a_ratio_beyond_the_aim_are_missed() -> None:
    code = (
        "import sys; sys.path.insert(0, 'benchmarks')\n"
        "from gpu import PEAK, RATIO, aims\n"
        "rows = [{'error': 1e-7, 'verdict': 'met'}, {'error': 1.0, 'verdict': '**missed**'}, {'verdict': 'no such'}]\n"
        "print([(row['worst'], row['verdict']) for row in aims(rows, [{RATIO: 1.06, PEAK: 1.2}, {RATIO: 1.0}])])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE)
    assert done.stdout.strip() == "[('1 of 2', '**missed**'), (1.06, '**missed**'), (1.2, 'met')]", done.stderr[-2000:]
