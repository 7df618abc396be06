"""The page's view of a run: methods, tokens, cards, controls and downloads."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import zlib
from dataclasses import replace

import numpy as np
import pytest
from app_page import EXAMPLES, markup, now, payload, press, report_view, selected, view
from PIL import Image
from streamlit.testing.v1 import AppTest

from mmviz.analysis.answer_maps import depends_on, depends_on_method, method_words
from mmviz.analysis.available_maps import map_words
from mmviz.app.pages.explore import footer
from mmviz.app.selection import Selection, view_of
from mmviz.app.selection_amounts import SelectionView
from mmviz.figures.token_labels import names
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.figures import tell
from mmviz.i18n.page import say
from mmviz.io.run_file import from_bytes
from mmviz.types import MapRef, MmvizError
from mmviz.viewer.binary_format import decode

pytestmark = pytest.mark.slow

ROLLOUT = MapRef("rollout")


def show_map(page: AppTest, text: str) -> AppTest:
    """Selects another map or method, as a visitor does in the viewer."""
    return report_view(page, view(page, map=text))


def card(page: AppTest, map_ref: MapRef) -> str:
    """Returns the HTML of a method's card."""
    start = f"<div class='method-card'><b>{html.escape(map_words(map_ref))}"
    return next(element.proto.body for element in page.html if element.proto.body.startswith(start))


def chart(page: AppTest, key: str) -> str:
    """Returns a figure as it is sent to the browser."""
    return next(str(e.proto.spec) for e in page.get("plotly_chart") if key in e.proto.id)


def test_every_method_is_drawn_and_named(opened: AppTest) -> None:
    assert not opened.get("plotly_chart"), "the matrix is drawn once it is opened"
    opened.session_state[footer.WEIGHTS] = True
    figures = set()
    for text in ("5:mean", "5:1", "rollout", "relevance", "2:mean", "2:3", "2:0"):
        body = markup(show_map(opened, text))
        figures.add(chart(opened, "matrix-figure"))
        title = json.loads(chart(opened, "matrix-figure"))["layout"]["title"]["text"].replace("</b><br><b>", " ")
        assert say("matrix", method=map_words(MapRef.parse(text))) in title
        assert ("± " in body) == text.endswith(":mean"), "the spread over heads belongs to their mean"
    assert len(figures) == 7


def answer_maps(page: AppTest) -> list[str]:
    """Returns the HTML of the two maps of the first view."""
    return [html.unescape(e.proto.body) for e in page.html if "class='method-card answer-map" in e.proto.body]


def test_the_first_view_shows_what_the_answer_reads_from_and_what_it_depends_on(opened: AppTest) -> None:
    reads, depends = answer_maps(opened)
    run = now(opened).run
    assert run is not None
    assert f">{tell('reads-from')}</b>" in reads and f">{tell('depends-on')}</b>" in depends
    for shown, answer_map in ((reads, run.reads_from()), (depends, run.depends_on())):
        words = tell("answer-map-from", token="answer", method=method_words(answer_map.method))
        assert words in shown and f"<span>{answer_map.unit}</span>" in shown and "data:image" in shown
    assert answer_maps(show_map(opened, "2:1")) == [reads, depends], "they stay whatever is selected"
    body = markup(opened)
    assert body.index("class='answer'") < body.index("answer-map")


def test_a_run_without_gradients_says_why_the_second_map_is_missing(opened: AppTest) -> None:
    press(opened, "control-uniform")
    run = now(opened).run
    assert run is not None
    record = replace(run.record, made_by={**run.record.made_by, "depends_on": "relevance"})
    with pytest.raises(MmvizError) as problem:
        depends_on(record)
    method = method_words(depends_on_method(record))
    assert str(problem.value) == sentence("depends-on-uniform", method=method)
    reads, depends = answer_maps(opened)
    assert all(tell(name) in shown for name, shown in (("reads-from", reads), ("depends-on", depends)))
    needs_gradients = depends_on_method(run.record) != "rollout"
    assert "data:image" in reads and ("data:image" in depends) != needs_gradients


def test_token_and_direction_change_the_cards(opened: AppTest) -> None:
    cards = []
    for tokens, direction in (([0], "from"), ([0], "to"), ([7], "from"), ([7, 8], "from"), ([7, 8], "to")):
        report_view(opened, view(opened, tokens=tokens, direction=direction))
        cards.append(card(opened, ROLLOUT))
        name = SelectionView(now(opened).run, selected(opened)).name
        assert html.escape(say(f"methods-{direction}", token=name)) in markup(opened)
    assert len(set(cards)) == 5
    assert "2 tokens: “" in markup(opened)


def test_with_a_second_pin_the_cards_show_the_first_and_say_so(opened: AppTest) -> None:
    report_view(opened, view(opened, tokens=[7]))
    first, second = (SelectionView(now(opened).run, replace(selected(opened), tokens=(k,))).name for k in (7, 0))
    note = html.escape(say("versus", token=first, other=second))
    before = card(opened, ROLLOUT)
    assert note not in markup(opened)
    report_view(opened, view(opened, tokens=[7], versus=[0]))
    assert note in markup(opened) and card(opened, ROLLOUT) == before


def test_the_method_of_the_model_is_one_click_away(opened: AppTest) -> None:
    default = now(opened).run.map_ref
    assert "back" not in [button.key for button in opened.button]
    show_map(opened, "1:1")
    press(opened, "back")
    assert selected(opened).map_ref == default and "back" not in [button.key for button in opened.button]


def test_three_methods_stand_side_by_side_and_each_can_be_selected(opened: AppTest) -> None:
    show_map(opened, "1:1")
    methods = [MapRef("attention", now(opened).run.record.maps[-1].layer), ROLLOUT, MapRef("relevance")]
    cards = [card(opened, map_ref) for map_ref in methods]
    assert len({body.split("src='")[1].split("'")[0] for body in cards}) == 3, "three different images"
    assert all(say("strip-text") in body and say("strip-audio") in body for body in cards)
    for map_ref in methods:
        assert not opened.button(f"show-{map_ref.method}").disabled
        press(opened, f"show-{map_ref.method}")
        assert selected(opened).map_ref == map_ref and payload(opened)[0]["view"]["map"] == str(map_ref)
        button = opened.button(f"show-{map_ref.method}")
        assert button.disabled and button.label == say("method-shown")
        others = [other.method for other in methods if other != map_ref]
        assert [opened.button(f"show-{method}").label for method in others] == [say("method-show")] * 2


def test_a_card_names_the_strongest_tokens(opened: AppTest) -> None:
    page_run = now(opened).run
    strongest = names(page_run.tokens)[int(page_run.attention(ROLLOUT).argmax())]
    before = card(opened, ROLLOUT)
    assert html.escape(say("strongest", tokens=f"“{strongest}”")) in before
    report_view(opened, view(opened, tokens=[page_run.answer_query + 3]))
    assert card(opened, ROLLOUT) != before


def test_a_run_without_relevance_says_so(opened: AppTest) -> None:
    show_map(opened, "relevance")
    assert say("methods-no-relevance") not in markup(opened)
    press(opened, "control-uniform")
    assert now(opened).run.record.relevance is None
    assert say("methods-no-relevance") in markup(opened)
    assert "show-relevance" not in [button.key for button in opened.button]
    assert selected(opened).map_ref == now(opened).run.map_ref
    assert payload(opened)[0]["view"]["map"] == str(now(opened).run.map_ref)


def test_controls_are_one_click_away(opened: AppTest) -> None:
    trained = now(opened).run
    press(opened, "control-shuffled")
    assert now(opened).run.record.made_by["trained"] is False and say("untrained") in markup(opened)
    assert now(opened).run.record.answers != trained.record.answers and now(opened).run_example == EXAMPLES[0]
    assert now(opened).run.record.relevance is not None
    press(opened, "control-uniform")
    weights = now(opened).run.record.maps[0].weights
    assert np.allclose(weights, 1 / weights.shape[-1]) and say("uniform") in markup(opened)
    press(opened, "control-trained")
    assert now(opened).run.record.answers == trained.record.answers
    assert say("untrained") not in markup(opened) and say("uniform") not in markup(opened)
    press(opened, "control-shuffled")
    press(opened, f"example-{EXAMPLES[1].id}")
    assert now(opened).run.record.made_by["trained"] is True


@pytest.mark.parametrize("missing", ["image", "audio"])
def test_an_example_without_image_or_audio_is_drawn(opened: AppTest, missing: str) -> None:
    example = next(example for example in EXAMPLES if getattr(example, missing) is None)
    press(opened, f"example-{example.id}")
    body = card(opened, ROLLOUT)
    assert ("<img" in body) == (missing != "image")
    assert (say("strip-audio") in body) == (missing != "audio")


def test_downloads_can_be_read_again(opened: AppTest) -> None:
    page_run = now(opened).run
    selection = Selection((page_run.answer_query, 3), (), "to", page_run.map_ref, "spotlight", "map")
    files = footer.downloads(SelectionView(page_run, selection))
    below_viewer = [button.key for button in opened.download_button if not str(button.key).startswith("story-")]
    assert below_viewer == list(files)
    contents = {key: file.create() for key, file in files.items()}
    assert from_bytes(contents["save-run"])[1].answers == page_run.record.answers
    assert json.loads(contents["save-summary"])["answer"] == page_run.record.answers[0].label
    page = contents["save-page"].decode()
    assert page.startswith("<!doctype html>")
    packed = re.search(r'id="mmviz-data">([^<]+)<', page)
    assert packed is not None
    header, _ = decode(zlib.decompress(base64.b64decode(packed.group(1))))
    assert header["view"] == view_of(selection, page_run), "it opens on what is on screen"
    assert page_run.sample.text in html.unescape(page.split("<h1>")[0])
    assert contents["save-pdf"].startswith(b"%PDF-") and b"<svg" in contents["save-svg"][:500]
    words = "-".join(re.findall(r"\w+", page_run.sample.text.lower()))
    assert {file.name for file in files.values()} == {
        f"mmviz-{words}{ending}" for ending in "-talk.html .html .npz .json .csv .png .pdf -column.pdf .svg".split()
    }
    talk = html.unescape(contents["save-talk"].decode())
    assert say("talk-reads-from") in talk and say("talk-selection-to", token="").strip() in talk
    with Image.open(io.BytesIO(contents["save-figure"])) as figure:
        assert figure.size == (1600, 900)
    files = footer.downloads(SelectionView(page_run, replace(selection, versus=(5, 9))))
    shown = page_run.map_ref, selection.tokens, selection.direction
    assert files["save-table"].create().decode() == page_run.table(*shown, (5, 9)).to_csv()
    assert files["save-figure"].create() == page_run.figure("png", *shown, versus=(5, 9)) != contents["save-figure"]
