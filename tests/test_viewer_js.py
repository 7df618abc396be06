"""The viewer's JavaScript under Node's own test runner, against containers and values that Python writes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from records import alternating, cross, one_token, plain, towers

from mmviz.analysis.available_maps import streams_of
from mmviz.analysis.modality_matrix import modality_matrix
from mmviz.explain import Run
from mmviz.figures.colour_scale import brightness, cividis, short
from mmviz.report import ViewerData
from mmviz.types import MODALITIES, MapRef, Token
from mmviz.viewer.binary_format import decode
from mmviz.viewer.quantization import decode as dequantize

FOLDER = Path(__file__).parent / "js"
RUNS = (plain, cross, towers, one_token, alternating)


def test_node_agrees_with_python(tmp_path: Path, node: str) -> None:
    for build in RUNS:
        data = ViewerData(build()).to_bytes()
        (tmp_path / f"{build.__name__}.mmvw").write_bytes(data)
        content = json.dumps(expected_content(build(), data))
        (tmp_path / f"{build.__name__}.json").write_text(content, encoding="utf-8")
    for name, values in (("digits", digits()), ("codes", codes()), ("colours", colours())):
        (tmp_path / f"{name}.json").write_text(json.dumps(values))
    tests = sorted(str(path) for path in FOLDER.glob("*.test.mjs"))
    environment = os.environ | {"MMVIZ_GOLDEN": str(tmp_path)}
    process = subprocess.run(
        [node, "--test", *tests], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert process.returncode == 0, process.stdout[-4000:] + process.stderr[-2000:]
    assert "# fail 0" in process.stdout or "ℹ fail 0" in process.stdout


def expected_content(run: Run, data: bytes) -> dict[str, Any]:
    """Returns what the container must hold, computed from the record where it can be."""
    header, sections = decode(data)
    del header["sections"]
    content: dict[str, Any] = {"header": header, "maps": {}, "sections": {}}
    for name, section in sections.items():
        values = section.values.astype(np.float64 if section.values.dtype.kind == "f" else np.int64)
        content["sections"][name] = {"shape": list(section.values.shape), "values": values.ravel().tolist()}
    for ref in header["map_refs"]:
        section = sections[f"codes/{ref}"]
        assert section.decade is not None
        values = dequantize(section.values, section.decade)
        streams = streams_of(run.record, MapRef.parse(ref))
        queries, keys = (run.record.streams[stream] for stream in streams)
        measures = modality_matrix(values, queries, keys)
        rows, columns = ([MODALITIES.index(kind) for kind in kinds] for kinds in (measures.queries, measures.keys))
        is_relevance = ref.endswith("relevance")
        row_sums = np.zeros((4, 1))
        row_sums[rows, 0] = measures.sums.sum(axis=1)
        matrix = {}
        for measure, part in (("sums", measures.sums), ("per-token", measures.per_token), ("ratio", measures.ratio)):
            full = np.zeros((4, 4))
            full[np.ix_(rows, columns)] = part
            if measure == "ratio" and is_relevance:
                full /= np.where(row_sums > 0, row_sums, 1)
            matrix[measure] = full.ravel().tolist()
        content["maps"][ref] = {
            "values": values.ravel().tolist(),
            "streams": list(streams),
            "matrix": matrix,
            "views": [
                expected_view(values, group, direction, keys if direction == "from" else queries, is_relevance)
                for direction, count in (("from", len(queries)), ("to", len(keys)))
                for group in ([0], [count - 1], sorted({0, count // 2, count - 1}))
            ],
        }
    return content


def expected_view(
    values: np.ndarray[Any, Any], group: list[int], direction: str, lit: tuple[Token, ...], is_relevance: bool
) -> dict[str, Any]:
    """Returns the mean attention of a group of tokens over the tokens ``lit``, and its sums by modality.

    Uniform attention gives each key the weight 1 / keys, in both directions; relevance has only its own mean.
    """
    amounts = (values[group] if direction == "from" else values[:, group].T).mean(axis=0)
    members = [[token.modality is kind for token in lit] for kind in MODALITIES]
    sums = [float(amounts[mask].sum()) for mask in members]
    per_token = [total / max(1, sum(mask)) for total, mask in zip(sums, members, strict=True)]
    usual = amounts.mean() if is_relevance else 1 / values.shape[1]
    return {
        "tokens": group, "direction": direction, "amounts": amounts.tolist(), "sums": sums, "perToken": per_token,
        "ratio": [mean / usual for mean in per_token],
    }  # fmt: skip


def digits() -> list[tuple[float, str, str]]:
    """Returns amounts of every size, ties among them, with two and with three digits."""
    rng = np.random.default_rng(8)
    random = (10 ** rng.uniform(-5, 2.99, 2000)).astype(np.float32).astype(float)
    ties = [k / 1024 for k in range(1025)] + [9.95, 9.949999, 9.995, 10.5, 11.5, 12.5, 99.5, 99.95, 100.5]
    ties += [0.0, 0.0001, 0.00009999]
    return [(amount, short(amount), three_digits(amount)) for amount in [*random.tolist(), *ties]]


def three_digits(amount: float) -> str:
    if amount == 0 or amount < 0.0001:
        return short(amount)
    return f"{amount:#.3g}".rstrip(".")


def codes() -> dict[int, list[tuple[int, float]]]:
    """Returns a few thousand codes and their amounts, for each of some decades."""
    chosen = np.unique(np.append(np.arange(0, 64_000, 37), [0, 1, 9_999, 10_000, 18_999, 19_000, 63_999]))
    return {
        decade: list(zip(chosen.tolist(), dequantize(chosen.astype(np.uint16), decade).tolist(), strict=True))
        for decade in (-4, -1, 0, 3)
    }


def colours() -> dict[str, list[tuple[float, Any]]]:
    """Returns colours along the scale, and the brightness of amounts on a scale up to 0.5."""
    shares = np.arange(0, 256, 15) / 255
    amounts = np.linspace(0, 0.7, 15)
    return {
        "cividis": list(zip(shares.tolist(), cividis(shares).tolist(), strict=True)),
        "light": list(zip(amounts.tolist(), brightness(amounts, 0.5).tolist(), strict=True)),
    }
