"""Looking at a run on the page: ways of looking, switches, cards, controls, and what is taken along."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from app_page import TRIOS, markup, now, press, run
from PIL import Image
from streamlit.testing.v1 import AppTest

from mmviz.analysis.select import Way
from mmviz.app import foot, seen, state
from mmviz.app.texts import say
from mmviz.io import from_bytes


def look(page: AppTest, key: str, value: object) -> AppTest:
    page.selectbox(key).set_value(value)
    return run(page)


def card(page: AppTest, name: str) -> str:
    """What a card of the three ways shows, as HTML."""
    return next(body for body in (e.proto.body for e in page.html) if "class='way'" in body and f"<b>{name}" in body)


def chart(page: AppTest, key: str) -> str:
    """A figure as it is sent to the browser."""
    return next(str(e.proto.spec) for e in page.get("plotly_chart") if key in e.proto.id)


def lit(page: AppTest) -> str:
    """The picture under attention, as a data URI: without titles, which change with less."""
    return str(json.loads(chart(page, "picture-figure"))["layout"]["images"][0]["source"])


def test_every_way_of_looking_is_drawn_and_told(opened: AppTest) -> None:
    drawn = set()
    for method in ("mean", "head", "rollout", "relevance"):
        opened.selectbox(state.METHOD).set_value(method)
        for direction in ("from", "to"):
            opened.segmented_control(state.DIRECTION).set_value(direction)
            run(opened)
            body = markup(opened)
            drawn.add(lit(opened))
            assert say(f"words-{direction}", token="“answer”") in body
            assert ("± " in body) == (method == "mean"), "the spread over heads belongs to their mean"
            assert opened.selectbox(state.LAYER).disabled == (method not in ("mean", "head"))
            assert opened.selectbox(state.HEAD).disabled == (method != "head")
    assert len(drawn) == 8


def test_layer_head_and_token_change_what_is_drawn(opened: AppTest) -> None:
    look(opened, state.METHOD, "head")
    drawn = {lit(opened)}
    for key, value in ((state.LAYER, 2), (state.HEAD, 3), (state.TOKEN, now(opened).run.asker + 1)):
        drawn.add(lit(look(opened, key, value)))
    assert len(drawn) == 4


def test_the_switches_redraw_and_the_way_back_is_one_click(opened: AppTest) -> None:
    before, matrix = lit(opened), chart(opened, "modality-figure")
    for switch, value in (("style", "heat"), ("scale", "map")):
        opened.segmented_control(switch).set_value(value)
        after = lit(run(opened))
        assert after != before
        before = after
    for value in ("per_token", "ratio"):
        opened.segmented_control("which").set_value(value)
        after = chart(run(opened), "modality-figure")
        assert after != matrix
        matrix = after
    chosen = now(opened).run.way
    assert "back" not in [button.key for button in opened.button]
    look(opened, state.METHOD, "head" if chosen.method != "head" else "mean")
    press(opened, "back")
    assert str(chosen).startswith(opened.selectbox(state.METHOD).value)


def test_three_ways_stand_beside_each_other_and_their_buttons_look_that_way(opened: AppTest) -> None:
    look(opened, state.METHOD, "head")
    last = now(opened).run.record.maps[-1].layer
    found = [Way("mean", layer=last), Way("rollout"), Way("relevance")]
    cards = [card(opened, way.words()) for way in found]
    assert len({body.split("src='")[1].split("'")[0] for body in cards}) == 3, "three different pictures"
    assert all(say("strip-text") in body and say("strip-audio") in body for body in cards)
    for way in found:
        assert not opened.button(f"look-{way.method}").disabled
        press(opened, f"look-{way.method}")
        assert opened.selectbox(state.METHOD).value == way.method
        button = opened.button(f"look-{way.method}")
        assert button.disabled and button.label == say("way-now")
        others = [one.method for one in found if one != way]
        assert [opened.button(f"look-{one}").label for one in others] == [say("way-look")] * 2


def test_a_card_tells_the_strongest_tokens_of_the_chosen_token(opened: AppTest) -> None:
    page_run = now(opened).run
    amounts = page_run.attention(Way("rollout"))
    strongest = page_run.tokens[int(amounts.argmax())]
    first = card(opened, Way("rollout").words()).split("Strongest: “")[1].split("”")[0]
    assert strongest.label in first or first.startswith(("patch", "0", "1", "2", "3")), first
    before = card(opened, Way("rollout").words())
    assert card(look(opened, state.TOKEN, page_run.asker + 3), Way("rollout").words()) != before


def test_a_run_without_relevance_says_so(opened: AppTest) -> None:
    look(opened, state.METHOD, "relevance")
    assert say("ways-no-relevance") not in markup(opened)
    press(opened, "control-evened")
    assert now(opened).run.record.relevance is None
    assert say("ways-no-relevance") in markup(opened)
    assert "look-relevance" not in [button.key for button in opened.button]
    assert opened.selectbox(state.METHOD).value != "relevance"
    assert say("way-relevance") not in opened.selectbox(state.METHOD).options


def test_controls_are_one_click_away(opened: AppTest) -> None:
    trained = now(opened).run
    press(opened, "control-shuffled")
    assert now(opened).run.record.made_by["trained"] is False and say("untrained") in markup(opened)
    assert now(opened).run.record.answers != trained.record.answers and now(opened).shown == TRIOS[0]
    assert now(opened).run.record.relevance is not None
    press(opened, "control-evened")
    weights = now(opened).run.record.maps[0].weights
    assert np.allclose(weights, 1 / weights.shape[-1]) and say("evened") in markup(opened)
    press(opened, "control-trained")
    assert now(opened).run.record.answers == trained.record.answers
    assert say("untrained") not in markup(opened) and say("evened") not in markup(opened)
    press(opened, "control-shuffled")
    press(opened, f"trio-{TRIOS[1].id}")
    assert now(opened).run.record.made_by["trained"] is True


@pytest.mark.parametrize("missing", ["image", "audio"])
def test_a_trio_without_picture_or_sound_is_drawn(opened: AppTest, missing: str) -> None:
    trio = next(trio for trio in TRIOS if getattr(trio, missing) is None)
    press(opened, f"trio-{trio.id}")
    shown = card(opened, Way("rollout").words())
    assert ("<img" in shown) == (missing != "image")
    assert (say("strip-audio") in shown) == (missing != "audio")
    assert len(opened.get("plotly_chart")) == 4


def test_what_is_taken_along_can_be_read_again(opened: AppTest) -> None:
    found = now(opened).run
    selection = state.Selection(found.asker, "to", found.way, "spotlight", "map")
    files = foot.files(seen.Seen(found, selection))
    assert [button.key for button in opened.download_button] == list(files)
    made = {code: make() for code, (make, _, _) in files.items()}
    assert from_bytes(made["save-run"])[1].answers == found.record.answers
    assert json.loads(made["save-summary"])["answer"] == found.record.answers[0].label
    with Image.open(io.BytesIO(made["save-figure"])) as figure:
        assert figure.size == (1600, 900)
