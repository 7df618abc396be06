"""The maps of a record in the viewer's data: their MapRefs, the initial view, and which are sent when not all fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from records import PAIR, WHOLE, cross, long, many_heads, plain, record, trio, words

from mmviz.analysis.available_maps import map_refs, parse_map_ref
from mmviz.explain import Run
from mmviz.report import MAX_BYTES, ViewerData
from mmviz.types import AttentionRecord, MmvizError
from mmviz.viewer import quantization
from mmviz.viewer.binary_format import Section, decode


def flows_of(attention_record: AttentionRecord) -> dict[str, list[str]]:
    flows: dict[str, list[str]] = decode(ViewerData(Run(WHOLE, attention_record)).to_bytes())[0]["flows"]
    return flows


def sent_maps(sections: dict[str, Section]) -> list[str]:
    """Returns the maps of a container, in order."""
    return [name.removeprefix("codes/") for name in sections if name.startswith("codes/")]


def test_rollout_needs_one_stream_that_attends_to_itself() -> None:
    assert flows_of(plain().record) == {"rollout": ["all", "all"], "relevance": ["all", "all"]}
    assert flows_of(cross().record) == {}
    streams = {"decoder": words(), "all": words()}
    assert flows_of(record(streams, [("decoder", "all", 0, 2)])) == {}
    assert flows_of(record(streams, [("all", "all", 0, 2)])) == {"rollout": ["all", "all"]}


def test_relevance_belongs_to_the_last_map_that_it_fits() -> None:
    encoder_decoder = cross().record
    shape = (len(encoder_decoder.streams["decoder"]), len(encoder_decoder.streams["all"]))
    with_relevance = replace(encoder_decoder, relevance=np.ones(shape, np.float32))
    assert flows_of(with_relevance) == {"relevance": ["decoder", "all"]}
    two_streams = record({"a": words(), "b": words()}, [("a", "a", 0, 1), ("b", "b", 1, 1)])
    square = np.ones((len(words()),) * 2, np.float32)
    assert flows_of(replace(two_streams, relevance=square)) == {"relevance": ["b", "b"]}


def test_the_initial_view_shows_the_default_map_or_the_mean_of_the_last() -> None:
    run = plain()
    for chosen, expected in {"relevance": "relevance", "1:2": "1:2", "0:mean": "0:mean", None: "1:mean"}.items():
        made_by = {"map_ref": chosen} if chosen else {}
        data = ViewerData(Run(run.sample, replace(run.record, made_by=made_by)))
        assert data.initial_view["map"] == expected


@pytest.mark.parametrize("map_ref", ["1:9", "7:mean", "sideways", "1:None"])
def test_a_record_whose_default_map_is_missing_is_refused(map_ref: str) -> None:
    run = plain()
    with pytest.raises(MmvizError) as error:
        Run(run.sample, replace(run.record, made_by={"map_ref": map_ref}))
    assert error.value.code == "run-map-ref"
    with pytest.raises(MmvizError) as error:
        Run(run.sample, replace(run.record, made_by={"map_ref": "relevance"}, relevance=None))
    assert error.value.code == "run-map-ref"


def test_the_initial_view_starts_from_the_answer_token_of_the_queries() -> None:
    streams = {"decoder": [*words("a cat"), trio()[0]], "all": trio()}
    run = Run(WHOLE, record(streams, [("decoder", "all", 0, 1)]))
    assert ViewerData(run).initial_view["tokens"] == [2]
    no_answer = Run(WHOLE, record({"all": words()}, [(*PAIR, 0, 1)]))
    assert ViewerData(no_answer).initial_view["tokens"] == [0]


def test_a_layer_with_several_maps_names_each_of_them() -> None:
    run = cross()
    header, sections = decode(ViewerData(run).to_bytes())
    assert [fields["ref"] for fields in header["maps"]] == ["0", "0.1", "1", "4"]
    assert header["map_refs"] == [str(ref) for ref in map_refs(run.record)]
    assert {"0:mean", "0.1:mean", "0.1:1", "1:2", "4:0"} <= set(header["map_refs"])
    weights, decade = quantization.encode(run.record.maps[1].weights[1])
    section = sections["codes/0.1:1"]
    assert np.array_equal(section.values, weights) and section.decade == decade


@pytest.mark.parametrize(
    "text",
    ["", ":", "2:0", "0:3", "0:-1", "-1:0", "0:00", "٠:0", "0:٠", "0", "0:0:0", "mean", "0:", "rollout ", "0.1:0"],
)
def test_a_map_that_the_record_does_not_have_is_refused(text: str) -> None:
    run = plain()
    with pytest.raises(LookupError):
        parse_map_ref(run.record, text)
    with pytest.raises(LookupError):
        ViewerData(run).to_bytes(maps=[text])
    with pytest.raises(LookupError):
        ViewerData(run).encode_sections([f"map/{text}"])


def test_a_flow_that_the_record_does_not_have_is_refused() -> None:
    for text in ("rollout", "relevance", "2:mean", "4:1"):
        with pytest.raises(LookupError):
            ViewerData(cross()).encode_sections([f"map/{text}"])


def test_a_view_is_passed_on_and_its_map_is_sent() -> None:
    run = plain()
    view = ViewerData(run).initial_view | {"map": "0:1", "tokens": [3, 4], "versus": [1], "style": "heat"}
    header, sections = decode(ViewerData(run).to_bytes(view, serial=7))
    assert header["view"] == view and header["serial"] == 7 and "codes/0:1" in sections


def test_a_request_is_answered_with_the_sections_of_its_map() -> None:
    header, sections = decode(ViewerData(plain()).encode_sections(["map/0:2"], serial=3))
    assert set(header) == {"run", "serial", "source", "sections"} and header["serial"] == 3
    assert set(sections) == {"codes/0:2", "from/0:2", "to/0:2", "matrix/0:2"}


@pytest.mark.slow
def test_beyond_the_limit_means_come_first_and_what_was_requested_always() -> None:
    run = long()
    viewer_data = ViewerData(run)
    data = viewer_data.to_bytes()
    header, sections = decode(data)
    expected = ["5:mean", "0:mean", "1:mean", "2:mean", "3:mean", "4:mean", "rollout", "0:0", "0:1"]
    assert sent_maps(sections) == expected
    assert MAX_BYTES - 2_300_000 < len(data) <= MAX_BYTES, "there is no room for another map"
    assert len(header["map_refs"]) == 6 * 4 + 1
    assert {str(ref) for ref in viewer_data._map_sections} == set(expected), "no other map has been encoded"

    view = viewer_data.initial_view | {"map": "3:2"}
    data = viewer_data.to_bytes(view, 1, ["2:1", "3:2", "2:1"])
    _, sections = decode(data)
    assert sent_maps(sections) == ["5:mean", "3:2", "2:1", "0:mean", "1:mean", "2:mean", "3:mean", "4:mean", "rollout"]
    assert len(data) <= MAX_BYTES
    weights, _ = quantization.encode(run.record.maps[2].weights[1])
    assert np.array_equal(sections["codes/2:1"].values, weights)


def test_what_was_requested_is_sent_even_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmviz.report.viewer_data.MAX_BYTES", 1000)
    _, sections = decode(ViewerData(plain()).to_bytes(maps=["0:2"]))
    assert sent_maps(sections) == ["1:mean", "0:2"]
    assert "image" in sections and "thumbnails/1" in sections


def test_all_of_many_heads_fit_at_once() -> None:
    header, sections = decode(ViewerData(many_heads()).to_bytes())
    assert len(header["map_refs"]) == 32 * 33 + 1
    assert set(sent_maps(sections)) == set(header["map_refs"])
