"""The viewer on the page: what it is given, what it tells, and that nothing it tells is trusted."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from app_page import EXAMPLES, address, looked, need, now, press, run, sent, tell, view, visit
from streamlit.testing.v1 import AppTest

from mmviz.app.selection import Selection, fitted, has, read_view, view_of
from mmviz.explain import Run
from mmviz.report import ViewerData
from mmviz.types import MapRef

SERIAL = 3


@pytest.fixture(scope="module")
def shown() -> Run:
    """The first recorded run."""
    found = now(visit()).run
    assert found is not None
    return found


def told(run: Run, /, **changes: object) -> dict[str, object]:
    usual = {"tokens": [4], "versus": [], "direction": "to", "plane": "1:2", "style": "heat", "scale": "map"}
    return {**usual, "run": run.record.id, "serial": SERIAL, **changes}


def test_a_view_is_told_and_read_back(shown: Run) -> None:
    selection = Selection((3, 5), (0, 1), "to", MapRef("attention", 1, 2), "heat", "map")
    written = view_of(selection, shown)
    assert written == {
        "tokens": [3, 5], "versus": [0, 1], "direction": "to", "plane": "1:2", "style": "heat", "scale": "map",
    }  # fmt: skip
    assert read_view(json.loads(json.dumps(told(shown, **written))), shown, SERIAL) == selection
    for map_ref in (MapRef("attention", 0), MapRef("rollout"), MapRef("relevance")):
        assert (
            read_view(told(shown, **view_of(replace(selection, map_ref=map_ref), shown)), shown, SERIAL).map_ref
            == map_ref
        )
    assert read_view(told(shown, tokens=[9, 2, 9]), shown, SERIAL).tokens == (2, 9), "in order, each once"


@pytest.mark.parametrize("changes", [
    {"run": "another"}, {"run": None}, {"serial": SERIAL - 1}, {"serial": None},
    {"tokens": []}, {"tokens": [-1]}, {"tokens": [10**9]}, {"tokens": [True]}, {"tokens": [1.0]}, {"tokens": ["1"]},
    {"tokens": "1"}, {"tokens": None}, {"tokens": [[1]]}, {"tokens": {"0": 1}}, {"tokens": [0] * 10_000},
    {"versus": [-1]}, {"versus": None}, {"versus": [10**9]},
    {"direction": "FROM"}, {"direction": ["from"]}, {"direction": None}, {"style": "<b>"}, {"style": {}},
    {"scale": "all"}, {"scale": 1}, {"plane": "99:0"}, {"plane": "0:99"}, {"plane": "0:-1"}, {"plane": "x"},
    {"plane": ""}, {"plane": "٣:0"}, {"plane": None}, {"plane": ["rollout"]}, {"plane": "00:0"}, {"plane": "1:2:3"},
])  # fmt: skip
def test_what_is_no_view_of_this_run_is_ignored(shown: Run, changes: dict[str, object]) -> None:
    assert read_view(told(shown), shown, SERIAL) is not None
    assert read_view(told(shown, **changes), shown, SERIAL) is None
    for name in changes.keys() - {"serial"}:
        assert read_view({key: value for key, value in told(shown).items() if key != name}, shown, SERIAL) is None


@pytest.mark.parametrize("value", [None, 1, "rollout", [], [1], {}, True])
def test_what_is_no_view_at_all_is_ignored(shown: Run, value: object) -> None:
    assert read_view(value, shown, SERIAL) is None


def test_the_last_token_and_none_beyond(shown: Run) -> None:
    count = len(shown.tokens)
    assert read_view(told(shown, tokens=[count - 1]), shown, SERIAL) is not None
    assert read_view(told(shown, tokens=[count]), shown, SERIAL) is None
    assert read_view(told(shown, tokens=list(range(count))), shown, SERIAL).tokens == tuple(range(count))


def test_a_new_run_is_looked_at_as_the_one_before_where_it_can_be(shown: Run) -> None:
    assert fitted(None, shown) == Selection((shown.answer_query,), (), "from", shown.map_ref, "spotlight", "view")
    before = Selection((9,), (8,), "to", MapRef("attention", 2, 1), "heat", "map")
    assert fitted(before, shown) == replace(before, tokens=(shown.answer_query,), versus=())
    bare = Run(shown.sample, replace(shown.record, relevance=None, maps=shown.record.maps[:2]))
    for map_ref in (MapRef("relevance"), MapRef("attention", 2, 1), MapRef("attention", 5), MapRef("attention", 1, 99)):
        assert not has(bare, map_ref) and fitted(replace(before, map_ref=map_ref), bare).map_ref == bare.map_ref
    assert has(bare, MapRef("attention", 1, 3)) and has(bare, MapRef("rollout")) and has(shown, MapRef("relevance"))


def test_what_the_viewer_tells_moves_the_page_and_not_the_viewer(opened: AppTest) -> None:
    before, (header, _) = opened.get("bidi_component")[0].proto.bytes, sent(opened)
    count = header["serial"]
    found = view(opened, tokens=[5, 3], versus=[1], direction="to", plane="2:1", style="heat", scale="map")
    tell(opened, found)
    assert looked(opened) == Selection((3, 5), (1,), "to", MapRef("attention", 2, 1), "heat", "map")
    assert now(opened).serial == count
    assert {"query": "3.5", "versus": "1", "style": "heat", "scale": "map"}.items() <= address(opened).items()
    told_again, sections = sent(opened)
    assert told_again["serial"] == count and sections.keys() == sent(visit())[1].keys()
    assert len(opened.get("bidi_component")[0].proto.bytes) == pytest.approx(len(before), abs=200)


def test_in_its_own_part_of_the_page_the_viewer_is_sent_the_very_same(opened: AppTest) -> None:
    """Else a pin would send megabytes. A test without a browser always draws the whole page: this draws the part."""
    state, run_shown = now(opened), now(opened).run
    first = state.sent
    assert first == state.scene.to_bytes(view_of(state.told, run_shown), state.serial)
    state.selection = replace(looked(opened), tokens=(9,))
    assert state.told != state.selection and state.sent_of[:3] == (run_shown.record.id, state.serial, state.told)
    assert sent(run(opened))[0]["view"]["tokens"] == [9], "a viewer drawn anew goes to where the visitor was"


def test_the_page_moves_the_viewer(opened: AppTest) -> None:
    tell(opened, view(opened, tokens=[5], plane="2:1"))
    stale = view(opened, tokens=[9])
    count = now(opened).serial
    press(opened, "look-relevance")
    header, _ = sent(opened)
    assert header["serial"] == count + 1 and header["view"]["plane"] == "relevance" and header["view"]["tokens"] == [5]
    tell(opened, stale)
    assert looked(opened).tokens == (5,), "it was pinned before the page moved"
    tell(opened, view(opened, tokens=[9]))
    assert looked(opened).tokens == (9,)
    press(opened, "back")
    assert sent(opened)[0]["serial"] == count + 2 and sent(opened)[0]["view"]["plane"] == "rollout"


def test_another_run_has_a_scene_of_its_own(opened: AppTest) -> None:
    tell(opened, view(opened, tokens=[9], versus=[1], plane="1:1"))
    need(opened, {"run": now(opened).run.record.id, "plane": "0:0"})
    stale, count = view(opened, tokens=[8]), now(opened).serial
    press(opened, f"trio-{EXAMPLES[3].id}")
    header, sections = sent(opened)
    assert header["run"] == now(opened).run.record.id != stale["run"] and header["serial"] > count
    assert looked(opened) == Selection(
        (now(opened).run.answer_query,), (), "from", MapRef("attention", 1, 1), "spotlight", "view"
    )
    assert now(opened).needed == () and ("picture" in sections) == (EXAMPLES[3].image is not None)
    tell(opened, stale)
    assert looked(opened).tokens == (now(opened).run.answer_query,), "it belongs to the run before"


def test_the_viewer_shows_the_weights_of_the_run(opened: AppTest) -> None:
    header, sections = sent(opened)
    record = now(opened).run.record
    assert header["answers"][0][0] == record.answers[0].label and header["answers_of"] == len(record.answers)
    assert sections["codes/2:1"].values.shape == record.maps[2].weights.shape[1:]
    sums = sections["from/2:1"].values.sum(axis=1)
    assert np.allclose(sums, 1, atol=1e-5)


def test_planes_that_were_not_sent_are_sent_when_needed(opened: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmviz.report.viewer_data.LIMIT", 1)
    press(opened, f"trio-{EXAMPLES[2].id}")
    record = now(opened).run.record
    assert "codes/rollout" in sent(opened)[1] and "codes/0:1" not in sent(opened)[1]
    whole = view(opened)
    need(opened, {"run": record.id, "names": ["plane/0:1"]})
    header, sections = sent(opened)
    assert set(sections) == {f"{kind}/0:1" for kind in ("codes", "from", "to", "matrix")}, "and nothing else again"
    assert header["run"] == record.id and "streams" not in header and now(opened).needed == ("plane/0:1",)
    need(opened, {"run": record.id, "names": ["plane/0:2"]})
    assert {"codes/0:1", "codes/0:2"} <= set(sent(opened)[1]), "the answer before may have been overtaken"
    odds = ("plane/99:0", "plane/", "", None, ["plane/0:2"], 7, "plane/0:99", "row/0:1/from/0", "window/0:1/0-4/0-4")
    for odd in odds:
        need(opened, {"run": record.id, "names": [odd]})
    for odd in ({"run": record.id, "names": "plane/0:3"}, {"run": record.id}, None, "0:2", [1],
                {"run": record.id, "names": ["plane/0:3"] * 9}):  # fmt: skip
        need(opened, odd)
    assert now(opened).needed == ("plane/0:1", "plane/0:2")
    need(opened, {"run": None, "names": []})
    assert "streams" in sent(opened)[0] and "codes/rollout" in sent(opened)[1], "a viewer that is new gets everything"
    tell(opened, {**whole, "plane": "0:3"})
    assert "codes/0:3" in sent(opened)[1], "what is looked at is there for a viewer drawn anew"


def test_the_viewer_can_say_nonsense_and_the_page_stays(opened: AppTest) -> None:
    before = looked(opened)
    for odd in (None, 7, [], "view", {"run": now(opened).run.record.id}, view(opened, tokens=["<b>"])):
        tell(opened, odd)
        assert looked(opened) == before


def test_the_scene_is_made_once_a_run(opened: AppTest) -> None:
    scene = now(opened).scene
    assert isinstance(scene, ViewerData) and scene.run is now(opened).run
    for tokens in ([3], [4]):
        tell(opened, view(opened, tokens=tokens))
        assert now(opened).scene is scene
