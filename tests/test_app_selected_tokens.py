"""The section Routes cuts what is selected in the viewer: single tokens as queries or keys, also by a link."""

from __future__ import annotations

import sys

import pytest
from app_page import EXAMPLES, ROOT, address, markup, now, record_of, run, settled, visit
from app_page import press as pressed
from routed_model import routed
from streamlit.testing.v1 import AppTest

from mmviz.backends.local import LocalBackend
from mmviz.i18n.page import say
from mmviz.types import ANSWER, ChosenTokens, CutRoute, Modality, Request

pytestmark = pytest.mark.slow

IMAGE, TEXT, AUDIO, SPECIAL = Modality
WORDS, PATCH, MOMENT = "4-5", "2", "7"
"""Tokens of the routed model by their index: a special one, three patches, two words, four moments."""


@pytest.fixture(autouse=True)
def _routed_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["streamlit_script.py", "--model", "routed_model:routed"])
    monkeypatch.chdir(ROOT / "tests")


def selecting(tokens: str, queries: str, keys: str) -> AppTest:
    """Returns the section with these tokens selected, and this route chosen."""
    page = visit(page="debug", section="routes", example=EXAMPLES[0].id, query=tokens)
    for side, name in (("queries", queries), ("keys", keys)):
        page.selectbox(f"routes-selected-{side}").set_value(name)
    return run(page)


def button(page: AppTest) -> tuple[str, bool]:
    (element,) = (element for element in page.button if element.key == "routes-selected-cut")
    return element.label, element.disabled


def probability_with(cut: CutRoute) -> float:
    """Returns the probability of “seen” without a route, as the library gives it."""
    backend = LocalBackend("cpu", {"routed": routed()})
    (record,) = backend.run([Request("routed", EXAMPLES[0].sample(), (cut,))])
    return next(answer.probability for answer in record.answers if answer.label == "seen")


@pytest.mark.parametrize(
    ("tokens", "queries", "keys", "whole"),
    [
        (WORDS, "selected", "image", CutRoute(TEXT, IMAGE)),
        (WORDS, "answer", "selected", CutRoute(ANSWER, TEXT)),
    ],
)
def test_the_selected_tokens_are_cut(tokens: str, queries: str, keys: str, whole: CutRoute) -> None:
    page = selecting(tokens, queries, keys)
    assert button(page) == (say("routes-selected-cut"), False) and now(page).route_cuts == ()
    page = settled(pressed(page, "routes-selected-cut"))
    (cut,) = now(page).route_cuts
    chosen = ChosenTokens((4, 5), "tokens")
    assert chosen in (cut.queries, cut.keys) and probability_with(cut) == pytest.approx(probability_with(whole))
    assert f"{probability_with(cut):.1%}" in markup(page) and button(page)[0] == say("routes-selected-restore")
    copied = address(page)
    assert "4-5@tokens" in copied["routes"]
    other = settled(visit(**copied))
    assert now(other).route_cuts == (cut,) and address(other) == copied
    page = pressed(page, "routes-selected-cut")
    assert now(page).route_cuts == () and "routes" not in address(page)


def test_selected_tokens_are_cut_beside_a_cell_and_run_with_the_form() -> None:
    page = settled(pressed(selecting(PATCH, "text", "selected"), "routes-selected-cut"))
    page = settled(pressed(page, "routes-cell-answer-text"))
    cuts = CutRoute(TEXT, ChosenTokens((2,), "tokens")), CutRoute(ANSWER, TEXT)
    assert set(now(page).route_cuts) == set(cuts)
    page = pressed(page, "routes-run")
    assert set(now(page).run.request.changes) == set(cuts)
    weights = record_of(page).maps[0].weights[0]
    assert weights[4, 2] == 0 and weights[4, [1, 3]].sum() == pytest.approx(1), "one patch of three is not read"
    copied = address(page)
    assert set(now(visit(**copied)).run.request.changes) == set(cuts)


def test_a_route_without_the_selected_tokens_is_left_to_the_cells() -> None:
    page = selecting(MOMENT, "answer", "image")
    assert button(page) == (say("routes-selected-cut"), True) and say("routes-selected-none") in markup(page)
