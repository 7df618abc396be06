"""How much memory one way of running the model takes, in a process of its own: prints bytes."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from model import HEADS, LAYERS, SIZE, Model

import mmviz


def main(way: str, count: int) -> None:
    """Print by how many bytes the peak of resident memory grows; ``way``: plain, captured, eager or bertviz."""
    model, x = Model().eval(), torch.randn(1, count, SIZE)
    with torch.no_grad():
        with mmviz.capture(model):  # what is loaded at the first time does not count
            model(x[:, :64], kept=[] if way == "eager" else None)
        if way == "bertviz":
            from head_view import view

            maps = [torch.rand(1, HEADS, count, count) for _ in range(LAYERS)]
            before = peak()
            view(maps)
        else:
            before = peak()
            if way == "plain":
                model(x)
            elif way == "eager":
                kept: list[torch.Tensor] = []
                model(x, kept=kept)
            else:
                with mmviz.capture(model):
                    model(x)
    print(peak() - before)


def peak() -> int:
    """The most resident memory so far, in bytes (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
