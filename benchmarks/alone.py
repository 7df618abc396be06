"""One way of working in a process of its own, which tells what it took: prints JSON."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

RUNS = 3
STATUS = Path("/proc/self/status")


def alone(way: str, count: int) -> dict[str, float]:
    """``seconds``, ``memory`` (bytes by which the peak of resident memory grew over what was there before) and
    ``size`` (bytes of the HTML, 0 where there is none), medians of `RUNS` fresh processes.

    ``way``: plain, captured or eager, a forward pass with everything kept; or mmviz or bertviz, from what such a pass
    kept to the HTML of all layers and heads.
    """
    command = [sys.executable, __file__, way, str(count)]
    runs = [json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(RUNS)]
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def main(way: str, count: int) -> None:
    """Do it in this process. Needs Linux, which tells the peak of resident memory."""
    import torch
    from model import SIZE, Model

    import mmviz
    from mmviz.capture import CaptureResult

    model = Model().eval()
    kept: list[torch.Tensor] = []

    def captured(x: torch.Tensor) -> CaptureResult:
        with mmviz.capture(model) as seen:
            model(x)
        return seen

    def to_html(seen: CaptureResult) -> str:
        return mmviz.Run(mmviz.Sample(), seen.record()).to_html()

    def head_view() -> str:
        from bertviz import head_view

        return str(head_view(kept, [str(k) for k in range(count)], html_action="return").data)

    torch.manual_seed(1)
    x, small = torch.randn(1, count, SIZE), torch.randn(1, 64, SIZE)
    with torch.no_grad():
        model(small), to_html(captured(small))  # what is loaded at the first time does not count
        work: Callable[[], object]
        if way == "mmviz":
            seen = captured(x)
            work = lambda: to_html(seen)  # noqa: E731
        elif way == "bertviz":
            import bertviz  # noqa: F401

            model(x, kept=kept)
            work = head_view
        else:
            work = {"plain": lambda: model(x), "captured": lambda: captured(x), "eager": lambda: model(x, kept=kept)}[
                way
            ]
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before, start = told("VmRSS"), time.perf_counter()
        made = work()
        seconds = time.perf_counter() - start
    growth = told("VmHWM") - before
    print(
        json.dumps({"seconds": seconds, "memory": growth, "size": len(made.encode()) if isinstance(made, str) else 0})
    )


def told(name: str) -> int:
    """Resident memory now (``VmRSS``) or at its peak (``VmHWM``), in bytes."""
    return int(STATUS.read_text().split(f"{name}:")[1].split()[0]) * 1024


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
