"""Attention steps recomputed by Python and by the viewer's JavaScript equal torch to 1e-5, for every layer and head."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import step_runs
import torch

from mmviz.analysis.attention_steps import (
    attention_weights,
    differences,
    head_output,
    projected_output,
    softmax_weights,
    weighted_values,
)
from mmviz.explain import Run
from mmviz.io.run_file import from_bytes, to_bytes
from mmviz.report import ViewerData, viewer_data
from mmviz.types import MODALITIES, CaptureError, MmvizError
from mmviz.viewer.binary_format import decode

TOLERANCE = 1e-5
"""Of weights; of vectors it is relative to their largest number, since float32 rounds relative to size."""
RUNS: dict[str, Callable[[], Run]] = {"trio": step_runs.trio_run, "masked": lambda: step_runs.masked_run()[0]}
SCRIPT = Path(__file__).parent / "js" / "computeSteps.mjs"
FIELDS = {"weights": "weights", "attnOutput": "attn_output", "output": "output"}
"""Names of the computed steps in JavaScript and in Python."""


def query_list(run: Run, per_modality: int = 3) -> list[dict[str, Any]]:
    """Returns every map and head of a run, with some queries of each modality."""
    queries = []
    for number, attn_map in enumerate(run.record.maps):
        tokens = run.record.streams[attn_map.queries]
        groups = [[k for k, token in enumerate(tokens) if token.modality is modality] for modality in MODALITIES]
        chosen = sorted(
            {group[len(group) * k // per_modality] for group in groups if group for k in range(per_modality)}
        )
        queries += [{"map": number, "head": head, "query": q} for head in range(attn_map.heads) for q in chosen]
    return queries


def torch_steps(run: Run, query: dict[str, Any]) -> dict[str, np.ndarray]:
    """Returns what torch computes for one entry of a `query_list` and its edits, in float64."""
    steps, head, token = run.record.steps[query["map"]], query["head"], query["query"]
    edits = query.get("edits") or {"temperature": 1, "isScaled": True, "blocked": [], "scores": []}
    arrays = {name: torch.from_numpy(np.array(array)).double() for name, array in steps.arrays()}
    raw = arrays["key"][head] @ arrays["query"][head, token]
    for key, score in edits["scores"]:
        raw[key] = score
    logits = raw * (steps.scale if edits["isScaled"] else 1)
    if steps.mask is not None:
        logits = logits + arrays["mask"][head if len(steps.mask) > 1 else 0, token]
    logits[edits["blocked"]] = -torch.inf
    weights = torch.softmax(logits / edits["temperature"], -1).nan_to_num()
    attn_output = weights @ arrays["value"][head]
    heads = arrays["attn_output"][:, token].clone()  # the model's own for the other heads
    heads[head] = attn_output
    output = torch.nn.functional.linear(heads.flatten(), arrays["projection"], arrays["bias"])
    return {"weights": weights.numpy(), "attn_output": attn_output.numpy(), "output": output.numpy()}


def node_steps(node: str, run: Run, queries: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Returns what the viewer's JavaScript computes for each entry of a `query_list`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(viewer_data, "MAX_BYTES", 100_000_000)  # the steps of all maps, towers too
        (folder / "run.mmvw").write_bytes(ViewerData(run).to_bytes())
    (folder / "queries.json").write_text(json.dumps(queries))
    command = [node, str(SCRIPT), *(str(folder / name) for name in ("run.mmvw", "queries.json", "results.json"))]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    results: list[dict[str, Any]] = json.loads((folder / "results.json").read_text())
    return results


def max_difference(values: Any, expected: Any) -> float:
    return float(np.abs(np.asarray(values, np.float64) - expected).max())


def tolerance(values: Any) -> float:
    return TOLERANCE * max(1.0, float(np.abs(values).max()))


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_javascript_equals_torch_for_every_layer_and_head(
    name: str, node: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RUNS[name]()
    queries = query_list(run)
    assert {(query["map"], query["head"]) for query in queries} == {
        (number, head) for number, attn_map in enumerate(run.record.maps) for head in range(attn_map.heads)
    }
    largest = dict.fromkeys(FIELDS, 0.0)
    for query, result in zip(queries, node_steps(node, run, queries, tmp_path), strict=True):
        number, head, token = query.values()
        steps = run.record.steps[number]
        model = {
            "weights": (run.record.maps[number].weights[head, token], TOLERANCE),
            "attnOutput": (steps.attn_output[head, token], tolerance(steps.value)),
            "output": (steps.output[token], tolerance(steps.output)),
        }
        for field, (expected, limit) in model.items():
            difference = max_difference(result[field], expected)
            largest[field] = max(largest[field], difference)
            assert difference < limit, (query, field)
            assert result["differences"][field] == pytest.approx(difference, abs=1e-12)
            assert max_difference(result[field], torch_steps(run, query)[FIELDS[field]]) < TOLERANCE
    with capsys.disabled():
        print(f"\n{name}: {len(queries)} queries, largest difference of JavaScript from torch {largest}")


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_edits_in_javascript_equal_torch(name: str, node: str, tmp_path: Path) -> None:
    run = RUNS[name]()
    queries = []
    for k, query in enumerate(query_list(run, 1)):
        keys = run.record.streams[run.record.maps[query["map"]].keys]
        blocked = [index for index, token in enumerate(keys) if token.modality is MODALITIES[k % 4]]
        edits = {
            "temperature": (0.1, 0.5, 2, 10)[k % 4], "isScaled": k % 3 > 0, "blocked": blocked if k % 2 else [],
            "scores": [[k % len(keys), 5.5 - k]] if k % 5 else [],
        }  # fmt: skip
        queries.append(query | {"edits": edits})
    for query, result in zip(queries, node_steps(node, run, queries, tmp_path), strict=True):
        expected = torch_steps(run, query)
        for field, name_in_python in FIELDS.items():
            assert max_difference(result[field], expected[name_in_python]) < TOLERANCE, (query, field)


def test_a_fully_masked_head_leaves_only_the_other_heads(node: str, tmp_path: Path) -> None:
    run = step_runs.trio_run()
    edits = {"temperature": 1, "isScaled": True, "blocked": list(range(len(run.tokens))), "scores": []}
    (result,) = node_steps(node, run, [{"map": 2, "head": 1, "query": 0, "edits": edits}], tmp_path)
    assert not any(result["weights"]) and not any(result["attnOutput"]) and result["sum"] == 0
    other_heads = projected_output(run.record.steps[2], 0, {1: np.zeros(48)})
    assert max_difference(result["output"], other_heads) < 1e-9


@pytest.mark.parametrize("name", RUNS)
def test_python_equals_torch_for_every_layer_and_head(name: str) -> None:
    run = RUNS[name]()
    for query in query_list(run):
        number, head, token = query.values()
        steps = run.record.steps[number]
        weights = attention_weights(steps, head, token)
        assert weights.dtype == np.float64
        assert max_difference(weights, run.record.maps[number].weights[head, token]) < TOLERANCE
        of_values, of_output = tolerance(steps.value), tolerance(steps.output)
        assert max_difference(weighted_values(weights, steps.value[head]), steps.attn_output[head, token]) < of_values
        assert max_difference(projected_output(steps, token), steps.output[token]) < of_output
        errors = differences(steps, run.record.maps[number].weights, head, token)
        assert errors.weights < TOLERANCE and errors.attn_output < of_values and errors.output < of_output
        doubled = projected_output(steps, token, {head: 2 * head_output(steps, head, token)})
        part = steps.projection.astype(np.float64).reshape(len(steps.projection), steps.heads, -1)[:, head]
        change = doubled - projected_output(steps, token)
        assert max_difference(change, part @ head_output(steps, head, token)) < 1e-9


def test_steps_of_masked_multi_head_attention_equal_the_module_itself() -> None:
    """Compared with a call of the module, not with what was captured of it."""
    run, model, (x, memory, causal_mask, cross_mask) = step_runs.masked_run()
    with torch.no_grad():
        first, first_weights = model.self_attention(x, x, x, attn_mask=causal_mask, average_attn_weights=False)
        second, second_weights = model.cross_attention(
            first, memory, memory, attn_mask=cross_mask, average_attn_weights=False
        )
    outputs = ((first_weights[0], first[0]), (second_weights[0], second[0]))
    for steps, (weights, output) in zip(run.record.steps, outputs, strict=True):
        for head in range(step_runs.HEADS):
            for query in range(step_runs.QUERIES):
                recomputed = attention_weights(steps, head, query)
                assert max_difference(recomputed, weights[head, query].numpy()) < TOLERANCE
                assert max_difference(projected_output(steps, query), output[query].numpy()) < TOLERANCE
    mask = run.record.steps[1].mask
    assert np.isneginf(mask).any() and np.ptp(mask[np.isfinite(mask)]) > 0.1, "it masks keys and adds to scores"


def test_the_temperature_and_its_limits() -> None:
    scores = np.array([1.0, 0.0, -np.inf])
    assert softmax_weights(scores, 2) == pytest.approx([1 / (1 + math.exp(-0.5)), 1 / (1 + math.exp(0.5)), 0])
    assert softmax_weights(scores + 1e4, 0.1)[0] > 0.9999 and not softmax_weights(scores[2:]).any()
    for temperature in (0, -1, math.nan):
        with pytest.raises(ValueError, match="above 0"):
            softmax_weights(scores, temperature)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_steps_survive_the_run_file(name: str) -> None:
    run = RUNS[name]()
    loaded = Run(*from_bytes(run.to_bytes()))
    assert loaded.record.steps == run.record.steps
    assert not loaded.record.steps[0].query.flags.writeable


def unchecked(steps: Any, **changes: Any) -> Any:
    """Returns a copy of ``steps`` with some fields replaced, which its constructor would refuse."""
    copy = object.__new__(type(steps))
    for field, value in {**vars(steps), **changes}.items():
        object.__setattr__(copy, field, value)
    return copy


@pytest.mark.parametrize(
    "changes",
    [{"scale": "x"}, {"scale": math.inf}, {"query": np.full((3, 5, 8), np.inf, np.float32)},
     {"query": np.ones((3, 5, 7), np.float32)}, {"attn_output": np.full((3, 5, 8), np.nan, np.float32)},
     {"ablated_heads": (3,)}],
)  # fmt: skip
def test_damaged_steps_in_a_run_file_are_refused(changes: dict[str, Any]) -> None:
    run = step_runs.masked_run()[0]
    first, second = run.record.steps
    record = replace(run.record)
    object.__setattr__(record, "steps", (unchecked(first, **changes), second))
    with pytest.raises(MmvizError):
        from_bytes(to_bytes(run.sample, record))


def test_a_record_has_one_steps_for_each_map_in_order() -> None:
    record = step_runs.masked_run()[0].record
    for steps in (record.steps[:1], record.steps[::-1]):
        with pytest.raises(CaptureError) as error:
            replace(record, steps=steps)
        assert error.value.code == "steps-shape"


def step_maps(data: bytes) -> set[str]:
    """Returns the numbers of the maps whose steps are in a container."""
    return {name.split("/")[1] for name in decode(data)[1] if name.startswith("steps/")}


def test_the_viewer_gets_all_steps_at_once_or_those_it_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    run = step_runs.trio_run()
    header, sections = decode(ViewerData(run).to_bytes())
    assert [steps["ablated_heads"] for steps in header["steps"]] == [[]] * len(run.record.maps) == [[]] * 10
    assert step_maps(ViewerData(run).to_bytes()) == set("012345"), "all of the fusion; towers are requested"
    for number, steps in enumerate(run.record.steps[:6]):
        for name, array in steps.arrays():
            if name == "context":  # the same as state in self-attention
                assert f"steps/{number}/context" not in sections
                continue
            assert np.array_equal(sections[f"steps/{number}/{name}"].values.reshape(array.shape), array)
        assert np.array_equal(sections[f"steps/{number}/weights"].values, run.record.maps[number].weights)
    assert len(ViewerData(run).to_bytes()) < viewer_data.MAX_BYTES
    tower = decode(ViewerData(run).encode_sections(["steps/9"]))[1]
    assert np.array_equal(tower["steps/9/query"].values, run.record.steps[9].query)
    monkeypatch.setattr(viewer_data, "MAX_BYTES", 9_000_000)
    view = {**ViewerData(run).initial_view, "map": "3:1"}
    few = ViewerData(run).to_bytes(view)
    assert len(few) <= 9_000_000
    assert "3" in step_maps(few) and len(step_maps(few)) < 6, "the layer on display comes first"
    monkeypatch.setattr(viewer_data, "MAX_BYTES", 100_000)
    assert step_maps(ViewerData(run).to_bytes(view)) == {"3"}
    flow = {**view, "map": "rollout"}
    assert "steps/5/query" in decode(ViewerData(run).to_bytes(flow))[1], "for a flow, the last layer"
    answer = ViewerData(run).encode_sections(["steps/5"])
    assert step_maps(answer) == {"5"}
    assert np.array_equal(decode(answer)[1]["steps/5/query"].values, run.record.steps[5].query)
    for name in ("steps/10", "steps/-1", "steps/x", "steps/"):
        with pytest.raises(LookupError):
            ViewerData(run).encode_sections([name])


def test_keys_of_another_stream_come_with_their_own_tokens() -> None:
    _, sections = decode(ViewerData(step_runs.masked_run()[0]).to_bytes())
    assert "steps/0/context" not in sections and "steps/1/context" in sections
    assert sections["steps/1/bias"].values.shape == (1, 1, step_runs.WIDTH)
    assert sections["steps/0/mask"].values.shape == (1, 5, 5)


def test_a_run_without_steps_sends_none() -> None:
    run = step_runs.trio_run()
    bare = replace(run, record=replace(run.record, steps=()))
    header, sections = decode(ViewerData(bare).to_bytes())
    assert header["steps"] is None and not any(name.startswith("steps") for name in sections)
    with pytest.raises(LookupError):
        ViewerData(bare).encode_sections(["steps/0"])
