"""The page's address: a link opens the view it was copied from, and holds nothing that a visitor gave."""

from __future__ import annotations

import html

import pytest
from app_page import (
    EXAMPLES,
    address,
    give,
    looked,
    markup,
    notes,
    now,
    picture,
    press,
    run,
    sent,
    tell,
    view,
    visit,
    wav,
    word,
)  # fmt: skip
from streamlit.testing.v1 import AppTest

from mmviz.app import link
from mmviz.app import session_state as state
from mmviz.app import visitor_language as visitor
from mmviz.app.selection import Selection
from mmviz.i18n.page import say
from mmviz.types import MapRef

OTHER = EXAMPLES[3]


def seen(page: AppTest) -> tuple[object, ...]:
    """All that a link holds, as the page and the viewer have it."""
    return now(page).shown, looked(page), sent(page)[0]["view"]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address counts as soon as it is there: no browser has to take it over."""
    monkeypatch.setattr(visitor, "SETTLED", 0.0)


def remark(page: AppTest) -> str:
    """What the page says about a link that asks for too much."""
    found = notes(page, "remark")
    assert len(found) <= 1
    return html.unescape(found[0].split(">")[1].split("<")[0]) if found else ""


@pytest.mark.parametrize(("way", "shown"), [
    ({"way": "head", "layer": "3", "head": "2"}, MapRef("attention", 2, 1)),
    ({"way": "mean", "layer": "1"}, MapRef("attention", 0)),
    ({"way": "rollout"}, MapRef("rollout")),
    ({"way": "relevance"}, MapRef("relevance")),
])  # fmt: skip
def test_a_link_opens_its_view_and_the_page_writes_it_back(map_ref: dict[str, str], shown: MapRef) -> None:
    wanted = {"trio": OTHER.id, "query": "7", "direction": "to", **map_ref}
    page = visit(**wanted)
    assert now(page).shown == OTHER and page.text_input(state.QUESTION).value == OTHER.question
    assert looked(page) == Selection((7,), (), "to", shown, "spotlight", "view")
    assert address(page) == wanted and remark(page) == ""


def test_a_link_holds_groups_the_second_pin_and_the_switches() -> None:
    wanted = {
        "trio": OTHER.id, "query": "3-5.9", "versus": "0.11-12", "direction": "from", "way": "rollout",
        "style": "heat", "scale": "map",
    }  # fmt: skip
    page = visit(**wanted)
    assert looked(page) == Selection((3, 4, 5, 9), (0, 11, 12), "from", MapRef("rollout"), "heat", "map")
    assert sent(page)[0]["view"]["versus"] == [0, 11, 12]
    assert address(page) == wanted and remark(page) == ""


def test_a_view_copied_from_the_address_is_reproduced(opened: AppTest) -> None:
    press(opened, f"trio-{OTHER.id}")
    tell(opened, view(opened, tokens=[11, 9, 10, 4], versus=[6], direction="to", plane="1:2", style="heat"))
    copied = address(opened)
    assert copied == {
        "trio": OTHER.id, "query": "4.9-11", "versus": "6", "direction": "to", "way": "head", "layer": "2",
        "head": "3", "style": "heat",
    }  # fmt: skip
    other = visit(**copied)
    assert seen(other) == seen(opened) and address(other) == copied


def test_every_change_of_view_is_written(opened: AppTest) -> None:
    answer_query = str(now(opened).run.answer_query)
    usual = {"trio": EXAMPLES[0].id, "query": answer_query, "direction": "from", "way": now(opened).run.map_ref.method}
    assert address(opened) == usual
    for changes, written in (
        ({"tokens": [5]}, {"query": "5"}), ({"plane": "5:1"}, {"way": "head", "layer": "6", "head": "2"}),
        ({"plane": "0:mean"}, {"way": "mean", "layer": "1"}), ({"plane": "relevance"}, {"way": "relevance"}),
        ({"direction": "to"}, {"direction": "to"}), ({"versus": [1, 2]}, {"versus": "1-2"}),
        ({"style": "heat"}, {"style": "heat"}), ({"scale": "map"}, {"scale": "map"}),
    ):  # fmt: skip
        assert address(tell(opened, view(visit(), **changes))) == {**usual, **written}
    press(opened, "look-mean")
    assert address(opened)["way"] == "mean" and address(opened)["layer"] == "6"
    press(opened, f"trio-{OTHER.id}")
    assert address(opened)["trio"] == OTHER.id and address(opened)["query"] == str(now(opened).run.answer_query)


@pytest.mark.parametrize(("tokens", "written"), [
    ((0,), "0"), ((3, 4, 5, 9), "3-5.9"), ((0, 1), "0-1"), ((0, 2, 4), "0.2.4"), (tuple(range(12)), "0-11"),
])  # fmt: skip
def test_groups_are_written_and_read(tokens: tuple[int, ...], written: str) -> None:
    assert link.write_group(tokens) == written and link.read_group(written, 12) == tokens


@pytest.mark.parametrize("odd", [
    "", ".", "-", "3.", ".3", "3-", "-3", "3--5", "3-5-7", "5-3", "3-3", "3.3", "5.3", "3-5.5", "3-5.4-6", "12", "0-12",
    "0-99999999", "+1", "1e1", "0x1", "²", "٣", "1 ", "1,2", "1;2", "3–5", "0." * 500 + "1", "0-" + "9" * 10_000,
])  # fmt: skip
def test_an_odd_group_is_none(odd: str) -> None:
    assert link.read_group(odd, 12) is None


@pytest.mark.parametrize("trio", ["nowhere", "", "<b>bold</b>", "²", "{0}", "a" * 500])
def test_a_link_to_no_trio_shows_the_first_and_says_so(example: str) -> None:
    page = visit(example=example)
    assert now(page).shown == EXAMPLES[0] and remark(page) == say("link-trio", example=example)
    assert "<b>bold" not in markup(page)


@pytest.mark.parametrize("odd", ["²", "٣", "-1", "9999999999", "99999999", "<b>", "", " 1", "1.0", "1:mean", "{0}"])
def test_a_link_to_what_is_not_there_is_said_and_left_out(odd: str) -> None:
    names = ("query", "versus", "direction", "way", "layer", "head", "style", "scale")
    page = visit(example=OTHER.id, **dict.fromkeys(names, odd))
    usual = visit(example=OTHER.id)
    assert remark(page) == say("link-odd", names=", ".join(names))
    assert seen(page) == seen(usual) and address(page) == address(usual)


def test_just_beyond_the_last_one_is_not_there_either() -> None:
    usual = visit(example=OTHER.id)
    record = now(usual).run.record
    layers, heads, tokens = len(record.maps), record.maps[0].heads, len(now(usual).run.tokens)
    last = {
        "query": f"0.{tokens - 1}", "versus": f"1-{tokens - 1}", "direction": "to", "way": "head",
        "layer": str(layers), "head": str(heads),
    }  # fmt: skip
    assert address(visit(example=OTHER.id, **last)) == {"trio": OTHER.id, **last}
    for name, value in (
        ("query", str(tokens)), ("query", f"0-{tokens}"), ("versus", str(tokens)),
        ("layer", "0"), ("layer", str(layers + 1)), ("head", "0"), ("head", str(heads + 1)),
        ("way", "Rollout"), ("direction", "FROM"), ("style", "Heat"), ("scale", "whole"),
    ):  # fmt: skip
        page = visit(example=OTHER.id, **{**last, name: value})
        assert remark(page) == say("link-odd", names=name), (name, value)
        kept = {key: written for key, written in last.items() if key != name}
        if name == "way":
            kept = {
                "query": last["query"],
                "versus": last["versus"],
                "direction": "to",
            }  # the usual way need not have a layer
        assert kept.items() <= address(page).items(), (name, value)


def test_both_troubles_of_a_link_are_said() -> None:
    said = remark(visit(example="nowhere", query="9999"))
    assert say("link-trio", example="nowhere") in said and say("link-odd", names="query") in said


def test_a_remark_is_gone_once_the_visitor_does_something_else() -> None:
    page = visit(example="nowhere")
    assert remark(page)
    press(page, f"trio-{OTHER.id}")
    assert not remark(page)


def test_back_and_forth_in_the_history(opened: AppTest, at_once: None) -> None:
    first = address(opened)
    tell(opened, view(opened, tokens=[5, 6], versus=[2], direction="to", style="heat", scale="map"))
    second, there = address(opened), looked(opened)
    begin = looked(visit())
    press(opened, f"trio-{OTHER.id}")
    for back, expected in ((second, there), (first, begin), (second, there)):
        opened.query_params.clear()
        opened.query_params.update(back)
        moved = now(opened).serial
        run(opened)
        assert now(opened).shown == EXAMPLES[0] and looked(opened) == expected and address(opened) == back
        assert sent(opened)[0]["serial"] > moved, "the viewer goes there"
        assert sent(opened)[0]["view"]["tokens"] == list(expected.tokens)


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
    assert looked(opened).map_ref == now(opened).run.map_ref


def test_a_link_without_a_trio_opens_the_first() -> None:
    page = visit(query="3")
    assert now(page).shown == EXAMPLES[0] and looked(page).tokens == (3,) and remark(page) == ""
    assert address(page)["trio"] == EXAMPLES[0].id and word(page)
