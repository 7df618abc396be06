"""The page Learn: every number of a lesson is what the model, or the library, says by another road."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from app_page import FULL, AppTest, address, markup, notes, now, press, run, visit
from scipy.spatial.distance import jensenshannon

from mmviz.app.pages.learn.course import COURSE, OPTIONS
from mmviz.app.session_state import LESSONS
from mmviz.backends.local import LocalBackend
from mmviz.explain import Run, run_sample
from mmviz.i18n.page import LABELS, say
from mmviz.models.bundled import BundledTrio
from mmviz.models.cards import fusions_card
from mmviz.types import Modality, UniformAttention


@pytest.fixture(scope="module")
def own() -> Run:
    return run_sample(FULL.sample(), backend=LocalBackend("cpu"))


def lesson(name: str, **at: str) -> AppTest:
    """The lesson at a state, once everything in it is measured."""
    return ready(visit(page="learn", lesson=name, example=FULL.id, **{f"at-{key}": value for key, value in at.items()}))


def ready(page: AppTest) -> AppTest:
    end = time.monotonic() + 240
    while any(str(button.key).startswith("work-stop") for button in page.button):
        assert time.monotonic() < end
        time.sleep(0.3)
        run(page)
    assert not notes(page, "refusal")
    return page


def numbers(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def shown(name: str, code: str, **parameters: object) -> str:
    return say(f"learn-{name}-{code}", **parameters)


def inside(layer: int) -> dict[str, torch.Tensor]:
    """Queries, keys ``[head, token, 48]`` and the tokens that go in, by torch's own modules."""
    model = BundledTrio("cpu")
    found: dict[str, torch.Tensor] = {}
    attention = model.module.get_submodule(f"blocks.{layer}.attention")
    hooks = [
        attention.get_submodule(name).register_forward_hook(
            lambda _, given, made, name=name: found.update(
                {name: made[0].view(-1, 4, 48).transpose(0, 1), "x": given[0][0]}
            )
        )
        for name in ("query", "key")
    ]
    with torch.no_grad():
        model(model.prepare(FULL.sample()).tensors)
    for hook in hooks:
        hook.remove()
    return found


def test_tokens(own: Run) -> None:
    words = [k for k, token in enumerate(own.tokens) if token.modality is Modality.TEXT]
    page = lesson("tokens", token=str(words[0]))
    x = inside(0)["x"]
    alike = torch.nn.functional.cosine_similarity(x, x[words[0]][None]).numpy()
    alike[words[0]] = -1
    found = numbers(page)
    assert found[shown("tokens", "count")] == str(len(own.tokens))
    assert found[shown("tokens", "width")] == "192"
    assert f"{alike.max():.2f}" in found.values()
    counts = {modality: sum(token.modality is modality for token in own.tokens) for modality in Modality}
    assert all(f"<b>{count}</b>" in markup(page) for count in counts.values() if count)


@pytest.mark.parametrize("power", ["0.00", "0.50", "1.00"])
def test_scores(own: Run, power: str) -> None:
    found = numbers(lesson("scores", layer="2", head="1", query="3", power=power))
    vectors = inside(2)
    raw = (vectors["key"][1] @ vectors["query"][1, 3]).double().numpy()
    weights = np.exp(raw / 48 ** float(power) - (raw / 48 ** float(power)).max())
    weights /= weights.sum()
    assert found[shown("scores", "largest")] == f"{weights.max():.3f}"
    assert found[shown("scores", "spread")] == f"{raw.std():.2f} → {(raw / 48 ** float(power)).std():.2f}"
    keys = math.exp(-(weights * np.log(weights)).sum())
    assert found[shown("scores", "effective", of=len(raw))] == f"{keys:.1f}"
    if power == "0.50":
        assert weights.max() == pytest.approx(own.record.maps[2].weights[1, 3].max(), abs=1e-5)


def test_one_dot_product_is_worked_out_term_by_term() -> None:
    page = lesson("scores", layer="1", head="0", query="2", key="7")
    vectors = inside(1)
    assert f"{float(vectors['query'][0, 2] @ vectors['key'][0, 7]):.3f}" in markup(page)


@pytest.mark.parametrize(
    ("temperature", "gone"), [(1.0, ()), (2.0, (Modality.IMAGE,)), (0.5, (Modality.TEXT, Modality.AUDIO))]
)
def test_softmax(own: Run, temperature: float, gone: tuple[Modality, ...]) -> None:
    there = [modality for modality in Modality if any(token.modality is modality for token in own.tokens)]
    masked = ".".join(str(there.index(modality)) for modality in gone)
    page = lesson("softmax", layer="3", head="2", query="4", temperature=f"{temperature:g}", masked=masked)
    left = np.array([token.modality not in gone for token in own.tokens])
    weights = own.record.maps[3].weights[2, 4].astype(np.float64) ** (1 / temperature) * left
    weights /= weights.sum()
    found = numbers(page)
    assert found[shown("softmax", "largest")] == f"{weights.max():.3f}"
    for modality in there:
        share = weights[[token.modality is modality for token in own.tokens]].sum()
        assert found[shown("softmax", "share", modality=say(f"name-{modality}"))] == f"{share:.3f}"


def test_nothing_is_left_when_all_is_masked() -> None:
    page = lesson("softmax", masked="0.1.2.3")
    assert not page.metric and say("learn-softmax-all-masked") in markup(page)


def test_heads(own: Run) -> None:
    page = lesson("heads", layer="1", query="0")
    maps = own.record.maps[1].weights.astype(np.float64)

    def apart(a: int, b: int) -> float:
        return math.sqrt(np.mean([jensenshannon(p, q, 2) ** 2 for p, q in zip(maps[a], maps[b], strict=True)]))

    every = sorted((apart(a, b), a + 1, b + 1) for a in range(4) for b in range(a + 1, 4))
    found = numbers(page)
    for code, (distance, first, second) in (("like", every[0]), ("unlike", every[-1])):
        assert found[shown("heads", code, first=first, second=second)] == f"{distance:.3f}"
    assert f"{maps[3, 0].max():.3f}" in markup(page)


def test_who_asks_whom(own: Run) -> None:
    found = numbers(lesson("asks", map="4"))
    weights = own.record.maps[4].weights.mean(0, dtype=np.float64)
    given, even = [], []
    for query, row in zip(own.tokens, weights, strict=True):
        if query.modality is Modality.SPECIAL:
            continue
        other = [key.modality not in (query.modality, Modality.SPECIAL) for key in own.tokens]
        given.append(row[other].sum())
        even.append(np.mean(other))
    assert found[shown("asks", "crossing")] == f"{np.mean(given):.3f}"
    assert found[shown("asks", "even")] == f"{np.mean(even):.3f}"


def test_fusion(own: Run) -> None:
    page = lesson("fusion", kind="3")
    measured = fusions_card()["measured"]["kinds"]["late"]
    found = numbers(page)
    for code in ("apart", "meet", "time"):
        assert found[shown("fusion", code)] == f"{measured[code]:.2f}"
    (record,) = LocalBackend("cpu").run([replace(own.asked(), model="late", maps=False)])
    best = record.answers[0]
    assert shown("fusion", "answers", answer=best.label, probability=best.probability) in markup(page)


def test_limits(own: Run) -> None:
    page = lesson("limits", gone="1")
    found, answer = numbers(page), own.record.answers[0]
    assert found[shown("limits", "with", answer=answer.label)] == f"{answer.probability:.3f}"
    backend = LocalBackend("cpu")

    def chance(**change: Any) -> str:
        (record,) = backend.run([replace(own.asked(), **change)])
        return f"{next(one.probability for one in record.answers if one.label == answer.label):.3f}"

    assert found[shown("limits", "evened", answer=answer.label)] == chance(
        changes=(UniformAttention(),), relevance=False
    )
    without = chance(sample=replace(own.sample, image=None), relevance=False)
    assert found[shown("limits", "without", answer=answer.label, modality=say("the-image"))] == without


def test_a_question_comes_before_the_lesson() -> None:
    page = visit(page="learn", lesson="scores", example=FULL.id)
    assert say("learn-scores-question") in markup(page)
    assert not page.metric and say("learn-notice") not in markup(page)
    page.button_group(key="learn-answer-scores").set_value("b")
    ready(run(page))
    assert any(
        say("learn-wrong", option=say("learn-scores-option-c")) in note and say("learn-scores-because") in note
        for note in notes(page, "remark")
    )
    assert page.metric and say("learn-notice") in markup(page)
    page.button_group(key="learn-answer-scores").set_value(COURSE["scores"].right)
    run(page)
    assert any(say("learn-right") in note for note in notes(page, "remark"))


def test_from_lesson_to_lesson() -> None:
    page = visit(page="learn", example=FULL.id)
    assert say("learn-tokens-title") in markup(page) and address(page)["lesson"] == "tokens"
    press(page, "learn-show")
    ready(page)
    press(page, "learn-next")
    assert say("learn-scores-title") in markup(page) and address(page)["lesson"] == "scores"
    assert not any(name.startswith("at-") for name in address(page))


def test_the_address_holds_what_was_moved() -> None:
    page = lesson("softmax", layer="1")
    page.select_slider(key=_key(page, "temperature")).set_value(2.0)
    ready(run(page))
    assert address(page)["at-temperature"] == "2"
    again = lesson("softmax", **{key[3:]: value for key, value in address(page).items() if key.startswith("at-")})
    assert numbers(again) == numbers(page)


def _key(page: AppTest, name: str) -> str:
    return f"learn-{now(page).lesson}-{name}-{now(page).visits}"


@pytest.mark.parametrize(("name", "value"), [("layer", "99"), ("temperature", "hot"), ("masked", "0.x")])
def test_an_odd_link_is_said_and_does_no_harm(name: str, value: str) -> None:
    page = lesson("softmax", **{name: value})
    assert any(say("learn-odd", name=name) in note.replace("&#x27;", "'") for note in notes(page, "remark"))
    assert page.metric


def test_the_sheet_has_what_the_lesson_shows() -> None:
    from mmviz.app.pages.learn import _sheet
    from mmviz.app.pages.learn.lesson_context import LessonContext

    made = run_sample(FULL.sample(), backend=LocalBackend("cpu"))

    class Bench:
        run = made

        class now:
            selection = None

    desk = LessonContext("scores", Bench(), [("Largest <weight>", "0.332")])  # type: ignore[arg-type]
    import mmviz.app.link as link

    original = link.address
    link.address = lambda state: "http://host/?page=learn"  # type: ignore[assignment]
    try:
        page = _sheet(desk)().decode()
    finally:
        link.address = original
    assert "Largest &lt;weight&gt;" in page and "0.332" in page and "http://host/?page=learn" in page
    for code in ("title", "question", "do", "notice", "misleads", "option-a", "option-c"):
        assert say(f"learn-scores-{code}").replace("'", "&#x27;") in page
    assert "<script" not in page and "@page" in page and "data:image" in page


def test_every_lesson_has_all_its_words() -> None:
    for name in LESSONS:
        for code in ("short", "title", "question", "because", "notice", "misleads", "do"):
            assert f"learn-{name}-{code}" in LABELS
        assert all(f"learn-{name}-option-{option}" in LABELS for option in OPTIONS)
        assert COURSE[name].right in OPTIONS
