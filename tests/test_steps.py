"""Steps worked out by Python and by the browser's JavaScript equal torch to 1e-5, for every layer and head."""

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
    differences,
    head_of,
    mask_of,
    mixed_of,
    output_of,
    scaled,
    scores,
    weights_of,
)
from mmviz.explain import Run
from mmviz.io.run_file import from_bytes, to_bytes
from mmviz.report import ViewerData
from mmviz.report import viewer_data as scene
from mmviz.types import CaptureError, MmvizError, Modality
from mmviz.viewer.container import decode

CLOSE = 1e-5
RUNS: dict[str, Callable[[], Run]] = {"trio": step_runs.trio, "masked": lambda: step_runs.masked()[0]}
WORK = Path(__file__).parent / "js" / "work.mjs"


def places(run: Run, queries: int = 3) -> list[dict[str, Any]]:
    """Every map and head, with some queries of each modality."""
    found = []
    for number, one in enumerate(run.record.maps):
        tokens = run.record.streams[one.queries]
        of = [[k for k, token in enumerate(tokens) if token.modality is kind] for kind in Modality]
        chosen = sorted({same[len(same) * k // queries] for same in of if same for k in range(queries)})
        found += [{"map": number, "head": h, "query": q} for h in range(one.heads) for q in chosen]
    return found


def in_torch(run: Run, place: dict[str, Any]) -> dict[str, np.ndarray]:
    """What torch makes of one place and of its edits, in double precision."""
    steps, head, query = run.record.steps[place["map"]], place["head"], place["query"]
    edits = place.get("edits") or {"temperature": 1, "isScaled": True, "blocked": [], "scores": []}
    parts = {name: torch.from_numpy(np.array(part)).double() for name, part in steps.arrays()}
    raw = parts["key"][head] @ parts["query"][head, query]
    for key, score in edits["scores"]:
        raw[key] = score
    seen = raw * (steps.scale if edits["isScaled"] else 1)
    if steps.mask is not None:
        seen = seen + parts["mask"][head if len(steps.mask) > 1 else 0, query]
    seen[edits["blocked"]] = -torch.inf
    weights = torch.softmax(seen / edits["temperature"], -1).nan_to_num()
    attn_output = weights @ parts["value"][head]
    everyone = parts["mixed"][:, query].clone()  # what the model itself had of the other heads
    everyone[head] = attn_output
    output = torch.nn.functional.linear(everyone.flatten(), parts["projection"], parts["bias"])
    return {name: one.numpy() for name, one in (("weights", weights), ("mixed", attn_output), ("output", output))}


def in_node(node: str, run: Run, asked: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    (folder / "run.mmvw").write_bytes(ViewerData(run).to_bytes())
    (folder / "asked.json").write_text(json.dumps(asked))
    command = [node, str(WORK), *(str(folder / name) for name in ("run.mmvw", "asked.json", "found.json"))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads((folder / "found.json").read_text())
    return found


def worst(found: Any, expected: Any) -> float:
    return float(np.abs(np.asarray(found, np.float64) - expected).max())


@pytest.mark.parametrize("name", RUNS)
def test_node_equals_torch_for_every_layer_and_head(
    name: str, node: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RUNS[name]()
    asked = places(run)
    assert {(one["map"], one["head"]) for one in asked} == {
        (k, head) for k, one in enumerate(run.record.maps) for head in range(one.heads)
    }
    largest: dict[str, float] = {"weights": 0, "mixed": 0, "output": 0}
    for place, found in zip(asked, in_node(node, run, asked, tmp_path), strict=True):
        number, head, query = place.values()
        steps = run.record.steps[number]
        own = {
            "weights": run.record.maps[number].weights[head, query],
            "mixed": steps.attn_output[head, query],
            "output": steps.output[query],
        }
        for what, expected in own.items():
            difference = worst(found[what], expected)
            largest[what] = max(largest[what], difference)
            assert difference < CLOSE, (place, what)
            assert found["differences"][what] == pytest.approx(difference, abs=1e-12)
            assert worst(found[what], in_torch(run, place)[what]) < CLOSE
    with capsys.disabled():
        print(f"\n{name}: {len(asked)} places, largest difference of JavaScript to torch {largest}")


@pytest.mark.parametrize("name", RUNS)
def test_edits_in_node_equal_torch(name: str, node: str, tmp_path: Path) -> None:
    run = RUNS[name]()
    asked = []
    for k, place in enumerate(places(run, 1)):
        keys = run.record.streams[run.record.maps[place["map"]].keys]
        kind = list(Modality)[k % 4]
        blocked = [at for at, token in enumerate(keys) if token.modality is kind]
        edits = {
            "temperature": (0.1, 0.5, 2, 10)[k % 4], "isScaled": k % 3 > 0, "blocked": blocked if k % 2 else [],
            "scores": [[k % len(keys), 5.5 - k]] if k % 5 else [],
        }  # fmt: skip
        asked.append(place | {"edits": edits})
    for place, found in zip(asked, in_node(node, run, asked, tmp_path), strict=True):
        for what, expected in in_torch(run, place).items():
            assert worst(found[what], expected) < CLOSE, (place, what)


def test_a_mask_over_everything_leaves_only_the_other_heads(node: str, tmp_path: Path) -> None:
    run = step_runs.trio()
    count = len(run.tokens)
    edits = {"temperature": 1, "isScaled": True, "blocked": list(range(count)), "scores": []}
    place = {"map": 2, "head": 1, "query": 0, "edits": edits}
    (found,) = in_node(node, run, [place], tmp_path)
    assert not any(found["weights"]) and not any(found["mixed"]) and found["sum"] == 0
    others = output_of(run.record.steps[2], 0, {1: np.zeros(48)})
    assert worst(found["output"], others) < 1e-9


@pytest.mark.parametrize("name", RUNS)
def test_python_equals_torch_for_every_layer_and_head(name: str) -> None:
    run = RUNS[name]()
    for place in places(run):
        number, head, query = place.values()
        steps = run.record.steps[number]
        weights = weights_of(scaled(steps, scores(steps, head, query)), 1, mask_of(steps, head, query))
        assert weights.dtype == np.float64
        assert worst(weights, run.record.maps[number].weights[head, query]) < CLOSE
        assert worst(mixed_of(weights, steps.value[head]), steps.attn_output[head, query]) < CLOSE
        assert worst(output_of(steps, query), steps.output[query]) < CLOSE
        found = differences(steps, run.record.maps[number].weights, head, query)
        assert max(found.weights, found.attn_output, found.output) < CLOSE
        given = {head: 2 * head_of(steps, head, query)}
        part = steps.projection.astype(np.float64).reshape(len(steps.projection), steps.heads, -1)[:, head]
        moved = output_of(steps, query, given) - output_of(steps, query)
        assert worst(moved, part @ head_of(steps, head, query)) < 1e-9


def test_a_multi_head_attention_with_a_mask_is_the_one_of_torch() -> None:
    """Against the module's own call, not what was captured of it."""
    run, model, (asking, asked, causal, added) = step_runs.masked()
    with torch.no_grad():
        x, first = model.first(asking, asking, asking, attn_mask=causal, average_attn_weights=False)
        y, second = model.second(x, asked, asked, attn_mask=added, average_attn_weights=False)
    for steps, weights, output in zip(run.record.steps, (first[0], second[0]), (x[0], y[0]), strict=True):
        for head in range(step_runs.HEADS):
            for query in range(step_runs.ASKING):
                raw = scaled(steps, scores(steps, head, query))
                found = weights_of(raw, mask=mask_of(steps, head, query))
                assert worst(found, weights[head, query].numpy()) < CLOSE
                assert worst(output_of(steps, query), output[query].numpy()) < CLOSE
    assert np.isneginf(run.record.steps[1].mask).any() and np.ptp(run.record.steps[1].mask[:, 0, :][np.isfinite(
        run.record.steps[1].mask[:, 0, :])]) > 0.1, "it both adds and takes out"  # fmt: skip


def test_the_temperature_and_its_limits() -> None:
    values = np.array([1.0, 0.0, -np.inf])
    assert weights_of(values, 2) == pytest.approx([1 / (1 + math.exp(-0.5)), 1 / (1 + math.exp(0.5)), 0])
    assert weights_of(values + 1e4, 0.1)[0] > 0.9999 and not weights_of(values[2:]).any()
    for temperature in (0, -1, math.nan):
        with pytest.raises(ValueError, match="above 0"):
            weights_of(values, temperature)


def same(one: Run, other: Run) -> bool:
    pairs = zip(one.record.steps, other.record.steps, strict=True)
    return all(
        [name for name, _ in a.arrays()] == [name for name, _ in b.arrays()]
        and all(np.array_equal(x, y) for (_, x), (_, y) in zip(a.arrays(), b.arrays(), strict=True))
        and (a.scale, a.off) == (b.scale, b.off)
        for a, b in pairs
    )


@pytest.mark.parametrize("name", RUNS)
def test_steps_survive_the_file_of_a_run(name: str) -> None:
    run = RUNS[name]()
    again = Run(*from_bytes(run.to_bytes()))
    assert len(again.record.steps) == len(run.record.steps) and same(again, run)
    assert not again.record.steps[0].query.flags.writeable


@pytest.mark.parametrize(
    "change",
    [lambda steps: replace(steps, scale=1e9), lambda steps: replace(steps, scale="x"),
     lambda steps: replace(steps, query=steps.query * np.float32(np.inf))],
)  # fmt: skip
def test_steps_that_no_run_leaves_are_refused(change: Callable[..., Any]) -> None:
    run = step_runs.masked()[0]
    first, second = run.record.steps
    try:
        broken = change(first)
    except (CaptureError, TypeError):
        return  # the type itself does not take it
    data = to_bytes(run.sample, replace(run.record, steps=(broken, second)))
    with pytest.raises(MmvizError):
        from_bytes(data)


def test_damaged_vectors_in_a_file_are_refused() -> None:
    run = step_runs.masked()[0]
    for name, value in {
        "query": np.ones((3, 5, 7), np.float32),
        "mixed": np.full((3, 5, 8), np.nan, np.float32),
    }.items():
        first, second = run.record.steps
        broken = object.__new__(type(first))
        for field, found in vars(first).items():
            object.__setattr__(broken, field, found)
        object.__setattr__(broken, name, value)
        record = replace(run.record)
        object.__setattr__(record, "steps", (broken, second))
        with pytest.raises(MmvizError, match="do not fit together"):
            from_bytes(to_bytes(run.sample, record))


def test_steps_are_as_many_as_maps() -> None:
    run = step_runs.masked()[0]
    with pytest.raises(CaptureError, match="do not fit together"):
        replace(run.record, steps=run.record.steps[:1])
    with pytest.raises(CaptureError, match="do not fit together"):
        replace(run.record, steps=run.record.steps[::-1])


def test_the_viewer_is_sent_all_steps_once_or_what_it_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    run = step_runs.trio()
    header, sections = decode(ViewerData(run).to_bytes())
    assert [one["off"] for one in header["steps"]] == [[]] * 6
    for number, steps in enumerate(run.record.steps):
        for name, part in steps.arrays():
            if name == "context":  # the same tokens as ask
                assert f"steps/{number}/context" not in sections
                continue
            assert np.array_equal(sections[f"steps/{number}/{name}"].values.reshape(part.shape), part)
        assert np.array_equal(sections[f"steps/{number}/weights"].values, run.record.maps[number].weights)
    assert len(ViewerData(run).to_bytes()) < scene.LIMIT
    monkeypatch.setattr(scene, "LIMIT", 4_000_000)
    view = {**ViewerData(run).start, "plane": "3:1"}
    few = ViewerData(run).to_bytes(view)
    assert len(few) <= 4_000_000
    there = {name.split("/")[1] for name in decode(few)[1] if name.startswith("steps/")}
    assert "3" in there and len(there) < 6, "that of the layer that is looked at"
    monkeypatch.setattr(scene, "LIMIT", 100_000)
    assert {name.split("/")[1] for name in decode(ViewerData(run).to_bytes(view))[1] if name.startswith("steps/")} == {
        "3"
    }
    assert "steps/5/query" in decode(ViewerData(run).to_bytes())[1], "of a flow the last"
    _, answered = decode(ViewerData(run).answer(["steps/5"]))
    assert {name.split("/")[1] for name in answered} == {"5"} and np.array_equal(
        answered["steps/5/query"].values, run.record.steps[5].query
    )
    for name in ("steps/6", "steps/-1", "steps/x", "steps/"):
        with pytest.raises(LookupError):
            ViewerData(run).answer([name])


def test_keys_of_another_stream_come_with_their_own_tokens() -> None:
    run = step_runs.masked()[0]
    _, sections = decode(ViewerData(run).to_bytes())
    assert "steps/0/context" not in sections and "steps/1/context" in sections
    assert sections["steps/1/bias"].values.shape == (1, 1, step_runs.WIDTH)
    assert sections["steps/0/mask"].values.shape == (1, 5, 5)


def test_a_run_without_steps_says_so() -> None:
    run = step_runs.trio()
    bare = replace(run, record=replace(run.record, steps=()))
    header, sections = decode(ViewerData(bare).to_bytes())
    assert header["steps"] is None and not any(name.startswith("steps") for name in sections)
    with pytest.raises(LookupError):
        ViewerData(bare).answer(["steps/0"])
