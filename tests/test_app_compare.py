"""The section Compare without a browser: what A is compared with, one method and scale for both, and the verdict."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest
from app_page import EXAMPLES, markup, notes, now, press, run, settled, visit
from streamlit.testing.v1 import AppTest

from mmviz.analysis.available_maps import map_words
from mmviz.analysis.comparison import pair_tokens
from mmviz.app import session_state as state
from mmviz.app.pages.debug.compare import is_same_run
from mmviz.explain import Run
from mmviz.figures.colour_scale import hex_colour
from mmviz.i18n.page import say
from mmviz.models.encoders.picture_encoder import PATCHES
from mmviz.types import AblateHead, MapRef, ShuffleWeights, UniformAttention

pytestmark = pytest.mark.slow

HERE = {"page": "debug", "section": "compare"}
OTHER = next(example for example in EXAMPLES[1:] if example.image and example.audio)
SAME = next(example for example in EXAMPLES if example.image and example.audio)


def compared(page: AppTest, option: str) -> tuple[AppTest, Run]:
    """Returns the page with another B, and B."""
    page.selectbox("compare-with").set_value(option)
    settled(run(page))
    b = now(page).experiments[now(page).run.record.id, "compare", option].result
    assert isinstance(b, Run)
    return page, b


def choose(page: AppTest, name: str, value: object) -> None:
    key = f"compare-token-{now(page).run.record.id}-tokens" if name == "token" else f"compare-{name}"
    page.selectbox(key).set_value(value)
    run(page)


def cards(page: AppTest) -> list[str]:
    """Returns the HTML of A, of B, and of A minus B where there is one."""
    return [e.proto.body for e in page.html if e.proto.body.startswith("<div class='compare-card'>")]


def subtitle(card: str) -> str:
    return html.unescape(card.split("<div class='subtitle'>")[1].split("</div>")[0])


def numbers(card: str) -> dict[int, float]:
    """Returns the amount of every word, by the index of its token."""
    words = re.findall(r"data-token='(\d+)'\s*title='[^']*: (?:A − B )?([^']*)'><span class='word'", card)
    return {int(token): float(amount.replace("−", "-")) for token, amount in words if "counterpart" not in amount}


def figures(page: AppTest) -> list[str]:
    return [element.proto.spec for element in page.get("plotly_chart")]


@pytest.fixture
def page() -> AppTest:
    return settled(visit(example=SAME.id, **HERE))


def test_it_opens_with_another_example_beside_the_run_on_the_screen(page: AppTest) -> None:
    chosen = page.selectbox("compare-with")
    other = next(example for example in EXAMPLES if example != SAME)
    assert chosen.value == f"example/{other.id}" and not any(SAME.title in option for option in chosen.options)
    assert say("compare-with-trained") not in chosen.options, "A is the model as trained already"
    page, b = compared(page, f"example/{OTHER.id}")
    a = now(page).run
    assert b.sample.text == OTHER.question and b.request is not None
    assert (
        b.request == replace(a.rerun_request(), sample=b.request.sample, relevance=True)
        and b.record.relevance is not None
    )
    left, right, _ = cards(page)
    for card, side, title in ((left, a, say("compare-a")), (right, b, OTHER.title)):
        assert html.escape(title) in card and card.count("role='listitem'") == 3
        assert all(html.escape(answer.label) in card for answer in side.record.answers[:3])
        assert subtitle(card) == say("compare-from", token="“answer”", method=map_words(a.map_ref))
        assert card.count("<img src='data:image/jpeg") == 1 and card.count("class='compare-clock'") == 1
        amounts = side.attention(a.map_ref)
        assert numbers(card) == pytest.approx({k: amounts[k] for k in numbers(card)}, rel=1e-5)
        assert len(numbers(card)) == sum(token.modality == "text" for token in side.tokens)


def test_both_have_one_scale_that_is_printed_once(page: AppTest) -> None:
    page, b = compared(page, "uniform")
    a = now(page).run
    scales = [e.proto.body for e in page.html if "class='compare-scale'" in e.proto.body]
    assert len(scales) == 1 and say("compare-scale") in scales[0]
    most = max(float(side.attention(a.map_ref)[1:].max()) for side in (a, b))
    assert f">{most:#.2g}</span>" in scales[0]
    left, right, minus = cards(page)
    assert "linear-gradient" not in left + right
    for card in (left, right):
        grounds = re.findall(r"class='word' style='background:(#......)", card)
        assert grounds == [hex_colour(amount, most) for amount in numbers(card).values()]
    assert hex_colour(1 / len(b.tokens), most) != "#fee838", "uniform attention does not fill the scale"
    assert "more in B −" in minus and "more in A" in minus


def test_uniform_attention_carries_its_banner_and_the_verdict_says_what_changed(page: AppTest) -> None:
    page, b = compared(page, "uniform")
    a = now(page).run
    assert b.request is not None and b.request.changes == (UniformAttention(),) and b.record.relevance is None
    assert say("uniform") in "".join(notes(page, "banner"))
    assert not any("relevance" in option for option in page.selectbox("compare-method").options)
    first, second = a.record.answers[0], b.record.answers[0]
    code = "compare-stays" if first.label == second.label else "compare-changes"
    answers = say(code, a=first.label, b=second.label, p=first.probability, q=second.probability)
    verdict = html.unescape(markup(page).split("<p class='verdict'>")[1].split("</p>")[0])
    assert verdict.startswith(answers)
    sums = {}
    for name, side in (("a", a), ("b", b)):
        amounts = side.attention(a.map_ref)
        sums[name] = {
            kind: sum(float(amounts[k]) for k, token in enumerate(side.tokens) if token.modality == kind)
            for kind in ("image", "text", "audio", "special")
        }
    most = max(sums["a"], key=lambda kind: sums["a"][kind] - sums["b"][kind])
    a_, b_ = (f"{sums[name][most]:#.2g}" for name in "ab")
    assert say("compare-from-more", modality=say(f"the-{most}"), a=a_, b=b_) in verdict
    left, right, minus = cards(page)
    parts = [numbers(card) for card in (left, right, minus)]
    assert parts[2] == pytest.approx({k: parts[0][k] - parts[1][k] for k in parts[0]}, abs=1e-6)
    assert len(figures(page)) == 1, "the token matrix is drawn once it is opened"
    page.session_state["compare-weights"] = True
    assert len(figures(run(page))) == 2


def test_token_method_and_direction_are_the_same_for_both(page: AppTest) -> None:
    page, b = compared(page, f"example/{OTHER.id}")
    a = now(page).run
    before = cards(page)
    token = next(k for k, other in enumerate(a.tokens) if other.modality == "image") + 3 * PATCHES + 3
    choose(page, "token", token)
    after = cards(page)
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert len({card.split("<img src='")[1].split("'")[0] for card in before + after}) == 6, "no image is like another"
    text = say("compare-from", token="“patch 4,4”", method=map_words(a.map_ref))
    assert [subtitle(card) for card in after] == [text] * 3
    partner = pair_tokens(a.tokens, b.tokens).partner(token)
    assert partner is not None and partner != token, "the texts are not of the same length"
    assert numbers(after[1]) == pytest.approx(
        {k: b.attention(a.map_ref, partner)[k] for k in numbers(after[1])}, rel=1e-5
    )
    choose(page, "method", "2:1")
    parameters = {"token": "“patch 4,4”", "method": map_words(MapRef.parse("2:1"))}
    assert [subtitle(card) for card in cards(page)] == [say("compare-from", **parameters)] * 3
    page.segmented_control("compare-direction").set_value("to")
    run(page)
    assert [subtitle(card) for card in cards(page)] == [say("compare-to", **parameters)] * 3
    shown = numbers(cards(page)[1])
    assert shown == pytest.approx({k: b.attention(MapRef.parse("2:1"), partner, "to")[k] for k in shown}, rel=1e-4)


def test_a_token_without_a_partner_has_no_difference(page: AppTest) -> None:
    page, b = compared(page, "model/toy")
    assert [token.label for token in b.tokens] == re.findall(r"\w+", SAME.question)
    left, right = cards(page)
    assert say("compare-no-counterpart", token="“answer”") in html.unescape(markup(page))
    assert say("compare-scale-a") in markup(page) and "class='chip" not in right and "class='chip" in left
    assert say("compare-not-whole") in markup(page)
    choose(page, "token", 1)
    assert len(cards(page)) == 3 and say("compare-scale") in markup(page)
    assert html.escape(say("name-image")) in markup(page) and say("compare-no-image") in cards(page)[1]
    assert "no counterpart in B" in cards(page)[2] and "No counterpart in B" in cards(page)[2]


def test_shuffled_weights_carry_their_banner_and_a_control_compares_with_the_trained_model(page: AppTest) -> None:
    page, b = compared(page, "shuffled")
    assert b.request is not None and b.request.changes == (ShuffleWeights(1),)
    assert say("untrained") in "".join(notes(page, "banner"))
    press(page, "page-explore")
    press(page, "control-uniform")
    press(page, "page-debug")
    settled(page)
    options = page.selectbox("compare-with").options
    assert say("compare-with-trained") in options and say("compare-with-uniform") not in options
    page, b = compared(page, "trained")
    assert b.request is not None and b.request.changes == () and b.record.answers[0].label == SAME.truth


def test_ablated_heads_stay_ablated_except_in_the_model_as_trained(page: AppTest) -> None:
    ablated = AblateHead(2, 1)
    now(page).ablated_heads = (ablated,)
    settled(press(page, "run"))
    assert now(page).run.rerun_request().changes == (ablated,)
    for option, changes in (("trained", ()), ("uniform", (ablated, UniformAttention())), ("model/toy", ())):
        page, b = compared(page, option)
        assert b.request is not None and b.request.changes == changes


def test_the_same_run_twice_has_no_difference() -> None:
    page = visit(**HERE)
    press(page, "own")
    assert SAME.image is not None and SAME.audio is not None
    for modality, path, kind in (("image", SAME.image, "image/webp"), ("audio", SAME.audio, "audio/wav")):
        uploader = page.file_uploader(f"{modality}-{now(page).form_number}")
        uploader.set_value((path.name, path.read_bytes(), kind))
    page.text_input(state.QUESTION).set_value(SAME.question)
    settled(press(page, "run"))
    assert now(page).run_example is None
    page, b = compared(page, f"example/{SAME.id}")
    assert is_same_run(now(page).run, b)
    assert say("compare-same") in markup(page) and len(cards(page)) == 2 and not figures(page)
    page, b = compared(page, "uniform")
    assert not is_same_run(now(page).run, b) and say("compare-same") not in markup(page)


def test_markup_in_the_question_stays_text(page: AppTest) -> None:
    hostile = "is <img src=x onerror=alert(1)> **there** {token}?"
    page.text_input(state.QUESTION).set_value(hostile)
    settled(press(page, "run"))
    page, _ = compared(page, "uniform")
    assert "<img src=x" not in markup(page) and "&lt;" in cards(page)[0] and len(cards(page)) == 3


@pytest.mark.parametrize("missing", ["image", "audio"])
def test_a_modality_that_only_one_has_is_named_and_not_subtracted(page: AppTest, missing: str) -> None:
    less = next(example for example in EXAMPLES if getattr(example, missing) is None)
    page, b = compared(page, f"example/{less.id}")
    a = now(page).run
    left, right, minus = cards(page)
    none = say(f"compare-no-{missing}")
    assert none in right and none not in left and none not in minus
    unpaired = [k for k, token in enumerate(a.tokens) if token.modality == missing]
    pairing = pair_tokens(a.tokens, b.tokens)
    assert set(unpaired) <= set(pairing.only_a)
    assert f"No counterpart in B, so no difference (hatched): {len(pairing.only_a)} tokens" in minus
    share = float(a.attention(a.map_ref)[list(pairing.only_a)].sum())
    assert say("compare-unpaired-share", share=f"{share:#.2g}") in minus
    press(page, f"example-{less.id}")
    settled(page)
    page, b = compared(page, f"example/{SAME.id}")
    left, right, minus = cards(page)
    assert none in left and none in minus and none not in right and "No counterpart in A, so not shown" in minus
