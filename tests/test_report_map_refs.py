"""The planes of a record: their names, where a reader begins, and which are sent when not all fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from records import PAIR, WHOLE, cross, long, many_heads, plain, record, trio, words

from mmviz.analysis.map_refs import plane_of, way_of
from mmviz.explain import Run
from mmviz.report import LIMIT, ViewerData
from mmviz.types import AttentionRecord, MapRef, MmvizError
from mmviz.viewer import codes
from mmviz.viewer.container import decode


def flows(found: AttentionRecord) -> dict[str, list[str]]:
    there: dict[str, list[str]] = decode(ViewerData(Run(WHOLE, found)).to_bytes())[0]["flows"]
    return there


def test_rollout_needs_one_stream_that_attends_to_itself() -> None:
    assert flows(plain().record) == {"rollout": ["all", "all"], "relevance": ["all", "all"]}
    assert flows(cross().record) == {}
    one = {"decoder": words(), "all": words()}
    assert flows(record(one, [("decoder", "all", 0, 2)])) == {}
    assert flows(record(one, [("all", "all", 0, 2)])) == {"rollout": ["all", "all"]}


def test_relevance_is_of_the_last_map_that_it_fits() -> None:
    mixed = cross().record
    shape = (len(mixed.streams["decoder"]), len(mixed.streams["all"]))
    assert flows(replace(mixed, relevance=np.ones(shape, np.float32))) == {"relevance": ["decoder", "all"]}
    two = record({"a": words(), "b": words()}, [("a", "a", 0, 1), ("b", "b", 1, 1)])
    square = np.ones((len(words()),) * 2, np.float32)
    assert flows(replace(two, relevance=square)) == {"relevance": ["b", "b"]}


def test_a_start_is_the_chosen_way_or_the_mean_of_the_last_map() -> None:
    run = plain()
    ways = {"relevance": "relevance", "1:2": "1:2", "0:mean": "0:mean", None: "1:mean"}
    for map_ref, plane in ways.items():
        found = replace(run.record, made_by={"map_ref": map_ref} if map_ref else {})
        assert ViewerData(Run(run.sample, found)).start["plane"] == plane


@pytest.mark.parametrize("map_ref", ["1:9", "7:mean", "sideways", "1:None"])
def test_a_record_that_names_a_way_it_does_not_have_is_no_run(map_ref: str) -> None:
    run = plain()
    with pytest.raises(MmvizError, match="way of looking"):
        Run(run.sample, replace(run.record, made_by={"map_ref": map_ref}))
    with pytest.raises(MmvizError, match="way of looking"):
        Run(run.sample, replace(run.record, made_by={"map_ref": "relevance"}, relevance=None))


def test_a_start_asks_from_the_answer_token_of_the_asking_stream() -> None:
    streams = {"decoder": [*words("a cat"), trio()[0]], "all": trio()}
    run = Run(WHOLE, record(streams, [("decoder", "all", 0, 1)]))
    assert ViewerData(run).start["tokens"] == [2]
    assert ViewerData(Run(WHOLE, record({"all": words()}, [(*PAIR, 0, 1)]))).start["tokens"] == [0]


def test_planes_and_ways_name_each_other() -> None:
    small = plain().record
    ways = {"0:0": "0:0", "1:2": "1:2", "1:mean": "1:mean", "rollout": "rollout", "relevance": "relevance"}
    for plane, map_ref in ways.items():
        assert str(way_of(small, plane)) == map_ref and plane_of(small, MapRef.parse(map_ref)) == plane
    several = cross().record  # maps 0 and 1 on layer 0, map 3 on layer 4
    assert [str(way_of(several, plane)) for plane in ("0:1", "1:mean", "2:2", "3:0")] == [
        "0:1", "0:mean", "1:2", "4:0",
    ]  # fmt: skip
    assert (
        plane_of(several, MapRef("attention", 0)) == "0:mean" and plane_of(several, MapRef("attention", 4, 0)) == "3:0"
    )


@pytest.mark.parametrize(
    "plane",
    ["", ":", "2:0", "0:3", "0:-1", "-1:0", "0:00", "٠:0", "0:٠", "0", "0:0:0", "mean", "0:", "rollout "],
)
def test_what_is_no_plane_has_no_way(plane: str) -> None:
    run = plain()
    with pytest.raises(LookupError, match="no plane"):
        way_of(run.record, plane)
    with pytest.raises(LookupError, match="no plane"):
        ViewerData(run).to_bytes(planes=[plane])


def test_a_way_without_a_plane_is_refused() -> None:
    several = cross().record
    for map_ref in ("rollout", "relevance", "2:mean", "4:1"):
        with pytest.raises(LookupError, match=r"no plane|no attention map|no head"):
            plane_of(several, MapRef.parse(map_ref))


def test_a_view_is_passed_on_and_its_plane_is_sent() -> None:
    run = plain()
    view = ViewerData(run).start | {"plane": "0:1", "tokens": [3, 4], "versus": [1], "style": "heat"}
    header, sections = decode(ViewerData(run).to_bytes(view, serial=7))
    assert header["view"] == view and header["serial"] == 7 and "codes/0:1" in sections


def test_beyond_the_limit_means_come_first_and_what_is_asked_for_always() -> None:
    run = long()
    scene = ViewerData(run)
    data = scene.to_bytes()
    header, sections = decode(data)
    there = [name.removeprefix("codes/") for name in sections if name.startswith("codes/")]
    assert there == ["5:mean", "0:mean", "1:mean", "2:mean", "3:mean", "4:mean", "rollout"]
    assert LIMIT - 2_300_000 < len(data) <= LIMIT  # no room for one more
    assert len(header["planes"]) == 6 * 4 + 1
    assert set(scene._planes) == set(there)  # the others have not been worked out

    view = scene.start | {"plane": "3:2"}
    asked = scene.to_bytes(view, 1, ["2:1", "3:2", "2:1"])
    _, sections = decode(asked)
    there = [name.removeprefix("codes/") for name in sections if name.startswith("codes/")]
    assert there == ["5:mean", "3:2", "2:1", "0:mean", "1:mean", "2:mean", "3:mean"] and len(asked) <= LIMIT
    true, _ = codes.encode(run.record.maps[2].weights[1])
    assert np.array_equal(sections["codes/2:1"].values, true)


def test_what_is_asked_for_is_sent_even_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmviz.report.viewer_data.LIMIT", 1000)
    _, sections = decode(ViewerData(plain()).to_bytes(planes=["0:2"]))
    assert [name for name in sections if name.startswith("codes/")] == ["codes/1:mean", "codes/0:2"]
    assert "picture" in sections and "thumbs/1" in sections


def test_all_of_many_heads_fit_at_once() -> None:
    header, sections = decode(ViewerData(many_heads()).to_bytes())
    assert len(header["planes"]) == 32 * 33 + 1
    assert all(f"codes/{plane}" in sections for plane in header["planes"])
