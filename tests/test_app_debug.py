"""The page Debug without a browser: what it measures is what the library measures."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import replace

import pytest
from app_page import EXAMPLES, ROOT, address, markup, notes, now, run, visit, word
from streamlit.testing.v1 import AppTest

from mmviz.backends.local import LocalBackend
from mmviz.experiments.runs import measure_head_ablation
from mmviz.explain import run_sample
from mmviz.types import INPUT_MODALITIES, AblateHead, DropTokens, Modality, Request

FIRST = EXAMPLES[0]


def debug(section: str, **more: str) -> AppTest:
    """The page Debug at one part of it, once nothing is being measured any more."""
    return settled(visit(page="debug", section=section, **more))


def settled(page: AppTest) -> AppTest:
    for _ in range(120):
        works = now(page).works.values()
        if works and all(work.wait(0) for work in works):
            before = len(works)
            run(page)
            if len(now(page).works) == before:
                return page
        else:
            time.sleep(0.5)
            run(page)
    raise AssertionError("it is measured for ever")


def choose(page: AppTest, key: str, *values: object) -> AppTest:
    """Choose in the one box whose key begins so: several values, where it takes several."""
    (found,) = [one for one in (*page.selectbox, *page.multiselect) if str(one.key).startswith(key)]
    found.set_value(list(values) if found in list(page.multiselect) else values[0])
    return settled(run(page))


def press(page: AppTest, key: str) -> AppTest:
    next(one for one in page.button if one.key == key).click()
    return settled(run(page))


def percents(words: str) -> list[float]:
    return [float(found) for found in re.findall(r"([\d.]+)%", words)]


def test_the_effect_stands_beside_attention_as_the_library_measures_it() -> None:
    page = debug("effect")
    assert address(page)["page"] == "debug" and address(page)["section"] == "effect"
    expected = run_sample(FIRST.sample(), backend=LocalBackend("cpu")).effect()
    seen = markup(page)
    for modality in (Modality.IMAGE, Modality.TEXT, Modality.AUDIO):
        assert f"<td>{expected[str(modality)]:+.2f}</td>" in seen
    assert f"<td>{expected['total']:+.2f}</td>" in seen
    assert seen.count("<td class='mark'>") == 8 * 3  # eight subsets of three
    assert any("attention" in words.lower() for words in notes(page, "remark"))
    blurred = choose(page, "effect-absent", "blur")
    again = run_sample(FIRST.sample(), backend=LocalBackend("cpu")).effect("blur")
    assert again["total"] != pytest.approx(expected["total"], abs=0.01)
    assert f"<td>{again['total']:+.2f}</td>" in markup(blurred)


def test_what_is_taken_away_or_swapped_changes_the_answer_as_a_run_without_it() -> None:
    page = choose(debug("effect"), "take-audio", "away")
    without = replace(FIRST.sample(), audio=None)
    (alone,) = LocalBackend("cpu").run([Request("trio", without)])
    (verdict,) = re.findall(r"<p class='verdict'>(.*?)</p>", markup(page))
    assert alone.answers[0].label in verdict
    assert percents(verdict)[-1] == pytest.approx(100 * alone.answers[0].probability, abs=0.051)
    assert markup(page).count("class='way'") == 2  # before and after
    other = next(example for example in EXAMPLES if example.audio and example is not FIRST)
    page = choose(page, "take-audio", other.id)
    swapped = replace(FIRST.sample(), audio=other.sample().audio)
    (mixed,) = LocalBackend("cpu").run([Request("trio", swapped)])
    (verdict,) = re.findall(r"<p class='verdict'>(.*?)</p>", markup(page))
    assert mixed.answers[0].label in verdict
    assert percents(verdict)[-1] == pytest.approx(100 * mixed.answers[0].probability, abs=0.051)


def test_a_token_can_be_taken_away_alone() -> None:
    page = debug("effect")
    record = now(page).run.record
    tokens = record.streams["tokens"]
    spoken = next(k for k, token in enumerate(tokens) if token.label == "spoken")
    page = choose(page, f"span-{record.id}", spoken)
    (verdict,) = re.findall(r"<p class='verdict'>(.*?)</p>", markup(page))
    (alone,) = LocalBackend("cpu").run([Request("trio", FIRST.sample(), (DropTokens((spoken,)),))])
    left = next(one.probability for one in alone.answers if one.label == record.answers[0].label)
    assert percents(verdict)[1] == pytest.approx(100 * left, abs=0.051)


def test_a_head_that_is_switched_off_moves_the_answer_as_python_computes_and_comes_back() -> None:
    page = debug("heads")
    record = now(page).run.record
    found = measure_head_ablation(LocalBackend("cpu"), Request("trio", FIRST.sample()), record)
    worst = min(found, key=lambda one: one.effect)
    assert any(f"layer {worst.map + 1}, head {worst.head + 1}" in words for words in notes(page, "remark"))
    assert len(page.dataframe[0].value) == len(found)
    before = word(page)
    page = press(choose(page, "heads-off-", (worst.map, worst.head)), "heads-ablate-run")
    assert now(page).run.request.changes == (AblateHead(worst.map, worst.head),)
    assert word(page) == worst.answer
    shown = percents(markup(page).split("class='top'")[1])[0]
    assert shown == pytest.approx(100 * worst.probability, abs=0.051)
    assert any("Switched off" in words for words in notes(page, "banner"))
    page = press(page, "heads-ablate-back")
    assert word(page) == before and now(page).run.request.changes == ()


def test_six_ways_of_looking_stand_side_by_side_each_with_its_test() -> None:
    page = debug("faith")
    seen = markup(page)
    assert seen.count("class='way'") == 6 and seen.count("class='test'") == 6
    for formula in ("softmax(QK", "Kobayashi", "Abnar", "Chefer", "Sundararajan"):
        assert formula in seen
    assert any("follows" in words for words in notes(page, "remark"))
    assert len(page.get("plotly_chart")) == 2
    page = press(page, "control-shuffled")
    assert now(page).run.record.made_by["trained"] is False and now(page).page == "debug"
    assert markup(page).count("class='way'") == 6


def test_the_pages_share_the_run_and_turn_at_a_click() -> None:
    page = visit()
    example = next(example for example in EXAMPLES if example.id == "said")
    next(one for one in page.button if one.key == f"trio-{example.id}").click()
    run(page)
    page = press(page, "page-debug")
    assert now(page).shown == example and "What “" in markup(page)
    page = press(page, "section-heads")
    assert address(page)["section"] == "heads" and address(page)["trio"] == "said"
    next(one for one in page.button if one.key == "page-explore").click()
    run(page)
    assert "page" not in address(page) and page.get("bidi_component")


def test_a_model_of_ones_own_is_measured_as_far_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "--model", "custom_model:make"])
    monkeypatch.chdir(ROOT / "tests")
    page = settled(visit(page="debug", section="effect"))
    found = now(page).run.effect()
    assert sum(found[str(one)] for one in INPUT_MODALITIES) == pytest.approx(found["total"], abs=1e-5)
    assert f"<td>{found['total']:+.2f}</td>" in markup(page)
    page = press(page, "section-heads")
    assert len(page.dataframe[0].value) == 2
    page = press(page, "section-faithfulness")
    assert markup(page).count("class='way'") == 6 and not notes(page, "refusal")
    page = choose(page, "faith-absent", "learned")
    assert any("cannot be taken out of own" in words for words in notes(page, "refusal"))
    assert markup(page).count("class='way'") == 6  # the cards stay, without their test
