"""The part Compare without a browser: what it compares with, that both are looked at alike, and what it says of it."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest
from app_page import EXAMPLES, markup, notes, now, press, run, visit
from streamlit.testing.v1 import AppTest

from mmviz.analysis.comparison import pairs
from mmviz.app import session_state as state
from mmviz.app.pages.debug.compare import is_same
from mmviz.explain import Run
from mmviz.figures.colour_scale import hex_colour
from mmviz.i18n.page import say
from mmviz.types import AblateHead, MapRef, ShuffleWeights, UniformAttention

HERE = {"page": "debug", "section": "compare"}
OTHER = next(example for example in EXAMPLES[1:] if example.image and example.audio)
SAME = next(example for example in EXAMPLES if example.image and example.audio)


def settled(page: AppTest) -> AppTest:
    """The page once all is measured that it has asked for."""
    for job in now(page).works.values():
        assert job.wait(240)
    return run(page)


def compared(page: AppTest, option: str) -> tuple[AppTest, Run]:
    """The page with another B, and B."""
    page.selectbox("compare-with").set_value(option)
    settled(run(page))
    found = now(page).works[now(page).run.record.id, "compare", option].result
    assert isinstance(found, Run)
    return page, found


def choose(page: AppTest, name: str, value: object) -> None:
    key = f"compare-token-{now(page).run.record.id}-tokens" if name == "token" else f"compare-{name}"
    page.selectbox(key).set_value(value)
    run(page)


def cards(page: AppTest) -> list[str]:
    """A, B, and A minus B where there is one."""
    return [one.proto.body for one in page.html if one.proto.body.startswith("<div class='compare-card'>")]


def asked(card: str) -> str:
    return html.unescape(card.split("<div class='asked'>")[1].split("</div>")[0])


def numbers(card: str) -> dict[int, float]:
    """The amount of every word, by its token."""
    found = re.findall(r"data-token='(\d+)'\s*title='[^']*: (?:A − B )?([^']*)'><span class='word'", card)
    return {int(token): float(amount.replace("−", "-")) for token, amount in found if "partner" not in amount}


def figures(page: AppTest) -> list[str]:
    return [element.proto.spec for element in page.get("plotly_chart")]


@pytest.fixture
def page() -> AppTest:
    return settled(visit(example=SAME.id, **HERE))


def test_it_opens_with_another_trio_beside_the_run_on_the_screen(page: AppTest) -> None:
    chosen = page.selectbox("compare-with")
    other = next(example for example in EXAMPLES if example != SAME)
    assert chosen.value == f"trio/{other.id}" and not any(SAME.title in option for option in chosen.options)
    assert say("compare-with-trained") not in chosen.options, "A is the model as trained already"
    page, b = compared(page, f"trio/{OTHER.id}")
    a = now(page).run
    assert b.sample.text == OTHER.question and b.request is not None
    assert b.request == replace(a.asked(), sample=b.request.sample, relevance=True) and b.record.relevance is not None
    left, right, _ = cards(page)
    for card, one, title in ((left, a, say("compare-a")), (right, b, OTHER.title)):
        assert html.escape(title) in card and card.count("role='listitem'") == 3
        assert all(html.escape(answer.label) in card for answer in one.record.answers[:3])
        assert asked(card) == say("compare-from", token="“answer”", method=a.map_ref.words())
        assert card.count("<img src='data:image/jpeg") == 1 and card.count("class='compare-clock'") == 1
        amounts = one.attention(a.map_ref)
        assert numbers(card) == pytest.approx({k: amounts[k] for k in numbers(card)}, rel=1e-5)
        assert len(numbers(card)) == sum(token.modality == "text" for token in one.tokens)


def test_both_stand_on_one_scale_that_is_printed_once(page: AppTest) -> None:
    page, b = compared(page, "evened")
    a = now(page).run
    scales = [one.proto.body for one in page.html if "class='compare-scale'" in one.proto.body]
    assert len(scales) == 1 and say("compare-scale") in scales[0]
    most = max(float(one.attention(a.map_ref)[1:].max()) for one in (a, b))
    assert f">{most:#.2g}</span>" in scales[0]
    left, right, minus = cards(page)
    assert "linear-gradient" not in left + right
    for card in (left, right):
        grounds = re.findall(r"class='word' style='background:(#......)", card)
        assert grounds == [hex_colour(amount, most) for amount in numbers(card).values()]
    assert hex_colour(1 / len(b.tokens), most) != "#fee838", "even attention does not fill the scale"
    assert "more in B −" in minus and "more in A" in minus


def test_with_even_attention_it_says_what_that_is_and_what_changed(page: AppTest) -> None:
    page, b = compared(page, "evened")
    a = now(page).run
    assert b.request is not None and b.request.changes == (UniformAttention(),) and b.record.relevance is None
    assert say("evened") in "".join(notes(page, "banner"))
    assert not any("relevance" in one for one in page.selectbox("compare-way").options)
    first, second = a.record.answers[0], b.record.answers[0]
    code = "compare-stays" if first.label == second.label else "compare-turns"
    said = say(code, a=first.label, b=second.label, p=first.probability, q=second.probability)
    told = html.unescape(markup(page).split("<p class='verdict'>")[1].split("</p>")[0])
    assert told.startswith(said)
    sums = {}
    for name, one in (("a", a), ("b", b)):
        amounts = one.attention(a.map_ref)
        sums[name] = {
            kind: sum(float(amounts[k]) for k, token in enumerate(one.tokens) if token.modality == kind)
            for kind in ("image", "text", "audio", "special")
        }
    most = max(sums["a"], key=lambda kind: sums["a"][kind] - sums["b"][kind])
    a_, b_ = (f"{sums[name][most]:#.2g}" for name in "ab")
    assert say("compare-from-more", modality=say(f"compare-the-{most}"), a=a_, b=b_) in told
    left, right, minus = cards(page)
    parts = [numbers(card) for card in (left, right, minus)]
    assert parts[2] == pytest.approx({k: parts[0][k] - parts[1][k] for k in parts[0]}, abs=1e-6)
    assert len(figures(page)) == 1, "the matrix of tokens waits until it is asked for"
    page.session_state["compare-weights"] = True
    assert len(figures(run(page))) == 2


def test_the_choice_is_one_for_both(page: AppTest) -> None:
    page, b = compared(page, f"trio/{OTHER.id}")
    a = now(page).run
    before = cards(page)
    token = next(k for k, one in enumerate(a.tokens) if one.modality == "image") + 33
    choose(page, "token", token)
    after = cards(page)
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert len({card.split("<img src='")[1].split("'")[0] for card in before + after}) == 6, (
        "no picture is like another"
    )
    assert [asked(card).split(":")[0] for card in after] == ["Asked by “patch 4,4”"] * 3
    partner = pairs(a.tokens, b.tokens).partner(token)
    assert partner is not None and partner != token, "the texts are not of the same length"
    assert numbers(after[1]) == pytest.approx(
        {k: b.attention(a.map_ref, partner)[k] for k in numbers(after[1])}, rel=1e-5
    )
    choose(page, "way", "2:1")
    words = say("compare-from", token="“patch 4,4”", method="layer 3, head 2")
    assert [asked(card) for card in cards(page)] == [words] * 3
    page.segmented_control("compare-direction").set_value("to")
    run(page)
    assert [asked(card) for card in cards(page)] == [words.replace("Asked by", "Who asks")] * 3
    shown = numbers(cards(page)[1])
    assert shown == pytest.approx({k: b.attention(MapRef.parse("2:1"), partner, "to")[k] for k in shown}, rel=1e-4)


def test_a_token_without_a_partner_is_said_to_have_none(page: AppTest) -> None:
    page, b = compared(page, "model/toy")
    assert [token.label for token in b.tokens] == re.findall(r"\w+", SAME.question)
    left, right = cards(page)
    assert say("compare-no-partner", token="“answer”") in html.unescape(markup(page))
    assert say("compare-scale-a") in markup(page) and "class='chip" not in right and "class='chip" in left
    assert say("compare-not-whole") in markup(page)
    choose(page, "token", 1)
    assert len(cards(page)) == 3 and say("compare-scale") in markup(page)
    assert html.escape(say("name-image")) in markup(page) and say("compare-no-image") in cards(page)[1]
    assert "no partner in B" in cards(page)[2] and "No partner in B" in cards(page)[2]


def test_shuffled_weights_carry_their_banner_and_a_control_can_be_compared_with_what_was_learned(page: AppTest) -> None:
    page, b = compared(page, "shuffled")
    assert b.request is not None and b.request.changes == (ShuffleWeights(1),)
    assert say("untrained") in "".join(notes(page, "banner"))
    press(page, "page-explore")
    press(page, "control-evened")
    press(page, "page-debug")
    settled(page)
    options = page.selectbox("compare-with").options
    assert say("compare-with-trained") in options and say("compare-with-evened") not in options
    page, b = compared(page, "trained")
    assert b.request is not None and b.request.changes == () and b.record.answers[0].label == SAME.truth


def test_heads_that_are_off_stay_off_but_in_the_model_as_it_is(page: AppTest) -> None:
    off = AblateHead(2, 1)
    now(page).off = (off,)
    settled(press(page, "run"))
    assert now(page).run.asked().changes == (off,)
    for option, changes in (("trained", ()), ("evened", (off, UniformAttention())), ("model/toy", ())):
        page, b = compared(page, option)
        assert b.request is not None and b.request.changes == changes


def test_the_same_run_twice_is_said_and_nothing_is_subtracted() -> None:
    page = visit(**HERE)
    press(page, "own")
    assert SAME.image is not None and SAME.audio is not None
    for modality, path, kind in (("picture", SAME.image, "image/webp"), ("sound", SAME.audio, "audio/wav")):
        uploader = page.file_uploader(f"{modality}-{now(page).generation}")
        uploader.set_value((path.name, path.read_bytes(), kind))
    page.text_input(state.QUESTION).set_value(SAME.question)
    settled(press(page, "run"))
    assert now(page).shown is None
    page, b = compared(page, f"trio/{SAME.id}")
    assert is_same(now(page).run, b)
    assert say("compare-same") in markup(page) and len(cards(page)) == 2 and not figures(page)
    page, b = compared(page, "evened")
    assert not is_same(now(page).run, b) and say("compare-same") not in markup(page)


def test_what_a_visitor_wrote_stays_text(page: AppTest) -> None:
    hostile = "is <img src=x onerror=alert(1)> **there** {token}?"
    page.text_input(state.QUESTION).set_value(hostile)
    settled(press(page, "run"))
    page, _ = compared(page, "evened")
    assert "<img src=x" not in markup(page) and "&lt;" in cards(page)[0] and len(cards(page)) == 3


@pytest.mark.parametrize("missing", ["image", "audio"])
def test_what_only_one_of_both_has_is_said_and_not_subtracted(page: AppTest, missing: str) -> None:
    less = next(example for example in EXAMPLES if getattr(example, missing) is None)
    page, b = compared(page, f"trio/{less.id}")
    a = now(page).run
    left, right, minus = cards(page)
    none = say(f"compare-no-{missing}")
    assert none in right and none not in left and none not in minus
    alone = [k for k, token in enumerate(a.tokens) if token.modality == missing]
    found = pairs(a.tokens, b.tokens)
    assert set(alone) <= set(found.only_a)
    assert f"No partner in B, so no difference (hatched): {len(found.only_a)} tokens" in minus
    share = float(a.attention(a.map_ref)[list(found.only_a)].sum())
    assert say("compare-alone-share", share=f"{share:#.2g}") in minus
    press(page, f"trio-{less.id}")
    settled(page)
    page, b = compared(page, f"trio/{SAME.id}")
    left, right, minus = cards(page)
    assert none in left and none in minus and none not in right and "No partner in A, so not shown" in minus
