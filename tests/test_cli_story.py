"""``mmviz story`` and `Run.story`, on models whose steps are known on paper: output, files, Ctrl-C."""

from __future__ import annotations

import csv
import json
import math
import os
import shlex
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from planted_story import CHAIN, chain

import mmviz
from mmviz.backends.local import LocalBackend
from mmviz.cli import main, progress_line
from mmviz.experiments.story import measure_story
from mmviz.experiments.story_search import STAGES, most_cuts
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.language import use_language
from mmviz.i18n.page import say
from mmviz.report.story_table import COLUMNS, story_sentences, story_table
from mmviz.types import AttentionRecord, MmvizError, Request

pytestmark = pytest.mark.slow

TEXT = "word0 word1 word2"
COMMAND = ["story", "--text", TEXT, "--model", "planted_story:chain"]
MOMENT, PATCH, WORD = CHAIN
SENTENCES = [
    "Layer 1: patch 2,2 hears 2.0–3.0 s. Without it “seen” is less probable, and still the answer.",
    "Layer 3: “word1” sees patch 2,2. Without it “seen” is less probable, and still the answer.",
    "Layer 4: the answer token reads “word1”. Without it “seen” is less probable, and still the answer.",
]


class CountingBackend(LocalBackend):
    """Counts the variants that it runs."""

    variants = 0

    def run(self, requests: Any, *further: Any, **named: Any) -> tuple[AttentionRecord, ...]:
        self.variants += sum(len(request.sweep) for request in requests)
        return super().run(requests, *further, **named)


def lost(value: float) -> float:
    """Returns what the answer "seen" loses if its token has ``value`` in the place of 1, in nats."""
    return math.log1p(math.exp(-4)) - math.log1p(math.exp(-4 * value))


def test_the_command_tells_the_planted_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {kind: tmp_path / f"story.{kind}" for kind in ("json", "csv")}
    arguments = [*COMMAND, "--json", str(files["json"]), "--csv", str(files["csv"])]
    assert main(arguments) == 0
    printed, progress = capsys.readouterr()
    document = json.loads(files["json"].read_text("utf-8"))
    rows = document["story"]
    told = [
        (row["step"], row["queries"], row["query_tokens"], row["keys"], row["key_tokens"], row["modality"])
        for row in rows
    ]
    assert told == [
        (1, f"tokens:{PATCH}", ["patch 2,2"], f"tokens:{MOMENT}", ["2.00 s"], "audio"),
        (2, f"tokens:{WORD}", ["word1"], f"tokens:{PATCH}", ["patch 2,2"], "image"),
        (3, "answer", [], f"tokens:{WORD}", ["word1"], "text"),
    ]
    assert [row["layers"] for row in rows] == [["layers:0"], ["layers:2"], ["layers:3"]]
    assert [row["modules"] for row in rows] == [["layers.0"], ["layers.2"], ["layers.3"]]
    assert all((row["query_streams"], row["key_streams"]) == (["tokens"], ["tokens"]) for row in rows)
    # a token that may not read what it read reads all others alike, but itself: of these, two have the value in the end
    assert [row["effect"] for row in rows] == pytest.approx([lost(0), lost(1 / 15), lost(2 / 15)], abs=1e-4)
    assert [row["sentence"] for row in rows] == SENTENCES and document["is_complete"] and document["answer"] == "seen"
    assert document["command"] == shlex.join(["mmviz", *arguments]) and document["command"] in printed
    lines = printed.splitlines()
    for row in rows:
        assert f"{row['step']}     {say('story-effect', size=-row['effect'])}" in "\n".join(
            line for line in lines if line.endswith(row["sentence"])
        )
    sizes = {"least": -rows[2]["effect"], "most": -rows[0]["effect"]}
    assert document["verdict"] == [say("story-carried", answer="seen", count=3, **sizes)]
    assert document["verdict"][0] in lines and say("story") in lines
    assert progress.startswith("Measuring ") and "at most about" in progress
    assert progress.count(f"{STAGES} of {STAGES} batches") == 1
    cells = list(csv.DictReader(files["csv"].open(newline="", encoding="utf-8")))
    assert list(cells[0]) == list(COLUMNS) == list(rows[0]) and [line["sentence"] for line in cells] == SENTENCES
    assert [float(line["effect"]) for line in cells] == [row["effect"] for row in rows]
    assert [line["key_tokens"] for line in cells] == ["2.00 s", "patch 2,2", "word1"]


def test_json_can_be_written_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMAND, "--json", "-"]) == 0
    assert len(json.loads(capsys.readouterr().out)["story"]) == 3


def test_an_answer_that_no_single_route_carries_is_said_to_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["story", "--text", TEXT, "--model", "planted_story:copies"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert say("story-none", least=0.1) in printed and say("story") not in printed
    assert main([*command, "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["story"] == [] and document["verdict"] == [say("story-none", least=0.1)]


def test_options_are_refused_as_those_of_other_experiments(capsys: pytest.CaptureFixture[str]) -> None:
    for options, expected in (
        (["--csv", "-"], sentence("option-file", option="--csv")),
        (["--json", "/nowhere/at/all.json"], "no such folder"),
        (["--words", "0"], sentence("option-words", value="0")),
    ):
        assert main([*COMMAND, *options]) == 2
        out, err = capsys.readouterr()
        assert not out and expected in err and err.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
@pytest.mark.parametrize(("stage", "steps"), [(1, 0), (2, 3)])
def test_ctrl_c_keeps_the_steps_that_were_confirmed(
    stage: int, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the first stage nothing is confirmed but whole routes; after the second, the tokens that are read are."""
    report = progress_line.ProgressLine.__call__

    def press(line: progress_line.ProgressLine, done: int, of: int) -> None:
        report(line, done, of)
        if done == stage:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(progress_line.ProgressLine, "__call__", press)
    before = signal.getsignal(signal.SIGINT)
    path = tmp_path / "story.json"
    code = main([*COMMAND, "--json", str(path)])
    out, err = capsys.readouterr()
    assert signal.getsignal(signal.SIGINT) is before
    assert f"{stage} of {STAGES} batches" in err and f"{STAGES} of {STAGES}" not in err
    if not steps:
        assert (code, out) == (130, "") and err.endswith("\nmmviz: stopped.\n") and not path.exists()
        return
    document = json.loads(path.read_text("utf-8"))
    assert code == 0 and not document["is_complete"] and len(document["story"]) == steps
    assert all(row["effect"] <= -0.1 and row["layers"] == ["all"] for row in document["story"])
    assert document["verdict"][-1] == say("story-stopped") and say("story-stopped") in out.splitlines()


@pytest.fixture(scope="module")
def run() -> mmviz.Run:
    return mmviz.explain(text=TEXT, model="chain", backend=CountingBackend("cpu", {"chain": chain()}))


def test_a_run_tells_its_story(run: mmviz.Run) -> None:
    backend = run.backend
    assert isinstance(backend, CountingBackend)
    told: list[tuple[int, int]] = []

    def progress(done: int, of: int) -> None:
        told.append((done, of))

    backend.variants = 0
    story = run.story(progress)
    assert 0 < backend.variants <= most_cuts(run.record), "the estimate is of at least as many"
    assert told == [(stage, STAGES) for stage in range(STAGES + 1)]
    assert story == measure_story(backend, run.rerun_request(), run.record) and len(story.steps) == 3
    backend.variants = 0
    assert run.story(backend=LocalBackend("cpu", {"chain": chain()})) == story and backend.variants == 0
    told.clear()
    stopped = run.story(progress, stop=lambda: len(told) >= 3)
    assert not stopped.is_complete and told[-1] == (2, STAGES) and len(stopped.steps) == 3
    assert story_sentences(stopped)[-1] == say("story-stopped") and len(story_sentences(stopped)) == 2
    assert story_sentences(replace(story, steps=story.steps[:1])) == [
        say("story-carried-one", answer="seen", size=-story.steps[0].effect)
    ]


def test_a_table_of_the_story_in_chinese_names_the_same_numbers(run: mmviz.Run) -> None:
    story = run.story()
    english = story_table(run.rerun_request(), run.record, story, "mmviz story")
    with use_language("zh"):
        chinese = story_table(run.rerun_request(), run.record, story, "mmviz story")
    assert [row["effect"] for row in chinese.rows] == [row["effect"] for row in english.rows]
    assert all("层" in row["sentence"] and "Layer" not in row["sentence"] for row in chinese.rows)
    assert "nat" in chinese.facts["verdict"][0] and "routes" not in chinese.facts["verdict"][0]


def test_a_run_without_answers_has_no_story(run: mmviz.Run) -> None:
    assert run.backend is not None
    nameless = replace(run.record, answers=())
    with pytest.raises(MmvizError) as refused:
        measure_story(run.backend, Request("chain", run.sample), nameless)
    assert str(refused.value) == sentence("answer-none", model=run.record.made_by["model"])
