"""The story of an answer on the first view, without a browser: traced on request, and opened in the viewer."""

from __future__ import annotations

import re

import pytest
from app_page import EXAMPLES, markup, now, press, selected, settled, visit

from mmviz.app.pages.explore.story import traced_story
from mmviz.i18n.page import say

pytestmark = pytest.mark.slow

CARD = r"<div class='story-card'>.*?<span class='story-size'>.*?</span></div>"
SPOKEN = next(example for example in EXAMPLES if example.id == "spoken-place")


def test_the_story_is_traced_on_request_and_each_step_opens_in_the_viewer() -> None:
    page = visit(example=SPOKEN.id)
    assert now(page).experiments == {} and "class='story-card'" not in markup(page), (
        "the first view does not wait for it"
    )
    settled(press(page, "story"))
    (job,) = now(page).experiments.values()
    story = job.result
    assert story is not None and 2 <= len(story.steps) <= 5
    cards = re.findall(CARD, markup(page), re.DOTALL)
    assert len(cards) == len(story.steps)
    for card, step in zip(cards, story.steps, strict=True):
        assert say("story-effect", size=-step.effect) in card
    assert any("<img" in card for card in cards) and any("data-token" in card for card in cards)
    run = now(page).run
    assert run is not None and traced_story(now(page), run.record) == story, "a talk has it"
    number = next(k for k, step in enumerate(story.steps, start=1) if step.queries == "answer")
    serial = now(page).serial
    press(page, f"story-show-{number}")
    layers = story.steps[number - 1].windows[0].layers
    assert selected(page).direction == "from" and selected(page).tokens == (0,)
    assert selected(page).map_ref.layer in layers and now(page).serial > serial


def test_the_story_is_told_in_chinese() -> None:
    page = settled(press(visit(example=SPOKEN.id, lang="zh"), "story"))
    cards = re.findall(CARD, markup(page), re.DOTALL)
    assert cards and all(re.search("[\u4e00-\u9fff]", card) for card in cards)
    assert not any(re.search("Layer|Without|reads", card) for card in cards)
