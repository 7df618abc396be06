"""Rollout and relevance of a long run on the page, and its file with queries, keys and log-sum-exp."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import long_reader
import numpy as np
import pytest
from app_page import markup, notes, now, payload, report_need, report_view, selected, view, visit
from streamlit.testing.v1 import AppTest
from test_background_rollout import REFS, TOLERANCE, long_run
from test_long_runs import amounts

import mmviz
from mmviz.analysis.available_maps import map_words
from mmviz.app.jobs import Job
from mmviz.app.pages.explore.footer import downloads
from mmviz.app.selection_amounts import SelectionView
from mmviz.i18n.page import say
from mmviz.report import ViewerData
from mmviz.types import CaptureError, MapRef, Rows, View, Zoom
from mmviz.viewer.binary_format import decode

DEADLINE = 60.0


@pytest.fixture(name="page")
def reader_page(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.chdir(Path(long_reader.__file__).parent)
    monkeypatch.setenv("MMVIZ_MODEL", "long_reader:make")
    return visit()


def finish(page: AppTest) -> None:
    """Waits for the flow that the page computes, and draws the page again as its progress does."""
    job = now(page).flow_job
    if job is not None:
        assert job.wait(DEADLINE)
    page.run()


@pytest.mark.slow
def test_the_page_offers_flows_of_a_long_run_and_computes_them_on_request(page: AppTest) -> None:
    run = now(page).run
    header, sections = payload(page)
    assert set(header["flows"]) == {str(ref) for ref in REFS} <= set(header["map_refs"]) and header["source"] == "kept"
    assert not [name for name in sections if "rollout" in name], "nothing of a flow is computed before it is chosen"
    ref = "tower/relevance"
    report_view(page, {**view(page), "map": ref, "tokens": [long_reader.TOKENS - 1]})
    assert selected(page).map_ref == MapRef("relevance", keys="tower") and not page.exception
    row = f"row/{ref}/from/{long_reader.TOKENS - 1}"
    report_need(page, {"run": run.record.id, "names": [f"map/{ref}", row]})
    finish(page)
    _, sections = payload(page)
    assert {f"overview/{ref}", f"from/{ref}", f"to/{ref}", f"matrix/{ref}", row} <= set(sections)
    live = run.view(Rows(selected(page).map_ref, (long_reader.TOKENS - 1,)))[0]
    assert np.abs(amounts(sections[row]) - live).max() <= 1e-3 * live.max() and live.max() > 0
    sums = sections[f"from/{ref}"].values
    assert sums.shape == (long_reader.TOKENS, 4) and sums[-1].sum() == pytest.approx(live.sum(), rel=1e-4)
    patches = np.arange(long_reader.PATCHES + 1) * 512 // long_reader.PATCHES
    assert sections[f"overview/{ref}"].values.shape == (512, 512) and len(patches) == 577
    assert now(page).flow_job is None and not notes(page, "error") and say("methods-long") in markup(page)


@pytest.mark.slow
def test_a_flow_in_progress_is_told_and_can_be_stopped(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    run, waits, goes_on = now(page).run, threading.Event(), threading.Event()
    assert run.backend is not None
    answer = type(run.backend).view

    def slowly(backend: object, record_id: str, part: View) -> object:
        if part.map.method == "rollout":
            waits.set()
            assert goes_on.wait(DEADLINE)
        return answer(backend, record_id, part)  # type: ignore[arg-type]

    monkeypatch.setattr(type(run.backend), "view", slowly)
    report_need(page, {"run": run.record.id, "names": ["map/rollout"]})  # it may come before the new view
    assert waits.wait(DEADLINE) and selected(page).map_ref == run.map_ref
    job = now(page).flow_job
    assert isinstance(job, Job) and page.button(key="flow-stop") is not None
    (bar,) = page.get("progress")
    assert bar.proto.text.startswith(map_words(MapRef("rollout"))), "what is computed is named, not what is selected"
    report_need(page, {"run": run.record.id, "names": ["map/rollout"]})
    assert now(page).flow_job is job, "it is not computed twice"
    job.stop()
    goes_on.set()
    finish(page)
    stopped = say("flow-stopped", method=map_words(MapRef("rollout")))
    assert stopped in notes(page, "error")[0] and selected(page).map_ref == run.map_ref and now(page).flow_job is None


def test_the_page_says_which_route_cannot_be_followed(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    run = now(page).run
    problem = CaptureError("flow-lost", source="tower", stream="decoder", function="fold")

    assert run.backend is not None
    answer = type(run.backend).view

    def refuse(backend: object, record_id: str, part: View) -> object:
        if part.map.layer is None:
            raise problem
        return answer(backend, record_id, part)  # type: ignore[arg-type]

    monkeypatch.setattr(type(run.backend), "view", refuse)
    report_view(page, {**view(page), "map": "tower/rollout"})
    report_need(page, {"run": run.record.id, "names": ["map/tower/rollout"]})
    finish(page)
    assert str(problem) in notes(page, "error")[0] and "fold" in str(problem)
    assert selected(page).map_ref == run.map_ref


@pytest.mark.slow
def test_the_exact_file_is_offered_with_its_size(page: AppTest) -> None:
    run = now(page).run
    files = downloads(SelectionView(run, selected(page)))
    nbytes = 4 * (4 * 16 + 2) * 2 * sum(long_reader.COUNTS.values())
    assert run.exact_nbytes() == nbytes == 591_888
    labels = [button.label for button in page.get("download_button")]
    assert say("save-exact", size="592 kB", token="528 bytes") in labels
    assert files["save-exact"].create() == run.to_bytes("exact")


@pytest.mark.slow
def test_an_exact_file_opens_on_the_page_with_rows_windows_and_flows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "run.npz"
    long_run().save(path, keep="exact")
    monkeypatch.setattr(sys, "argv", [*sys.argv[:1], "--run", str(path)])
    page = visit()
    run = now(page).run
    assert now(page).is_saved and payload(page)[0]["source"] == "kept" and not notes(page, "error")
    ref = run.record.map_ref(3, 1)
    names = [f"row/{ref}/from/9", f"window/{ref}/0-9/3-300", "map/relevance", "row/rollout/to/5"]
    report_need(page, {"run": run.record.id, "names": names})
    finish(page)
    _, sections = payload(page)
    live = long_run()
    for name, part in (
        (names[0], live.view(Rows(ref, (9,)))[0]),
        (names[1], live.view(Zoom(ref, tuple(range(10)), tuple(range(3, 301))))),
        (names[3], live.attention(MapRef("rollout"), 5, "to")),
    ):
        assert np.abs(amounts(sections[name]) - part).max() <= 1e-3 * part.max() + TOLERANCE
    assert "overview/relevance" in sections


@pytest.mark.slow
def test_a_saved_overview_offers_no_flow(tmp_path: Path) -> None:
    long_run().save(tmp_path / "run.npz")
    header, _ = decode(ViewerData(mmviz.Run.load(tmp_path / "run.npz")).to_bytes())
    assert header["flows"] == {} and header["source"] == "overview"
    assert not {str(ref) for ref in REFS} & set(header["map_refs"])
