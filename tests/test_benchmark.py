"""The benchmark runs, at a size too small to mean anything, so that it cannot rot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CODE = """
import json, sys
sys.path.insert(0, "benchmarks")
import torch
from capture import errors, grown, pages, times
from model import Model
torch.set_grad_enabled(False)
model, x = Model().eval(), torch.randn(1, 80, 384)
same = torch.allclose(model(x), model(x, kept=[]), atol=1e-5)
print(json.dumps([same, times(model, 80, 1), errors(80), pages(80), [grown(way, 80) for way in ("plain", "captured")]]))
"""


def test_the_benchmark_measures_what_it_says() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    same, times, errors, pages, grown = json.loads(done.stdout)
    assert same, "the two models are one"
    assert times[0] == errors[0] == pages[0] == 80 and len(times) == 10 and all(one > 0 for one in times)
    assert all(0 <= one < 5e-5 for one in errors[1:]) and errors[1] < 1e-6
    assert pages[2] > 0.01 and all(one >= 0 for one in grown)
