"""The options for the settings under which a model writes its answer."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmviz import make_sample
from mmviz.app.draft import EMPTY
from mmviz.app.reproduce_command import table_command
from mmviz.app.session_state import State
from mmviz.cli import _parser, main
from mmviz.cli.options import prompt_settings
from mmviz.types import MmvizError, Request

SYSTEM = "Be 'brief'.\n--now"
SETTINGS = {"system": SYSTEM, "new_tokens": 3}
OPTIONS = ["--system", SYSTEM, "--new-tokens", "3"]


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one example."""
    folder = tmp_path_factory.mktemp("examples")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)).save(folder / "a.png")
    (folder / "a.txt").write_text("What is this?")
    return folder


@pytest.fixture
def inputs(examples: Path, llava_folder: Path) -> list[str]:
    return ["--image", str(examples / "a.png"), "--text", "What is this?", "--model", f"hf:{llava_folder}"]


def wrote(made_by: dict[str, Any]) -> tuple[int, Any, int]:
    settings = made_by["settings"]
    return len(made_by["answer"]), settings["system"], settings["new_tokens"]


@pytest.mark.slow
def test_a_run_and_a_folder_are_made_under_the_settings(
    inputs: list[str], examples: Path, llava_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", *inputs, *OPTIONS, "--json", "-"]) == 0
    assert wrote(json.loads(capsys.readouterr().out)["made_by"]) == (3, SYSTEM, 3)
    command = ["explain", str(examples), "--model", f"hf:{llava_folder}", "--out", str(tmp_path), "--formats", "json"]
    for settings, expected in ((OPTIONS, (3, SYSTEM, 3)), (["--new-tokens", "2"], (2, "", 2))):
        assert main([*command, *settings]) == 0, "other settings compute the example again"
        (file,) = tmp_path.rglob("a*.json")
        assert wrote(json.loads(file.read_text())["made_by"]) == expected


@pytest.mark.slow
@pytest.mark.parametrize("command", ["effect", "lens"])
def test_an_experiment_is_about_the_answer_under_the_settings(
    command: str, inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, *inputs, *OPTIONS, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["options"] == [f"system={SYSTEM}", "new_tokens=3"]


def test_the_command_of_a_table_on_the_page_names_the_settings() -> None:
    request = Request("hf:owner/name", make_sample(text="?"), options=tuple(SETTINGS.items()))
    program, *words = shlex.split(table_command(State(run_draft=EMPTY), request, "heads"))
    assert program == "mmviz" and prompt_settings(_parser().parse_args(words)) == SETTINGS


@pytest.mark.slow
def test_tables_over_a_folder_are_measured_under_the_settings(
    inputs: list[str], examples: Path, llava_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(*words: str) -> dict[str, Any]:
        assert main([*words, *OPTIONS, "--json", "-"]) == 0
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return document

    answer = printed("explain", *inputs)["answer"]
    folder = [str(examples), "--model", f"hf:{llava_folder}"]
    audit, average = printed("audit", *folder), printed("average", *folder)
    assert audit["options"] == average["options"] == [f"system={SYSTEM}", "new_tokens=3"]
    assert audit["rows"][0]["answer"] == average["answers"][0]["answer"] == answer


@pytest.mark.parametrize("command", [
    "explain", "effect", "heads", "routes", "methods", "compare", "story", "lens", "audit", "average",
])  # fmt: skip
def test_settings_are_those_of_the_options_that_are_given(command: str) -> None:
    assert prompt_settings(_parser().parse_args([command])) == {}
    given = _parser().parse_args([command, "--template", "{{ messages }}", "--system="])
    assert prompt_settings(given) == {"template": "{{ messages }}", "system": ""}


def test_no_token_is_no_answer() -> None:
    with pytest.raises(MmvizError) as refused:
        prompt_settings(argparse.Namespace(system=None, new_tokens=0, template=None))
    assert refused.value.code == "option-number"


@pytest.mark.parametrize("folder", [False, True])
def test_a_model_without_settings_says_so_once(
    folder: bool, examples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(examples), "--out", str(tmp_path / "out")] if folder else ["--text", "What is it?"]
    assert main(["explain", *given, "--system", "x"]) == 2
    assert capsys.readouterr().err.count("trio has no setting 'system'") == 1
