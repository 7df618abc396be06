"""The viewer's JavaScript under Node's own test runner, against containers and values that Python writes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from records import alternating, cross, one_token, plain

from mmviz.analysis.map_refs import streams_of
from mmviz.analysis.modality_matrix import modality_matrix
from mmviz.explain import Run
from mmviz.figures.colour_scale import cividis, light, short
from mmviz.report import ViewerData
from mmviz.types import MODALITIES, Token
from mmviz.viewer.codes import decode as amounts_of
from mmviz.viewer.container import decode

FOLDER = Path(__file__).parent / "js"
GOLDEN = (plain, cross, one_token, alternating)


def test_node_agrees_with_python(tmp_path: Path, node: str) -> None:
    for made in GOLDEN:
        data = ViewerData(made()).to_bytes()
        (tmp_path / f"{made.__name__}.mmvw").write_bytes(data)
        (tmp_path / f"{made.__name__}.json").write_text(json.dumps(expected(made(), data)), encoding="utf-8")
    (tmp_path / "digits.json").write_text(json.dumps(digits()))
    (tmp_path / "codes.json").write_text(json.dumps(codes()))
    (tmp_path / "colours.json").write_text(json.dumps(colours()))
    tests = sorted(str(path) for path in FOLDER.glob("*.test.mjs"))
    done = subprocess.run(
        [node, "--test", *tests], env=os.environ | {"MMVIZ_GOLDEN": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "# fail 0" in done.stdout or "ℹ fail 0" in done.stdout


def expected(run: Run, data: bytes) -> dict[str, Any]:
    """What the container must say, worked out from the record where it can be."""
    header, sections = decode(data)
    del header["sections"]
    found: dict[str, Any] = {"header": header, "planes": {}, "sections": {}}
    for name, section in sections.items():
        values = section.values.astype(np.float64 if section.values.dtype.kind == "f" else np.int64)
        found["sections"][name] = {"shape": list(section.values.shape), "values": values.ravel().tolist()}
    for plane in header["planes"]:
        section = sections[f"codes/{plane}"]
        assert section.decade is not None
        values = amounts_of(section.values, section.decade)
        pair = streams_of(run.record, plane)
        queries, keys = (run.record.streams[stream] for stream in pair)
        whole = modality_matrix(values, queries, keys)
        rows, columns = ([MODALITIES.index(kind) for kind in kinds] for kinds in (whole.queries, whole.keys))
        matrix = {}
        for which, part in (("sums", whole.sums), ("perToken", whole.per_token), ("ratio", whole.ratio)):
            filled = np.zeros((4, 4))
            filled[np.ix_(rows, columns)] = part
            matrix[which] = filled.ravel().tolist()
        found["planes"][plane] = {
            "values": values.ravel().tolist(),
            "streams": list(pair),
            "matrix": matrix,
            "views": [
                view(values, group, direction, keys if direction == "from" else queries)
                for direction, count in (("from", len(queries)), ("to", len(keys)))
                for group in ([0], [count - 1], sorted({0, count // 2, count - 1}))
            ],
        }
    return found


def view(values: np.ndarray[Any, Any], group: list[int], direction: str, lit: tuple[Token, ...]) -> dict[str, Any]:
    """A group of tokens that asks, or is asked, together."""
    amounts = (values[group] if direction == "from" else values[:, group].T).mean(axis=0)
    inside = [[token.modality is kind for token in lit] for kind in MODALITIES]
    sums = [float(amounts[kind].sum()) for kind in inside]
    per_token = [total / max(1, sum(kind)) for total, kind in zip(sums, inside, strict=True)]
    return {
        "tokens": group, "direction": direction, "amounts": amounts.tolist(), "sums": sums, "perToken": per_token,
        "ratio": [mean * len(lit) for mean in per_token],
    }  # fmt: skip


def digits() -> list[tuple[float, str, str]]:
    """Amounts of every size, ties among them, with two and with three digits."""
    rng = np.random.default_rng(8)
    random = (10 ** rng.uniform(-5, 2.99, 2000)).astype(np.float32).astype(float)
    ties = [k / 1024 for k in range(1025)] + [9.95, 9.949999, 9.995, 10.5, 11.5, 12.5, 99.5, 99.95, 100.5]
    ties += [0.0, 0.0001, 0.00009999]
    return [(amount, short(amount), three(amount)) for amount in [*random.tolist(), *ties]]


def three(amount: float) -> str:
    """Three digits that count."""
    if amount == 0 or amount < 0.0001:
        return short(amount)
    return f"{amount:#.3g}".rstrip(".")


def codes() -> dict[int, list[tuple[int, float]]]:
    """A few thousand codes and their amounts, for each of some decades."""
    chosen = np.unique(np.append(np.arange(0, 64_000, 37), [0, 1, 9_999, 10_000, 18_999, 19_000, 63_999]))
    return {
        decade: list(zip(chosen.tolist(), amounts_of(chosen.astype(np.uint16), decade).tolist(), strict=True))
        for decade in (-4, -1, 0, 3)
    }


def colours() -> dict[str, list[tuple[float, Any]]]:
    """Colours of steps of the scale, and the light of amounts on a scale up to 0.5."""
    steps = np.arange(0, 256, 15) / 255
    amounts = np.linspace(0, 0.7, 15)
    return {
        "cividis": list(zip(steps.tolist(), cividis(steps).tolist(), strict=True)),
        "light": list(zip(amounts.tolist(), light(amounts, 0.5).tolist(), strict=True)),
    }
