"""The page, driven without a browser: its first paint, the gallery, refusals, and that nothing sent becomes markup."""

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
from app_page import EXAMPLES, ROOT, give, looked, markup, notes, now, press, run, sent, visit, word
from streamlit.testing.v1 import AppTest

from mmviz.app import session_state as state
from mmviz.app.components.widgets import as_label
from mmviz.app.pages.explore import page as explore
from mmviz.assets_path import assets_dir
from mmviz.backends.replay import ReplayBackend, recording
from mmviz.i18n.messages import SENTENCES
from mmviz.i18n.page import LABELS, say
from mmviz.types import CaptureError, Notice


def test_it_opens_on_the_recorded_run_of_the_first_trio(opened: AppTest) -> None:
    assert len(EXAMPLES) >= 8
    shown = [button.label for button in opened.button if (button.key or "").startswith("trio-")]
    assert len(shown) == len(EXAMPLES)
    assert now(opened).shown == EXAMPLES[0]
    answers = now(opened).run.record.answers
    body = markup(opened)
    assert word(opened) == answers[0].label
    assert all(f">{answer.label}</th>" in body for answer in answers[:5])
    assert "a recorded run" in body and "trio, computed on" not in body
    assert (
        looked(opened).tokens == (now(opened).run.answer_query,) and looked(opened).map_ref == now(opened).run.map_ref
    )
    header, _ = sent(opened)
    assert header["run"] == now(opened).run.record.id and header["view"] == header["start"]


def test_the_first_paint_loads_neither_torch_nor_a_sound_library() -> None:
    code = """
import json, sys
sys.path.append("tests")
from mmviz.app.jobs import Warmth
Warmth.start = lambda self: None
from app_page import markup, sent, visit, word
page = visit()
print(json.dumps([sorted(sys.modules), word(page), sent(page)[0]["answers"][0][0], "a recorded run" in markup(page)]))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded, answer, shown, is_recorded = json.loads(done.stdout)
    assert "mmviz.app.pages.explore.results" in loaded and not {"torch", "av", "librosa", "transformers"} & set(loaded)
    assert answer == shown == now(visit()).run.record.answers[0].label and is_recorded


def test_without_recordings_the_model_runs_and_says_the_same(opened: AppTest, no_recordings: Path) -> None:
    page = visit()
    assert word(page) == word(opened) and now(page).shown == EXAMPLES[0]
    assert "trio, computed on" in markup(page) and "a recorded run" not in markup(page)
    verdict = (
        say("right") if EXAMPLES[0].is_right(word(page)) else say("wrong", answer=word(page), truth=EXAMPLES[0].truth)
    )
    assert verdict in markup(page)
    assert sent(page)[0]["run"] == now(page).run.record.id and now(page).run.record.relevance is not None
    counted = (say("gallery-right", of=len(EXAMPLES)), f"of these {len(EXAMPLES)} wrong")
    assert not any(words in markup(page) for words in counted), "nobody has counted"


@pytest.mark.parametrize("kind", ["stale", "damaged"])
def test_a_recording_that_does_not_fit_is_not_shown(kind: str, no_recordings: Path) -> None:
    path = assets_dir() / "gallery" / "runs" / f"{EXAMPLES[0].id}.npz"
    if kind == "damaged":
        (no_recordings / path.name).write_bytes(path.read_bytes()[:-100])
    else:
        record = explore.run_sample(EXAMPLES[0].sample(), backend=ReplayBackend(path.parent), relevance=True).record
        other = replace(record, answers=record.answers[::-1], made_by={**record.made_by, "weights": "0" * 64})
        (no_recordings / path.name).write_bytes(recording(EXAMPLES[0].id, EXAMPLES[0].sample(), other))
    page = visit()
    assert now(page).shown == EXAMPLES[0] and "trio, computed on" in markup(page)
    shutil.copy(path, no_recordings)
    explore._recorded.clear()
    assert word(page) == word(visit())


def test_every_trio_of_the_gallery_is_shown_from_its_recording(opened: AppTest) -> None:
    for example in (*EXAMPLES[1:], EXAMPLES[0]):
        press(opened, f"trio-{example.id}")
        assert now(opened).shown == example and not now(opened).refusal
        assert opened.text_input(state.QUESTION).value == example.question
        assert opened.checkbox(state.USE_SOUND).value == (example.audio is not None)
        assert opened.checkbox(state.USE_PICTURE).value == (example.image is not None)
        sample, answer = now(opened).run.sample, now(opened).run.record.answers[0].label
        assert (sample.image is None, sample.audio is None) == (example.image is None, example.audio is None)
        assert now(opened).run.record.made_by["recorded"]["name"] == example.id
        expected = say("right") if example.is_right(answer) else say("wrong", answer=answer, truth=example.truth)
        assert expected in markup(opened) and word(opened) == answer


def test_right_and_wrong_are_told_from_the_run(opened: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = now(opened).run.record.answers[0].label
    for truth, expected in ((answer.upper(), say("right")), ("gizmo", say("wrong", answer=answer, truth="gizmo"))):
        examples = (replace(EXAMPLES[0], truth=truth), *EXAMPLES[1:])
        monkeypatch.setattr(explore, "load_gallery", lambda examples=examples: examples)
        run(opened)  # the buttons now carry the new truth
        press(opened, f"trio-{EXAMPLES[0].id}")
        assert expected in markup(opened)
    assert "those with a red dot" in markup(opened)


def test_a_refusal_is_one_sentence_and_the_old_result_stays(opened: AppTest) -> None:
    before = now(opened).run
    press(opened, "own")
    press(opened, "run")
    assert str(now(opened).refusal) == SENTENCES["input-none"]
    assert notes(opened, "refusal") == [f"<div class='note refusal' role='alert'>{SENTENCES['input-none']}</div>"]
    give(opened, "picture", "bad.png", b"GIF89a and no more")
    press(opened, "run")
    assert str(now(opened).refusal) not in ("", SENTENCES["input-none"]) and len(notes(opened, "refusal")) == 1
    assert now(opened).run is before and word(opened) == before.record.answers[0].label
    assert say("changed") in markup(opened)
    press(opened, f"trio-{EXAMPLES[1].id}")
    assert not now(opened).refusal and not notes(opened, "refusal")


def test_trouble_inside_the_model_shows_nothing_of_the_input(
    opened: AppTest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = now(opened).run
    for problem, expected in (
        (RuntimeError("secret words"), say("unexpected")),
        (CaptureError("map-rows", name="layer 3", worst=0.5), "layer 3"),
    ):

        def fail(*_: Any, error: Exception = problem, **__: Any) -> None:
            raise error

        monkeypatch.setattr(explore, "run_sample", fail)
        opened.text_input(state.QUESTION).set_value(f"secret words {expected}")
        press(opened, "run")
        assert expected in str(now(opened).refusal) and len(notes(opened, "refusal")) == 1
        assert now(opened).run is before
    assert "RuntimeError" in caplog.text and "secret" not in caplog.text


def test_what_a_user_writes_stays_text(opened: AppTest) -> None:
    hostile = f"is **there** $x^2$ [a](b) :red[c] {'very ' * 24}<img src=x onerror=alert(1)>?"
    opened.text_input(state.QUESTION).set_value(hostile)
    press(opened, "run")
    assert now(opened).run.sample.text == hostile
    assert "<img src=x" not in markup(opened)
    words = [piece for pieces in sent(opened)[0]["words"].values() for piece, _ in pieces]
    assert "<img src=x onerror=alert(1)>" in "".join(words), "the viewer has it as plain text"
    assert not [element for element in opened.markdown if "img" in element.value or "red[" in element.value]


def test_a_sentence_with_markup_in_it_stays_text(opened: AppTest) -> None:
    now(opened).refusal = "The file <img src=x onerror=alert(1)> was refused."
    assert "&lt;img src=x" in markup(run(opened)) and "<img src=x" not in markup(opened)


def test_a_notice_that_an_input_is_foreign_stands_alone(opened: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = ("picture-foreign", "sound-foreign", "question-foreign")
    for code in codes:
        monkeypatch.setitem(SENTENCES, code, f"{code} <b>it is</b>.")
    found = now(opened).run
    notices = tuple(map(Notice, ("picture-alpha", *codes, "sound-silent")))
    strange = replace(found, record=replace(found.record, notices=notices))
    monkeypatch.setattr(explore, "run_sample", lambda *_, **__: strange)
    opened.text_input(state.QUESTION).set_value("anything")
    press(opened, "run")
    bodies = notes(opened, "foreign")
    assert len(bodies) == 3 and all(f">{code} &lt;b&gt;it is" in body for code, body in zip(codes, bodies, strict=True))
    (rest,) = notes(opened, "notice")
    assert SENTENCES["picture-alpha"] in rest and SENTENCES["sound-silent"] in rest and "foreign" not in rest


def test_untrained_weights_carry_a_banner(opened: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    found = now(opened).run
    untrained = replace(found, record=replace(found.record, made_by={**found.record.made_by, "trained": False}))
    monkeypatch.setattr(explore, "run_sample", lambda *_, **__: untrained)
    opened.text_input(state.QUESTION).set_value("anything")
    press(opened, "run")
    assert say("untrained") in markup(opened)


def test_labels_are_markdown_safe() -> None:
    assert as_label("a [b](c) *d* $e$") == r"a \[b\]\(c\) \*d\* \$e\$"


def test_every_text_is_used_and_none_is_missing() -> None:
    files = [path for path in (ROOT / "mmviz" / "app").rglob("*.py") if not path.name.endswith("texts.py")]
    sources = "".join(path.read_text("utf-8") for path in files)
    codes = set(re.findall(r"""say\(\s*["']([a-z_-]+)["']""", sources))
    starts = tuple(re.findall(r"""say\(\s*f["']([a-z-]+-)\{""", sources))
    ends = re.findall(r"""say\(\s*f["']\{[a-z]+\}(-[a-z-]+)["']""", sources)
    assert codes <= set(LABELS)
    stems = {*LABELS, "picture", "sound"}
    built = {code for code in LABELS if code.startswith(starts)}
    built |= {code for code in LABELS for end in ends if code.endswith(end) and code.removesuffix(end) in stems}
    assert not {code for code in set(LABELS) - built if not re.search(f"[\"']{code}[\"']", sources)}


def test_both_configurations_are_the_same() -> None:
    here, inside = (folder / ".streamlit" / "config.toml" for folder in (ROOT, ROOT / "mmviz" / "app"))
    assert here.read_bytes() == inside.read_bytes()


def test_the_form_is_there_before_torch() -> None:
    code = "import sys, mmviz.app.pages.explore.page, mmviz.app.pages.explore.results; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
