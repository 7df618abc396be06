"""Cost of the table of routes, in forward passes: ``python benchmarks/routes.py``.

Each table takes turns with forward passes of its model, so that both meet the same load; the figures are medians. A
pass is the bare call of the model: no inputs are read, and nothing is recorded. "One by one" is a run of its own for
each cut, as many times that of one of them. The custom model is six layers of
``torch.nn.TransformerEncoderLayer``; the Hugging Face model is a LLaVA of random weights that writes its answer.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from tiny_checkpoints import save_checkpoint

import mmviz
from mmviz.backends.local import LocalBackend
from mmviz.backends.local.written_answer import answering
from mmviz.experiments.route_cut import ROUTES, measure_routes, route_cells, route_windows
from mmviz.inputs.examples import load_gallery
from mmviz.models.custom_model_factory import load
from mmviz.models.trio_model import BundledTrio
from mmviz.types import Modality, Request, Sample, Token

LAYERS, WIDTH, HEADS = 6, 192, 4
TOKENS = {Modality.SPECIAL: 1, Modality.IMAGE: 144, Modality.TEXT: 12, Modality.AUDIO: 50}
PASSES = 3
"""Forward passes of a turn."""


class Custom(nn.Module):
    """Six layers over tokens of three modalities ``[batch, token, WIDTH]``, to two logits."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.answer = nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.answer(self.layers(x)[:, 0])
        return logits


def prepare(_: Sample) -> tuple[Tensor, list[Token]]:
    """Returns as many tokens as a run of trio has."""
    kinds = [kind for kind, count in TOKENS.items() for _ in range(count)]
    rng = torch.Generator().manual_seed(1)
    return torch.randn(1, len(kinds), WIDTH, generator=rng), [
        Token(kind, f"{kind} {k}") for k, kind in enumerate(kinds)
    ]


def main() -> None:
    """Prints one row for each model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=7, help="measured turns after a warm-up")
    turns = parser.parse_args().turns
    example = next(example for example in load_gallery() if example.id == "spoken-place").sample()
    with tempfile.TemporaryDirectory() as folder:
        models: dict[str, tuple[Any, Sample]] = {
            "trio": (BundledTrio("cpu"), example),
            "custom": (mmviz.CustomModel(Custom(), prepare, ["yes", "no"], trained=False, answer_token=0), example),
            "LLaVA, tiny": (
                load(f"hf:{save_checkpoint('llava', Path(folder))}", "cpu"), Sample(example.image, example.text),
            ),
        }  # fmt: skip
        rows = [_row(name, model, sample, turns) for name, (model, sample) in models.items()]
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}; medians of {turns}\n")
    print("| model | routes x windows of layers | cuts | a pass (ms) | table, in passes | one by one, in passes |")
    print("|---|---|---|---|---|---|\n" + "\n".join(rows))


def _row(name: str, model: Any, sample: Sample, turns: int) -> str:
    backend = LocalBackend("cpu", {"measured": model})
    record = backend.run([Request("measured", sample)])[0]
    request = Request("measured", sample, answer=tuple(record.made_by.get("answer", ())))
    windows = route_windows(record)[:-1]
    cells = route_cells(record, windows, ROUTES[:9])
    routes = {(cell.queries, cell.keys) for cell in cells}
    answered = answering(model, sample, request.answer) if request.answer else model
    tensors = answered.prepare(sample).tensors
    alone = replace(request, changes=(cells[len(cells) // 2].cut,), maps=False)
    times: list[tuple[float, float, float]] = []
    with torch.no_grad():
        for _ in range(turns + 1):
            of_pass = _seconds(lambda: [answered(tensors) for _ in range(PASSES)]) / PASSES
            of_table = _seconds(lambda: measure_routes(backend, request, record, cells))
            times.append((of_pass, of_table / of_pass, len(cells) * _seconds(lambda: backend.run([alone])) / of_pass))
    of_pass, of_table, one_by_one = map(statistics.median, zip(*times[1:], strict=True))  # the first is a warm-up
    return (
        f"| {name} | {len(routes)} x {len(windows)} | {len(cells)} | {1e3 * of_pass:.1f} | {of_table:.1f} "
        f"| {one_by_one:.0f} |"
    )


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
