"""One method in a process of its own, with its time and memory: prints JSON."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

RUNS = 3
DEADLINE = 1_800
"""Seconds for one process."""
STATUS = Path("/proc/self/status")


def isolated(method: str, count: int) -> dict[str, float]:
    """Returns ``seconds``, ``memory`` (growth of the peak of resident memory, bytes) and ``size`` (bytes of HTML, 0
    without any), medians of `RUNS` fresh processes.

    ``method``: plain, captured or eager, a forward pass that keeps everything; or mmviz or bertviz, from the result of
    such a pass to the HTML of all layers and heads.
    """
    command = [sys.executable, __file__, method, str(count)]
    runs = [
        json.loads(subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=DEADLINE).stdout)
        for _ in range(RUNS)
    ]
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def main(method: str, count: int) -> None:
    """Runs the method in this process. Needs Linux, which reports the peak of resident memory."""
    import torch
    from model import SIZE, Model

    import mmviz
    from mmviz.capture import CaptureResult

    model = Model().eval()
    kept: list[torch.Tensor] = []

    def captured(x: torch.Tensor) -> CaptureResult:
        with mmviz.capture(model) as result:
            model(x)
        return result

    def to_html(result: CaptureResult) -> str:
        return mmviz.Run(mmviz.Sample(), result.record()).to_html()

    def head_view() -> str:
        from bertviz import head_view

        return str(head_view(kept, [str(k) for k in range(count)], html_action="return").data)

    torch.manual_seed(1)
    x, small = torch.randn(1, count, SIZE), torch.randn(1, 64, SIZE)
    with torch.no_grad():
        model(small), to_html(captured(small))  # warm-up: what is loaded at the first call does not count
        work: Callable[[], object]
        if method == "mmviz":
            result = captured(x)
            work = lambda: to_html(result)  # noqa: E731
        elif method == "bertviz":
            import bertviz  # noqa: F401

            model(x, kept=kept)
            work = head_view
        else:
            work = {"plain": lambda: model(x), "captured": lambda: captured(x), "eager": lambda: model(x, kept=kept)}[
                method
            ]
        Path("/proc/self/clear_refs").write_text("5", "utf-8")  # resets the peak
        before, start = resident_bytes("VmRSS"), time.perf_counter()
        output = work()
        seconds = time.perf_counter() - start
    growth = resident_bytes("VmHWM") - before
    print(
        json.dumps(
            {"seconds": seconds, "memory": growth, "size": len(output.encode()) if isinstance(output, str) else 0}
        )
    )


def resident_bytes(name: str) -> int:
    """Returns resident memory now (``VmRSS``) or at its peak (``VmHWM``), in bytes."""
    return int(STATUS.read_text("utf-8").split(f"{name}:")[1].split()[0]) * 1024


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
