"""A run of the visitor's own inputs has a link: who opens it, what it holds, and how it ends."""

from __future__ import annotations

import html
import re

import pytest
from app_page import (
    EXAMPLES,
    FULL,
    ROOT,
    address,
    give,
    image_bytes,
    markup,
    notes,
    now,
    past_run,
    payload,
    press,
    report_view,
    run,
    selected,
    view,
    visit,
    wav,
)  # fmt: skip
from streamlit.testing.v1 import AppTest

from mmviz.app import past_runs as past
from mmviz.app import run_links, session_history
from mmviz.app import session_state as state
from mmviz.app import visitor_language as visitor
from mmviz.app.draft import Draft
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.kept_runs import MAX_AGE, MAX_BYTES, MAX_RUNS, MAX_RUNS_OF_VISITOR, KeptRuns
from mmviz.app.pages.explore import history
from mmviz.app.talk_draft import TalkDraft
from mmviz.app.talk_runs import run_of
from mmviz.backends.local import LocalBackend
from mmviz.i18n.page import say
from mmviz.models import content_caches
from mmviz.models.encoders.encoder_cache import EncoderCache
from mmviz.types import MmvizError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("kept_runs")]


@pytest.fixture(scope="module")
def default() -> AppTest:
    """The page as it opens without a link; it is only read."""
    return visit()


def own_run(page: AppTest) -> AppTest:
    """Runs inputs of the visitor's own."""
    press(page, "own")
    give(page, "image", "secret.png", image_bytes())
    give(page, "audio", "secret.wav", wav(0.75))
    page.text_input(state.QUESTION).set_value("secret words")
    return press(page, "run")


def sources(page: AppTest) -> list[str]:
    """Returns where picture and sound of the form come from, as it says."""
    return [element.proto.body for element in page.html if "class='source'" in element.proto.body]


def test_a_link_opens_inputs_run_and_view(opened: AppTest) -> None:
    own_run(opened)
    report_view(opened, view(opened, tokens=[11, 9, 10, 4], versus=[6], direction="to", map="1:2", style="heat"))
    link = address(opened)
    assert link["run"] == now(opened).run_id and "example" not in link
    other = visit(**link)
    assert now(other).run is now(opened).run and selected(other) == selected(opened) and address(other) == link
    assert payload(other)[0]["view"] == payload(opened)[0]["view"]
    assert other.text_input(state.QUESTION).value == "secret words" and not notes(other, "remark")
    assert sources(other) == [f"<div class='source'>{say('source-own')}</div>"] * 2
    assert say("changed") not in markup(other), "the form is that of the run"
    assert say("truth-unknown") in markup(other)


def test_the_inputs_of_a_link_run_again_and_can_be_changed(opened: AppTest) -> None:
    other = visit(**address(own_run(opened)))
    press(other, "run")
    first, again = now(opened).run, now(other).run
    assert again is not first and again.sample == first.sample and now(other).run_id != now(opened).run_id
    other.checkbox(state.USE_AUDIO).uncheck()
    other.text_input(state.QUESTION).set_value("other words")
    press(other, "run")
    sample = now(other).run.sample
    assert sample.audio is None and sample.text == "other words" and sample.image == first.sample.image
    assert visit(run=now(opened).run_id).text_input(state.QUESTION).value == "secret words", "the link stays as it was"


def test_a_link_holds_control_and_missing_inputs(opened: AppTest) -> None:
    press(opened, f"example-{FULL.id}")
    opened.checkbox(state.USE_AUDIO).uncheck()
    press(opened, "control-uniform")
    other = visit(**address(opened))
    assert now(other).control == "uniform" and say("uniform") in markup(other)
    assert other.checkbox(state.USE_IMAGE).value and not other.checkbox(state.USE_AUDIO).value
    assert now(other).run.sample.audio is None and now(other).example == FULL
    press(other, "control-trained")
    assert now(other).run.sample.image == now(opened).run.sample.image


def test_the_pages_debug_and_learn_open_with_the_run_of_a_link(
    opened: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExperimentRunner, "measure", lambda *_, **__: None)  # as long as everything is in progress
    own_run(opened)
    for page in ("debug", "learn"):
        press(opened, f"page-{page}")
        assert address(opened)["page"] == page
        other = visit(**address(opened))
        assert now(other).run is now(opened).run and now(other).page == page and address(other) == address(opened)


@pytest.mark.parametrize("run_id", ["", "<b>bold</b>", "{0}"])
def test_a_link_whose_run_is_gone_says_so_and_opens_the_first_example(run_id: str, default: AppTest) -> None:
    page = visit(run=run_id, query="7", map="2:1")
    (message,) = notes(page, "remark")
    assert html.unescape(message.split(">")[1].split("<")[0]) == say("link-run")
    assert now(page).run_example == EXAMPLES[0] and address(page) == address(default) and "<b>bold" not in markup(page)
    press(page, f"example-{FULL.id}")
    assert not notes(page, "remark")


def test_nobody_sees_the_run_without_its_id(opened: AppTest) -> None:
    own_run(opened)
    link = address(opened)
    del link["run"]
    other = visit(**link)
    assert now(other).run_example == EXAMPLES[0] and "secret" not in markup(other)
    press(other, "own")
    assert other.text_input(state.QUESTION).value == ""


def test_only_runs_of_own_inputs_have_a_link(opened: AppTest, kept_runs: KeptRuns) -> None:
    press(opened, f"example-{FULL.id}")
    press(opened, "control-shuffled")
    assert len(kept_runs) == 0 and "run" not in address(opened)
    assert not any(button.key == "forget" for button in opened.button)
    own_run(opened)
    assert len(kept_runs) == 1
    press(opened, f"example-{FULL.id}")
    assert "run" not in address(opened) and address(opened)["example"] == FULL.id


def test_back_and_forward_between_own_runs(opened: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitor, "SETTLED", 0.0)
    example = address(opened)
    links = []
    own_run(opened)
    for text in ("first", "second"):
        opened.text_input(state.QUESTION).set_value(text)
        press(opened, "run")
        links.append(address(opened))
    for link, text in ((links[0], "first"), (example, EXAMPLES[0].question), (links[1], "second")):
        opened.query_params.clear()
        opened.query_params.update(link)
        run(opened)
        assert opened.text_input(state.QUESTION).value == text == now(opened).run.sample.text
        assert address(opened) == link


def test_a_visitor_can_make_the_server_forget(opened: AppTest, kept_runs: KeptRuns) -> None:
    own_run(opened)
    first = address(opened)
    opened.text_input(state.QUESTION).set_value("secret again")
    press(opened, "run")
    second = address(opened)
    assert len(kept_runs) == 2 and say("run-link") in markup(opened)
    encodings = [cache for cache in content_caches._caches.values() if isinstance(cache, EncoderCache)]
    assert any(cache._outputs for cache in encodings), "the encoders ran"
    press(opened, "forget")
    assert not any(cache._outputs for cache in encodings)
    assert len(kept_runs) == 0 and now(opened).run is None and now(opened).form_start == Draft(None, "", None)
    assert opened.text_input(state.QUESTION).value == "" and address(opened) == {}
    assert "secret" not in markup(opened) and say("nothing-yet", examples=say("panel-examples")) in markup(opened)
    for link in (first, second):
        assert len(notes(visit(**link), "remark")) == 1
    press(opened, f"example-{FULL.id}")
    assert now(opened).run_example == FULL and address(opened)["example"] == FULL.id


def test_only_who_made_a_run_has_the_backend_drop_it(
    opened: AppTest, kept_runs: KeptRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_run(opened)
    forgotten: list[tuple[str, ...]] = []
    monkeypatch.setattr(LocalBackend, "forget_inputs", lambda _, record_ids: forgotten.append(record_ids))
    monkeypatch.setattr(run_links, "long_record_ids", lambda run: {run.record.id})  # as if all runs were long
    link, record_id = address(opened), now(opened).run.record.id
    kept = kept_runs.get(link["run"])
    press(visit(**link), "forget")
    assert forgotten == [()] and len(kept_runs) == 0, "the link ends, what its maker looks at goes on"
    kept_runs.add(kept, link["run"])
    press(opened, "forget")
    assert forgotten[1:] == [(record_id,)]


def test_a_backend_that_does_not_forget_is_told_of(opened: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    own_run(opened)

    def fail(*_: object) -> None:
        raise error

    error = MmvizError("backend-late", host="lab", seconds=5)
    monkeypatch.setattr(LocalBackend, "forget_inputs", fail)
    press(opened, "forget")
    assert html.escape(say("forget-backend", why=error)) in "".join(notes(opened, "error"))
    assert now(opened).run is None and "secret" not in markup(opened)


def test_a_run_that_is_no_longer_kept_loses_its_link(opened: AppTest, kept_runs: KeptRuns) -> None:
    own_run(opened)
    kept_runs.forget(now(opened).run_id, "")
    report_view(opened, view(opened, tokens=[5]))
    assert "run" not in address(opened) and say("run-link-none") in markup(opened)
    assert now(opened).run.sample.text == "secret words", "what is on the screen stays"


def test_the_page_and_its_guide_say_how_long_runs_are_kept(opened: AppTest) -> None:
    sentence = say("private", runs=MAX_RUNS_OF_VISITOR, minutes=round(MAX_AGE / 60))
    assert html.escape(sentence) in markup(opened) and "8" in sentence and "60 minutes" in sentence
    guide = (ROOT / "docs" / "how-to" / "page.md").read_text(encoding="utf-8")
    numbers = f"{MAX_RUNS_OF_VISITOR} runs of a visitor, {MAX_RUNS} of all, {MAX_BYTES // 10**6:,} MB"
    assert numbers in guide and f"{round(MAX_AGE / 60)} minutes" in guide


def past_runs(page: AppTest) -> list[str]:
    """Returns the lines of the history, newest first."""
    return [re.sub(r"\\(.)", r"\1", button.label) for button in page.button if str(button.key).startswith("history-")]


def test_the_history_leads_back_to_inputs_run_and_view(opened: AppTest) -> None:
    press(opened, f"example-{FULL.id}")
    press(opened, "control-uniform")
    report_view(opened, view(opened, tokens=[3, 4], direction="to"))
    uniform = now(opened).run, selected(opened)
    own_run(opened)
    report_view(opened, view(opened, tokens=[11], map="1:2", style="heat"))
    own, own_view, link = now(opened).run, selected(opened), address(opened)
    press(opened, f"example-{EXAMPLES[1].id}")
    lines = past_runs(opened)
    assert len(lines) == 4
    shown = [EXAMPLES[1].question, "secret words", FULL.question, EXAMPLES[0].question]
    assert all(question in line for question, line in zip(shown, lines, strict=True))
    assert say("control-uniform") in lines[2] and own.record.answers[0].label in lines[1]
    assert re.match(r"\d\d:\d\d ", lines[0]) and opened.button(past_run(opened, 0)).disabled, "it is on the screen"
    press(opened, past_run(opened, 1))
    assert now(opened).run is own and selected(opened) == own_view and address(opened) == link
    assert opened.text_input(state.QUESTION).value == "secret words" and say("changed") not in markup(opened)
    assert "secret words" in past_runs(opened)[0], "shown last, it is first"
    press(opened, past_run(opened, 2))
    again = now(opened)
    assert again.control == "uniform" and again.run.record.answers == uniform[0].record.answers
    assert selected(opened) == uniform[1] and opened.text_input(state.QUESTION).value == FULL.question
    assert say("uniform") in markup(opened) and len(past_runs(opened)) == 4, "made again, it is not listed twice"


def test_a_second_click_in_the_history_opens_no_other_run(opened: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    press(opened, f"example-{FULL.id}")
    press(opened, "control-uniform")
    own_run(opened)
    entries = opened.session_state[session_history.PAST_RUNS]
    clicked = entries[1]
    press(opened, past_run(opened, 1))
    shown, ids = now(opened).run, [entry.record_id for entry in entries]
    assert clicked.example == FULL and clicked.record_id not in ids, "it was made again"
    monkeypatch.setattr(history.session, "current_state", lambda: now(opened))
    monkeypatch.setattr(history.session_actions, "choose_example", lambda example: pytest.fail("another run"))
    monkeypatch.setattr(history.session_history, "past_runs", lambda: entries)
    history.go_back(clicked.record_id)
    assert now(opened).run is shown and [entry.record_id for entry in entries] == ids


def test_a_run_of_the_history_that_is_no_longer_kept_says_so_once(opened: AppTest, kept_runs: KeptRuns) -> None:
    own_run(opened)
    press(opened, f"example-{FULL.id}")
    kept_runs.forget("", now(opened).visitor)
    shown = now(opened).run
    press(opened, past_run(opened, 1))
    assert html.escape(say("history-gone")) in "".join(notes(opened, "remark"))
    assert now(opened).run is shown and not any("secret" in line for line in past_runs(opened))
    report_view(opened, view(opened, tokens=[5]))
    assert html.escape(say("history-gone")) not in markup(opened)


def test_the_history_is_bounded_and_forgotten_with_the_inputs(opened: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "MAX_PAST_RUNS", 2)
    own_run(opened)
    press(opened, f"example-{EXAMPLES[1].id}")
    assert len(past_runs(opened)) == 2 and "secret words" in past_runs(opened)[1]
    press(opened, past_run(opened, 1))
    press(opened, "forget")
    assert session_history.PAST_RUNS not in opened.session_state


def own_talk(page: AppTest) -> TalkDraft:
    """Returns the talk that the visitor puts together."""
    talk: TalkDraft = page.session_state[session_history.TALK]
    return talk


def test_a_talk_is_made_of_the_runs_of_a_session(opened: AppTest, kept_runs: KeptRuns) -> None:
    opened.session_state["talk"] = True  # unfolded
    run(opened)
    press(opened, "talk-add-run")
    example, count = now(opened).run, len(own_talk(opened).slides)
    assert count >= 5 and len(kept_runs) == 0, "a recorded run is named, not kept"
    press(opened, "control-uniform")
    press(opened, "talk-add-view")
    assert len(kept_runs) == 1 and "run" not in address(opened), "kept for the talk, without a link of its own"
    uniform = now(opened).run
    own_run(opened)
    report_view(opened, view(opened, tokens=[11], map="1:2"))
    press(opened, "talk-add-view")
    draft = own_talk(opened)
    own = draft.chosen
    opened.text_area(f"talk-caption-{own}").set_value("What it did with mine").run()
    opened.text_area(f"talk-notes-{own}").set_value("Tell the story.").run()
    for _ in range(count + 1):
        press(opened, f"talk-up-{own}")
    assert opened.button(f"talk-up-{own}").disabled
    press(opened, f"talk-remove-{draft.slides[1].number}")
    opened.text_input("talk-name").set_value("Mine").run()
    talk = draft.talk(run_of, "en")
    assert talk is not None and talk.title == "Mine" and len(talk.slides) == count + 1
    first = talk.slides[0]
    assert (first.caption, first.notes, first.tokens) == ("What it did with mine", "Tell the story.", (11,))
    assert first.map == str(selected(opened).map_ref)
    assert {shown.record.id for shown in talk.runs} == {
        shown.record.id for shown in (example, uniform, now(opened).run)
    }
    press(opened, "talk-add-text")
    assert own_talk(opened).chosen_slide().slide.kind == "text"
    kept_runs.forget("", now(opened).visitor)
    run(opened)
    assert html.escape(say("own-talk-lost", count=2)) in "".join(notes(opened, "remark"))
    talk = draft.talk(run_of, "en")
    assert len(talk.runs) == 1 and len(talk.slides) == count, "with the text, without the removed slide"
    press(opened, "talk-add-text")
    press(opened, "forget")
    assert session_history.TALK not in opened.session_state


def test_a_text_brings_no_run_into_the_talk(opened: AppTest, kept_runs: KeptRuns) -> None:
    opened.session_state["talk"] = True  # unfolded
    own_run(opened)
    press(opened, "talk-add-text")
    draft = own_talk(opened)
    assert len(draft.slides) == 1 and not draft.runs and draft.talk(run_of, "en") is None
    assert html.escape(say("own-talk-texts")) in "".join(notes(opened, "remark"))
    assert "talk-bundle" not in {button.key for button in opened.download_button}
    press(opened, f"example-{FULL.id}")
    press(opened, "talk-add-view")
    talk = draft.talk(run_of, "en")
    assert [slide.kind for slide in talk.slides] == ["text", "reads_from"]
    assert [shown.sample.text for shown in talk.runs] == [FULL.question] and "secret" not in talk.to_html()
    assert html.escape(say("own-talk-texts")) not in "".join(notes(opened, "remark"))
    press(opened, "control-uniform")
    count = len(kept_runs)
    press(opened, "talk-add-text")
    assert len(kept_runs) == count and len(draft.runs) == 1, "nor is the run on the screen kept for it"


def test_slides_of_a_run_that_was_dropped_come_back_with_it(opened: AppTest, kept_runs: KeptRuns) -> None:
    opened.session_state["talk"] = True  # unfolded
    own_run(opened)
    press(opened, "talk-add-view")
    draft = own_talk(opened)
    kept_runs.forget("", now(opened).visitor)
    run(opened)
    assert html.escape(say("own-talk-lost", count=1)) in "".join(notes(opened, "remark"))
    press(opened, "talk-add-view")
    talk = draft.talk(run_of, "en")
    assert len(talk.slides) == 2 and talk.runs == (now(opened).run,) and len(kept_runs) == 1
    assert html.escape(say("own-talk-lost", count=1)) not in "".join(notes(opened, "remark"))


def test_a_talk_follows_the_language_of_the_page(opened: AppTest) -> None:
    opened.session_state["talk"] = True  # unfolded
    run(opened)
    press(opened, "talk-add-run")
    chosen, first = own_talk(opened).chosen, own_talk(opened).slides[0].number
    english = [each.slide.title for each in own_talk(opened).slides]
    opened.text_area(f"talk-caption-{chosen}").set_value("Mine").run()
    press(opened, "language-zh")
    opened.session_state["talk"] = True
    run(opened)
    titles = [each.slide.title for each in own_talk(opened).slides]
    assert titles[0] != english[0] and all(re.search("[\u4e00-\u9fff]", title) for title in titles[2:4])
    assert opened.text_input(f"talk-title-{chosen}").value == titles[-1] != english[-1]
    assert opened.text_area(f"talk-caption-{chosen}").value == "Mine"
    press(opened, f"talk-slide-{first}")
    assert opened.text_input(f"talk-title-{first}").value == titles[0]
    press(opened, "language-en")
    opened.session_state["talk"] = True
    run(opened)
    assert [each.slide.title for each in own_talk(opened).slides] == english
    assert opened.text_area(f"talk-caption-{first}").value == own_talk(opened).slides[0].slide.caption
