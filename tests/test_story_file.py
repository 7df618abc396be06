"""The stories of recorded runs as a file: read as written, refused where damaged, and true of the recordings."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mmviz.assets_path import assets_dir
from mmviz.backends.local import LocalBackend
from mmviz.backends.replay import ReplayBackend
from mmviz.experiments.recorded_file import MAX_BYTES
from mmviz.experiments.route_cut import LayerWindow
from mmviz.experiments.story import Story, measure_story
from mmviz.experiments.story_file import read_stories, stories_to_json, story_of_record
from mmviz.experiments.story_search import LEAST, MOST_STEPS, Step
from mmviz.inputs.examples import load_gallery
from mmviz.types import ANSWER, AttentionRecord, ChosenTokens, MmvizError, Modality, Request

STORIES = assets_dir() / "gallery" / "stories.json"
EXAMPLES = {example.id: example for example in load_gallery()}
IMAGE, TEXT, AUDIO, _ = Modality
TOLERANCE = 1e-3
"""Nats."""


@cache
def recorded(name: str) -> AttentionRecord:
    return ReplayBackend(assets_dir() / "gallery" / "runs").run([Request("trio", EXAMPLES[name].sample())])[0]


SEEN = Step(ANSWER, ChosenTokens((2, 5), "tokens"), IMAGE, (LayerWindow("", (1, 2)),), -1.25, "“dog”", 0.5, True)
HEARD = Step(IMAGE, AUDIO, AUDIO, (LayerWindow("a"), LayerWindow("b", (0,))), -0.5, "cat", 0.25)
TOLD = Story("cat", 0.75, (SEEN, HEARD))
UNTOLD = Story("cat", 0.75, (), ((IMAGE, -2.5), (AUDIO, -0.125)))


def test_stories_are_read_as_they_were_written(tmp_path: Path) -> None:
    stories = {"first": TOLD, "second": UNTOLD, "third": Story("cat", 1.0, ())}
    (tmp_path / "stories.json").write_text(stories_to_json(stories), encoding="utf-8")
    assert read_stories(tmp_path / "stories.json") == stories


def set_step(**fields: object) -> Callable[[Any], None]:
    return lambda content: content["stories"]["id"]["steps"][0].update(fields)


def set_story(**fields: object) -> Callable[[Any], None]:
    return lambda content: content["stories"]["id"].update(fields)


DAMAGES: dict[str, Callable[[Any], Any]] = {
    "another format": lambda content: content.update(format=2),
    "no stories": lambda content: content.pop("stories"),
    "a list of stories": lambda content: content.update(stories=[]),
    "a story that is a list": lambda content: content["stories"].update(id=[]),
    "no steps": lambda content: content["stories"]["id"].pop("steps"),
    "too many steps": lambda content: content["stories"]["id"].update(steps=content["stories"]["id"]["steps"] * 3),
    "an unknown modality": set_step(modality="smell"),
    "an unknown group": set_step(queries="everyone"),
    "no chosen token": set_step(keys={"tokens": [], "stream": ""}),
    "a negative token": set_step(keys={"tokens": [-1], "stream": ""}),
    "no layers": set_step(windows=[["", []]]),
    "a layer in words": set_step(windows=[["", ["1"]]]),
    "no windows": set_step(windows=[]),
    "a stack that is a number": set_step(windows=[[1, [1]]]),
    "an effect of less than is told": set_step(effect=-LEAST / 2),
    "an endless effect": set_step(effect=float("-inf")),
    "an effect that is no number": set_step(effect="large"),
    "a probability over 1": set_step(probability=1.5),
    "a change in words": set_step(is_changed="no"),
    "an answer that is a number": set_story(answer=3),
    "a long answer": set_story(answer="x" * 2_000),
    "a way out of nothing": set_story(ways_out=[["image"]]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "stories.json"
    content = json.loads(stories_to_json({"id": TOLD}))
    path.write_text(json.dumps(content), encoding="utf-8")
    assert read_stories(path) == {"id": TOLD}
    DAMAGES[damage](content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(MmvizError) as error:
        read_stories(path)
    assert error.value.code == "stories-unreadable" and "stories.json" in str(error.value)


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"[" * 100_000, b" " * MAX_BYTES + b"{}", None], ids=range(6))
def test_another_file_or_none_is_refused(data: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "stories.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(MmvizError) as error:
        read_stories(path)
    assert error.value.code == "stories-unreadable"


def test_a_story_is_that_of_its_record_alone() -> None:
    record = recorded("spoken-place")
    last = len(record.streams[record.flow_streams[0]]) - 1
    fitting = replace(SEEN, keys=ChosenTokens((last,)))
    story = Story(record.answers[0].label, 0.9, (fitting,))
    assert story_of_record({record.id: story}, record) is story
    for other in (
        replace(record, id="another"),
        replace(record, made_by={**record.made_by, "changes": ("UniformAttention()",)}),
        replace(record, answers=record.answers[1:]),
        replace(record, answers=()),
    ):
        assert story_of_record({record.id: story}, other) is None
    for step in (
        replace(fitting, keys=ChosenTokens((last + 1,))),
        replace(fitting, queries=ChosenTokens((0,), "another stream")),
        replace(fitting, windows=(LayerWindow("", (1, 99)),)),
        replace(fitting, windows=(LayerWindow("another stack", (1,)),)),
    ):
        assert story_of_record({record.id: replace(story, steps=(step,))}, record) is None


@pytest.mark.slow
def test_every_recording_of_the_gallery_has_its_story() -> None:
    stories = read_stories(STORIES)
    assert STORIES.stat().st_size < 100_000
    assert set(stories) == {recorded(name).id for name in EXAMPLES}
    for name in EXAMPLES:
        record = recorded(name)
        story = story_of_record(stories, record)
        assert story is not None, name
        assert story.probability == pytest.approx(record.answers[0].probability, abs=1e-6)
        assert len(story.steps) <= MOST_STEPS and not (story.steps and story.ways_out)


@pytest.mark.slow
def test_a_recorded_story_is_what_is_measured_anew(backend: LocalBackend) -> None:
    record = recorded("said")
    stored = story_of_record(read_stories(STORIES), record)
    now = measure_story(backend, Request("trio", EXAMPLES["said"].sample()), record)
    assert stored is not None and len(stored.steps) == len(now.steps) > 0
    for step, measured in zip(stored.steps, now.steps, strict=True):
        assert step.effect == pytest.approx(measured.effect, abs=TOLERANCE)
        assert step.probability == pytest.approx(measured.probability, abs=TOLERANCE)
        same = {"effect": 0.0, "probability": 0.0}
        assert replace(step, **same) == replace(measured, **same)
    assert stored.answer == now.answer and stored.ways_out == now.ways_out == ()


@pytest.mark.slow
def test_each_step_of_a_recorded_story_is_what_its_own_cut_takes(backend: LocalBackend) -> None:
    """Of a picture and a sound, whose search takes much longer than these cuts."""
    story = story_of_record(read_stories(STORIES), recorded("spoken-place"))
    assert story is not None and {step.modality for step in story.steps} >= {IMAGE, AUDIO}
    request = Request("trio", EXAMPLES["spoken-place"].sample(), maps=False)
    cuts = backend.run([replace(request, changes=step.cuts) for step in story.steps])
    for step, cut in zip(story.steps, cuts, strict=True):
        after = next(answer.probability for answer in cut.answers if answer.label == story.answer)
        assert step.effect == pytest.approx(math.log(after / story.probability), abs=TOLERANCE)
        assert step.answer == cut.answers[0].label
        assert step.probability == pytest.approx(cut.answers[0].probability, abs=TOLERANCE)
