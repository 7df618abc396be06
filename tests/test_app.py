"""The page without a browser: its first paint, the gallery, errors, and that no input becomes markup."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from app_page import EXAMPLES, ROOT, give, markup, notes, now, payload, press, run, selected, visit, word
from streamlit.testing.v1 import AppTest

from mmviz.app import resources, router, run_launcher
from mmviz.app import session_state as state
from mmviz.app.components.page_elements import as_label
from mmviz.assets_path import assets_dir
from mmviz.backends.replay import ReplayBackend, recording_bytes
from mmviz.i18n.errors_and_notices import SENTENCES
from mmviz.i18n.page import LABELS, say
from mmviz.types import CaptureError, Notice

pytestmark = pytest.mark.slow


def test_it_opens_on_the_recorded_run_of_the_first_example(opened: AppTest) -> None:
    assert len(EXAMPLES) >= 8
    labels = [button.label for button in opened.button if (button.key or "").startswith("example-")]
    assert len(labels) == len(EXAMPLES)
    assert now(opened).run_example == EXAMPLES[0]
    answers = now(opened).run.record.answers
    body = markup(opened)
    assert word(opened) == answers[0].label
    assert all(f">{answer.label}</span>" in body for answer in answers[:5])
    assert "recorded run" in body and "trio, computed on" not in body
    page_run = now(opened).run
    assert selected(opened).tokens == (page_run.answer_query,) and selected(opened).map_ref == page_run.map_ref
    header, _ = payload(opened)
    assert header["run"] == now(opened).run.record.id and header["view"] == header["initial_view"]


def test_the_first_paint_loads_neither_torch_nor_an_audio_library() -> None:
    code = """
import json, sys
sys.path.append("tests")
from mmviz.app.jobs import WarmBackend
WarmBackend.start = lambda self: None
from app_page import markup, payload, visit, word
page = visit()
print(json.dumps([sorted(sys.modules), word(page), payload(page)[0]["answers"][0][0], "recorded run" in markup(page)]))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=240)
    loaded, answer, sent_answer, is_recorded = json.loads(done.stdout)
    assert "mmviz.app.pages.explore.answer_and_notices" in loaded and not {
        "torch",
        "av",
        "librosa",
        "transformers",
    } & set(loaded)
    assert answer == sent_answer == now(visit()).run.record.answers[0].label and is_recorded


def test_without_recordings_the_model_runs_and_gives_the_same_answer(opened: AppTest, no_recordings: Path) -> None:
    page = visit()
    assert word(page) == word(opened) and now(page).run_example == EXAMPLES[0]
    assert "trio, computed on" in markup(page) and "recorded run" not in markup(page)
    verdict = (
        say("right") if EXAMPLES[0].is_right(word(page)) else say("wrong", answer=word(page), truth=EXAMPLES[0].truth)
    )
    assert verdict in markup(page)
    assert payload(page)[0]["run"] == now(page).run.record.id and now(page).run.record.relevance is not None
    scores = (say("gallery-right", of=len(EXAMPLES)), f"of these {len(EXAMPLES)} wrong")
    assert not any(words in markup(page) for words in scores)


@pytest.mark.parametrize("kind", ["stale", "damaged"])
def test_a_recording_that_does_not_fit_is_not_shown(kind: str, no_recordings: Path) -> None:
    path = assets_dir() / "gallery" / "runs" / f"{EXAMPLES[0].id}.npz"
    if kind == "damaged":
        (no_recordings / path.name).write_bytes(path.read_bytes()[:-100])
    else:
        record = run_launcher.run_sample(
            EXAMPLES[0].sample(), backend=ReplayBackend(path.parent), relevance=True
        ).record
        other = replace(record, answers=record.answers[::-1], made_by={**record.made_by, "weights": "0" * 64})
        (no_recordings / path.name).write_bytes(recording_bytes(EXAMPLES[0].id, EXAMPLES[0].sample(), other))
    page = visit()
    assert now(page).run_example == EXAMPLES[0] and "trio, computed on" in markup(page)
    shutil.copy(path, no_recordings)
    resources.recorded_run.clear()
    assert word(page) == word(visit())


def test_every_example_of_the_gallery_is_shown_from_its_recording(opened: AppTest) -> None:
    for example in (*EXAMPLES[1:], EXAMPLES[0]):
        press(opened, f"example-{example.id}")
        assert now(opened).run_example == example and not now(opened).error
        assert opened.text_input(state.QUESTION).value == example.question
        assert opened.checkbox(state.USE_AUDIO).value == (example.audio is not None)
        assert opened.checkbox(state.USE_IMAGE).value == (example.image is not None)
        sample, answer = now(opened).run.sample, now(opened).run.record.answers[0].label
        assert (sample.image is None, sample.audio is None) == (example.image is None, example.audio is None)
        assert now(opened).run.record.made_by["recorded"]["name"] == example.id
        expected = say("right") if example.is_right(answer) else say("wrong", answer=answer, truth=example.truth)
        assert expected in markup(opened) and word(opened) == answer


def test_the_verdict_follows_from_the_run(opened: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = now(opened).run.record.answers[0].label
    for truth, expected in ((answer.upper(), say("right")), ("gizmo", say("wrong", answer=answer, truth="gizmo"))):
        examples = (replace(EXAMPLES[0], truth=truth), *EXAMPLES[1:])
        monkeypatch.setattr(router, "load_gallery", lambda examples=examples: examples)
        run(opened)  # the buttons now carry the new truth
        press(opened, f"example-{EXAMPLES[0].id}")
        assert expected in markup(opened)
    assert "marked with a red dot" in markup(opened)


def test_an_error_is_one_sentence_and_the_old_result_stays(opened: AppTest) -> None:
    before = now(opened).run
    press(opened, "own")
    press(opened, "run")
    assert str(now(opened).error) == SENTENCES["input-none"]
    assert notes(opened, "error") == [f"<div class='note error' role='alert'>{SENTENCES['input-none']}</div>"]
    give(opened, "image", "bad.png", b"GIF89a and no more")
    press(opened, "run")
    assert str(now(opened).error) not in ("", SENTENCES["input-none"]) and len(notes(opened, "error")) == 1
    assert now(opened).run is before and word(opened) == before.record.answers[0].label
    assert say("changed") in markup(opened)
    press(opened, f"example-{EXAMPLES[1].id}")
    assert not now(opened).error and not notes(opened, "error")


def test_an_error_inside_the_model_shows_nothing_of_the_input(
    opened: AppTest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = now(opened).run
    for problem, expected in (
        (RuntimeError("secret words"), say("unexpected")),
        (CaptureError("map-rows", name="layer 3", worst=0.5), "layer 3"),
    ):

        def fail(*_: Any, error: Exception = problem, **__: Any) -> None:
            raise error

        monkeypatch.setattr(run_launcher, "run_sample", fail)
        opened.text_input(state.QUESTION).set_value(f"secret words {expected}")
        press(opened, "run")
        assert expected in str(now(opened).error) and len(notes(opened, "error")) == 1
        assert now(opened).run is before
    assert "RuntimeError" in caplog.text and "secret" not in caplog.text


def test_markup_in_the_question_stays_text(opened: AppTest) -> None:
    hostile = f"is **there** $x^2$ [a](b) :red[c] {'very ' * 24}<img src=x onerror=alert(1)>?"
    opened.text_input(state.QUESTION).set_value(hostile)
    press(opened, "run")
    assert now(opened).run.sample.text == hostile
    assert "<img src=x" not in markup(opened)
    words = [piece for pieces in payload(opened)[0]["text_pieces"].values() for piece, _ in pieces]
    assert "<img src=x onerror=alert(1)>" in "".join(words), "the viewer has it as plain text"
    assert not [element for element in opened.markdown if "img" in element.value or "red[" in element.value]


def test_markup_in_an_error_message_stays_text(opened: AppTest) -> None:
    now(opened).error = "The file <img src=x onerror=alert(1)> was refused."
    assert "&lt;img src=x" in markup(run(opened)) and "<img src=x" not in markup(opened)


def test_notices_are_one_line_with_their_number_doubts_of_the_answer_first(
    opened: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = ("image-out-of-distribution", "audio-out-of-distribution", "question-out-of-distribution")
    for code in codes:
        monkeypatch.setitem(SENTENCES, code, f"{code} <b>it is</b>.")
    page_run = now(opened).run
    notices = tuple(map(Notice, ("image-alpha", *codes, "audio-silent")))
    unusual = replace(page_run, record=replace(page_run.record, notices=notices))
    monkeypatch.setattr(run_launcher, "run_sample", lambda *_, **__: unusual)
    opened.text_input(state.QUESTION).set_value("anything")
    press(opened, "run")
    (body,) = notes(opened, "notice")
    assert body.startswith("<details") and say("notices-many", count=5) in body.split("</summary>")[0]
    texts = [
        *(f"{code} &lt;b&gt;it is&lt;/b&gt;." for code in codes),
        SENTENCES["image-alpha"],
        SENTENCES["audio-silent"],
    ]
    places = [body.index(f">{text}<") for text in texts]
    assert places == sorted(places) and places[0] < body.index("</summary>") < places[1]


def test_untrained_weights_carry_a_banner(opened: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    record = now(opened).run.record
    untrained = replace(now(opened).run, record=replace(record, made_by={**record.made_by, "trained": False}))
    monkeypatch.setattr(run_launcher, "run_sample", lambda *_, **__: untrained)
    opened.text_input(state.QUESTION).set_value("anything")
    press(opened, "run")
    assert say("untrained") in markup(opened)


def test_labels_are_markdown_safe() -> None:
    assert as_label("a [b](c) *d* $e$") == r"a \[b\]\(c\) \*d\* \$e\$"


def test_every_text_is_used_and_none_is_missing() -> None:
    folders = (ROOT / "mmviz" / name for name in ("app", "cli", "present", "report"))
    sources = "".join(path.read_text("utf-8") for folder in folders for path in folder.rglob("*.py"))
    codes = set(re.findall(r"""say\(\s*["']([a-z_-]+)["']""", sources))
    starts = tuple(re.findall(r"""say\(\s*f["']([a-z-]+-)\{""", sources))
    ends = re.findall(r"""say\(\s*f["']\{[a-z]+\}(-[a-z-]+)["']""", sources)
    assert codes <= set(LABELS)
    stems = {*LABELS, "image", "audio"}
    built = {code for code in LABELS if code.startswith(starts)}
    built |= {code for code in LABELS for end in ends if code.endswith(end) and code.removesuffix(end) in stems}
    assert not {code for code in set(LABELS) - built if not re.search(f"[\"']{code}[\"']", sources)}


def test_both_configurations_are_the_same() -> None:
    here, inside = (folder / ".streamlit" / "config.toml" for folder in (ROOT, ROOT / "mmviz" / "app"))
    assert here.read_bytes() == inside.read_bytes()


def test_the_form_is_there_before_torch() -> None:
    code = "import sys, mmviz.app.router; print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.strip() == "False"
