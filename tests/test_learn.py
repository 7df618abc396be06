"""The page Learn: the numbers of each lesson against torch, scipy and direct computation."""

from __future__ import annotations

import html
import math
import re
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from app_page import FULL, AppTest, address, markup, notes, now, press, run, settled, visit
from scipy.spatial.distance import jensenshannon

from mmviz.analysis.query_key_walkthrough import attention_path
from mmviz.app import page_address
from mmviz.app.components.glossary_text import glossary_html
from mmviz.app.components.query_key_walkthrough import path_texts
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.pages.learn.course import COURSE
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.presentation import slides_of
from mmviz.app.pages.learn.sheet import sheet
from mmviz.app.session_state import LESSONS
from mmviz.backends.local import LocalBackend
from mmviz.explain import Run, run_sample
from mmviz.figures.key_bars import STRONGEST, key_bars
from mmviz.figures.token_labels import names
from mmviz.i18n.glossary import GLOSSARY
from mmviz.i18n.language import LANGUAGES, Language, translated, use_language
from mmviz.i18n.page import LABELS, say
from mmviz.models.cards import fusions_card
from mmviz.models.trio_model import BundledTrio
from mmviz.types import Modality, UniformAttention

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gallery_run(backend: LocalBackend) -> Run:
    return run_sample(FULL.sample(), backend=backend)


def lesson(name: str, **controls: str) -> AppTest:
    """Returns the lesson with its controls set, once its experiments have finished."""
    params = {f"at-{key}": value for key, value in controls.items()}
    return ready(visit(page="learn", lesson=name, example=FULL.id, **params))


def without_terms(text: str) -> str:
    """Returns HTML without the definitions of terms, and without the marks of the terms themselves."""
    return re.sub(r"<span class='term'[^>]*>([^<]*)<span class='definition'.*?</span></span>", r"\1", text)


def ready(page: AppTest) -> AppTest:
    """Returns the page once its experiments, if it has any, have finished without an error."""
    if now(page).experiments:
        settled(page)
    assert not notes(page, "error")
    return page


def numbers(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def label(name: str, code: str, **parameters: object) -> str:
    return say(f"learn-{name}-{code}", **parameters)


@cache
def bundled() -> BundledTrio:
    return BundledTrio("cpu")


def layer_tensors(layer: int) -> dict[str, torch.Tensor]:
    """Returns ``query``, ``key`` and ``value`` ``[head, token, 48]`` and ``input`` ``[token, 192]``, by torch hooks."""
    model = bundled()
    tensors: dict[str, torch.Tensor] = {}
    attention = model.module.get_submodule(f"blocks.{layer}.attention")
    hooks = [
        attention.get_submodule(name).register_forward_hook(
            lambda _, args, output, name=name: tensors.update(
                {name: output[0].view(-1, 4, 48).transpose(0, 1), "input": args[0][0]}
            )
        )
        for name in ("query", "key", "value")
    ]
    with torch.no_grad():
        model(model.prepare(FULL.sample()).tensors)
    for hook in hooks:
        hook.remove()
    return tensors


def test_tokens(gallery_run: Run) -> None:
    text_tokens = [k for k, token in enumerate(gallery_run.tokens) if token.modality is Modality.TEXT]
    page = lesson("tokens", token=str(text_tokens[0]))
    vectors = layer_tensors(0)["input"]
    similarity = torch.nn.functional.cosine_similarity(vectors, vectors[text_tokens[0]][None]).numpy()
    similarity[text_tokens[0]] = -1
    metrics = numbers(page)
    assert metrics[label("tokens", "count")] == str(len(gallery_run.tokens))
    assert metrics[label("tokens", "width")] == "192"
    assert f"{similarity.max():.2f}" in metrics.values()
    counts = {modality: sum(token.modality is modality for token in gallery_run.tokens) for modality in Modality}
    assert all(f"<b>{count}</b>" in markup(page) for count in counts.values() if count)


@pytest.mark.parametrize("power", ["0.00", "0.50", "1.00"])
def test_scores(gallery_run: Run, power: str) -> None:
    page = lesson("scores", layer="2", head="1", query="3", key="7", power=power)
    metrics, vectors = numbers(page), layer_tensors(2)
    assert f"{float(vectors['query'][1, 3] @ vectors['key'][1, 7]):.3f}".replace("-", "−") in markup(page)
    raw = (vectors["key"][1] @ vectors["query"][1, 3]).double().numpy()
    weights = np.exp(raw / 48 ** float(power) - (raw / 48 ** float(power)).max())
    weights /= weights.sum()
    assert metrics[label("scores", "largest")] == f"{weights.max():.3f}"
    assert metrics[label("scores", "spread")] == f"{raw.std():.2f} → {(raw / 48 ** float(power)).std():.2f}"
    keys = math.exp(-(weights * np.log(weights)).sum())
    assert metrics[label("scores", "effective", of=len(raw))] == f"{keys:.1f}"
    if power == "0.50":
        assert weights.max() == pytest.approx(gallery_run.record.maps[2].weights[1, 3].max(), abs=1e-5)


@pytest.mark.parametrize(
    ("temperature", "masked"), [(1.0, ()), (2.0, (Modality.IMAGE,)), (0.5, (Modality.TEXT, Modality.AUDIO))]
)
def test_softmax(gallery_run: Run, temperature: float, masked: tuple[Modality, ...]) -> None:
    present = [modality for modality in Modality if any(token.modality is modality for token in gallery_run.tokens)]
    indices = ".".join(str(present.index(modality)) for modality in masked)
    page = lesson("softmax", layer="3", head="2", query="4", temperature=f"{temperature:g}", masked=indices)
    unmasked = np.array([token.modality not in masked for token in gallery_run.tokens])
    weights = gallery_run.record.maps[3].weights[2, 4].astype(np.float64) ** (1 / temperature) * unmasked
    weights /= weights.sum()
    metrics = numbers(page)
    assert metrics[label("softmax", "largest")] == f"{weights.max():.3f}"
    for modality in present:
        share = weights[[token.modality is modality for token in gallery_run.tokens]].sum()
        assert metrics[label("softmax", "share", modality=say(f"name-{modality}"))] == f"{share:.3f}"


def test_with_all_keys_masked_a_note_takes_the_place_of_the_weights() -> None:
    page = lesson("softmax", masked="0.1.2.3")
    assert not page.metric and say("learn-softmax-all-masked") in markup(page)


def test_heads(gallery_run: Run) -> None:
    page = lesson("heads", layer="1", query="0")
    maps = gallery_run.record.maps[1].weights.astype(np.float64)

    def distance_of(a: int, b: int) -> float:
        return math.sqrt(np.mean([jensenshannon(p, q, 2) ** 2 for p, q in zip(maps[a], maps[b], strict=True)]))

    distances = sorted((distance_of(a, b), a + 1, b + 1) for a in range(4) for b in range(a + 1, 4))
    metrics = numbers(page)
    for code, (distance, first, second) in (("like", distances[0]), ("unlike", distances[-1])):
        shown = float(metrics[label("heads", code, first=first, second=second)])
        assert shown == pytest.approx(distance, abs=1.5e-3), "the page shows the recording, which is rounded"
    assert f"{maps[3, 0].max():.3f}" in markup(page)


def test_cross_modal(gallery_run: Run) -> None:
    metrics = numbers(lesson("cross-modal", map="4"))
    weights = gallery_run.record.maps[4].weights.mean(0, dtype=np.float64)
    crossing, uniform = [], []
    for query, row in zip(gallery_run.tokens, weights, strict=True):
        if query.modality is Modality.SPECIAL:
            continue
        is_other = [key.modality not in (query.modality, Modality.SPECIAL) for key in gallery_run.tokens]
        crossing.append(row[is_other].sum())
        uniform.append(np.mean(is_other))
    assert metrics[label("cross-modal", "crossing")] == f"{np.mean(crossing):.3f}"
    assert metrics[label("cross-modal", "uniform")] == f"{np.mean(uniform):.3f}"


def test_fusion(gallery_run: Run, backend: LocalBackend) -> None:
    page = lesson("fusion", kind="3")
    figures = fusions_card()["measured"]["kinds"]["late"]
    metrics = numbers(page)
    for code, key in (("single-modality", "single modality"), ("cross-modal", "cross-modal"), ("time", "time")):
        assert metrics[label("fusion", code)] == f"{figures[key]:.2f}"
    (record,) = backend.run([replace(gallery_run.rerun_request(), model="late", maps=False)])
    best = record.answers[0]
    assert label("fusion", "answers", answer=best.label, probability=best.probability) in markup(page)


def test_limits(gallery_run: Run, backend: LocalBackend) -> None:
    page = lesson("limits", removed="1")
    metrics, answer = numbers(page), gallery_run.record.answers[0]
    assert metrics[label("limits", "with", answer=answer.label)] == f"{answer.probability:.3f}"

    def probability(**changes: Any) -> str:
        (record,) = backend.run([replace(gallery_run.rerun_request(), **changes)])
        return f"{next(a.probability for a in record.answers if a.label == answer.label):.3f}"

    assert metrics[label("limits", "uniform", answer=answer.label)] == probability(
        changes=(UniformAttention(),), relevance=False
    )
    without = probability(sample=replace(gallery_run.sample, image=None), relevance=False)
    assert metrics[label("limits", "without", answer=answer.label, modality=say("the-image"))] == without


def test_a_question_comes_before_the_lesson() -> None:
    page = visit(page="learn", lesson="scores", example=FULL.id)
    assert say("learn-scores-question") in without_terms(markup(page))
    assert not page.metric and say("learn-notice") not in markup(page)
    page.button_group(key="learn-answer-scores").set_value("b")
    ready(run(page))
    assert any(
        say("learn-wrong", option=say("learn-scores-option-c")) in note and say("learn-scores-because") in note
        for note in map(without_terms, notes(page, "remark"))
    )
    assert page.metric and say("learn-notice") in markup(page)
    page.button_group(key="learn-answer-scores").set_value(COURSE["scores"].correct)
    run(page)
    assert any(say("learn-right") in note for note in notes(page, "remark"))


def test_the_next_button_opens_the_next_lesson() -> None:
    page = visit(page="learn", example=FULL.id)
    assert say("learn-tokens-title") in markup(page) and address(page)["lesson"] == "tokens"
    press(page, "learn-show")
    ready(page)
    press(page, "learn-next")
    assert say("learn-scores-title") in markup(page) and address(page)["lesson"] == "scores"
    assert not any(name.startswith("at-") for name in address(page))


def test_the_address_holds_the_values_of_controls() -> None:
    page = lesson("softmax", layer="1")
    page.select_slider(key=_key(page, "temperature")).set_value(2.0)
    ready(run(page))
    assert address(page)["at-temperature"] == "2"
    reopened = lesson("softmax", **{key[3:]: value for key, value in address(page).items() if key.startswith("at-")})
    assert numbers(reopened) == numbers(page)


def _key(page: AppTest, name: str) -> str:
    return f"learn-{now(page).lesson}-{name}-{now(page).lesson_serial}"


def test_an_unknown_value_in_the_address_gets_a_note_and_the_default() -> None:
    page = lesson("softmax", layer="99", temperature="hot", masked="0.x")
    said = html.unescape("".join(notes(page, "remark")))
    assert all(say("learn-unknown-param", name=name) in said for name in ("layer", "temperature", "masked"))
    assert page.metric


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sheet_has_room_to_write_and_its_solution_on_page_two(
    gallery_run: Run, monkeypatch: pytest.MonkeyPatch, language: Language
) -> None:
    runner = SimpleNamespace(run=gallery_run, state=None)
    context = LessonContext("scores", cast(ExperimentRunner, runner), [("Largest <weight>", "0.332")])
    monkeypatch.setattr(page_address, "page_url", lambda _: "http://host/?page=learn")
    with use_language(language):
        document = sheet(context)
        assert document == sheet(context), "the same address as long as it shows the same"
        text = {code: say(f"learn-scores-{code}") for code in ("title", "question", "do", "because", "notice")}
        correct = say("learn-sheet-correct", letter="c", option=say("learn-scores-option-c"))
    whole = html.unescape(document.decode("ascii"))
    assert f'<html lang="{language}">' in whole and "<script" not in whole
    first, second = whole.split('<section class="solution">')
    assert "break-before: page" in first and "data:image" in first and "class='line'" in first
    assert all(text[code] in first for code in ("title", "question", "do")) and "Largest <weight>" in first
    assert not any(part in first for part in ("0.332", text["because"], text["notice"], correct))
    assert all(
        part in second for part in ("0.332", text["because"], text["notice"], correct, "http://host/?page=learn")
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_terms_carry_their_definition_once_and_as_whole_words(language: Language) -> None:
    with use_language(language):
        definition = html.escape(say("glossary-query"))
        question = glossary_html(say("learn-scores-question"))
        assert question.count(definition) == 1 and without_terms(question) == html.escape(say("learn-scores-question"))
        assert "aria-describedby='glossary-query-" in question and "tabindex='0'" in question
        assert question.count("aria-describedby='glossary-token-") == 1, "the question names tokens twice"
        texts = " ".join(translated(text) for code, text in LABELS.items() if code.startswith("learn-"))
        unused = [code for code in GLOSSARY if "-forms" not in code and f"'{code}-" not in glossary_html(texts)]
        assert not unused, "defined, but in no text"
    assert glossary_html("monkey <b> valued") == "monkey &lt;b&gt; valued"


def test_the_path_of_one_attention_has_the_numbers_of_the_model(gallery_run: Run, backend: LocalBackend) -> None:
    captured = layer_tensors(2)
    head, query, key = 1, 0, 5
    q, keys, values = (captured[name][head].double().numpy() for name in ("query", "key", "value"))
    weights = np.exp(keys @ q[query] / 48**0.5)
    weights /= weights.sum()
    (record,) = backend.run([replace(gallery_run.rerun_request(), steps=True)])
    path = attention_path(record.steps[2], head, query, key)
    assert path.score == pytest.approx(q[query] @ keys[key], abs=1e-4) == path.products.sum()
    assert path.scaled == pytest.approx(path.score / 48**0.5)
    np.testing.assert_allclose(path.weights, weights, atol=1e-6)
    np.testing.assert_allclose(path.contribution, weights[key] * values[key], atol=1e-6)
    np.testing.assert_allclose(path.output, weights @ values, atol=1e-5)
    labels = names(record.streams[record.maps[2].keys])
    texts, _ = path_texts(path, labels[query], labels)
    assert f"{q[query] @ keys[key]:.3f}".replace("-", "−") in texts["score"][1] and labels[key] in texts["score"][0]
    assert f"{weights[key]:.3f}" in texts["weight"][1] and labels[query] in texts["output"][0]


def test_bars_stand_in_one_order_of_modalities_and_name_their_tokens(gallery_run: Run) -> None:
    tokens, values = gallery_run.tokens, np.linspace(-1, 1, len(gallery_run.tokens)) ** 3
    chosen = int(values.argmin())
    texts = {"axis": "weight", "all": "all", "strongest": "largest"}
    figure = key_bars(tokens, values, texts, {modality: str(modality) for modality in Modality}, selected=chosen)
    upright = [(place, trace.name) for trace in figure.data if trace.orientation != "h" for place in trace.x]
    order = [list(Modality).index(Modality(name)) for _, name in sorted(upright)]
    assert order == sorted(order) and len(order) == len(tokens)
    rows = [names(tokens)[k] for k in np.argsort(-values)[: STRONGEST - 1]] + [names(tokens)[chosen]]
    assert list(figure.layout.yaxis2.ticktext) == rows
    named = {trace.customdata[k]: trace.x[k] for trace in figure.data if trace.orientation == "h"
             for k in range(len(trace.x))}  # fmt: skip
    assert named == {name: values[names(tokens).index(name)] for name in rows}
    assert figure.layout.xaxis2.range[0] <= -1.2, "the number of a negative bar needs room beside the names"


def test_a_presentation_shows_one_slide_and_its_link_opens_it() -> None:
    page = ready(visit(page="learn", lesson="scores", example=FULL.id, present="1"))
    assert say("learn-scores-option-b") in markup(page) and not page.metric
    assert "class='correct'" not in markup(page)
    page = ready(press(page, "slide-next"))
    assert "class='correct'" in markup(page) and address(page)["present"] == "2"
    page = ready(press(page, "slide-last"))
    assert say("learn-misleads") in markup(page) and address(page)["present"] == str(len(slides_of("scores")))
    page = ready(press(page, "slide-next"))
    assert address(page)["lesson"] == "softmax" and address(page)["present"] == "1"
    page = ready(press(page, "slide-previous"))
    assert address(page)["lesson"] == "scores" and say("learn-misleads") in markup(page)
    page = ready(press(page, "slide-leave"))
    assert "present" not in address(page) and page.metric


def test_every_lesson_has_all_its_texts() -> None:
    for name in LESSONS:
        for code in ("short", "title", "question", "because", "notice", "misleads", "do"):
            assert f"learn-{name}-{code}" in LABELS
        assert all(f"learn-{name}-option-{option}" in LABELS for option in COURSE[name].options)
        assert COURSE[name].correct in COURSE[name].options
