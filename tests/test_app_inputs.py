"""One's own inputs on the page: files, photo, recording, a composed question, and what of them is run."""

from __future__ import annotations

from itertools import product

import pytest
from app_page import EXAMPLES, FULL, capture, give, markup, now, picture, press, run, sent, wav
from streamlit.testing.v1 import AppTest

from mmviz.app import session_state as state
from mmviz.app.components.question_composer import POPOVER
from mmviz.i18n.messages import SENTENCES
from mmviz.i18n.page import say
from mmviz.models.question_templates import RELATIONS, TEMPLATES, compose, known_words, read, slots


def test_ones_own_inputs_their_notices_and_no_truth(opened: AppTest) -> None:
    press(opened, "own")
    assert opened.text_input(state.QUESTION).value == ""
    assert now(opened).shown == EXAMPLES[0], "the result stays until the next run"
    give(opened, "picture", "mine.png", picture())
    give(opened, "sound", "mine.wav", wav())
    opened.text_input(state.QUESTION).set_value("what is it?")
    press(opened, "run")
    sample = now(opened).run.sample
    assert now(opened).shown is None and sample.image.width == 40 and sample.text == "what is it?"
    body = markup(opened)
    assert "trio, computed on" in body and "a recorded run" not in body
    assert say("truth-unknown") in body and body.count(f">{say('from-you')}<") == 2
    notices = (*sample.notices, *now(opened).run.record.notices)
    assert len(notices) >= 2 and all(str(notice) in body for notice in notices)


@pytest.mark.parametrize("missing", [("image",), ("text",), ("audio",), ("image", "audio"), ("text", "audio")])
def test_modalities_may_be_missing(opened: AppTest, missing: tuple[str, ...]) -> None:
    press(opened, f"trio-{FULL.id}")
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
    assert say("truth-unknown") in markup(opened)
    header, sections = sent(opened)
    assert {"image": header["picture"] is None, "audio": header["sound"] is None} == {
        name: name in missing for name in ("image", "audio")
    }
    assert ("picture" in sections, "wave" in sections) == ("image" not in missing, "audio" not in missing)


def test_nothing_given_is_refused(opened: AppTest) -> None:
    opened.checkbox(state.USE_PICTURE).uncheck()
    opened.checkbox(state.USE_SOUND).uncheck()
    opened.text_input(state.QUESTION).set_value("")
    before = now(opened).run
    press(opened, "run")
    assert str(now(opened).refusal) == SENTENCES["input-none"] and now(opened).run is before


def width(page: AppTest) -> int:
    """Of the picture that a run of the form is made of: each source here has a width of its own."""
    found: int = now(press(page, "run")).run.sample.image.width
    return found


def test_what_was_given_last_is_run(opened: AppTest) -> None:
    bundled = now(opened).run.sample.image.width
    upload, photo = picture("PNG", 50), picture("JPEG", 60)
    give(opened, "picture", "mine.png", upload)
    assert width(run(opened)) == 50
    capture(opened, "picture", photo)
    assert width(run(opened)) == 60
    capture(opened, "picture", None)
    assert width(run(opened)) == 50, "the photo is gone, the file is still there"
    capture(opened, "picture", photo)
    run(opened)
    give(opened, "picture", "other.png", picture("PNG", 70))
    assert width(run(opened)) == 70
    opened.file_uploader(f"picture-{now(opened).generation}").set_value(None)
    assert width(run(opened)) == 60, "the file is gone, the photo is still there"
    assert say("from-you") in markup(opened)
    capture(opened, "picture", None)
    assert width(run(opened)) == bundled
    assert now(opened).shown == EXAMPLES[0] and say("from-you") not in markup(opened)


def test_giving_something_ticks_its_modality_and_a_recording_is_run(opened: AppTest) -> None:
    opened.checkbox(state.USE_SOUND).uncheck()
    run(opened)
    capture(opened, "sound", wav(0.75))
    run(opened)
    assert opened.checkbox(state.USE_SOUND).value is True
    assert now(press(opened, "run")).run.sample.audio.seconds == pytest.approx(0.75)
    opened.checkbox(state.USE_SOUND).uncheck()
    assert now(press(opened, "run")).run.sample.audio is None, "unticked is left out, though it is given"


def test_a_new_form_forgets_what_was_given(opened: AppTest) -> None:
    give(opened, "picture", "mine.png", picture())
    press(opened, "run")
    press(opened, f"trio-{FULL.id}")
    assert now(opened).shown == FULL and say("from-you") not in markup(opened)
    press(opened, "own")
    assert str(now(press(opened, "run")).refusal) == SENTENCES["input-none"]


COMPOSED = [(family, k) for family, wordings in TEMPLATES.items() for k in range(len(wordings))]


def test_every_composed_question_is_one_the_model_knows(opened: AppTest) -> None:
    words = known_words()
    for family, k in COMPOSED:
        opened.selectbox("compose-wording").set_value((family, k))
        run(opened)
        keys = {box.key for box in opened.selectbox}
        assert {slot for slot in ("x", "y", "rel") if f"compose-{slot}" in keys} == set(slots(family))
        chosen = {slot: RELATIONS[2] if slot == "rel" else words[40 if slot == "x" else 90] for slot in slots(family)}
        for slot, value in chosen.items():
            opened.selectbox(f"compose-{slot}").set_value(value)
        run(opened)
        text = compose(family, wording=k, **chosen)
        assert f"<div class='composed'>{text}</div>" in markup(opened)
        asked = read(text)
        assert asked is not None and asked.family == family
    assert all(
        read(compose(family, x, y, "above", k)) for (family, k), x, y in product(COMPOSED, words[::9], words[:2])
    )


def test_asking_a_composed_question_fills_the_form_runs_it_and_closes(opened: AppTest) -> None:
    before = now(opened).run
    opened.selectbox("compose-wording").set_value(("there", 1))
    run(opened)
    opened.selectbox("compose-x").set_value("owl")
    run(opened)
    assert now(opened).run is before, "nothing is run before it is asked"
    opened.session_state[POPOVER] = True
    press(opened, "compose-ask")
    assert opened.text_input(state.QUESTION).value == "Can you see an owl?" == now(opened).run.sample.text
    assert now(opened).run.sample.image.width == before.sample.image.width
    assert now(opened).shown is None and opened.session_state[POPOVER] is False
