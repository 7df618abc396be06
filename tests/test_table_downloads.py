"""What stands below every table of the page Debug: its files, and the command that makes it again."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_page import FULL, give, image_bytes, markup, now, run, settled, short_curves, visit, wav
from streamlit.testing.v1 import AppTest

from mmviz.app.draft import Draft, VideoFile
from mmviz.app.reproduce_command import table_command
from mmviz.app.session_state import State
from mmviz.cli import _parser, main
from mmviz.cli.change_options import changes_of
from mmviz.explain import Run, run_sample
from mmviz.inputs import make_sample
from mmviz.io.change_text import write_changes
from mmviz.types import (
    ANSWER,
    AblateHead,
    Change,
    ChosenTokens,
    CutRoute,
    DropModality,
    DropTokens,
    Modality,
    ReplaceInput,
    Request,
    Seconds,
    ShuffleWeights,
    UniformAttention,
)

pytestmark = pytest.mark.slow

QUESTION = 'It\'s "here"; $HOME?'


def commands(page: AppTest) -> list[str]:
    return [block.value for block in page.code]


def files(page: AppTest) -> list[str]:
    """The keys of the buttons that download a file."""
    return [button.key for button in page.download_button]


@pytest.mark.parametrize(
    ("section", "tables"),
    [("effect", ["effect", "subsets"]), ("heads", ["heads"]), ("faithfulness", ["methods"]), ("compare", ["compare"])],
)
def test_every_table_has_its_files_and_a_command_that_the_parser_takes(
    section: str, tables: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short_curves(monkeypatch)
    page = settled(visit(page="debug", section=section))
    assert files(page) == [f"{table}-{kind}" for table in tables for kind in ("csv", "json")]
    assert len(commands(page)) == len(tables)
    for command in commands(page):
        program, *words = shlex.split(command)
        options = _parser().parse_args(words)
        assert program == "mmviz" and words[0] == ("effect" if section == "effect" else tables[0])
        example = now(page).run_example
        assert example is not None and example.image is not None
        assert options.image == [example.image.name] and options.text == example.question


def test_files_have_the_names_that_the_visitor_gave() -> None:
    page = visit()
    give(page, "image", "my cat.png", image_bytes())
    give(page, "audio", "-voice.wav", wav())
    run(page)
    page.text_input("question").set_value(QUESTION)
    run(page)
    now(page).page = "debug"
    page = settled(run(page))
    command = commands(page)[0]
    options = _parser().parse_args(shlex.split(command)[1:])
    assert (options.image, options.text, options.audio) == (["my cat.png"], QUESTION, ["-voice.wav"])
    assert "my cat.png" not in markup(page), "names are on the page in the command alone"


def options_of(draft: Draft, request: Request, **further: str) -> Any:
    state = State(run_draft=draft)
    return _parser().parse_args(shlex.split(table_command(state, request, "effect", **further))[1:])


def test_the_command_names_model_words_baseline_and_several_files() -> None:
    sample = make_sample(image=image_bytes(), text="--really?")
    request = Request("hf:owner/name", sample, answer=(1, 2, 3), answer_part=(0, 2))
    draft = Draft((b"1", b"2"), "--really?", None, ("a.png", "b.png"))
    options = options_of(draft, request, baseline="mean", subsets_csv="subsets.csv")
    assert (options.image, options.text, options.audio) == (["a.png", "b.png"], "--really?", None)
    assert (options.model, options.words, options.baseline) == ("hf:owner/name", "1,3", "mean")
    assert options.subsets_csv == "subsets.csv" and options.video is None


def test_a_video_is_one_and_what_has_no_name_gets_an_example_of_one() -> None:
    sample = make_sample(image=image_bytes(), audio=wav())
    options = options_of(Draft(VideoFile(b"1"), "", b"2", ("clip.mp4",), ()), Request("trio", sample))
    assert (options.video, options.image, options.audio) == ("clip.mp4", None, ["sound.wav"])
    assert options.text is None and options.model == "trio"
    options = options_of(Draft(None, "", None), Request("trio", sample))  # a run from a file
    assert (options.image, options.audio) == (["picture.png"], ["sound.wav"])
    assert FULL.image is not None
    options = options_of(Draft(FULL.image, "", None), Request("trio", replace(sample, audio=None)))
    assert (options.image, options.audio) == ([FULL.image.name], None)


def test_the_names_of_files_are_no_part_of_what_was_run() -> None:
    assert Draft(b"1", "", None, ("a.png",)) == Draft(b"1", "", None, ("b.png",)), "the run is not outdated by a name"


CHOSEN = ChosenTokens((3, 4, 5, 9), "tokens")
CHANGES: dict[str, tuple[Change, ...]] = {
    "cuts": (CutRoute(ANSWER, Modality.AUDIO), CutRoute(CHOSEN, Modality.IMAGE, "blocks.attention", (2, 3), (0,))),
    "heads": (AblateHead(1, 2), AblateHead(5, 0), AblateHead(5, 1)),
    "shuffled": (ShuffleWeights(1),),
    "uniform": (UniformAttention(), AblateHead(2, 1)),
    "removed": (DropModality(Modality.IMAGE), ReplaceInput(Modality.AUDIO, "noise")),
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_the_command_of_a_changed_run_makes_the_same_run(
    changes: tuple[Change, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(FULL.image, Path)
    before = run_sample(FULL.sample(), changes=changes)
    assert before.request is not None and before.record.made_by["changes"]
    draft = Draft(FULL.image, FULL.question, FULL.audio)
    command = table_command(State(run_draft=draft), before.request, "explain", npz=str(tmp_path / "run.npz"))
    monkeypatch.chdir(FULL.image.parent)
    assert main(shlex.split(command)[1:]) == 0
    after = Run.load(tmp_path / "run.npz")
    assert after.record.answers == before.record.answers
    assert after.record.made_by["changes"] == before.record.made_by["changes"]
    for attn_map, expected in zip(after.record.maps, before.record.maps, strict=True):
        np.testing.assert_array_equal(attn_map.weights, expected.weights)


def test_a_change_without_a_text_is_refused_not_left_out() -> None:
    parts: list[Change] = [DropTokens((1,)), ShuffleWeights(2), ReplaceInput(Modality.AUDIO, "mean", (Seconds(0, 1),))]
    for change in parts:
        with pytest.raises(ValueError):
            write_changes([AblateHead(1, 0), change])
    with pytest.raises(ValueError):
        write_changes([ShuffleWeights(1), UniformAttention()])


def test_the_commands_of_a_changed_run_on_the_page_name_its_changes() -> None:
    page = settled(visit(page="debug", section="effect"))
    state = now(page)
    state.control, state.cut_routes = "shuffled", (CutRoute(ANSWER, Modality.AUDIO),)
    state.run_requested = True
    page = settled(run(page))
    for command in commands(page):
        options = _parser().parse_args(shlex.split(command)[1:])
        assert changes_of(options) == (ShuffleWeights(1), CutRoute(ANSWER, Modality.AUDIO))
