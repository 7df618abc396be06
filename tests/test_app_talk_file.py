"""A saved talk that is opened on the page: its slides join those that are there, or it says why they cannot."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest
from app_page import notes, now, press, run, visit
from made_up_talk import recorded_run, story
from streamlit.testing.v1 import AppTest

from mmviz.app import session_history
from mmviz.app.kept_runs import KeptRuns
from mmviz.app.pages.explore import talk_upload
from mmviz.app.talk_draft import MAX_RUNS, TalkDraft
from mmviz.app.talk_runs import run_of
from mmviz.app.uploads import STAND_IN
from mmviz.i18n.errors_and_notices import sentence
from mmviz.present import Talk, make_talk

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("kept_runs")]


@pytest.fixture(scope="module")
def saved() -> Talk:
    """A talk with texts of its own."""
    talk = make_talk(recorded_run(), story())
    first, second, *others = talk.slides
    own = replace(first, caption="Mine <b>", notes="Breathe.")
    return replace(talk, title="Tuesday", slides=(second, own, *others))


def talk_of(page: AppTest) -> TalkDraft:
    talk: TalkDraft = page.session_state[session_history.TALK]
    return talk


def with_talk_unfolded() -> AppTest:
    page = visit()
    page.session_state["talk"] = True
    return run(page)


def choose(page: AppTest, content: bytes, media_type: str = "application/octet-stream") -> AppTest:
    """Chooses a file in the field of the talk."""
    key = f"talk-file-{talk_of(page).files}"
    page.file_uploader(key).set_value(("my.mmviz", content, media_type))
    return run(page)


def refusals(page: AppTest) -> list[str]:
    return [html.unescape(re.sub("<[^>]*>", "", note)) for note in notes(page, "refused")]


def test_a_talk_that_is_opened_and_saved_again_has_the_same_bytes(saved: Talk, kept_runs: KeptRuns) -> None:
    page = choose(with_talk_unfolded(), saved.to_bytes())
    assert not refusals(page) and len(kept_runs) == 1
    again = talk_of(page).talk(run_of, "en")
    assert again is not None and again.to_bytes() == saved.to_bytes()
    assert page.text_input("talk-name").value == "Tuesday"
    press(page, "forget")
    assert session_history.TALK not in page.session_state and len(kept_runs) == 0


def test_its_slides_join_those_that_are_there_and_a_run_is_kept_once(saved: Talk, kept_runs: KeptRuns) -> None:
    page = press(with_talk_unfolded(), "talk-add-run")
    own = [each.slide for each in talk_of(page).slides]
    press(page, f"talk-slide-{talk_of(page).slides[0].number}")
    for _ in range(2):
        choose(page, saved.to_bytes())
    slides = [each.slide for each in talk_of(page).slides]
    loaded = [*Talk.from_bytes(saved.to_bytes()).slides]
    assert slides == [own[0], *loaded, *loaded, *own[1:]]
    assert len(talk_of(page).runs) == 2 and len(kept_runs) == 1


def test_its_title_becomes_that_of_a_talk_without_one(saved: Talk) -> None:
    page = press(with_talk_unfolded(), "talk-add-run")
    assert page.text_input("talk-name").value == ""
    choose(page, saved.to_bytes())
    assert page.text_input("talk-name").value == "Tuesday" == talk_of(run(page)).title
    page.text_input("talk-name").set_value("Mine")
    run(page)
    choose(page, saved.to_bytes())
    assert page.text_input("talk-name").value == "Mine" == talk_of(page).title


def test_a_file_that_is_opened_again_restores_the_slides_of_its_run(saved: Talk, kept_runs: KeptRuns) -> None:
    page = choose(with_talk_unfolded(), saved.to_bytes())
    kept_runs.forget("", now(page).visitor)
    run(page)
    assert talk_of(page).talk(run_of, "en") is None
    choose(page, saved.to_bytes())
    again = talk_of(page).talk(run_of, "en")
    assert again is not None and len(again.slides) == 2 * len(saved.slides) and len(kept_runs) == 1


@pytest.mark.parametrize(
    ("code", "content", "media_type"),
    [("talk-unreadable", b"no zip", ""), ("talk-unreadable", None, ""), ("upload-large", b"734003200", STAND_IN)],
)
def test_a_file_that_cannot_be_opened_is_refused_and_the_talk_stays(
    code: str, content: bytes | None, media_type: str, saved: Talk, kept_runs: KeptRuns
) -> None:
    page = press(with_talk_unfolded(), "talk-add-run")
    before = list(talk_of(page).slides)
    choose(page, saved.to_bytes()[:-40] if content is None else content, media_type)
    error = talk_of(page).file_error
    assert error is not None and error.code == code and refusals(page) == [str(error)]
    assert talk_of(page).slides == before and len(kept_runs) == 0 and not page.exception
    choose(page, saved.to_bytes())
    assert not refusals(page) and len(talk_of(page).slides) == len(before) + len(saved.slides)


def test_a_talk_without_room_and_one_that_is_too_large_are_refused_whole(
    saved: Talk, kept_runs: KeptRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = with_talk_unfolded()
    runs = tuple(recorded_run(layers) for layers in range(1, MAX_RUNS + 2))
    runs = tuple(replace(each, record=replace(each.record, id=str(k))) for k, each in enumerate(runs))
    slides = [replace(saved.slides[0], run=number) for number in range(len(runs))]
    choose(page, replace(saved, runs=runs, slides=tuple(slides)).to_bytes())
    assert "up to 60 slides of 8 runs" in refusals(page)[0] and not talk_of(page).slides
    monkeypatch.setattr(talk_upload, "LARGEST", 1_000)
    choose(page, saved.to_bytes())
    assert refusals(page)[0].endswith("mmviz reads at most 0 MB.") and not talk_of(page).slides and not len(kept_runs)


def test_the_reason_is_in_the_language_of_the_page(saved: Talk) -> None:
    page = choose(with_talk_unfolded(), b"no zip")
    english = refusals(page)
    press(page, "language-zh")
    page.session_state["talk"] = True
    run(page)
    assert english == [sentence("talk-unreadable")] and refusals(page) and refusals(page) != english
    assert now(page).run is not None
