"""The viewer on the page: what it is sent, what it reports, and that nothing it reports is trusted."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from app_page import (
    EXAMPLES,
    address,
    now,
    payload,
    press,
    record_of,
    report_need,
    report_view,
    run,
    selected,
    view,
    viewer_element,
    visit,
)
from streamlit.testing.v1 import AppTest

from mmviz.analysis.available_maps import has_map
from mmviz.app.selection import Selection, initial_selection, read_view, view_of
from mmviz.backends.local import LocalBackend
from mmviz.explain import Run, run_sample
from mmviz.report import ViewerData
from mmviz.report.viewer_request_check import MAX_SECTIONS
from mmviz.types import MapRef

pytestmark = pytest.mark.slow

SERIAL = 3


@pytest.fixture(scope="module")
def first_run() -> Run:
    """A run of the first example."""
    return run_sample(EXAMPLES[0].sample(), backend=LocalBackend("cpu"), relevance=True)


@pytest.fixture(scope="module")
def page_of_the_module() -> AppTest:
    """The page, opened by a fixture that outlives one test."""
    return visit()


def test_the_page_does_not_read_the_arguments_of_pytest(page_of_the_module: AppTest) -> None:
    assert now(page_of_the_module).run is not None and sys.argv == ["run.py"]


def report(run: Run, /, **changes: object) -> dict[str, object]:
    """Returns a view as the viewer reports it."""
    default = {"tokens": [4], "versus": [], "direction": "to", "map": "1:2", "style": "heat", "scale": "map"}
    return {**default, "run": run.record.id, "serial": SERIAL, **changes}


def ref_in(run: Run, layer: int, head: int | None = None) -> MapRef:
    """Returns the reference to a head, or to the mean, of a layer in which modalities meet, as the run writes it."""
    return run.record.map_ref(run.record.map_number(MapRef("attention", layer, head)), head)


def test_a_view_is_written_and_read_back(first_run: Run) -> None:
    selection = Selection((3, 5), (0, 1), "to", ref_in(first_run, 1, 2), "heat", "map")
    written = view_of(selection, first_run)
    assert written == {
        "tokens": [3, 5], "versus": [0, 1], "direction": "to", "map": str(selection.map_ref), "style": "heat",
        "scale": "map",
    }  # fmt: skip
    assert read_view(json.loads(json.dumps(report(first_run, **written))), first_run, SERIAL) == selection
    for map_ref in (ref_in(first_run, 0), MapRef("rollout"), MapRef("relevance")):
        other = replace(selection, map_ref=map_ref)
        assert read_view(report(first_run, **view_of(other, first_run)), first_run, SERIAL) == other
    assert read_view(report(first_run, tokens=[9, 2, 9]), first_run, SERIAL).tokens == (2, 9), "in order, each once"


@pytest.mark.parametrize("changes", [
    {"run": "another"}, {"run": None}, {"serial": SERIAL - 1}, {"serial": None},
    {"tokens": []}, {"tokens": [-1]}, {"tokens": [10**9]}, {"tokens": [True]}, {"tokens": [1.0]}, {"tokens": ["1"]},
    {"tokens": "1"}, {"tokens": None}, {"tokens": [[1]]}, {"tokens": {"0": 1}}, {"tokens": [0] * 10_000},
    {"versus": [-1]}, {"versus": None}, {"versus": [10**9]},
    {"direction": "FROM"}, {"direction": ["from"]}, {"direction": None}, {"style": "<b>"}, {"style": {}},
    {"scale": "all"}, {"scale": 1}, {"map": "99:0"}, {"map": "0:99"}, {"map": "0:-1"}, {"map": "x"},
    {"map": ""}, {"map": "٣:0"}, {"map": None}, {"map": ["rollout"]}, {"map": "00:0"}, {"map": "1:2:3"},
])  # fmt: skip
def test_a_report_that_is_no_view_of_this_run_is_ignored(first_run: Run, changes: dict[str, object]) -> None:
    assert read_view(report(first_run), first_run, SERIAL) is not None
    assert read_view(report(first_run, **changes), first_run, SERIAL) is None
    for name in changes.keys() - {"serial"}:
        incomplete = {key: value for key, value in report(first_run).items() if key != name}
        assert read_view(incomplete, first_run, SERIAL) is None


@pytest.mark.parametrize("value", [None, 1, "rollout", [], [1], {}, True])
def test_a_report_that_is_no_view_at_all_is_ignored(first_run: Run, value: object) -> None:
    assert read_view(value, first_run, SERIAL) is None


def test_the_last_token_can_be_selected_and_none_beyond(first_run: Run) -> None:
    count = len(first_run.tokens)
    assert read_view(report(first_run, tokens=[count - 1]), first_run, SERIAL) is not None
    assert read_view(report(first_run, tokens=[count]), first_run, SERIAL) is None
    every = read_view(report(first_run, tokens=list(range(count))), first_run, SERIAL)
    assert every is not None and every.tokens == tuple(range(count))


def test_a_new_run_keeps_the_selection_as_far_as_it_has_it(first_run: Run) -> None:
    query = first_run.answer_query
    default = Selection((query,), (), "from", first_run.map_ref, "spotlight", "view")
    assert initial_selection(None, first_run) == default
    before = Selection((9,), (8,), "to", ref_in(first_run, 2, 1), "heat", "map")
    assert initial_selection(before, first_run) == replace(before, tokens=(query,), versus=())
    bare = Run(first_run.sample, replace(first_run.record, relevance=None, maps=first_run.record.maps[:2]))
    for map_ref in (MapRef("relevance"), MapRef("attention", 2, 1), MapRef("attention", 5), MapRef("attention", 1, 99)):
        assert not has_map(bare.record, map_ref)
        assert initial_selection(replace(before, map_ref=map_ref), bare).map_ref == bare.map_ref
    kept = replace(before, map_ref=MapRef("attention", 1, 3))
    assert initial_selection(kept, bare).map_ref == kept.map_ref


def test_a_report_of_the_viewer_moves_the_page_and_not_the_viewer(opened: AppTest) -> None:
    header, _ = payload(opened)
    value = view(opened, tokens=[5, 3], versus=[1], direction="to", map="2:1", style="heat", scale="map")
    report_view(opened, value)
    assert selected(opened) == Selection((3, 5), (1,), "to", MapRef("attention", 2, 1), "heat", "map")
    assert now(opened).serial == header["serial"]
    assert {"query": "3.5", "versus": "1", "style": "heat", "scale": "map"}.items() <= address(opened).items()
    after, sections = payload(opened)
    assert after["serial"] == header["serial"] and after["view"]["map"] == "2:1"
    assert [name for name in sections if name.startswith("codes/")] == ["codes/2:1"], "the others are requested"


def test_a_pin_does_not_send_the_run_again(opened: AppTest) -> None:
    """Else a pin would send megabytes. A test without a browser always draws the whole page: this draws the part."""
    state, page_run = now(opened), now(opened).run
    assert state.payload == state.viewer_data.first_part(view_of(state.sent_selection, page_run), state.serial)
    state.selection = replace(selected(opened), tokens=(9,))
    assert state.sent_selection != state.selection
    assert state.payload_key[:3] == (page_run.record.id, state.serial, state.sent_selection)
    assert payload(run(opened))[0]["view"]["tokens"] == [9], "a viewer that is mounted anew opens where the visitor was"


def test_the_page_moves_the_viewer(opened: AppTest) -> None:
    report_view(opened, view(opened, tokens=[5], map="2:1"))
    outdated, serial = view(opened, tokens=[9]), now(opened).serial
    press(opened, "show-relevance")
    header, _ = payload(opened)
    assert header["serial"] == serial + 1 and header["view"]["map"] == "relevance" and header["view"]["tokens"] == [5]
    report_view(opened, outdated)
    assert selected(opened).tokens == (5,), "it was pinned before the page moved the selection"
    report_view(opened, view(opened, tokens=[9]))
    assert selected(opened).tokens == (9,)
    press(opened, "back")
    assert payload(opened)[0]["serial"] == serial + 2
    assert payload(opened)[0]["view"]["map"] == str(now(opened).run.map_ref)


def test_another_run_has_viewer_data_of_its_own(opened: AppTest) -> None:
    report_view(opened, view(opened, tokens=[9], versus=[1], map="1:1"))
    outdated, serial = view(opened, tokens=[8]), now(opened).serial
    report_need(opened, {"run": now(opened).run.record.id, "names": ["map/0:0"]})
    assert now(opened).requested_sections == ("map/0:0",)
    press(opened, f"example-{EXAMPLES[3].id}")
    header, _ = payload(opened)
    page_run = now(opened).run
    assert header["run"] == page_run.record.id != outdated["run"] and header["serial"] > serial
    default = Selection((page_run.answer_query,), (), "from", MapRef("attention", 1, 1), "spotlight", "view")
    assert selected(opened) == default and now(opened).requested_sections == ()
    report_view(opened, outdated)
    assert selected(opened).tokens == (page_run.answer_query,), "it belongs to the run before"


def test_the_viewer_shows_the_weights_of_the_run(opened: AppTest) -> None:
    report_need(opened, {"run": now(opened).run.record.id, "names": ["map/2:1"]})
    _, sections = payload(opened)
    header, _ = payload(report_need(opened, {"run": None, "names": []}))
    record = now(opened).run.record
    assert header["answers"][0][0] == record.answers[0].label and header["answer_count"] == len(record.answers)
    assert sections["codes/2:1"].values.shape == record.maps[2].weights.shape[1:]
    assert np.allclose(sections["from/2:1"].values.sum(axis=1), 1, atol=1e-5)


def test_maps_that_were_not_sent_are_sent_on_request(opened: AppTest) -> None:
    press(opened, f"example-{EXAMPLES[2].id}")
    record = now(opened).run.record
    header, sections = payload(opened)
    shown = str(now(opened).run.map_ref)
    assert [name for name in sections if name.startswith("codes/")] == [f"codes/{shown}"]
    assert {*header["background"], f"map/{shown}"} == {f"map/{ref}" for ref in header["map_refs"]}
    whole = view(opened)
    report_need(opened, {"run": record.id, "names": ["map/0:1"]})
    header, sections = payload(opened)
    assert set(sections) == {f"{kind}/0:1" for kind in ("codes", "from", "to", "matrix")}, "and nothing else again"
    assert header["run"] == record.id and "streams" not in header and now(opened).requested_sections == ("map/0:1",)
    report_need(opened, {"run": record.id, "names": ["map/0:2"]})
    assert "codes/0:2" in payload(opened)[1] and "codes/0:1" not in payload(opened)[1]
    now(opened).sections_sent = False  # as where the script was stopped before it came to the viewer
    report_need(opened, {"run": record.id, "names": ["map/0:1"]})
    assert {"codes/0:1", "codes/0:2"} <= set(payload(opened)[1])
    for name in ("map/99:0", "map/", "", None, ["map/0:2"], 7, "map/0:99", "row/0:1/from/0", "window/0:1/0-4/0-4"):
        report_need(opened, {"run": record.id, "names": [name]})
    for value in ({"run": record.id, "names": "map/0:3"}, {"run": record.id}, None, "0:2", [1],
                  {"run": record.id, "names": ["map/0:3"] * (MAX_SECTIONS + 1)}):  # fmt: skip
        report_need(opened, value)
    assert now(opened).requested_sections == ("map/0:2", "map/0:1")
    report_need(opened, {"run": None, "names": []})
    assert "streams" in payload(opened)[0] and f"codes/{now(opened).run.map_ref}" in payload(opened)[1], (
        "a new viewer gets what its first view needs"
    )
    report_view(opened, {**whole, "map": "0:3"})
    assert "codes/0:3" in payload(opened)[1], "a viewer that is mounted anew gets the selected map"


def test_nonsense_from_the_viewer_changes_nothing(opened: AppTest) -> None:
    before = selected(opened)
    for value in (None, 7, [], "view", {"run": now(opened).run.record.id}, view(opened, tokens=["<b>"])):
        report_view(opened, value)
        assert selected(opened) == before


def test_what_the_viewer_sends_while_the_visitor_leaves_is_no_error(opened: AppTest) -> None:
    element, need, value = viewer_element(opened), {"run": record_of(opened).id, "names": ["map/0:1"]}, view(opened)
    press(opened, "page-learn")
    before = selected(opened)
    report_need(opened, need, element)
    report_view(opened, value, element)
    assert now(opened).page == "learn" and selected(opened) == before and now(opened).requested_sections == ()


def test_viewer_data_is_computed_once_for_a_run(opened: AppTest) -> None:
    data = now(opened).viewer_data
    assert isinstance(data, ViewerData) and data.run is now(opened).run
    for tokens in ([3], [4]):
        report_view(opened, view(opened, tokens=tokens))
        assert now(opened).viewer_data is data
