"""The visitor's own inputs on the page: files, photo, recording, composed question, and which of them are run."""

from __future__ import annotations

import html
from itertools import product

import pytest
from app_page import EXAMPLES, FULL, capture, give, image_bytes, markup, notes, now, payload, press, run, visit, wav
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.testing.v1 import AppTest, local_script_runner

from mmviz.app import resources
from mmviz.app import session_state as state
from mmviz.app.accepted_inputs import ModelInputs
from mmviz.app.components.question_composer import POPOVER
from mmviz.app.pages.explore import form
from mmviz.app.uploads import STAND_IN, max_megabytes
from mmviz.i18n.errors_and_notices import SENTENCES
from mmviz.i18n.language import use_language
from mmviz.i18n.page import say
from mmviz.models.question_templates import RELATIONS, TEMPLATES, compose, known_words, read, slots

pytestmark = pytest.mark.slow


def test_own_inputs_show_their_notices_and_have_no_known_answer(opened: AppTest) -> None:
    press(opened, "own")
    assert opened.text_input(state.QUESTION).value == ""
    assert now(opened).run_example == EXAMPLES[0], "the result stays until the next run"
    give(opened, "image", "mine.png", image_bytes())
    give(opened, "audio", "mine.wav", wav())
    opened.text_input(state.QUESTION).set_value("what is it?")
    press(opened, "run")
    sample = now(opened).run.sample
    assert now(opened).run_example is None and sample.image.width == 40 and sample.text == "what is it?"
    body = markup(opened)
    assert "trio, computed on" in body and "recorded run" not in body
    assert say("truth-unknown") in body and body.count(f">{say('source-own')}<") == 2
    notices = (*sample.notices, *now(opened).run.record.notices)
    assert len(notices) >= 2 and all(str(notice) in body for notice in notices)


def test_files_of_a_form_stay_in_memory_until_another_form_takes_its_place(
    opened: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = MemoryUploadedFileManager("/files")
    monkeypatch.setattr(local_script_runner, "MemoryUploadedFileManager", lambda _: manager)

    def kept() -> int:
        return sum(map(len, manager.file_storage.values()))

    press(opened, "own")
    give(opened, "image", "mine.png", image_bytes())
    capture(opened, "audio", wav())
    for _ in range(2):
        run(opened)
        assert kept() == 2 and not now(opened).error
    press(opened, "own")
    assert kept() == 0 and not now(opened).input_signs
    give(opened, "image", "mine.png", image_bytes(width=50))
    run(opened)
    assert kept() == 1
    press(opened, f"example-{FULL.id}")
    assert kept() == 0 and now(opened).run_example == FULL
    press(opened, "own")
    give(opened, "image", "mine.png", image_bytes(width=60))
    assert run(opened) and kept() == 1, "a new form takes files again"


@pytest.fixture(scope="module")
def page() -> AppTest:
    """A page on which every test first chooses an example."""
    return visit()


@pytest.mark.parametrize("missing", [("image",), ("text",), ("audio",), ("image", "audio"), ("text", "audio")])
def test_modalities_may_be_missing(page: AppTest, missing: tuple[str, ...]) -> None:
    opened = page
    press(opened, f"example-{FULL.id}")
    if "image" in missing:
        opened.checkbox(state.USE_IMAGE).uncheck()
    if "audio" in missing:
        opened.checkbox(state.USE_AUDIO).uncheck()
    if "text" in missing:
        opened.text_input(state.QUESTION).set_value("")
    press(opened, "run")
    sample = now(opened).run.sample
    assert {name for name in ("image", "text", "audio") if getattr(sample, name) is None} == set(missing)
    assert not now(opened).error and now(opened).run_example is None
    assert say("truth-unknown") in markup(opened)
    header, sections = payload(opened)
    assert all((header[name] is None) == (name in missing) for name in ("image", "audio"))
    assert ("image" in sections, "wave" in sections) == ("image" not in missing, "audio" not in missing)


def test_an_empty_form_is_an_error(opened: AppTest) -> None:
    opened.checkbox(state.USE_IMAGE).uncheck()
    opened.checkbox(state.USE_AUDIO).uncheck()
    opened.text_input(state.QUESTION).set_value("")
    before = now(opened).run
    press(opened, "run")
    assert str(now(opened).error) == SENTENCES["input-none"] and now(opened).run is before


def width(page: AppTest) -> int:
    """Runs the form and returns the width of its image; every source in these tests has another width."""
    pixels: int = now(press(page, "run")).run.sample.image.width
    return pixels


def test_the_input_added_last_is_run(opened: AppTest) -> None:
    bundled = now(opened).run.sample.image.width
    upload, photo = image_bytes("PNG", 50), image_bytes("JPEG", 60)
    give(opened, "image", "mine.png", upload)
    assert width(run(opened)) == 50
    capture(opened, "image", photo)
    assert width(run(opened)) == 60
    capture(opened, "image", None)
    assert width(run(opened)) == 50, "the photo is gone, the file is still there"
    capture(opened, "image", photo)
    run(opened)
    give(opened, "image", "other.png", image_bytes("PNG", 70))
    assert width(run(opened)) == 70
    opened.file_uploader(f"image-{now(opened).form_number}").set_value(None)
    assert width(run(opened)) == 60, "the file is gone, the photo is still there"
    assert say("source-own") in markup(opened)
    capture(opened, "image", None)
    assert width(run(opened)) == bundled
    assert now(opened).run_example == EXAMPLES[0] and say("source-own") not in markup(opened)


def test_ones_own_files_stay_when_a_model_takes_several_or_no_longer_does(
    opened: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"image-{now(opened).form_number}"
    give(opened, "image", "mine.png", image_bytes("PNG", 50))
    assert width(run(opened)) == 50
    for takes in (None, True, False):  # not known yet, several, one
        monkeypatch.setattr(form, "model_inputs", lambda _, takes=takes: ModelInputs(takes, takes))
        assert width(run(opened)) == 50 and opened.file_uploader(key).value
    two = [("first.png", image_bytes("PNG", 60), "image/png"), ("last.png", image_bytes("PNG", 70), "image/png")]
    opened.file_uploader(key).set_value(two)
    assert width(run(opened)) == 70 and now(opened).run_draft.image_names == ("last.png",)
    assert say("only-last-image", count=2) in remarks(opened) and say("source-own-several", count=2) not in markup(
        opened
    )
    monkeypatch.setattr(form, "model_inputs", lambda _: ModelInputs(True, False))
    assert say("only-last-image", count=2) not in remarks(opened)
    assert say("source-own-several", count=2) in markup(opened)
    opened.checkbox(state.USE_IMAGE).uncheck()
    run(opened)
    opened.file_uploader(key).set_value(None)
    assert run(opened).checkbox(state.USE_IMAGE).value is False, "files that were taken out tick nothing"
    assert not now(opened).latest_widget


def test_adding_an_input_ticks_its_modality_and_a_recording_is_run(opened: AppTest) -> None:
    opened.checkbox(state.USE_AUDIO).uncheck()
    run(opened)
    capture(opened, "audio", wav(0.75))
    run(opened)
    assert opened.checkbox(state.USE_AUDIO).value is True
    assert now(press(opened, "run")).run.sample.audio.seconds == pytest.approx(0.75)
    opened.checkbox(state.USE_AUDIO).uncheck()
    assert now(press(opened, "run")).run.sample.audio is None, "unticked is left out, though it is given"


def remarks(page: AppTest) -> str:
    return html.unescape("".join(notes(run(page), "remark")))


@pytest.mark.parametrize(("mine", "other"), [("image", "audio"), ("audio", "image")])
def test_ones_own_input_sets_the_other_of_the_example_aside(opened: AppTest, mine: str, other: str) -> None:
    use, contents = f"use-{other}", {"image": image_bytes(), "audio": wav(0.75)}
    press(opened, f"example-{FULL.id}")
    remark = say(f"set-aside-{other}", tick=say(use))
    assert remark not in remarks(opened)
    capture(opened, mine, contents[mine])
    run(opened)
    assert remark in remarks(opened) and opened.checkbox(use).value is False
    sample = now(press(opened, "run")).run.sample
    assert getattr(sample, other) is None and getattr(sample, mine) is not None and sample.text == FULL.question
    opened.checkbox(use).check()
    assert remark not in remarks(opened)
    capture(opened, mine, contents[mine][:-1])
    assert remark not in remarks(opened) and opened.checkbox(use).value is True, "the visitor wants both"
    capture(opened, other, contents[other])
    assert remark not in remarks(opened) and opened.checkbox(use).value is True, "both are the visitor's"
    capture(opened, other, None)
    assert remark in remarks(opened) and opened.checkbox(use).value is False, "the example's does not come back"
    capture(opened, mine, None)
    assert remark not in remarks(opened) and opened.checkbox(use).value is True, "the form is the example's again"
    assert now(press(opened, "run")).run_example == FULL


def test_what_the_visitor_unticked_stays_unticked(opened: AppTest) -> None:
    press(opened, f"example-{FULL.id}")
    opened.checkbox(state.USE_AUDIO).uncheck()
    run(opened)
    capture(opened, "image", image_bytes())
    assert say("set-aside-audio", tick=say("use-audio")) not in remarks(opened)
    capture(opened, "image", None)
    assert run(opened).checkbox(state.USE_AUDIO).value is False


def test_a_new_form_is_empty(opened: AppTest) -> None:
    give(opened, "image", "mine.png", image_bytes())
    press(opened, "run")
    press(opened, f"example-{FULL.id}")
    assert now(opened).run_example == FULL and say("source-own") not in markup(opened)
    press(opened, "own")
    assert str(now(press(opened, "run")).error) == SENTENCES["input-none"]


COMPOSED = [(family, k) for family, wordings in TEMPLATES.items() for k in range(len(wordings))]


def test_every_composed_question_is_one_the_model_knows(opened: AppTest) -> None:
    words = known_words()
    for family, k in dict(COMPOSED).items():  # the last wording of each family; all of them are composed below
        opened.selectbox("compose-wording").set_value((family, k))
        run(opened)
        keys = {box.key for box in opened.selectbox}
        assert {slot for slot in ("x", "y", "rel") if f"compose-{slot}" in keys} == set(slots(family))
        chosen = {slot: RELATIONS[2] if slot == "rel" else words[40 if slot == "x" else 90] for slot in slots(family)}
        for slot, value in chosen.items():
            opened.selectbox(f"compose-{slot}").set_value(value)
        run(opened)
        text = compose(family, template=k, **chosen)
        assert f"<div class='composed'>{text}</div>" in markup(opened)
        question = read(text)
        assert question is not None and question.family == family
    for (family, k), x, y in product(COMPOSED, words[::9], words[:2]):
        question = read(compose(family, x, y, "above", k))
        assert question is not None and question.family == family, (family, k, x, y)


def test_a_composed_question_fills_the_form_is_run_and_closes_the_composer(opened: AppTest) -> None:
    before = now(opened).run
    opened.selectbox("compose-wording").set_value(("there", 1))
    run(opened)
    opened.selectbox("compose-x").set_value("owl")
    run(opened)
    assert now(opened).run is before, "nothing is run before Ask is pressed"
    opened.session_state[POPOVER] = True
    press(opened, "compose-ask")
    assert opened.text_input(state.QUESTION).value == "Can you see an owl?" == now(opened).run.sample.text
    assert now(opened).run.sample.image.width == before.sample.image.width
    assert now(opened).run_example is None and opened.session_state[POPOVER] is False


def refusals(page: AppTest) -> list[str]:
    return notes(page, "refused")


@pytest.mark.parametrize(("modality", "name"), [("image", "drawing.png"), ("audio", "noise.wav")])
def test_a_file_that_cannot_be_used_is_refused_where_it_was_added_and_nothing_is_run(
    opened: AppTest, modality: str, name: str
) -> None:
    before = now(opened).run
    give(opened, modality, name, b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    (words,) = refusals(run(opened))
    press(opened, "run")
    assert now(opened).run is before and now(opened).job is None
    (error,) = notes(opened, "error")
    assert "Nothing was run" in error and words.split(">")[1].split("<")[0] in error
    with use_language("zh"):
        assert "未运行" in str(now(opened).error), "worded when it is shown"
    opened.checkbox(state.USE_IMAGE if modality == "image" else state.USE_AUDIO).uncheck()
    press(run(opened), "run")
    assert not refusals(opened) and not now(opened).error
    assert getattr(now(opened).run.sample, modality) is None, "unticked on purpose"


def test_what_the_browser_sends_for_a_file_that_is_too_large_is_refused_with_its_size(opened: AppTest) -> None:
    uploader = opened.file_uploader(f"image-{now(opened).form_number}")
    uploader.set_value(("huge.tif", b"60000000", STAND_IN))
    (words,) = refusals(run(opened))
    assert "57 MB" in words and f"{max_megabytes()} MB" in words
    uploader = opened.file_uploader(f"image-{now(opened).form_number}")
    uploader.set_value(("mine.png", image_bytes(), "image/png"))
    assert not refusals(run(opened))


def test_a_file_is_decoded_once_however_often_the_page_is_drawn(
    opened: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    decoder = resources.decoder()
    monkeypatch.setattr(
        decoder, "sample", lambda *inputs: decoded.append(inputs) or type(decoder).sample(decoder, *inputs)
    )
    give(opened, "image", "mine.png", image_bytes())
    for _ in range(3):
        run(opened)
    assert len(decoded) == 1
