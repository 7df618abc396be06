"""The page, driven without a browser: what it says, and what stays when something is refused."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from streamlit.testing.v1 import AppTest

from mmviz.app import explore, foot, gallery, seen, state
from mmviz.app.texts import LABELS, say
from mmviz.app.widgets import as_label
from mmviz.io import from_bytes
from mmviz.types import CaptureError

ROOT = Path(__file__).resolve().parent.parent
TRIOS = gallery.load_gallery()
Page = Callable[[], AppTest]


def run(page: AppTest) -> AppTest:
    page.run()
    assert not page.exception, page.exception
    return page


@pytest.fixture
def opened() -> AppTest:
    return run(AppTest.from_file(str(ROOT / "mmviz" / "app" / "run.py"), default_timeout=120))


def markup(page: AppTest) -> str:
    """All raw HTML on the page."""
    return "\n".join(element.proto.body for element in page.html)


def now(page: AppTest) -> state.State:
    found: state.State = page.session_state[state.KEY]
    return found


def press(page: AppTest, key: str) -> AppTest:
    page.button(key).click()
    return run(page)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "navy").save(buffer, "PNG")
    return buffer.getvalue()


def wav() -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.sin(np.arange(22_050) / 10).astype(np.float32) * 0.3, 44_100, format="WAV")
    return buffer.getvalue()


def give(page: AppTest, modality: str, name: str, data: bytes) -> None:
    kind = "image/png" if modality == "picture" else "audio/wav"
    page.file_uploader(f"{modality}-{now(page).generation}").set_value((name, data, kind))


def test_it_opens_on_the_first_trio_with_a_result(opened: AppTest) -> None:
    assert len(TRIOS) >= 8
    shown = [button.label for button in opened.button if (button.key or "").startswith("trio-")]
    assert len(shown) == len(TRIOS)
    assert now(opened).shown == TRIOS[0]
    answers = now(opened).run.record.answers
    body = markup(opened)
    assert f"<span class='word'>{answers[0].label}</span>" in body
    assert all(f">{answer.label}</th>" in body for answer in answers[:5])
    assert "computed on" in body
    assert opened.selectbox(state.TOKEN).value == now(opened).run.asker
    assert len(opened.get("plotly_chart")) == 4
    assert str(now(opened).run.way).startswith(opened.selectbox("method").value)


def test_choosing_a_trio_fills_the_form_and_runs_it(opened: AppTest) -> None:
    before = now(opened).run
    press(opened, f"trio-{TRIOS[1].id}")
    assert now(opened).run is not before and now(opened).shown == TRIOS[1]
    assert opened.text_input(state.QUESTION).value == TRIOS[1].question
    assert opened.checkbox(state.USE_SOUND).value == (TRIOS[1].audio is not None)


def test_right_and_wrong_are_told_from_the_run(opened: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = now(opened).run.record.answers[0].label
    for truth, expected in ((answer.upper(), say("right")), ("gizmo", say("wrong", answer=answer, truth="gizmo"))):
        trios = (replace(TRIOS[0], truth=truth), *TRIOS[1:])
        monkeypatch.setattr(explore, "load_gallery", lambda trios=trios: trios)
        run(opened)  # the buttons now carry the new truth
        press(opened, f"trio-{TRIOS[0].id}")
        assert expected in markup(opened)
    assert "those with a red dot" in markup(opened)


def test_ones_own_inputs_their_notices_and_no_truth(opened: AppTest) -> None:
    press(opened, "own")
    assert opened.text_input(state.QUESTION).value == ""
    assert now(opened).shown == TRIOS[0], "the result stays until the next run"
    give(opened, "picture", "mine.png", png())
    give(opened, "sound", "mine.wav", wav())
    opened.text_input(state.QUESTION).set_value("what is it?")
    press(opened, "run")
    sample = now(opened).run.sample
    assert now(opened).shown is None and sample.image.width == 40 and sample.text == "what is it?"
    body = markup(opened)
    assert say("truth-unknown") in body
    notices = (*sample.notices, *now(opened).run.record.notices)
    assert len(notices) >= 2 and all(str(notice) in body for notice in notices)


@pytest.mark.parametrize("missing", [("image",), ("text",), ("audio",), ("image", "audio"), ("text", "audio")])
def test_modalities_may_be_missing(opened: AppTest, missing: tuple[str, ...]) -> None:
    trio = next(trio for trio in TRIOS if trio.image and trio.audio)
    press(opened, f"trio-{trio.id}")
    if "image" in missing:
        opened.checkbox(state.USE_PICTURE).uncheck()
    if "audio" in missing:
        opened.checkbox(state.USE_SOUND).uncheck()
    if "text" in missing:
        opened.text_input(state.QUESTION).set_value("")
    press(opened, "run")
    sample = now(opened).run.sample
    assert {name for name in ("image", "text", "audio") if getattr(sample, name) is None} == set(missing)
    assert not now(opened).refusal and now(opened).shown is None


def test_a_refusal_is_one_sentence_and_the_old_result_stays(opened: AppTest) -> None:
    before = now(opened).run
    press(opened, "own")
    press(opened, "run")
    first = now(opened).refusal
    assert first and first in markup(opened)
    give(opened, "picture", "bad.png", b"GIF89a and no more")
    press(opened, "run")
    assert "GIF" in now(opened).refusal and now(opened).refusal != first
    assert now(opened).run is before
    assert f"<span class='word'>{before.record.answers[0].label}</span>" in markup(opened)
    assert say("changed") in markup(opened)
    press(opened, f"trio-{TRIOS[1].id}")
    assert not now(opened).refusal


def test_trouble_inside_the_model_shows_nothing_of_the_input(
    opened: AppTest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for problem, expected in (
        (RuntimeError("secret words"), say("unexpected")),
        (CaptureError("map-rows", name="layer 3", worst=0.5), "layer 3"),
    ):

        def fail(*_: Any, error: Exception = problem, **__: Any) -> None:
            raise error

        monkeypatch.setattr(explore, "run_sample", fail)
        opened.text_input(state.QUESTION).set_value(f"secret words {expected}")
        press(opened, "run")
        assert expected in now(opened).refusal
    assert "secret" not in caplog.text


def test_what_a_user_writes_stays_text(opened: AppTest) -> None:
    hostile = "is <img src=x onerror=alert(1)> **there** $x^2$ [a](b) :red[c]?"
    opened.text_input(state.QUESTION).set_value(hostile)
    press(opened, "run")
    assert now(opened).run.sample.text == hostile
    assert "<img" not in markup(opened)
    assert not [element for element in opened.markdown if "img" in element.value or "red[" in element.value]


def test_a_sentence_with_markup_in_it_stays_text(opened: AppTest) -> None:
    now(opened).refusal = "The file <img src=x onerror=alert(1)> was refused."
    assert "&lt;img src=x" in markup(run(opened)) and "<img" not in markup(opened)


def test_every_way_of_looking_is_drawn_and_told(opened: AppTest) -> None:
    seen = set()
    for method in ("mean", "head", "rollout"):
        opened.selectbox("method").set_value(method)
        for direction in ("from", "to"):
            opened.segmented_control("direction").set_value(direction)
            body = markup(run(opened))
            seen.add(body)
            assert say(f"words-{direction}", token="“answer”") in body
            assert ("± " in body) == (method == "mean"), "the spread over heads belongs to their mean"
    assert len(seen) == 6
    for switch, value in (("style", "heat"), ("scale", "map"), ("which", "per_token"), ("which", "ratio")):
        opened.segmented_control(switch).set_value(value)
        run(opened)
    chosen = now(opened).run.way
    opened.selectbox("method").set_value("head" if chosen.method != "head" else "mean")
    run(opened)
    press(opened, "back")
    assert str(now(opened).run.way).startswith(opened.selectbox("method").value)


def test_untrained_weights_carry_a_banner(opened: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    found = now(opened).run
    untrained = replace(found, record=replace(found.record, made_by={**found.record.made_by, "trained": False}))
    monkeypatch.setattr(explore, "run_sample", lambda *_, **__: untrained)
    opened.text_input(state.QUESTION).set_value("anything")
    press(opened, "run")
    assert say("untrained") in markup(opened)


def test_controls_are_one_click_away(opened: AppTest) -> None:
    trained = now(opened).run
    press(opened, "control-shuffled")
    assert now(opened).run.record.made_by["trained"] is False and say("untrained") in markup(opened)
    assert now(opened).run.record.answers != trained.record.answers and now(opened).shown == TRIOS[0]
    press(opened, "control-evened")
    weights = now(opened).run.record.maps[0].weights
    assert np.allclose(weights, 1 / weights.shape[-1]) and say("evened") in markup(opened)
    press(opened, "control-trained")
    assert now(opened).run.record.answers == trained.record.answers
    assert say("untrained") not in markup(opened) and say("evened") not in markup(opened)
    press(opened, "control-shuffled")
    press(opened, f"trio-{TRIOS[1].id}")
    assert now(opened).run.record.made_by["trained"] is True


def test_labels_are_markdown_safe() -> None:
    assert as_label("a [b](c) *d* $e$") == r"a \[b\]\(c\) \*d\* \$e\$"


def test_every_text_is_used_and_none_is_missing() -> None:
    files = [path for path in (ROOT / "mmviz" / "app").glob("*.py") if path.name != "texts.py"]
    sources = "".join(path.read_text("utf-8") for path in files)
    built = "control picture words sound looks way share shares which reading save use direction style scale".split()
    codes = set(re.findall(r"""say\(["']([a-z-]+)["']""", sources))
    assert codes <= set(LABELS)
    plain = {code for code in LABELS if code.split("-")[0] not in built}
    assert not {code for code in plain if not re.search(f"[\"']{code}[\"']", sources)}


def test_both_configurations_are_the_same() -> None:
    here, inside = (folder / ".streamlit" / "config.toml" for folder in (ROOT, ROOT / "mmviz" / "app"))
    assert here.read_bytes() == inside.read_bytes()


def test_what_is_taken_along_can_be_read_again(opened: AppTest) -> None:
    found = now(opened).run
    selection = state.Selection(found.asker, "to", found.way, "spotlight", "map")
    files = foot.files(seen.Seen(found, selection))
    assert [button.key for button in opened.download_button] == list(files)
    made = {code: make() for code, (make, _, _) in files.items()}
    assert from_bytes(made["save-run"])[1].answers == found.record.answers
    assert json.loads(made["save-summary"])["answer"] == found.record.answers[0].label
    with Image.open(io.BytesIO(made["save-figure"])) as figure:
        assert figure.size == (1600, 900)


def test_the_form_is_there_before_torch() -> None:
    code = "import sys, mmviz.app.explore, mmviz.app.look; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
