"""Below the form, before a run: an input that the model does not know is told, once, and no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmviz.app import resources
from mmviz.app.components import page_elements
from mmviz.app.draft import Draft
from mmviz.app.operator_config import OperatorConfig
from mmviz.app.pages.explore import input_doubts as page
from mmviz.app.session_state import State
from mmviz.types import InputError, Notice

STRANGE = b"x, a photograph of something unknown"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The notes that are drawn: all images but `STRANGE` are known, no sound is, and files begin with x."""
    notes: list[str] = []

    def run(requests: list[Any]) -> list[Any]:
        (request,) = requests
        assert not request.maps and (request.sample[0] is None) != (request.sample[1] is None)
        notices = [Notice("image-squeezed", {"width": 2, "height": 1})]
        notices += [Notice("audio-out-of-distribution")] if request.sample[1] else []
        notices += [Notice("image-out-of-distribution")] if request.sample[0] == STRANGE else []
        return [SimpleNamespace(notices=notices)]

    def sample(image: bytes | None, text: str, audio: bytes | None, video: None) -> Any:
        if not (image or audio or b"").startswith(b"x"):
            raise InputError("text-blank")
        return image, audio

    backend = SimpleNamespace(is_warm=True, backend=lambda: SimpleNamespace(run=run))
    monkeypatch.setattr(resources, "warm_backend", lambda config: backend)
    monkeypatch.setattr(resources, "decoder", lambda: SimpleNamespace(sample=sample))
    monkeypatch.setattr(page, "Request", lambda model, given, maps: SimpleNamespace(sample=given, maps=maps))
    monkeypatch.setattr(page_elements, "note", lambda text, kind: notes.append(f"{kind}: {text}"))
    page._doubts.clear()
    return notes


def state(**changes: Any) -> State:
    return replace(State(), **changes)


def test_an_unknown_photograph_is_told_before_the_run(drawn: list[str]) -> None:
    page.input_doubts(state(), Draft(STRANGE, "what is in the picture?", None))
    assert drawn == [f"out-of-distribution: {Notice('image-out-of-distribution')}"]


def test_an_unknown_sound_is_told_before_the_run(drawn: list[str], tmp_path: Path) -> None:
    (tmp_path / "word.wav").write_bytes(b"x")
    page.input_doubts(state(), Draft(b"xi", "what was said", tmp_path / "word.wav"))
    assert len(drawn) == 1 and drawn[0] == f"out-of-distribution: {Notice('audio-out-of-distribution')}"


def test_what_the_run_on_the_screen_says_is_not_said_twice(drawn: list[str]) -> None:
    draft = Draft(None, "what was said", b"xa")
    page.input_doubts(state(run_draft=draft), draft)
    page.input_doubts(state(run_requested=True), draft)
    page.input_doubts(state(config=OperatorConfig(spec="some/model")), draft)
    assert not drawn
    page.input_doubts(state(run_draft=Draft(None, "", b"xb")), draft)
    assert len(drawn) == 1


def test_a_file_that_cannot_be_read_is_left_to_the_run(drawn: list[str]) -> None:
    page.input_doubts(state(), Draft(b"no image", "", InputError("text-blank")))
    assert not drawn
