"""The section Health of the page Debug with examples of one's own, and the means over examples, without a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from app_page import EXAMPLES, image_bytes, markup, notes, now, press, run, visit
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.testing.v1 import AppTest, local_script_runner
from test_app_audit import ADDRESS, PATIENCE, TWO
from test_uploaded_examples import packed

from mmviz.app.pages.debug import audit as section
from mmviz.app.uploads import STAND_IN
from mmviz.experiments.example_measurements import ExampleMeasurement
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.page import say
from mmviz.report.audit_report import Audit, summary

pytestmark = pytest.mark.slow

BY_ID = {example.id: example for example in EXAMPLES}
File = tuple[str, bytes, str]


def own_files() -> list[File]:
    """Returns a bundled example under another name with a place, one in a table would do as well, and a broken one."""
    example = BY_ID["mask"]
    assert isinstance(example.image, Path) and isinstance(example.audio, Path)
    return [
        (f"mine{example.image.suffix}", example.image.read_bytes(), "image/webp"),
        (f"mine{example.audio.suffix}", example.audio.read_bytes(), "audio/wav"),
        ("mine.txt", example.question.encode(), "text/plain"),
        ("mine.answer.txt", str(example.truth).encode(), "text/plain"),
        ("mine.places.json", b'{"image": [[0, 0, 100, 100]]}', "application/json"),
        ("broken<b>.png", b"no image", "image/png"),
    ]


def with_files(files: list[File], kind: str = "files") -> AppTest:
    """Returns the section once these files have been added."""
    page = visit(**ADDRESS)
    page.segmented_control("example-source-kind").set_value(kind)
    run(page)
    page.file_uploader(f"example-{kind}").set_value(files)
    return run(page)


def finished(page: AppTest, name: str) -> object:
    """Returns the result of the experiment of this name once it is finished, and draws it."""
    jobs = [job for key, job in now(page).experiments.items() if key[1] == name]
    assert jobs[-1].wait(PATIENCE)
    run(page)
    return jobs[-1].result


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["files", "folder", "zip"])
def test_own_examples_are_audited_in_memory(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(section, "load_gallery", lambda: TWO)
    manager = MemoryUploadedFileManager("/files")
    monkeypatch.setattr(local_script_runner, "MemoryUploadedFileManager", lambda _: manager)
    files = own_files()
    if kind == "zip":
        files = [("mine.zip", packed({f"examples/{name}": content for name, content, _ in files}), "application/zip")]
    page = with_files(files, "folder" if kind == "folder" else "files")
    audit = finished(page, "audit")
    assert isinstance(audit, Audit) and audit.examples == 2
    (assessment,) = audit.assessments
    assert assessment.name == "mine" and assessment.is_correct is not None and assessment.hits
    body = markup(page)
    assert summary(audit) in body and say("audit-gallery") not in body
    (error,) = notes(page, "error")
    assert "broken&lt;b&gt;" in error and "not in an image format" in error
    assert sentence("average-uploaded-1", count=2) in body
    labels = [element.proto.label for element in page.get("download_button")]
    assert {say("audit-csv"), say("audit-json")} <= set(labels)
    assert page.code[0].value == "mmviz audit FOLDER --baseline learned"
    own = now(page).own_examples
    assert own is not None and isinstance(own[1], tuple)
    page.segmented_control("example-source-kind").set_value("gallery")
    run(page)
    assert now(page).own_examples is None, "they are not kept longer than they are of use"
    assert not any(manager.file_storage.values())
    assert not any(len(key) > 3 for key in now(page).experiments)


@pytest.mark.parametrize(
    ("files", "code", "words"),
    [
        ([("a.zip", b"PK", "application/zip")], "archive-unreadable", "cannot be unpacked"),
        ([("a.zip", packed({"../a.png": b""}), "application/zip")], "archive-name", "../a.png"),
        ([("examples.csv", b"x,y", "text/csv")], "examples-csv", "none of the columns"),
        ([("examples.json", b"{", "application/json")], "examples-list", "line 1"),
        ([("notes.md", b"", "text/plain")], "examples-empty", "no examples"),
        ([("big.zip", b"999999999", STAND_IN)], "upload-large", "954"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_sentence(
    files: list[File], code: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(section, "load_gallery", lambda: TWO)
    page = with_files(files)
    (error,) = notes(page, "error")
    assert words in error and error.count("<div") == 1, code
    assert "<table class='facts audit'" not in markup(page)
    assert not any(len(key) > 3 for key in now(page).experiments), "nothing is measured"
    page.file_uploader("example-files").set_value(None)
    run(page)
    assert not notes(page, "error") and sentence("average-upload-empty") in markup(page)


@pytest.mark.slow
def test_a_table_of_examples_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    table = b"id,image,text,truth\nx,a.png,What is in the picture?,owl\ny,gone.png,who?,cat\n"
    monkeypatch.setattr(section, "load_gallery", lambda: TWO)
    page = with_files([("examples.csv", table, "text/csv"), ("a.png", image_bytes(width=64), "image/png")])
    assert sentence("average-uploaded", count=2, unusable=1) in markup(page)
    audit = finished(page, "audit")
    assert isinstance(audit, Audit) and [a.name for a in audit.assessments] == ["x"]
    assert "gone.png" in notes(page, "error")[0]


@pytest.mark.slow
def test_means_are_measured_when_asked_for_and_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(section, "load_gallery", lambda: TWO)
    page = visit(**ADDRESS)
    finished(page, "audit")
    assert not any(key[1] == "averages" for key in now(page).experiments), "it takes long"
    press(page, "averages-start")
    outcome = finished(page, "averages")
    assert isinstance(outcome, tuple)
    members: list[ExampleMeasurement] = outcome[0]
    assert [member.name for member in members] == [example.id for example in TWO]
    figures = {json.loads(chart.proto.spec)["layout"]["title"]["text"] for chart in page.get("plotly_chart")}
    shown = " ".join(figures)
    for title in ("average-routes-title", "average-maps-title", "average-sound-title"):
        assert all(word in shown for word in sentence(title).split()), title
    page.selectbox("averages-group-question").set_value(TWO[1].question)
    run(page)
    page.segmented_control("averages-by").set_value("all")
    run(page)
    assert page.code[-1].value == "mmviz average --model trio --by all --table routes"
    page.segmented_control("averages-table").set_value("places")
    run(page)
    assert page.code[-1].value.endswith("--table places")
    labels = [element.proto.label for element in page.get("download_button")]
    assert labels == [say("audit-csv"), say("audit-json")] * 2 + [say("table-csv"), say("table-json")]
