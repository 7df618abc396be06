"""The benchmark runs, at a size too small to mean anything, so that it keeps working; and it checks its aims."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DEADLINE = 200
CODE = """
import json, sys
sys.path.insert(0, "benchmarks")
import isolated, torch
from capture import MEMORY, check_aims, measure
from model import Model
torch.set_grad_enabled(False)
isolated.RUNS = 1
model, x = Model().eval(), torch.randn(1, 80, 384)
same = torch.allclose(model(x), model(x, {}, []), atol=1e-5)
rows = measure(model, 80, 1)
made_up = [{"tokens": 2048, "method": "mmviz", "no mask": 1.04, "bias": 1.2, MEMORY: 2.0},
           {"tokens": 512, "method": "mmviz", MEMORY: 9.0}, {"tokens": 4096, "method": "eager", MEMORY: 20.0}]
print(json.dumps([same, rows, check_aims(made_up)]))
"""


@pytest.mark.slow
@pytest.mark.long
def test_the_benchmark_measures_and_checks_its_aims() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr[-2000:]
    same, rows, verdicts = json.loads(done.stdout)
    assert same, "fused and eager agree"
    assert [(row["tokens"], row["method"]) for row in rows] == [(80, "mmviz"), (80, "eager")]
    assert rows[0]["error, float32"] < 1e-5 and all(rows[0][mask] > 0 for mask in ("no mask", "causal", "bias"))
    verdict_of = {verdict["method"]: (verdict["verdict"], verdict.get("worst")) for verdict in verdicts}
    assert verdict_of["captured / plain"] == ("**missed**", 1.2) and verdict_of["captured, memory / plain"] == (
        "met",
        2.0,
    )
    assert verdict_of["one row (ms)"] == ("not measured", None)


@pytest.mark.slow
@pytest.mark.long
def test_the_serving_benchmark_prints_runs_a_second_by_samples_in_a_call() -> None:
    command = [sys.executable, "benchmarks/serving.py", "--batches", "1", "2", "--turns", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if line[:1] == "|"]
    assert rows[0] == ["request", "samples in a call", "runs / s", "ratio to 1", "shared"] and len(rows) == 2 + 4 * 2
    for _, size, rate, ratio, shared in rows[2:]:
        assert float(rate) > 0 and shared == ("0 of 1" if size == "1" else "2 of 2")
        assert ratio == "1.00" if size == "1" else float(ratio) > 0


@pytest.mark.slow
@pytest.mark.long
def test_the_benchmark_of_routes_prints_their_cost_in_passes() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/routes.py", "--turns", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if line[:1] == "|"]
    assert [row[:3] for row in rows[2:]] == [
        ["trio", "9 x 6", "54"], ["custom", "9 x 6", "54"], ["LLaVA, tiny", "4 x 4", "10"],
    ]  # fmt: skip
    assert all(float(figure) > 0 for row in rows[2:] for figure in row[3:])
