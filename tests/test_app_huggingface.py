"""The page with a checkpoint of Hugging Face: the prompt is shown and can be changed, and its answer belongs to it."""

from __future__ import annotations

import html
from pathlib import Path

import pytest
import tiny_checkpoints  # noqa: F401  # first: it sets what transformers reads
from app_page import address, markup, notes, now, past_run, press, record_of, run, visit, word

from mmviz.app.kept_runs import KeptRuns
from mmviz.app.pages.explore.prompt_settings import decoding_text
from mmviz.backends.local import LocalBackend
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.page import say
from mmviz.types import MmvizError, Request, Sample

pytestmark = pytest.mark.slow


def test_the_prompt_is_shown_and_can_be_changed(qwen2_audio_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMVIZ_MODEL", f"hf:{qwen2_audio_folder}")
    page = visit()
    first = record_of(page)
    assert first.made_by["prompt"].startswith("user: <|audio_bos|>") and len(first.made_by["answer"]) == 32
    assert [code.value for code in page.code if code.value == first.made_by["prompt"]]
    assert any(sentence("hf-decoding") in note for note in notes(page, "plain")), (
        "this checkpoint changes nothing of it"
    )
    assert f"{first.made_by['device_name']}, float32." in markup(page)
    page.text_area(key=f"setting-{first.id}-system").set_value("Be brief.")
    page.number_input(key=f"setting-{first.id}-new_tokens").set_value(4)
    page.button(key="FormSubmitter:prompt-settings-Run with these settings").click()
    run(page)
    second = record_of(page)
    assert second.made_by["prompt"].startswith("system: Be brief. user:") and len(second.made_by["answer"]) == 4
    assert second.answers[0].label in html.unescape(word(page))
    page.text_area(key=f"setting-{second.id}-template").set_value("{{ nothing( }}")
    page.button(key="FormSubmitter:prompt-settings-Run with these settings").click()
    run(page)
    assert record_of(page).id == second.id, "the page keeps what it had"
    assert isinstance(now(page).error, MmvizError) and now(page).error.code == "hf-template"  # type: ignore[union-attr]
    page.button(key="prompt-reset").click()
    run(page)
    assert record_of(page).made_by["answer"] == first.made_by["answer"]


@pytest.mark.long
def test_a_run_of_an_example_under_other_settings_has_a_link_of_its_own(
    qwen2_audio_folder: Path, kept_runs: KeptRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMVIZ_MODEL", f"hf:{qwen2_audio_folder}")
    page = visit()
    plain, example = record_of(page), now(page).run_example
    assert example is not None and "run" not in address(page)
    page.number_input(key=f"setting-{plain.id}-new_tokens").set_value(4)
    page.button(key="FormSubmitter:prompt-settings-Run with these settings").click()
    set_run = record_of(run(page))
    set_address = address(run(page))
    assert len(set_run.made_by["answer"]) == 4 and set_address["example"] == example.id and "run" in set_address
    page.multiselect(key=f"answer-part-{set_run.id}").set_value([1, 3])
    page.button(key=f"FormSubmitter:answer-part-{say('words-run')}").click()
    part = record_of(run(page))
    assert part.made_by["answer_part"] == [1, 3]
    reloaded = visit(**address(run(page)))
    assert record_of(reloaded).id == part.id and now(reloaded).run_example == example
    other = visit(**set_address)
    assert record_of(other).id == set_run.id and now(other).options == (("new_tokens", 4),)
    press(page, past_run(page, 1))
    assert record_of(page).id == set_run.id, "the history opens the run that is kept"
    kept_runs.forget("", now(page).visitor)
    gone = visit(**set_address)
    assert now(gone).run_example == example and record_of(gone).made_by["answer"] == plain.made_by["answer"]
    assert any(say("link-run-example") in html.unescape(note) for note in notes(gone, "remark"))
    press(page, past_run(page, 1))
    assert record_of(run(page)).made_by["answer_part"] == [1, 3], "what is no longer kept is about the same words again"


def test_what_a_checkpoint_changes_of_the_decoding_is_told() -> None:
    assert "repetition_penalty 1.05, suppress_tokens 2." in decoding_text(
        {"repetition_penalty": 1.05, "suppress_tokens": 2}
    )
    for nothing in ({}, None, "of a damaged file"):
        assert decoding_text(nothing) == sentence("hf-decoding")


def test_a_visitor_cannot_name_a_checkpoint(qwen2_audio_folder: Path) -> None:
    with pytest.raises(MmvizError) as refused:
        LocalBackend("cpu").run([Request(f"hf:{qwen2_audio_folder}", Sample(text="hi"))])
    assert refused.value.code == "model-unknown"
