"""The widget on Python's side: the selection as a trait, requests as messages, and what is said without anywidget."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import long_model
import numpy as np
import pytest
from processes import ROOT
from records import cross, plain

import mmviz
from mmviz.backends.local import LocalBackend
from mmviz.explain import run_sample
from mmviz.i18n.errors_and_notices import sentence
from mmviz.report.viewer_request_check import MAX_SECTIONS
from mmviz.types import MapRef
from mmviz.viewer.binary_format import decode
from mmviz.viewer.quantization import decode as dequantize

if TYPE_CHECKING:
    from mmviz.notebook.viewer_widget import ViewerWidget

Sent = list[tuple[dict[str, Any], list[bytes]]]


@pytest.fixture
def widget() -> ViewerWidget:
    pytest.importorskip("anywidget", reason="anywidget, the extra notebook, is not installed")
    import mmviz.notebook

    return mmviz.notebook.viewer(plain(), {"tokens": [3], "versus": [1]})


def sent_by(widget: ViewerWidget, monkeypatch: pytest.MonkeyPatch) -> Sent:
    """What a widget sends from now on; the messages of a kernel have nowhere to go here."""
    sent: Sent = []
    monkeypatch.setattr(widget, "send", lambda message, buffers=(): sent.append((message, list(buffers))))
    return sent


def request(widget: ViewerWidget, names: object) -> None:
    """Lets the widget receive a message, as a kernel hands it on."""
    widget._handle_msg({"content": {"data": {"method": "custom", "content": {"need": names}}}, "buffers": []})


def test_the_run_is_sent_as_bytes_with_the_selection_it_opens_with(widget: ViewerWidget) -> None:
    header, sections = decode(widget.data)
    assert header["run"] == widget.run.record.id and header["view"] == widget.selection
    assert widget.selection == {
        "tokens": [3], "versus": [1], "direction": "from", "map": str(widget.run.map_ref), "style": "spotlight",
        "scale": "view",
    }  # fmt: skip
    assert {f"codes/{ref}" for ref in header["map_refs"]} <= set(sections)
    assert type(widget.get_state()["data"]) is bytes  # ipywidgets sends bytes beside the message, not inside it


def test_parts_of_a_selection_are_set_and_the_rest_stays(widget: ViewerWidget) -> None:
    changes: list[dict[str, Any]] = []
    widget.observe(lambda change: changes.append(change["new"]), "selection")
    widget.selection = {"tokens": np.array([5, 2, 2])}
    widget.selection = {"map": MapRef("attention", 0, head=1), "style": "heat"}
    assert widget.selection == {
        "tokens": [2, 5], "versus": [1], "direction": "from", "map": "0:1", "style": "heat", "scale": "view"
    }  # fmt: skip
    assert [change["tokens"] for change in changes] == [[2, 5], [2, 5]]


def test_the_answer_token_is_selected_where_the_stream_is_another() -> None:
    pytest.importorskip("anywidget", reason="anywidget, the extra notebook, is not installed")
    import mmviz.notebook

    widget = mmviz.notebook.viewer(cross(), {"map": "1:mean", "tokens": [1], "versus": [2]})
    before = widget.selection
    assert (before["tokens"], before["versus"]) == ([1], [2])
    widget.selection = {"direction": "to"}  # from the decoder's three tokens to those that they read
    answer = decode(widget.data)[0]["answer_tokens"]["all"]
    assert widget.selection == before | {"direction": "to", "tokens": [answer], "versus": []}


@pytest.mark.parametrize(
    "wrong",
    [
        {"tokens": []}, {"tokens": [999]}, {"tokens": [-1]}, {"tokens": "12"}, {"tokens": 3}, {"tokens": [0.5]},
        {"map": "9:9"}, {"map": 1}, {"direction": "up"}, {"style": None}, {"scale": []}, {"colour": "red"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_selection_changes_nothing(widget: ViewerWidget, wrong: dict[str, Any]) -> None:
    from traitlets import TraitError

    before = widget.selection
    expected = sentence("widget-selection", map_ref=widget.run.map_ref)
    with pytest.raises(TraitError, match="has no such selection") as raised:
        widget.selection = wrong
    assert str(raised.value) == expected
    with pytest.raises(TraitError):  # the same from a browser
        widget.set_state({"selection": before | wrong})
    assert widget.selection == before
    widget.selection = {"tokens": [4]}
    assert widget.selection == before | {"tokens": [4]}


def test_requests_that_make_no_sense_are_not_answered(widget: ViewerWidget, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = sent_by(widget, monkeypatch)
    for names in ([], None, "map/0:0", ["map/9:9", 5, "row/0:0/from/1", "steps/0"], ["map/0:0"] * (MAX_SECTIONS + 1)):
        request(widget, names)
    assert not sent
    request(widget, ["map/0:0", "map/9:9"])
    ((message, buffers),) = sent
    assert message == {"sections": ["map/0:0"]} and "codes/0:0" in decode(buffers[0])[1]


@pytest.mark.slow
def test_a_long_run_sends_exact_rows_and_flows_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("anywidget", reason="anywidget, the extra notebook, is not installed")
    import mmviz.notebook

    backend = LocalBackend("cpu", models={"long": long_model.make()})
    widget = mmviz.notebook.viewer(run_sample(mmviz.make_sample(text="word0"), model="long", backend=backend))
    sent = sent_by(widget, monkeypatch)
    assert "row/0:1/from/7" not in decode(widget.data)[1]
    request(widget, ["row/0:1/from/7"])
    section = decode(sent[-1][1][0])[1]["row/0:1/from/7"]
    assert section.decade is not None
    row = dequantize(section.values, section.decade)
    np.testing.assert_allclose(row, long_model.expected_row(7, 1), rtol=1e-3, atol=1e-9)
    request(widget, ["map/rollout"])
    assert "overview/rollout" in decode(sent[-1][1][0])[1]


def test_a_flow_that_cannot_be_computed_is_said_and_left(widget: ViewerWidget, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = sent_by(widget, monkeypatch)
    widget.selection = {"map": "0:1"}
    flows = widget._viewer_data.long_flows
    problem = mmviz.MmvizError("view-gone")
    monkeypatch.setattr(flows, "missing", lambda names: list(names))
    monkeypatch.setattr(flows, "compute", lambda name: flows.problems.update({name: problem}))
    request(widget, ["map/0:1"])
    assert ({"problem": str(problem)}, []) in sent
    assert widget.selection["map"] == str(widget.run.map_ref)


@pytest.mark.slow
def test_without_anywidget_one_sentence_says_what_to_type() -> None:
    code = """
import sys
sys.modules["anywidget"] = None
sys.path[:0] = ["tests"]
import mmviz.notebook
from records import plain
run = plain()
try:
    mmviz.notebook.viewer(run)
except mmviz.MmvizError as problem:
    print(problem)
assert "<iframe" in run._repr_html_()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    expected = sentence("extra-missing", command="mmviz.notebook.viewer", extra="notebook")
    assert (done.returncode, done.stdout) == (0, f"{expected}\n"), done.stderr
    assert "pip install 'mmviz[notebook]'" in expected
