"""The story of an answer on the first view, without a browser: recorded or traced, and opened in the viewer."""

from __future__ import annotations

import html
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from app_page import EXAMPLES, address, markup, now, past_run, press, record_of, run, selected, settled, visit
from made_up_talk import recorded_run
from streamlit.testing.v1 import AppTest

from mmviz.analysis.answer_maps import reads_from_ref
from mmviz.analysis.attributions import modality_shares
from mmviz.app import resources, session_history
from mmviz.app import session_state as state
from mmviz.app.pages.explore import story as story_page
from mmviz.app.pages.explore.effect_card import effect_card_html, removal_effects, unlike_routes
from mmviz.app.pages.explore.story import told_story
from mmviz.cli import _parser
from mmviz.experiments.modality_shapley import Effect
from mmviz.experiments.story import Story
from mmviz.i18n.page import say
from mmviz.present import Slide, Talk
from mmviz.types import ANSWER, CutRoute, Modality

pytestmark = pytest.mark.slow

CARD = r"<div class='story-card'>.*?<span class='story-size'>.*?</span></div>"
SPOKEN = next(example for example in EXAMPLES if example.id == "spoken-place")


def cards_of(page: AppTest) -> list[str]:
    return re.findall(CARD, markup(page), re.DOTALL)


def assert_told(page: AppTest, story: Story) -> None:
    """Checks that the page shows the steps of ``story``, and that one of them opens in the viewer."""
    cards = cards_of(page)
    assert 2 <= len(story.steps) <= 5 and len(cards) == len(story.steps)
    for card, step in zip(cards, story.steps, strict=True):
        assert say("story-effect", size=-step.effect) in card
    assert any("<img" in card for card in cards) and any("data-token" in card for card in cards)
    shown = now(page).run
    assert shown is not None and told_story(now(page), shown.record) == story, "a talk has it"
    number = next(k for k, step in enumerate(story.steps, start=1) if step.queries == ANSWER)
    serial = now(page).serial
    press(page, f"story-show-{number}")
    layers = story.steps[number - 1].windows[0].layers
    assert selected(page).direction == "from" and selected(page).tokens == (0,)
    assert layers and selected(page).map_ref.layer in layers
    assert now(page).serial == now(page).scroll_serial > serial, "the page scrolls to the viewer"
    assert f"mmvizScrollToViewer({now(page).serial})" in markup(page)


@pytest.mark.slow
def test_a_talk_of_a_file_opens_with_its_slides_and_all_of_its_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs = (recorded_run(), recorded_run(3))
    slides = (Slide("answer", "Second", "Last first.", "Wait.", 1), Slide("inputs", "First"))
    Talk("Mine", runs, slides, "en").save(tmp_path / "talk.mmviz")
    monkeypatch.setattr(sys, "argv", [*sys.argv[:1], "--run", str(tmp_path / "talk.mmviz")])
    page = visit()
    assert record_of(page) == runs[0].record and now(page).is_saved
    rows = [page.button(f"talk-slide-{number}").label for number in (1, 2)]
    assert [row.partition(" ")[2] for row in rows] == ["Second", "First"], "unfolded, in its order"
    texts = page.text_input("talk-title-1"), page.text_area("talk-caption-1"), page.text_area("talk-notes-1")
    assert [text.value for text in texts] == ["Second", "Last first.", "Wait."]
    assert page.text_input("talk-name").value == "Mine"
    press(page, "talk-down-1")
    press(page, "saved-1")
    assert record_of(page) == runs[1].record
    saved = resources.saved_runs(now(page).config)
    talk = page.session_state[session_history.TALK].talk(lambda ref: saved[ref.place], "en")
    assert [slide.title for slide in talk.slides] == ["First", "Second"]
    assert [run.record for run in talk.runs] == [run.record for run in runs]


@pytest.mark.slow
def test_a_recorded_run_has_its_story_on_the_first_view() -> None:
    page = visit(example=SPOKEN.id)
    story = resources.recorded_story(record_of(page))
    assert story is not None and now(page).experiments == {} and now(page).job is None, "nothing is computed"
    assert not any(button.key == "story" for button in page.button)
    assert "mmvizScrollToViewer" not in markup(page), "the page opens at its top"
    assert_told(page, story)
    assert now(page).experiments == {}
    assert {"story-csv", "story-json"} <= {button.key for button in page.download_button}
    (command,) = (block.value for block in page.code)
    options = _parser().parse_args(shlex.split(command)[1:])
    assert command.startswith("mmviz story") and options.text == SPOKEN.question
    other = next(example for example in EXAMPLES if example.id == "there")
    press(page, f"example-{other.id}")
    told = resources.recorded_story(record_of(page))
    assert told is not None and told != story and len(cards_of(page)) == len(told.steps)
    assert now(page).experiments == {} and "mmvizScrollToViewer" not in markup(page)


def test_the_effect_of_each_input_stands_beside_its_attention() -> None:
    page = visit(example=SPOKEN.id)
    effect = resources.recorded_effect(record_of(page))
    assert effect is not None and now(page).experiments == {}, "nothing is computed"
    (card,) = [element.proto.body for element in page.html if "class='effect-card'" in element.proto.body]
    shares = modality_shares(record_of(page), reads_from_ref(record_of(page))[0])
    rows = card.split("class='effect-row'")[1:]
    for modality, row in zip((Modality.IMAGE, Modality.TEXT, Modality.AUDIO), rows, strict=True):
        loss = removal_effects(effect)[modality]
        whole = effect.everything
        assert loss == effect.values[whole - {modality}] - effect.values[whole] < 0
        assert f"{shares[modality]:.1%}" in row and f"−{-loss:.1f} nats" in row
    assert "0 to 100 %" in card and f"nats, 0 to −{max(-loss for loss in removal_effects(effect).values()):.1f}" in card


def test_a_route_that_matters_more_than_its_input_is_explained() -> None:
    shown = resources.recorded_run(SPOKEN.id)
    assert shown is not None
    effect, story = resources.recorded_effect(shown.record), resources.recorded_story(shown.record)
    assert effect is not None and story is not None
    whole, audio = effect.everything, frozenset({Modality.AUDIO})
    same = replace(effect, values={**effect.values, whole - audio: effect.values[whole] - 0.09})
    step = replace(story.steps[0], queries=ANSWER, keys=Modality.AUDIO, modality=Modality.AUDIO)
    told = replace(story, steps=(step,))
    for step_effect, measured, is_explained in ((-1.1, same, True), (-0.1, same, False), (-1.1, effect, False)):
        steps = (replace(told.steps[0], effect=step_effect),)
        card = effect_card_html(shown, measured, True, replace(told, steps=steps))
        sentence = say("effect-beside-routes", modalities=say("the-audio"), size="−1.1")
        assert ("effect-routes" in card) == (sentence in html.unescape(card)) == is_explained
    reading = replace(told.steps[0], effect=-1.1, queries=Modality.AUDIO, keys=Modality.TEXT, modality=Modality.TEXT)
    losses = removal_effects(same)
    assert unlike_routes(shown.record, losses, replace(told, steps=(reading,))) == {Modality.AUDIO: -1.1}, "it reads"
    assert "effect-routes" not in effect_card_html(shown, same, True), "no story yet"


@pytest.mark.slow
def test_a_changed_run_never_shows_the_story_of_the_recorded_one() -> None:
    page = visit(example=SPOKEN.id)
    assert cards_of(page)
    now(page).cut_routes, now(page).run_requested = (CutRoute(Modality.IMAGE, Modality.AUDIO),), True
    run(page)
    assert record_of(page).has_change(CutRoute) and not cards_of(page)
    assert say("effect-beside-none", button=say("story-trace")) in markup(page), "nor the recorded effect"
    assert page.button("story").label == say("story-trace")
    now(page).cut_routes, now(page).run_requested = (), True
    run(page)
    assert cards_of(page), "restored, the recorded run is shown again"


@pytest.mark.slow
def test_the_story_of_ones_own_input_is_traced_on_request() -> None:
    page = visit(example=SPOKEN.id)
    page.text_input(state.QUESTION).set_value(SPOKEN.question.lower())
    press(page, "run")
    assert "recorded" not in record_of(page).made_by and not cards_of(page) and now(page).experiments == {}
    press(page, "story")
    assert not any(button.key == "story" for button in page.button), "no second click while it is traced"
    settled(page)
    (job,) = now(page).experiments.values()
    assert job.result is not None and not any(button.key == "story" for button in page.button)
    effect = job.result.effect
    assert isinstance(effect, Effect) and effect_card_html(now(page).run, effect, True) in markup(page)
    assert_told(page, job.result.story)
    link = {name: value for name, value in address(page).items() if name != "lang"}
    press(page, f"example-{SPOKEN.id}")
    press(page, past_run(page, 1))
    for again in (page, visit(**link)):  # by the history, and by a reload
        assert now(again).run.record.id == record_of(page).id and now(again).experiments == {}
        assert not any(button.key == "story" for button in again.button)
        assert effect_card_html(now(again).run, effect, True) in markup(again)
        assert_told(again, job.result.story)
    press(page, "run")
    assert not cards_of(page) and page.button("story"), "another run has no story yet"


def test_a_card_that_is_clicked_while_another_run_is_made_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    page = visit(example=SPOKEN.id)
    record, session = record_of(page), now(page)
    story = told_story(session, record)
    press(page, f"example-{EXAMPLES[1].id}")
    before = session.selection, session.serial
    monkeypatch.setattr(story_page.session, "current_state", lambda: session)
    monkeypatch.setattr(story_page.session_actions, "show_in_viewer", lambda selection: pytest.fail("of the old run"))
    assert story is not None and session.run is not None and session.run.record.id != record.id
    for step in story.steps:
        story_page.show_step(record.id, None, step)
    assert (session.selection, session.serial) == before


def test_the_story_is_told_in_chinese() -> None:
    cards = cards_of(visit(example=SPOKEN.id, lang="zh"))
    assert cards and all(re.search("[\u4e00-\u9fff]", card) for card in cards)
    assert not any(re.search("Layer|Without|reads", card) for card in cards)
