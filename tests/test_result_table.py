"""The form in which experiments leave mmviz: CSV, JSON and data frames with the same values."""

from __future__ import annotations

import csv
import io
import json
import sys
from threading import Event

import numpy as np
import pytest
from records import cross, plain

from mmviz.analysis.map_weights import weights
from mmviz.app.experiment_runner import progress_text
from mmviz.app.jobs import Job
from mmviz.backends import Progress, Stop
from mmviz.experiments.time_estimates import most_seconds, seconds_left
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.page import say
from mmviz.report.duration_words import duration_words
from mmviz.report.result_table import ExperimentTable
from mmviz.types import AttentionRecord, MapRef, MmvizError

ROWS = [
    {"route": "=1+1", "effect": -0.123456789012345, "layers": [0, 2], "changed": True, "other": None},
    {"route": 'said "fox", twice', "effect": float("-inf"), "layers": (), "changed": False, "other": "é"},
]
TABLE = ExperimentTable(
    "routes", ("route", "effect", "layers", "changed", "other"), ROWS, {"answer": "fox", "least": float("nan")},
    "mmviz routes --text 'a b'",
)  # fmt: skip


def test_json_holds_the_facts_the_command_and_the_rows_by_the_name_of_the_command() -> None:
    document = json.loads(TABLE.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert list(document) == ["answer", "least", "command", "routes"]
    assert document["command"] == "mmviz routes --text 'a b'" and document["least"] is None
    first, second = document["routes"]
    assert first == ROWS[0] and (second["effect"], second["layers"]) == (None, [])


def test_csv_holds_the_values_of_json_and_no_formula() -> None:
    first, second = csv.DictReader(io.StringIO(TABLE.to_csv()))
    assert list(first) == list(TABLE.columns)
    assert float(first["effect"]) == ROWS[0]["effect"], "all digits"
    assert first["route"] == "'=1+1" and (first["layers"], first["changed"], first["other"]) == ("0 2", "true", "")
    assert (second["route"], second["effect"], second["layers"]) == ('said "fox", twice', "", "")


def test_the_columns_of_the_rows_are_those_of_the_table_in_their_order() -> None:
    table = ExperimentTable("effect", ("b", "a"), [{"a": 1, "c": 2, "b": 3}], {}, "mmviz effect")
    assert list(json.loads(table.to_json())["effect"][0].items()) == [("b", 3), ("a", 1)]
    assert table.to_csv() == '"b","a"\n3,1\n'


@pytest.mark.slow
def test_a_data_frame_has_the_rows_and_what_holds_for_all_of_them() -> None:
    pytest.importorskip("pandas")
    frame = TABLE.to_frame()
    assert list(frame.columns) == list(TABLE.columns) and len(frame) == 2
    assert frame["effect"].tolist() == [row["effect"] for row in ROWS] and frame["layers"][0] == [0, 2]
    assert frame.attrs["answer"] == "fox" and frame.attrs["command"] == TABLE.command
    empty = ExperimentTable("routes", TABLE.columns, [], {}, "mmviz routes").to_frame()
    assert list(empty.columns) == list(TABLE.columns) and not len(empty)


def test_without_pandas_a_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MmvizError) as error:
        TABLE.to_frame()
    assert str(error.value) == sentence("frame-pandas") and "pip install pandas" in str(error.value)


def test_time_left_is_that_of_equal_parts() -> None:
    assert seconds_left(0, 4, 3.0) is None, "nothing to go by"
    assert seconds_left(1, 4, 3.0) == 9.0 and seconds_left(4, 4, 3.0) == 0.0


def test_an_experiment_takes_at_most_one_run_of_the_model_for_each_variant() -> None:
    def record(**made_by: object) -> AttentionRecord:
        return AttentionRecord("id", {}, (), (), made_by)

    assert most_seconds(record(milliseconds={"model": 250.0}), 8) == 2.0
    assert most_seconds(record(), 8) is None
    recorded = record(milliseconds={"model": 250.0}, recorded={"sample": "x"})
    assert most_seconds(recorded, 8) is None, "another machine is no measure of this one"


def test_the_page_tells_the_time_left_by_what_is_done_else_the_most_it_takes() -> None:
    gate, reported, stopped = Event(), Event(), Event()

    def work(progress: Progress, _: Stop) -> None:
        assert gate.wait(60)
        progress(1, 4)
        reported.set()
        assert stopped.wait(60)

    job = Job(work)
    assert progress_text(job, 600.0) == say("experiment-most", seconds=0, most="10 min")
    assert progress_text(job, None) == say("experiment-elapsed", seconds=0)
    gate.set()
    assert reported.wait(60)
    text = progress_text(job, 600.0)
    assert "1 of 4 batches" in text and "left" in text and "10 min" not in text
    stopped.set()
    assert job.wait(60)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (12.4, "12 s"), (89.4, "89 s"), (90.0, "2 min"), (3600.0, "60 min")]
)
def test_durations_have_sensible_digits(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words


def test_the_table_of_a_run_has_the_amount_of_every_token_with_what_it_belongs_to() -> None:
    run, head = plain(), MapRef("attention", 1, head=2)
    table = run.table(head, token=[3, 5], direction="to", versus=[7])
    columns = weights(run.record, head, None)
    expected = columns[:, [3, 5]].mean(1) - columns[:, 7]
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert [int(row["token"]) for row in rows] == list(range(len(run.tokens)))
    np.testing.assert_allclose([float(row["amount"]) for row in rows], expected, rtol=0, atol=1e-15)
    of_map = {name: rows[0][name] for name in ("map", "stack", "layer", "head", "module", "unit", "direction")}
    module = run.record.maps[1].name
    assert of_map == {
        "map": "1:2", "stack": run.record.maps[1].stack, "layer": "1", "head": "2", "module": module,
        "unit": "attention weight", "direction": "to",
    }  # fmt: skip
    assert all({name: row[name] for name in of_map} == of_map for row in rows), "in every row"
    assert (rows[0]["of"], rows[0]["minus"], rows[0]["averaged"]) == ("3 5", "7", "false")
    patch, word = rows[1], next(row for row in rows if row["modality"] == "text")
    assert (
        patch["label"] == "patch 1,1" and patch["location"].split()[:2] == ["0.0", "0.0"] and rows[0]["location"] == ""
    )
    start, end = map(int, map(float, word["location"].split()))
    assert run.sample.text is not None and run.sample.text[start:end] == word["label"]
    pytest.importorskip("pandas")
    frame = table.to_frame()
    np.testing.assert_array_equal(frame["amount"], [row["amount"] for row in table.rows])


def test_the_table_of_a_run_is_by_default_what_the_viewer_opens_with() -> None:
    for run in (plain(), cross()):
        table = run.table()
        np.testing.assert_array_equal([row["amount"] for row in table.rows], run.attention())
        row = table.rows[0]
        assert (row["map"], row["of"], row["head"], row["minus"]) == (str(run.map_ref), [run.answer_query], None, [])
        queries, keys = run.record.maps[run.record.map_number(run.map_ref)].queries, run.tokens
        assert (row["query_stream"], len(table.rows)) == (queries, len(keys))
    assert plain().table(token=np.int64(3)).rows == plain().table(token=3).rows, "an index of NumPy is an index"
    flow = plain().table(MapRef("rollout")).rows[0]
    assert (flow["layer"], flow["head"], flow["unit"]) == (None, None, "rollout")
