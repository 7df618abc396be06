"""The commands effect, heads, routes, methods and compare on the bundled model: output, files, refusals."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from app_page import FULL, short_curves

from mmviz.analysis.attributions import attributions, modality_shares
from mmviz.analysis.comparison import pair_tokens
from mmviz.analysis.head_profiles import all_heads, head_profiles
from mmviz.analysis.similarity import REDUNDANT, redundant_heads
from mmviz.cli import main, progress_line
from mmviz.cli.commands.heads import MOST_PRINTED
from mmviz.experiments.faithfulness import measure_faithfulness
from mmviz.experiments.head_ablation import CHUNK, measure_head_ablation
from mmviz.experiments.modality_shapley import measure_modality_effect
from mmviz.experiments.route_cut import measure_routes, route_cells, route_windows
from mmviz.explain import Run, run_sample
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.minus_sign import signed_text
from mmviz.i18n.page import say
from mmviz.types import (
    ANSWER,
    INPUT_MODALITIES,
    AblateHead,
    CutRoute,
    DropModality,
    Modality,
    ReplaceInput,
    UniformAttention,
)

pytestmark = pytest.mark.slow

INPUTS = ["--image", str(FULL.image), "--text", FULL.question, "--audio", str(FULL.audio)]
PLACES = {"stack", "layer", "head", "module", "query_stream", "key_stream"}
OTHER_TEXT = "Which word was spoken?"
COMMANDS: dict[str, list[str]] = {
    "effect": ["effect", *INPUTS],
    "heads": ["heads", *INPUTS],
    "routes": ["routes", *INPUTS, "--windows", "2"],
    "methods": ["methods", *INPUTS],
    "compare": ["compare", *INPUTS, "--other-text", OTHER_TEXT],
}


@pytest.fixture(scope="module")
def full_run() -> Run:
    return run_sample(FULL.sample())


def measured(
    arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str], name: str = ""
) -> tuple[dict[str, Any], str, str]:
    """Runs a command that must succeed; returns its JSON, and what it printed to the two streams.

    Its CSV must hold the same values as the list ``name``, by default called as the command.
    """
    files = {kind: folder / f"{arguments[0]}.{kind}" for kind in ("json", "csv")}
    written = [*arguments, "--json", str(files["json"]), "--csv", str(files["csv"])]
    assert main(written) == 0
    printed, progress = capsys.readouterr()
    document: dict[str, Any] = json.loads(files["json"].read_text("utf-8"))
    assert document["command"] == shlex.join(["mmviz", *written]) and document["command"] in printed
    lines = list(csv.DictReader(files["csv"].open(newline="", encoding="utf-8")))
    rows = document[name or arguments[0]]
    assert len(lines) == len(rows) > 0
    for line, row in zip(lines, rows, strict=True):
        assert list(line) == list(row)
        for column, value in row.items():
            if isinstance(value, bool):
                assert line[column] == str(value).lower()
            elif isinstance(value, int | float):
                assert float(line[column]) == value
            elif value is None:
                assert line[column] == ""
            elif isinstance(value, list):
                assert line[column] == " ".join(map(str, value))
            else:
                assert line[column].removeprefix("'") == value
    assert all(text in printed for text in document["verdict"]) and document["verdict"]
    first = f"{document['answer']} {document['probability']:.1%}, "
    sure = f"answer: {document['answer']} ({document['probability']:.1%})"
    assert (f"answer: not sure: {first}" if document["not_sure"] else sure) in printed
    assert document["model"] == "trio" and document["part"] == []
    assert bool(document["changes"]) == any(option in arguments for option in ("--ablate", "--cut", "--control"))
    return document, printed, progress


def test_effect_is_that_of_the_library(full_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subsets = tmp_path / "subsets.csv"
    files = ["--subsets-csv", str(subsets), "--interactions-csv", str(tmp_path / "pairs.csv")]
    document, printed, _ = measured([*COMMANDS["effect"], *files], tmp_path, capsys)
    assert full_run.backend is not None
    effect = measure_modality_effect(full_run.backend, full_run.rerun_request())
    assert effect is not None
    attention = modality_shares(full_run.record, full_run.map_ref)
    assert [row["modality"] for row in document["effect"]] == list(map(str, INPUT_MODALITIES))
    for modality, row in zip(INPUT_MODALITIES, document["effect"], strict=True):
        assert row["nats"] == pytest.approx(effect.phi[modality], abs=1e-5)
        assert row["effect"] == pytest.approx(effect.shares[modality], abs=1e-5)
        assert row["attention"] == pytest.approx(attention[modality], abs=1e-5)
        (line,) = (line for line in printed.splitlines() if line.startswith(say(f"name-{modality}") + " ") and "." in
                   line and "%" not in line)  # fmt: skip
        assert line.split()[1:] == [f"{attention[modality]:.2f}", f"{row['effect']:.2f}", signed_text(row["nats"])]
    assert sum(row["nats"] for row in document["effect"]) == pytest.approx(document["total"], abs=1e-9)
    expected = effect.interactions
    for entry in document["interactions"]:
        pair = frozenset(modality for modality in INPUT_MODALITIES if str(modality) in entry["modalities"])
        assert entry["nats"] == pytest.approx(expected.pop(pair), abs=1e-5)
    assert not expected
    pairs = list(csv.DictReader((tmp_path / "pairs.csv").open(newline="")))
    assert [(line["modalities"].split(), float(line["nats"])) for line in pairs] == [
        (entry["modalities"], entry["nats"]) for entry in document["interactions"]
    ]
    lines = list(csv.DictReader(subsets.open(newline="")))
    assert [(line["image"], line["text"], line["audio"]) for line in lines][:: len(lines) - 1] == [
        ("true",) * 3, ("false",) * 3
    ]  # fmt: skip
    assert len(lines) == 8 == len(document["subsets"])
    for line, row in zip(lines, document["subsets"], strict=True):
        kept = frozenset(modality for modality in INPUT_MODALITIES if row[str(modality)])
        assert float(line["log_probability"]) == row["log_probability"]
        assert row["log_probability"] == pytest.approx(effect.values[kept], abs=1e-5)
        assert row["answer"] == effect.answers[kept][0] and f"{row['answer']} {row['probability']:.1%}" in printed


def test_heads_are_those_of_the_library(full_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, printed, progress = measured(COMMANDS["heads"], tmp_path, capsys)
    record, rows = full_run.record, document["heads"]
    assert full_run.backend is not None
    effects = measure_head_ablation(full_run.backend, full_run.rerun_request(), record)
    expected = {str(record.map_ref(effect.map, effect.head)): effect for effect in effects}
    profiles = {str(record.map_ref(profile.map, profile.head)): profile for profile in head_profiles(record)}
    assert {row["map"] for row in rows} == set(expected) and len(rows) == document["planned"]
    assert [row["effect"] for row in rows] == sorted(row["effect"] for row in rows)
    for row in rows:
        effect, profile = expected[row["map"]], profiles[row["map"]]
        attn_map = record.maps[effect.map]
        assert row["effect"] == pytest.approx(effect.effect, abs=1e-5)
        assert row["entropy"] == pytest.approx(profile.entropy, abs=1e-5)
        place = (row["stack"], row["layer"], row["head"], row["module"], row["query_stream"], row["key_stream"])
        assert place == (
            attn_map.stack, attn_map.layer, effect.head, attn_map.name, attn_map.queries, attn_map.keys
        )  # fmt: skip
    assert signed_text(rows[0]["effect"]) in printed
    batches = -(-len(rows) // CHUNK)
    assert f"of {batches} batches" in progress


def test_redundant_heads_are_those_of_the_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*COMMANDS["heads"], "--redundant", "--control", "uniform"]  # as trained, no two heads are alike
    document, printed, _ = measured(arguments, tmp_path, capsys, "redundant")
    record = run_sample(FULL.sample(), changes=(UniformAttention(),)).record
    pairs = redundant_heads(record)
    assert len(document["redundant"]) == len(pairs) and document["below"] == REDUNDANT
    for row, (first, second, distance) in zip(document["redundant"], pairs, strict=True):
        for (number, head), start in ((first, ""), (second, "other_")):
            attn_map = record.maps[number]
            assert row[f"{start}map"] == str(record.map_ref(number, head))
            assert (row[f"{start}layer"], row[f"{start}head"]) == (attn_map.layer, head)
            assert (row[f"{start}stack"], row[f"{start}module"]) == (attn_map.stack, attn_map.name)
        assert row["distance"] == pytest.approx(distance, abs=1e-9)
    of_fusion = sum(attn_map.heads for attn_map in record.maps if attn_map.stack == record.default_stack)
    assert len(pairs) >= of_fusion * (of_fusion - 1) // 2, "every two heads of the fusion are alike"
    lines = [line.split() for line in printed.splitlines() if line.endswith("0.000")]
    assert len(lines) == MOST_PRINTED


def test_routes_are_those_of_the_library(full_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, printed, progress = measured(COMMANDS["routes"], tmp_path, capsys)
    record, rows = full_run.record, document["routes"]
    cells = route_cells(record, route_windows(record, 2))
    assert full_run.backend is not None
    table = measure_routes(full_run.backend, full_run.rerun_request(), record, cells)
    assert len(rows) == len(cells) == document["planned"]
    for row, effect in zip(rows, table.effects, strict=True):
        cell, modules = effect.cell, {attn_map.name: attn_map for attn_map in record.maps}
        assert (row["queries"], row["keys"]) == (str(cell.queries), str(cell.keys))
        assert row["effect"] == pytest.approx(effect.effect, abs=1e-5)
        assert row["attention"] == pytest.approx(cell.attention.share, abs=1e-5)
        assert row["layers"] == (None if cell.window.layers is None else list(cell.window.layers))
        assert row["modules"] and (row["query_streams"], row["key_streams"]) == (["tokens"], ["tokens"])
        layers = {modules[name].layer for name in row["modules"]}
        assert row["layers"] is None or layers == set(row["layers"])
    assert printed.count(say("the-answer")) >= 3 * 3 and "batches" in progress


@pytest.mark.long
def test_methods_are_those_of_the_library(
    full_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short_curves(monkeypatch)
    document, printed, _ = measured(COMMANDS["methods"], tmp_path, capsys)
    request = full_run.rerun_request()
    given = {"relevance": True, "norms": True, "integrated": True, "towers": False}
    assert full_run.backend is not None
    record = full_run.backend.run([type(request)(request.model, request.sample, **given)])[0]
    amounts = attributions(record)
    curves = measure_faithfulness(full_run.backend, request, record, amounts)
    assert curves is not None and [row["method"] for row in document["methods"]] == list(curves)
    for row in document["methods"]:
        curve = curves[row["method"]]
        assert row["score"] == pytest.approx(curve.score, abs=1e-3) and signed_text(row["score"]) in printed
        assert row["deletion"] == pytest.approx(curve.deletion.tolist(), abs=1e-3)
        assert row["verdict"] in ("yes", "half", "no", "flat") and row.keys() > PLACES
        assert (row["layer"] is None) == (":" not in row["method"] and row["method"] != "value")


def test_compare_is_the_difference_of_two_runs(
    full_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document, printed, progress = measured(COMMANDS["compare"], tmp_path, capsys)
    steps = progress.splitlines()
    of = int(re.search(r"layer \d+ of (\d+)", progress)[1])  # type: ignore[index]
    assert steps.count(sentence("run-layers", done=1, of=of)) <= 2 and "batches" in steps[-1]
    whole = [step for step in steps if step.startswith(sentence("run-layers", done=of, of=of))]
    assert len(whole) == 2, "each of the two runs is shown to its end"
    sample = FULL.sample()
    other = run_sample(type(sample)(sample.image, OTHER_TEXT, sample.audio))
    a, b = full_run.attention(), other.attention()
    pairing = pair_tokens(full_run.tokens, other.tokens)
    rows = document["compare"]
    assert [(row["token"], row["token_b"]) for row in rows if None not in (row["token"], row["token_b"])] == list(
        pairing.pairs
    )
    assert [row["token_b"] for row in rows if row["token"] is None] == list(pairing.only_b)
    for row in rows:
        assert row["a"] == (None if row["token"] is None else pytest.approx(a[row["token"]], abs=1e-6))
        assert row["b"] == (None if row["token_b"] is None else pytest.approx(b[row["token_b"]], abs=1e-6))
        has_both = None not in (row["a"], row["b"])
        assert row["a_minus_b"] == (row["a"] - row["b"] if has_both else None) and row.keys() > PLACES
    assert document["other"]["answer"] == other.record.answers[0].label
    first = full_run.record.answers[0]
    (there,) = (answer.probability for answer in other.record.answers if answer.label == first.label)
    assert document["answer_change"] == pytest.approx(np.log(there / first.probability), abs=1e-5)
    sums = {entry["modality"]: entry["a"] for entry in document["by_modality"]}
    expected = full_run.modality_matrix()
    assert sum(value for value in sums.values() if value) == pytest.approx(1, abs=1e-5) and expected.keys
    assert "A − B" in printed


def test_compare_takes_another_model_and_a_control(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, *_ = measured(["compare", *INPUTS, "--other", "trio-reduced"], tmp_path, capsys)
    assert document["other"]["model"] == "trio-reduced" and document["other"]["changes"] == []
    changed = ["--drop", "image", "--ablate", "5:0", "--control", "uniform"]
    document, *_ = measured(["compare", *INPUTS, *changed, "--other", "trio-reduced"], tmp_path, capsys)
    kept = (UniformAttention(), DropModality(Modality.IMAGE))
    assert document["other"]["changes"] == list(map(str, kept)), "B has the inputs of A, but heads of its own"
    document, *_ = measured(
        ["compare", *INPUTS, "--other-control", "uniform", "--method", "2:1", "--direction", "to", "--token", "3"],
        tmp_path, capsys,
    )  # fmt: skip
    assert document["other"]["changes"] == ["UniformAttention()"]
    amounts = [row["b"] for row in document["compare"]]
    assert np.ptp(amounts) < 1e-6 and {(row["layer"], row["head"]) for row in document["compare"]} == {(2, 1)}
    document, *_ = measured(["compare", *INPUTS, "--other-audio", ""], tmp_path, capsys)
    assert any(row["token"] is None for row in document["compare"]) or any(
        row["token_b"] is None for row in document["compare"]
    ), "its sound has no counterpart"


def test_compare_cuts_in_b_what_is_cut_in_a_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = [*INPUTS, "--ablate", "5:0", "--cut", "answer:audio"]
    document, *_ = measured(["compare", *changed, "--other-cut", "text:image", "--other-drop", "image:mean"],
                            tmp_path, capsys)  # fmt: skip
    here = (AblateHead(5, 0), CutRoute(ANSWER, Modality.AUDIO))
    there = (*here, CutRoute(Modality.TEXT, Modality.IMAGE), ReplaceInput(Modality.IMAGE, "mean"))
    assert document["changes"] == list(map(str, here)) and document["other"]["changes"] == list(map(str, there))
    answer = run_sample(FULL.sample(), changes=there).record.answers[0]
    assert (document["other"]["answer"], document["other"]["probability"]) == (answer.label, answer.probability)
    document, *_ = measured(["compare", *changed, "--other-control", "trained"], tmp_path, capsys)
    assert document["other"]["changes"] == [] and len(document["changes"]) == 2


def test_json_can_be_written_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMANDS["effect"], "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["effect"] and document["answer"]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_be_done_is_said_before_the_work(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*options: str) -> str:
        assert main([*COMMANDS[command], *options]) == 2
        out, err = capsys.readouterr()
        assert not out and err.count("\n") == 1
        return err

    assert "no such folder" in refused("--csv", "/nowhere/at/all.csv")
    assert sentence("option-file", option="--csv") in refused("--csv", "-")
    assert "There is no model called 'nobody'" in refused("--model", "nobody")
    assert "--token-file" in refused("--token-file", "token.txt")


def test_what_was_measured_is_printed_even_if_a_file_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*COMMANDS["effect"], "--csv", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert say("subsets-caption") in out and f"{tmp_path.name} could not be written" in err


def test_options_that_name_nothing_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, expected in (
        (["compare", *INPUTS], sentence("compare-none")),
        (["compare", *INPUTS, "--other-control", "shuffled", "--token", "999"], "--token 999 is not possible"),
        (["compare", *INPUTS, "--other-control", "shuffled", "--method", "99:0"], "99:0 is no map or method"),
        (["methods", *INPUTS, "--head", "0:99"], "0:99 is no map or method"),
        (["routes", *INPUTS, "--windows", "0"], "--windows 0 is not possible"),
        (["effect", *INPUTS, "--ablate", "5"], "--ablate '5' names nothing"),
        (["explain", *INPUTS, "--cut", "text"], "--cut 'text' names nothing"),
        (["lens", *INPUTS, "--drop", ""], "--drop '' names nothing"),
        (["compare", *INPUTS, "--other-drop", "special"], "--other-drop 'special' names nothing"),
    ):
        assert main(arguments) == 2
        assert expected in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
@pytest.mark.parametrize("command", ["heads", "routes", "effect"])
def test_ctrl_c_keeps_what_was_measured(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pressed after the first batch, or, where there is but one, before it."""
    started = progress_line.ProgressLine.__init__
    reports: list[tuple[int, int]] = []

    def press(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    def report(line: object, done: int, of: int) -> None:
        reports.append((done, of))
        press()

    def start(line: progress_line.ProgressLine, *given: Any) -> None:
        started(line, *given)
        if command == "effect":
            press()

    monkeypatch.setattr(progress_line.ProgressLine, "__call__", report)
    monkeypatch.setattr(progress_line.ProgressLine, "__init__", start)
    before = signal.getsignal(signal.SIGINT)
    arguments = COMMANDS[command][: 1 + len(INPUTS)]
    code = main([*arguments, "--json", str(tmp_path / "out.json")])
    out, err = capsys.readouterr()
    assert signal.getsignal(signal.SIGINT) is before
    if command == "effect":
        assert (code, out) == (130, "") and err.endswith("mmviz: stopped.\n")
        return
    assert code == 0 and reports[0][1] > 1
    document = json.loads((tmp_path / "out.json").read_text())
    done = len(document[command])
    assert 0 < done < document["planned"] and sentence("measure-stopped", done=done, of=document["planned"]) in err
    assert document["verdict"][0] in out


def test_the_rest_of_a_run_is_estimated_without_the_loading_of_its_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = iter([100.0, 110.0, 120.0])  # whatever was before
    monkeypatch.setattr(progress_line, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    line = progress_line.RunLine("layers")
    line(2, 6)  # an encoder of two layers whose output was kept
    line(4, 6)
    line(6, 6)
    line.end()
    left = sentence("run-left", left=say("seconds", count=10))  # two layers took 10 s, and two are left
    expected = [sentence("run-layers", done=2, of=6), sentence("run-layers", done=4, of=6) + left]
    assert (
        capsys.readouterr().err
        == "".join(f"\r{text}" for text in [*expected, sentence("run-layers", done=6, of=6)]) + "\n"
    )


def test_a_further_run_is_estimated_by_its_own_layers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = iter([0.0, 100.0, 101.0, 102.0])
    monkeypatch.setattr(progress_line, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    line = progress_line.RunLine("layers")
    for layer in (1, 4, 1, 2):
        line(layer, 4)
    last = capsys.readouterr().err.rpartition("\r")[2]
    left = sentence("run-left", left=say("seconds", count=2))  # one layer of the second run took 1 s
    assert last == sentence("run-layers", done=2, of=4) + left


def test_the_lens_shows_how_far_its_run_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lens", *INPUTS]) == 0
    progress = capsys.readouterr().err
    of = int(re.search(r"layer \d+ of (\d+)", progress)[1])  # type: ignore[index]
    assert sentence("run-layers", done=of, of=of) in progress and progress.endswith("\n")


def test_a_written_estimate_stands_before_the_work(full_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    line = progress_line.ProgressLine(full_run.record, len(all_heads(full_run.record)))
    line(1, 4)
    line(4, 4)
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.startswith(f"Measuring {len(all_heads(full_run.record))} variants") and "at most about" in first
    assert "1 of 4 batches, about" in rest[-2] or "1 of 4 batches, about" in rest[0]
