"""The page's address: a link opens the view it was copied from, and holds nothing that a visitor gave."""

from __future__ import annotations

import html

import pytest
from app_page import TRIOS, address, give, markup, notes, now, picture, press, run, visit, wav, word
from streamlit.testing.v1 import AppTest

from mmviz.app import link, state
from mmviz.app.texts import say

KEYS = (state.TOKEN, state.METHOD, state.LAYER, state.HEAD)
OTHER = TRIOS[3]


def view(page: AppTest) -> dict[str, object]:
    """All that a link holds, as the widgets show it."""
    found: dict[str, object] = {key: page.selectbox(key).value for key in KEYS}
    return {**found, "trio": now(page).shown, "direction": page.segmented_control(state.DIRECTION).value}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address counts as soon as it is there: no browser has to take it over."""
    monkeypatch.setattr(link, "_SETTLED", 0.0)


def remark(page: AppTest) -> str:
    """What the page says about a link that asks for too much."""
    found = notes(page, "remark")
    assert len(found) <= 1
    return html.unescape(found[0].split(">")[1].split("<")[0]) if found else ""


@pytest.mark.parametrize(("way", "shown"), [
    ({"way": "head", "layer": "3", "head": "2"}, {"method": "head", "layer": 2, "head": 1}),
    ({"way": "mean", "layer": "1"}, {"method": "mean", "layer": 0}),
    ({"way": "rollout"}, {"method": "rollout"}),
    ({"way": "relevance"}, {"method": "relevance"}),
])  # fmt: skip
def test_a_link_opens_its_view_and_the_page_writes_it_back(way: dict[str, str], shown: dict[str, object]) -> None:
    wanted = {"trio": OTHER.id, "query": "7", "direction": "to", **way}
    page = visit(**wanted)
    assert now(page).shown == OTHER and page.text_input(state.QUESTION).value == OTHER.question
    found = view(page)
    assert found["token"] == 7 and found["direction"] == "to" and {key: found[key] for key in shown} == shown
    assert address(page) == wanted and remark(page) == ""


def test_a_view_copied_from_the_address_is_reproduced(opened: AppTest) -> None:
    press(opened, f"trio-{OTHER.id}")
    for key, value in ((state.METHOD, "head"), (state.TOKEN, 11), (state.LAYER, 1), (state.HEAD, 2)):
        opened.selectbox(key).set_value(value)
        run(opened)
    opened.segmented_control(state.DIRECTION).set_value("to")
    run(opened)
    copied = address(opened)
    assert copied == {
        "trio": OTHER.id, "query": "11", "direction": "to", "way": "head", "layer": "2", "head": "3",
    }  # fmt: skip
    other = visit(**copied)
    assert view(other) == view(opened) and address(other) == copied


def test_every_change_of_view_is_written(opened: AppTest) -> None:
    asker = str(now(opened).run.asker)
    assert address(opened) == {
        "trio": TRIOS[0].id, "query": asker, "direction": "from", "way": now(opened).run.way.method,
    }  # fmt: skip
    for key, value, name, written in (
        (state.TOKEN, 5, "query", "5"), (state.METHOD, "head", "way", "head"), (state.LAYER, 0, "layer", "1"),
        (state.HEAD, 3, "head", "4"), (state.METHOD, "relevance", "way", "relevance"),
    ):  # fmt: skip
        opened.selectbox(key).set_value(value)
        assert address(run(opened))[name] == written
    assert not {"layer", "head"} & set(address(opened)), "relevance has neither"
    press(opened, "look-mean")
    assert address(opened)["way"] == "mean"
    press(opened, f"trio-{OTHER.id}")
    assert address(opened)["trio"] == OTHER.id and address(opened)["query"] == str(now(opened).run.asker)


@pytest.mark.parametrize("trio", ["nowhere", "", "<b>bold</b>", "²", "{0}", "a" * 500])
def test_a_link_to_no_trio_shows_the_first_and_says_so(trio: str) -> None:
    page = visit(trio=trio)
    assert now(page).shown == TRIOS[0] and remark(page) == say("link-trio", trio=trio)
    assert "<b>bold" not in markup(page)


@pytest.mark.parametrize("odd", ["²", "٣", "-1", "9999999999", "99999999", "<b>", "", " 1", "1.0", "mean:1", "{0}"])
def test_a_link_to_what_is_not_there_is_said_and_left_out(odd: str) -> None:
    names = ("query", "direction", "way", "layer", "head")
    page = visit(trio=OTHER.id, **dict.fromkeys(names, odd))
    usual = visit(trio=OTHER.id)
    assert remark(page) == say("link-odd", names=", ".join(names))
    assert view(page) == view(usual) and address(page) == address(usual)


def test_just_beyond_the_last_one_is_not_there_either() -> None:
    usual = visit(trio=OTHER.id)
    record = now(usual).run.record
    layers, heads, tokens = len(record.maps), record.maps[0].heads, len(now(usual).run.tokens)
    last = {"query": str(tokens - 1), "direction": "to", "way": "head", "layer": str(layers), "head": str(heads)}
    assert address(visit(trio=OTHER.id, **last)) == {"trio": OTHER.id, **last}
    for name, value in (
        ("query", str(tokens)), ("layer", "0"), ("layer", str(layers + 1)), ("head", "0"), ("head", str(heads + 1)),
        ("way", "Rollout"), ("direction", "FROM"),
    ):  # fmt: skip
        page = visit(trio=OTHER.id, **{**last, name: value})
        assert remark(page) == say("link-odd", names=name), (name, value)
        kept = {key: written for key, written in last.items() if key != name}
        if name == "way":
            kept = {"query": last["query"], "direction": "to"}  # the usual way need not have a layer
        assert kept.items() <= address(page).items(), (name, value)


def test_both_troubles_of_a_link_are_said() -> None:
    said = remark(visit(trio="nowhere", query="9999"))
    assert say("link-trio", trio="nowhere") in said and say("link-odd", names="query") in said


def test_a_remark_is_gone_once_the_visitor_does_something_else() -> None:
    page = visit(trio="nowhere")
    assert remark(page)
    press(page, f"trio-{OTHER.id}")
    assert not remark(page)


def test_back_and_forth_in_the_history(opened: AppTest, at_once: None) -> None:
    first = address(opened)
    opened.selectbox(state.TOKEN).set_value(5)
    opened.segmented_control(state.DIRECTION).set_value("to")
    second = address(run(opened))
    press(opened, f"trio-{OTHER.id}")
    for there, trio, token in ((second, TRIOS[0], 5), (first, TRIOS[0], int(first["query"])), (second, TRIOS[0], 5)):
        opened.query_params.clear()
        opened.query_params.update(there)
        run(opened)
        assert now(opened).shown == trio and view(opened)["token"] == token and address(opened) == there
        assert view(opened)["direction"] == there["direction"]


def test_an_address_that_the_browser_still_has_to_take_over_moves_nothing(opened: AppTest) -> None:
    old = address(opened)
    press(opened, f"trio-{OTHER.id}")
    opened.query_params.clear()
    opened.query_params.update(old)
    opened.checkbox(state.USE_SOUND).uncheck()
    run(opened)
    assert now(opened).shown == OTHER and opened.checkbox(state.USE_SOUND).value is False


def test_what_a_visitor_gave_is_never_in_the_address(opened: AppTest) -> None:
    opened.text_input(state.QUESTION).set_value("secret words")
    press(opened, "run")
    assert now(opened).shown is None
    assert set(address(opened)) == {"query", "direction", "way"} and "secret" not in str(address(opened))
    press(opened, "own")
    give(opened, "picture", "secret.png", picture())
    give(opened, "sound", "secret.wav", wav())
    press(opened, "run")
    assert now(opened).run.sample.audio is not None
    assert set(address(opened)) == {"query", "direction", "way"} and "secret" not in str(address(opened))


def test_relevance_is_not_there_for_a_run_without_it(opened: AppTest, at_once: None) -> None:
    press(opened, "control-evened")
    opened.query_params["way"] = "relevance"
    run(opened)
    assert remark(opened) == say("link-odd", names="way")
    assert opened.selectbox(state.METHOD).value != "relevance"


def test_a_link_without_a_trio_opens_the_first() -> None:
    page = visit(query="3")
    assert now(page).shown == TRIOS[0] and view(page)["token"] == 3 and remark(page) == ""
    assert address(page)["trio"] == TRIOS[0].id and word(page)
