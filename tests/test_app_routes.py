"""The section Routes without a browser: what is cut there is what the library cuts."""

from __future__ import annotations

import json
import math
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import app_page
import pytest
from app_page import EXAMPLES, ROOT, markup, notes, now, record_of, run, settled, visit, word
from routed_model import COUNTS
from streamlit.testing.v1 import AppTest

from mmviz.app import chosen_routes
from mmviz.backends.local import LocalBackend
from mmviz.cli import main
from mmviz.experiments.modality_shapley import measure_modality_effect
from mmviz.experiments.route_cut import LayerWindow, measure_routes
from mmviz.explain import Run
from mmviz.figures.signed_colours import signed
from mmviz.i18n.page import say
from mmviz.report.routes_table import routes_sentences
from mmviz.types import CutRoute, Modality, Request

pytestmark = pytest.mark.slow

IMAGE, TEXT, AUDIO, SPECIAL = Modality
FIRST = EXAMPLES[0]


def routes_page() -> AppTest:
    """Returns the section Routes of the bundled model, once everything is measured."""
    return settled(visit(page="debug", section="routes"))


@pytest.fixture
def routed_page(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """Returns the section Routes of the model whose carrying route is known on paper."""
    return page_of(monkeypatch, "routed_model:routed")


def page_of(monkeypatch: pytest.MonkeyPatch, model: str) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["streamlit_script.py", "--model", model])
    monkeypatch.chdir(ROOT / "tests")
    return settled(visit(page="debug", section="routes"))


def press(page: AppTest, key: str) -> AppTest:
    """Presses a button, and waits for the experiments that it starts."""
    return settled(app_page.press(page, key))


def click(page: AppTest, queries: str, keys: str) -> AppTest:
    """Cuts a route by its cell of the matrix, or restores it."""
    return press(page, f"routes-cell-{queries}-{keys}")


def shown(page: AppTest) -> list[tuple[str, float]]:
    """Returns the answers in large type, each with its probability in percent: before, and after a cut."""
    pairs = re.findall(r"<b>([^<]*)</b><span class='probability'>([\d.]+)%", markup(page))
    return [(label, float(percent)) for label, percent in pairs]


def cells(page: AppTest) -> dict[tuple[str, str], str]:
    """Returns the labels of the switches, by their route."""
    labels = {}
    for button in page.button:
        if str(button.key).startswith("routes-cell-"):
            queries, keys = str(button.key).removeprefix("routes-cell-").split("-")
            labels[queries, keys] = button.label
    return labels


def test_a_cell_cuts_its_route_and_a_second_click_restores_it(routed_page: AppTest) -> None:
    page = routed_page
    (before,) = shown(page)
    probability = 1 / (1 + math.exp(-1))
    assert before == ("seen", pytest.approx(100 * probability, abs=0.051))
    labels = cells(page)
    assert len(labels) == 16 and labels["text", "image"].startswith("0.50 "), "in the second layer it is no longer read"
    assert "from words to picture" in labels["text", "image"].replace("\\", "")
    page = click(page, "text", "image")
    assert shown(page)[1][1] == pytest.approx(50, abs=0.051), "on paper: the value never arrives"
    change = math.log(0.5 / probability)
    (sentence,) = re.findall(r"<p class='verdict'>(.*?)</p>", markup(page))
    assert f"{change:.2f}".replace("-", "−") in sentence and "50.0% after" in sentence
    assert any(say("routes-route", queries="the text", keys="the picture") in text for text in notes(page, "plain"))
    assert markup(page).count("class='compare-card'") == 2, "the map before and after"
    assert markup(page).count(say("routes-scale")) == 1
    assert len(shown(click(page, "text", "image"))) == 1


def test_several_cells_are_cut_at_once_and_rows_with_nothing_left_are_told(routed_page: AppTest) -> None:
    page = click(routed_page, "answer", "text")
    others = {kind: count for kind, count in COUNTS.items() if kind != "text"}
    instead = 2 * COUNTS["image"] / sum(others.values())
    assert shown(page)[1] == ("seen", pytest.approx(100 / (1 + math.exp(-instead)), abs=0.051))
    assert not any("nothing to attend to" in text for text in notes(page, "notice"))
    for keys in ("image", "audio", "special"):
        page = click(page, "answer", keys)
    assert shown(page)[1][1] == pytest.approx(50, abs=0.051)
    (notice,) = (text for text in notes(page, "notice") if "nothing to attend to" in text)
    assert "2 of 20 queries" in notice and "2 attention maps" in notice
    page = press(page, "routes-restore")
    assert len(shown(page)) == 1


def test_a_window_of_layers_is_cut_alone_and_has_its_own_shares(routed_page: AppTest) -> None:
    page = routed_page
    (slider,) = page.select_slider
    slider.set_value((0, 0))
    page = settled(run(page))
    assert cells(page)["text", "image"].startswith("1.00 ")
    assert shown(click(page, "text", "image"))[1][1] == pytest.approx(50, abs=0.051)
    (slider,) = page.select_slider
    slider.set_value((1, 1))
    page = settled(run(page))
    assert cells(page)["text", "image"].startswith("0.00 ")
    assert shown(page)[1] == ("seen", pytest.approx(100 / (1 + math.exp(-1)), abs=0.051)), "it is not read there"


def test_the_bundled_model_without_a_route_answers_as_the_library_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(FIRST.image, Path)
    page = routes_page()
    backend, request = LocalBackend("cpu"), Request("trio", FIRST.sample())
    (record,) = backend.run([request])
    table = measure_routes(backend, request, record)
    strongest, *disagreements = routes_sentences(record, table)
    assert any(strongest in text for text in notes(page, "remark"))
    assert all(text in markup(page) for text in disagreements)
    assert len(page.get("plotly_chart")) == 2 and "routes-csv" in {button.key for button in page.get("download_button")}
    effect = measure_modality_effect(backend, request)
    assert effect is not None and len(effect.interactions) == 3
    assert all(f"<td>{signed(value)}</td>" in markup(page) for value in effect.interactions.values())

    chosen = next(effect.cell for effect in table.effects if effect.is_changed and effect.cell.window.layers)
    page.session_state[f"routes-choice-{record_of(page).id}"] = chosen_routes.RouteChoice(
        ((chosen.queries, chosen.keys),), LayerWindow("", chosen.window.layers), 1
    )
    page = settled(run(page))
    (cut,) = backend.run([Request("trio", FIRST.sample(), (chosen.cut,))])
    assert shown(page)[1] == (cut.answers[0].label, pytest.approx(100 * cut.answers[0].probability, abs=0.051))

    files = {button.key for button in page.get("download_button")}
    assert files >= {f"{table}-{kind}" for table in ("routes-cut", "interactions") for kind in ("csv", "json")}
    (command,) = (block.value for block in page.code if block.value.startswith("mmviz compare"))
    monkeypatch.chdir(FIRST.image.parent)
    assert main([*shlex.split(command)[1:], "--json", str(tmp_path / "cut.json")]) == 0
    document = json.loads((tmp_path / "cut.json").read_text())
    assert (document["other"]["answer"], document["other"]["probability"]) == (
        cut.answers[0].label, pytest.approx(cut.answers[0].probability, abs=1e-6)
    )  # fmt: skip
    (there,) = (answer.probability for answer in cut.answers if answer.label == record.answers[0].label)
    assert document["answer_change"] == pytest.approx(math.log(there / record.answers[0].probability), abs=1e-5)
    expected = Run(FIRST.sample(), cut).attention()
    assert [row["b"] for row in document["compare"]] == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.long
def test_the_form_is_run_with_the_cuts_and_again_without_them() -> None:
    page = click(routes_page(), "answer", "image")
    after = shown(page)[1]
    before = word(page)
    page = press(page, "routes-run")
    assert now(page).run.request.changes == (CutRoute("answer", IMAGE),)
    assert word(page) == after[0] != before
    (banner,) = notes(page, "banner")
    assert "the answer token reading the picture" in banner and "all layers" in banner
    assert cells(page)["answer", "image"].startswith("0.00 "), "nothing is left there"
    page = app_page.press(page, "page-explore")
    assert notes(page, "banner") == [banner]
    page = app_page.press(page, "routes-restore-run")
    assert word(page) == before and now(page).run.request.changes == () and not notes(page, "banner")


@pytest.mark.long
def test_another_example_is_run_without_the_cuts_of_the_last() -> None:
    page = click(routes_page(), "answer", "image")
    page = press(page, "routes-run")
    app_page.press(page, "example-said")
    assert now(page).cut_routes == () and now(page).run.request.changes == ()


def test_a_model_that_cannot_be_cut_says_so_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    page = click(page_of(monkeypatch, "routed_model:uncuttable"), "text", "image")
    (text,) = notes(page, "error")
    assert "cannot be cut" in text
    assert len(cells(page)) == 16, "the shares of attention stay"


def test_a_late_click_in_a_figure_cuts_nothing_of_the_run_that_followed(routed_page: AppTest) -> None:
    first, second = {"customdata": [0, 0]}, {"customdata": [0, 1]}
    if not routed_page.get("plotly_chart"):
        press(routed_page, f"routes-measure-{record_of(routed_page).id}")
    shown_run = now(routed_page).run
    assert shown_run is not None
    now(routed_page).run = replace(shown_run, record=replace(shown_run.record, id="another"))
    page = app_page.click(routed_page, routed_page.get("plotly_chart")[0], points=[first])
    assert chosen_routes.RouteChoice() == chosen(page, shown_run.record.id) == chosen(page, "another")
    now(page).run = shown_run
    settled(run(page))
    page = app_page.click(page, page.get("plotly_chart")[0], points=[second])
    assert len(chosen(page, shown_run.record.id).routes) == 1


def chosen(page: AppTest, record_id: str) -> chosen_routes.RouteChoice:
    key = f"routes-choice-{record_id}"
    choice: chosen_routes.RouteChoice = (
        page.session_state[key] if key in page.session_state else chosen_routes.RouteChoice()
    )
    return choice
