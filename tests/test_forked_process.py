"""A process that was forked after torch had computed refuses in a sentence; one that was forked before computes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from processes import ROOT

from mmviz.i18n.errors_and_notices import sentence

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]

SCRIPT = """
import multiprocessing, numpy as np, torch, mmviz
torch.set_num_threads(2)
layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()

def capture():
    with torch.no_grad(), mmviz.capture(layer) as result:
        layer(torch.randn(1, 4, 8))
    return result

def child(work, queue):
    try:
        queue.put(work())
    except Exception as error:
        queue.put(f"{type(error).__name__}: {error}")

def forked(work):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(work, queue), daemon=True)
    process.start()
    print(queue.get(timeout=100))
    process.join(20)
    assert process.exitcode is not None, "the child does not end"

def explain():
    return mmviz.explain(text="is there a dog", image=np.full((300, 300, 3), 99, np.uint8))

if __name__ == "__main__":
"""


def printed(main: str) -> list[str]:
    """Returns the lines that the script prints, whose processes must end by themselves."""
    code = SCRIPT + "\n".join(f"    {line}" for line in main.splitlines())
    environment = os.environ | {"OMP_NUM_THREADS": "2", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=180, check=True
    )
    return done.stdout.splitlines()


def test_a_child_that_was_forked_after_a_run_refuses() -> None:
    refusal = f"MmvizError: {sentence('fork-torch')}"
    lines = printed(
        "run = explain()\n"
        "forked(lambda: explain().record.id)\n"
        "forked(lambda: len(capture().record().maps))\n"
        "forked(lambda: run.effect())\n"
        "forked(lambda: len(run.backend.models()))\n"
        "forked(lambda: run.attention().shape == (len(run.tokens),))"
    )
    assert lines == [refusal] * 4 + ["True"], "what the record holds needs no torch"


def test_a_child_that_was_forked_after_a_capture_refuses() -> None:
    refusal = f"MmvizError: {sentence('fork-torch')}"
    lines = printed(
        "result = capture()\nforked(lambda: explain().record.id)\nforked(lambda: len(result.record().maps))\n"
        "forked(lambda: result.rollout([1]).shape)"
    )
    assert lines == [refusal] * 3


def test_a_child_that_was_forked_before_computes() -> None:
    lines = printed(
        "forked(lambda: explain().record.answers[0].label)\nforked(lambda: len(capture().record().maps))\n"
        "print(explain().record.answers[0].label)"
    )
    assert lines[0] == lines[2] and lines[1] == "1"


def test_a_spawned_child_computes_after_a_run() -> None:
    lines = printed(
        "import concurrent.futures\n"
        "explain()\n"
        "with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:\n"
        "    print(pool.submit(mmviz.explain, text='is there a dog').result(100).record.answers[0].label)"
    )
    assert lines == ["yes"]
