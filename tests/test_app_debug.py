"""The page Debug without a browser: it shows what the library measures."""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import replace

import app_page
import pytest
from app_page import EXAMPLES, ROOT, address, markup, notes, now, run, settled, short_curves, visit, word
from streamlit.testing.v1 import AppTest

from mmviz.app import session_state as state
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.pages.debug import heads
from mmviz.backends.local import LocalBackend
from mmviz.cli import _parser
from mmviz.experiments.head_ablation import HeadEffect, measure_head_ablation
from mmviz.explain import run_sample
from mmviz.i18n.minus_sign import MINUS
from mmviz.i18n.page import say
from mmviz.inputs.baseline import swap_input
from mmviz.types import INPUT_MODALITIES, AblateHead, DropTokens, Modality, Request

pytestmark = pytest.mark.slow

FIRST = EXAMPLES[0]


def debug(section: str, **params: str) -> AppTest:
    """Returns the page Debug at one section, once its experiments are finished."""
    return settled(visit(page="debug", section=section, **params))


def choose(page: AppTest, key: str, *values: object) -> AppTest:
    """Chooses in the one box whose key begins so; a multiselect takes several values."""
    (box,) = [box for box in (*page.selectbox, *page.multiselect) if str(box.key).startswith(key)]
    box.set_value(list(values) if box in list(page.multiselect) else values[0])
    return settled(run(page))


def press(page: AppTest, key: str) -> AppTest:
    """Presses a button, and waits for the experiments that it starts."""
    return settled(app_page.press(page, key))


@pytest.fixture(scope="module")
def effect_page() -> AppTest:
    """The section Effect as it opens; a test that changes something there takes it back."""
    return debug("effect")


@pytest.fixture(scope="module")
def head_effects() -> list[HeadEffect]:
    """What ablating each head of the bundled model changes, as the library measures it."""
    backend, request = LocalBackend("cpu"), Request("trio", FIRST.sample())
    return measure_head_ablation(backend, request, backend.run([request])[0])


def already_measured(monkeypatch: pytest.MonkeyPatch, effects: list[HeadEffect]) -> None:
    """Lets the page have these effects of heads at once: what is asserted from here on is about something else."""
    monkeypatch.setattr(heads, "measure_head_ablation", lambda *_: effects)


def percents(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"([\d.]+)%", text)]


def verdict(page: AppTest) -> str:
    (text,) = re.findall(r"<p class='verdict'>(.*?)</p>", markup(page))
    return str(text)


def test_the_effect_stands_beside_attention_as_the_library_measures_it(effect_page: AppTest) -> None:
    page = effect_page
    assert address(page)["page"] == "debug" and address(page)["section"] == "effect"
    expected = run_sample(FIRST.sample(), backend=LocalBackend("cpu")).effect()
    body = markup(page)
    assert all(f"<td>{expected[str(modality)]:+.2f}</td>" in body for modality in INPUT_MODALITIES)
    assert f"<td>{expected['total']:+.2f}</td>" in body
    assert body.count("<td class='mark'>") == 8 * 3, "eight subsets of three"
    subsets = body[body.index("<td class='mark'>") :]
    assert not re.search(r"<td>-", subsets) and subsets.count(f"<td>{MINUS}") == 8, "log-probabilities are below 0"
    assert notes(page, "remark"), "whether attention and effect agree is said"
    blurred = choose(page, "effect-baseline", "blur")
    other = run_sample(FIRST.sample(), backend=LocalBackend("cpu")).effect("blur")
    assert other["total"] != pytest.approx(expected["total"], abs=0.01)
    assert f"<td>{other['total']:+.2f}</td>" in markup(blurred)
    choose(page, "effect-baseline", "learned")


def test_an_input_removed_or_replaced_changes_the_answer_as_a_run_without_it(effect_page: AppTest) -> None:
    (box,) = [box for box in effect_page.selectbox if str(box.key).startswith("perturb-audio")]
    unchanged = box.value
    page = choose(effect_page, "perturb-audio", "remove")
    without = replace(FIRST.sample(), audio=None)
    (removed,) = LocalBackend("cpu").run([Request("trio", without)])
    assert removed.answers[0].label in verdict(page)
    assert percents(verdict(page))[-1] == pytest.approx(100 * removed.answers[0].probability, abs=0.051)
    assert markup(page).count("class='method-card'") == 2, "before and after"
    cards = [element.proto.body for element in page.html if "class='method-card'" in element.proto.body]
    legends = [re.findall(r"<div role='img' aria-label='([^']*)'", card)[-1] for card in cards]
    assert len(legends) == 2 and len(set(legends)) == 1, "before and after have one scale"
    (command,) = (block.value for block in page.code if block.value.startswith("mmviz compare"))
    assert {"perturb-csv", "perturb-json"} <= {button.key for button in page.download_button}
    options = _parser().parse_args(shlex.split(command)[1:])
    assert (options.other_drop, options.token, options.direction) == ("audio", 0, "from")
    other = next(example for example in EXAMPLES if example.audio and example is not FIRST)
    page = choose(page, "perturb-audio", other.id)
    assert not any(block.value.startswith("mmviz compare") for block in page.code)
    (swapped,) = LocalBackend("cpu").run([Request("trio", replace(FIRST.sample(), audio=other.sample().audio))])
    assert swapped.answers[0].label in verdict(page)
    assert percents(verdict(page))[-1] == pytest.approx(100 * swapped.answers[0].probability, abs=0.051)
    choose(page, "perturb-audio", unchanged)


def test_a_single_token_can_be_removed(effect_page: AppTest) -> None:
    page = effect_page
    record = now(page).run.record
    spoken = next(k for k, token in enumerate(record.streams["tokens"]) if token.label == "spoken")
    page = choose(page, f"perturb-tokens-{record.id}", spoken)
    (removed,) = LocalBackend("cpu").run([Request("trio", FIRST.sample(), (DropTokens((spoken,)),))])
    after = next(answer.probability for answer in removed.answers if answer.label == record.answers[0].label)
    assert percents(verdict(page))[1] == pytest.approx(100 * after, abs=0.051)
    choose(page, f"perturb-tokens-{record.id}")


@pytest.mark.long
def test_only_examples_with_such_an_input_can_stand_in_the_place_of_tokens(effect_page: AppTest) -> None:
    page = effect_page
    record = now(page).run.record
    patch = next(k for k, token in enumerate(record.streams["tokens"]) if token.modality is Modality.IMAGE)
    word_number = next(k for k, token in enumerate(record.streams["tokens"]) if token.modality is Modality.TEXT)
    assert any(example.image is None for example in EXAMPLES)
    key = f"perturb-tokens-{record.id}"
    page = choose(page, key, word_number)
    assert len(page.selectbox("perturb-tokens-by").options) == 1 + len(EXAMPLES)
    blind = next(example for example in EXAMPLES if example.image is None)
    page = choose(page, "perturb-tokens-by", blind.id)
    page = choose(page, key, word_number, patch)
    box = page.selectbox("perturb-tokens-by")
    assert box.value == "remove" and len(box.options) == 1 + sum(example.image is not None for example in EXAMPLES)
    other = next(example for example in EXAMPLES[1:] if example.image is not None)
    page = choose(choose(page, key, patch), "perturb-tokens-by", other.id)
    location = record.streams["tokens"][patch].location
    (swapped,) = LocalBackend("cpu").run(
        [Request("trio", swap_input(FIRST.sample(), other.sample(), Modality.IMAGE, [location]))]
    )
    assert swapped.answers[0].label in verdict(page)
    assert percents(verdict(page))[-1] == pytest.approx(100 * swapped.answers[0].probability, abs=0.051)
    choose(page, "perturb-tokens-by", "remove")
    choose(page, key)


def test_an_ablated_head_moves_the_answer_as_the_library_measures_and_comes_back(
    head_effects: list[HeadEffect], monkeypatch: pytest.MonkeyPatch
) -> None:
    page, effects = debug("heads"), head_effects
    already_measured(monkeypatch, effects)
    needed = min(effects, key=lambda effect: effect.effect)
    layer = say("heads-layer", layer=needed.map + 1)
    assert any(say("heads-head", layer=layer, head=needed.head + 1) in text for text in notes(page, "remark"))
    assert len(page.dataframe[0].value) == len(effects)
    before = word(page)
    page = press(choose(page, "heads-ablate-", (needed.map, needed.head)), "heads-ablate-run")
    assert now(page).run.request.changes == (AblateHead(needed.map, needed.head),)
    assert word(page) == needed.answer
    probability = percents(markup(page).split("class='top'")[1])[0]
    assert probability == pytest.approx(100 * needed.probability, abs=0.051)
    (banner,) = notes(page, "banner")
    assert f"layer {needed.map + 1}, head {needed.head + 1}" in banner
    page = press(page, "heads-ablate-restore")
    assert word(page) == before and now(page).run.request.changes == () and not notes(page, "banner")


@pytest.mark.long
def test_six_methods_stand_side_by_side_each_with_its_test(
    head_effects: list[HeadEffect], monkeypatch: pytest.MonkeyPatch
) -> None:
    short_curves(monkeypatch)
    already_measured(monkeypatch, head_effects)
    page = debug("faithfulness")
    body = markup(page)
    assert body.count("class='method-card'") == 6 and body.count("class='test'") == 6
    for formula in ("softmax(QK", "Kobayashi", "Abnar", "Chefer", "Sundararajan"):
        assert formula in body
    assert notes(page, "remark") and len(page.get("plotly_chart")) == 2
    axes = [json.loads(chart.proto.spec)["layout"]["yaxis"]["range"] for chart in page.get("plotly_chart")]
    assert axes[0] == axes[1], "deletion and insertion have one scale"
    page = press(page, "control-shuffled")
    assert now(page).run.record.made_by["trained"] is False and now(page).page == "debug"
    assert markup(page).count("class='method-card'") == 6


def test_the_pages_share_the_run() -> None:
    page = visit()
    example = next(example for example in EXAMPLES if example.id == "said")
    app_page.press(page, f"example-{example.id}")
    page = press(page, "page-debug")
    assert now(page).run_example == example and "class='facts'" in markup(page)
    page = press(page, "section-compare")
    assert address(page)["section"] == "compare" and address(page)["example"] == "said"
    app_page.press(page, "page-explore")
    assert "page" not in address(page) and page.get("bidi_component")


@pytest.mark.parametrize("section", state.SECTIONS)
def test_every_section_opens_by_its_name_in_the_address(section: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExperimentRunner, "measure", lambda *_, **__: None)  # as long as everything is in progress
    page = visit(page="debug", section=section)
    assert address(page)["section"] == section == now(page).section


def test_a_custom_model_is_measured_as_far_as_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    short_curves(monkeypatch)
    monkeypatch.setattr(sys, "argv", ["streamlit_script.py", "--model", "custom_model:make"])
    monkeypatch.chdir(ROOT / "tests")
    page = settled(visit(page="debug", section="effect"))
    effect = now(page).run.effect()
    assert sum(effect[str(modality)] for modality in INPUT_MODALITIES) == pytest.approx(effect["total"], abs=1e-5)
    assert f"<td>{effect['total']:+.2f}</td>" in markup(page)
    page = press(page, "section-heads")
    assert len(page.dataframe[0].value) == 2
    page = press(page, "section-faithfulness")
    assert markup(page).count("class='method-card'") == 6 and not notes(page, "error")
    page = choose(page, "faithfulness-baseline", "learned")
    assert any("own cannot mask individual tokens" in text for text in notes(page, "error"))
    assert markup(page).count("class='method-card'") == 6, "the cards stay, without their test"
