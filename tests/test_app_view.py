"""Looking at a run on the page: ways of looking, switches, cards, controls, and what is taken along."""

from __future__ import annotations

import html
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from app_page import EXAMPLES, looked, markup, now, press, sent, tell, view
from PIL import Image
from streamlit.testing.v1 import AppTest

from mmviz.analysis.map_refs import plane_of
from mmviz.app import selection_view as seen
from mmviz.app.pages.explore import footer as foot
from mmviz.app.selection import Selection
from mmviz.i18n.page import say
from mmviz.io.run_file import from_bytes
from mmviz.types import MapRef


def look(page: AppTest, written: str) -> AppTest:
    """Look in another way, as if it had been chosen in the viewer."""
    return tell(page, view(page, plane=plane_of(now(page).run.record, MapRef.parse(written))))


def card(page: AppTest, name: str) -> str:
    """What a card of the three ways shows, as HTML."""
    return next(body for body in (e.proto.body for e in page.html) if "class='way'" in body and f"<b>{name}" in body)


def chart(page: AppTest, key: str) -> str:
    """A figure as it is sent to the browser."""
    return next(str(e.proto.spec) for e in page.get("plotly_chart") if key in e.proto.id)


def test_every_way_of_looking_is_drawn_and_told(opened: AppTest) -> None:
    assert not opened.get("plotly_chart"), "the matrix is drawn once it is opened"
    opened.session_state[foot.WEIGHTS] = True
    drawn = set()
    for written in ("5:mean", "5:1", "rollout", "relevance", "2:mean", "2:3", "2:0"):
        body = markup(look(opened, written))
        drawn.add(chart(opened, "matrix-figure"))
        title = json.loads(chart(opened, "matrix-figure"))["layout"]["title"]["text"].replace("</b><br><b>", " ")
        assert say("matrix", method=MapRef.parse(written).words()) in title
        assert ("± " in body) == written.startswith("mean"), "the spread over heads belongs to their mean"
    assert len(drawn) == 7


def test_token_and_direction_change_the_cards(opened: AppTest) -> None:
    name, found = MapRef("rollout").words(), []
    for tokens, direction in (([0], "from"), ([0], "to"), ([7], "from"), ([7, 8], "from"), ([7, 8], "to")):
        tell(opened, view(opened, tokens=tokens, direction=direction))
        found.append(card(opened, name))
        one = seen.SelectionView(now(opened).run, looked(opened))
        assert html.escape(say(f"ways-{direction}", token=one.name)) in markup(opened)
    assert len(set(found)) == 5
    assert "2 tokens: “" in markup(opened)


def test_with_a_second_pin_the_cards_show_the_first_and_say_so(opened: AppTest) -> None:
    tell(opened, view(opened, tokens=[7]))
    alone = card(opened, MapRef("rollout").words())
    assert "difference" not in markup(opened)
    tell(opened, view(opened, tokens=[7], versus=[0]))
    first, second = (seen.SelectionView(now(opened).run, replace(looked(opened), tokens=(k,))).name for k in (7, 0))
    assert html.escape(say("versus", token=first, other=second)) in markup(opened)
    assert card(opened, MapRef("rollout").words()) == alone


def test_the_way_back_is_one_click(opened: AppTest) -> None:
    chosen = now(opened).run.map_ref
    assert "back" not in [button.key for button in opened.button]
    look(opened, "1:1")
    press(opened, "back")
    assert looked(opened).map_ref == chosen and "back" not in [button.key for button in opened.button]


def test_three_ways_stand_beside_each_other_and_their_buttons_look_that_way(opened: AppTest) -> None:
    look(opened, "1:1")
    last = now(opened).run.record.maps[-1].layer
    found = [MapRef("attention", layer=last), MapRef("rollout"), MapRef("relevance")]
    cards = [card(opened, map_ref.words()) for map_ref in found]
    assert len({body.split("src='")[1].split("'")[0] for body in cards}) == 3, "three different pictures"
    assert all(say("strip-text") in body and say("strip-audio") in body for body in cards)
    for map_ref in found:
        assert not opened.button(f"look-{map_ref.method}").disabled
        press(opened, f"look-{map_ref.method}")
        assert looked(opened).map_ref == map_ref and sent(opened)[0]["view"]["plane"] == plane_of(
            now(opened).run.record, map_ref
        )
        button = opened.button(f"look-{map_ref.method}")
        assert button.disabled and button.label == say("way-now")
        others = [one.method for one in found if one != map_ref]
        assert [opened.button(f"look-{one}").label for one in others] == [say("way-look")] * 2


def test_a_card_tells_the_strongest_tokens_of_the_chosen_token(opened: AppTest) -> None:
    page_run = now(opened).run
    amounts = page_run.attention(MapRef("rollout"))
    strongest = page_run.tokens[int(amounts.argmax())]
    first = card(opened, MapRef("rollout").words()).split("Strongest: “")[1].split("”")[0]
    assert strongest.label in first or first.startswith(("patch", "0", "1", "2", "3")), first
    before = card(opened, MapRef("rollout").words())
    assert card(tell(opened, view(opened, tokens=[page_run.answer_query + 3])), MapRef("rollout").words()) != before


def test_a_run_without_relevance_says_so(opened: AppTest) -> None:
    look(opened, "relevance")
    assert say("ways-no-relevance") not in markup(opened)
    press(opened, "control-evened")
    assert now(opened).run.record.relevance is None
    assert say("ways-no-relevance") in markup(opened)
    assert "look-relevance" not in [button.key for button in opened.button]
    assert looked(opened).map_ref == now(opened).run.map_ref and "relevance" not in sent(opened)[0]["planes"]


def test_controls_are_one_click_away(opened: AppTest) -> None:
    trained = now(opened).run
    press(opened, "control-shuffled")
    assert now(opened).run.record.made_by["trained"] is False and say("untrained") in markup(opened)
    assert now(opened).run.record.answers != trained.record.answers and now(opened).shown == EXAMPLES[0]
    assert now(opened).run.record.relevance is not None
    press(opened, "control-evened")
    weights = now(opened).run.record.maps[0].weights
    assert np.allclose(weights, 1 / weights.shape[-1]) and say("evened") in markup(opened)
    press(opened, "control-trained")
    assert now(opened).run.record.answers == trained.record.answers
    assert say("untrained") not in markup(opened) and say("evened") not in markup(opened)
    press(opened, "control-shuffled")
    press(opened, f"trio-{EXAMPLES[1].id}")
    assert now(opened).run.record.made_by["trained"] is True


@pytest.mark.parametrize("missing", ["image", "audio"])
def test_a_trio_without_picture_or_sound_is_drawn(opened: AppTest, missing: str) -> None:
    example = next(example for example in EXAMPLES if getattr(example, missing) is None)
    press(opened, f"trio-{example.id}")
    shown = card(opened, MapRef("rollout").words())
    assert ("<img" in shown) == (missing != "image")
    assert (say("strip-audio") in shown) == (missing != "audio")


def test_what_is_taken_along_can_be_read_again(opened: AppTest) -> None:
    found = now(opened).run
    selection = Selection((found.answer_query, 3), (), "to", found.map_ref, "spotlight", "map")
    files = foot.files(seen.SelectionView(found, selection))
    assert [button.key for button in opened.download_button] == list(files)
    made = {code: make() for code, (make, _, _) in files.items()}
    assert from_bytes(made["save-run"])[1].answers == found.record.answers
    assert json.loads(made["save-summary"])["answer"] == found.record.answers[0].label
    page = made["save-page"].decode()
    assert page.startswith("<!doctype html>") and "mmviz-data" in page
    with Image.open(io.BytesIO(made["save-figure"])) as figure:
        assert figure.size == (1600, 900)
