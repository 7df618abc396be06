"""The page's address: a link opens the view it was copied from, never crashes, and holds no input of a visitor."""

from __future__ import annotations

import html
import random
from collections.abc import Callable
from itertools import cycle

import numpy as np
import pytest
from app_page import (
    EXAMPLES,
    FULL,
    address,
    give,
    image_bytes,
    markup,
    notes,
    now,
    payload,
    press,
    report_view,
    run,
    selected,
    view,
    visit,
    wav,
    word,
)  # fmt: skip
from streamlit.testing.v1 import AppTest

from mmviz.analysis.available_maps import map_refs, parse_map_ref
from mmviz.app import page_address
from mmviz.app import session_state as state
from mmviz.app import visitor_language as visitor
from mmviz.app.selection import Selection
from mmviz.app.selection_amounts import SelectionView
from mmviz.backends.local import LocalBackend
from mmviz.explain import Run, run_sample
from mmviz.i18n.page import say
from mmviz.types import MapRef

pytestmark = pytest.mark.slow

OTHER = EXAMPLES[3]


def link_view(page: AppTest) -> tuple[object, ...]:
    """Returns all that a link holds, as the page and the viewer have it."""
    return now(page).run_example, selected(page), payload(page)[0]["view"]


@pytest.fixture(scope="module")
def unchanged() -> AppTest:
    """The page of an example as it opens; it is only read."""
    return visit(example=OTHER.id)


@pytest.fixture
def settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address counts as soon as it is there: no browser has to take it over."""
    monkeypatch.setattr(visitor, "SETTLED", 0.0)


def link_message(page: AppTest) -> str:
    """Returns what the page says about a link that it could not follow."""
    messages = notes(page, "remark")
    assert len(messages) <= 1
    return html.unescape(messages[0].split(">")[1].split("<")[0]) if messages else ""


@pytest.mark.parametrize(("text", "map_ref"), [
    ("2:1", MapRef("attention", 2, 1)), ("relevance", MapRef("relevance")),
])  # fmt: skip
def test_a_link_opens_its_view_and_the_page_writes_it_back(text: str, map_ref: MapRef) -> None:
    params = {"example": OTHER.id, "query": "7", "direction": "to", "map": text}
    page = visit(**params)
    assert now(page).run_example == OTHER and page.text_input(state.QUESTION).value == OTHER.question
    assert selected(page) == Selection((7,), (), "to", map_ref, "spotlight", "view")
    assert address(page) == params and link_message(page) == ""


def test_a_link_holds_groups_the_second_pin_and_the_switches() -> None:
    params = {
        "example": OTHER.id, "query": "3-5.9", "versus": "0.11-12", "direction": "from", "map": "rollout",
        "style": "heat", "scale": "map",
    }  # fmt: skip
    page = visit(**params)
    assert selected(page) == Selection((3, 4, 5, 9), (0, 11, 12), "from", MapRef("rollout"), "heat", "map")
    assert payload(page)[0]["view"]["versus"] == [0, 11, 12]
    assert address(page) == params and link_message(page) == ""


def test_a_view_copied_from_the_address_is_reproduced(opened: AppTest) -> None:
    press(opened, f"example-{OTHER.id}")
    report_view(opened, view(opened, tokens=[11, 9, 10, 4], versus=[6], direction="to", map="1:2", style="heat"))
    copied = address(opened)
    assert copied == {
        "example": OTHER.id, "query": "4.9-11", "versus": "6", "direction": "to", "map": "1:2", "style": "heat",
    }  # fmt: skip
    other = visit(**copied)
    assert link_view(other) == link_view(opened) and address(other) == copied


def test_every_change_of_view_is_written(opened: AppTest) -> None:
    query, map_ref = str(now(opened).run.answer_query), str(now(opened).run.map_ref)
    default = {"example": EXAMPLES[0].id, "query": query, "direction": "from", "map": map_ref}
    assert address(opened) == default
    whole = view(opened)
    for changes, written in (
        ({"tokens": [5]}, {"query": "5"}), ({"map": "5:1"}, {"map": "5:1"}),
        ({"map": "0:mean"}, {"map": "0:mean"}), ({"map": "relevance"}, {"map": "relevance"}),
        ({"direction": "to"}, {"direction": "to"}), ({"versus": [1, 2]}, {"versus": "1-2"}),
        ({"style": "heat"}, {"style": "heat"}), ({"scale": "map"}, {"scale": "map"}),
    ):  # fmt: skip
        assert address(report_view(opened, {**whole, **changes})) == {**default, **written}
    press(opened, "show-attention")
    assert address(opened)["map"] == "5:mean"
    press(opened, f"example-{OTHER.id}")
    assert address(opened)["example"] == OTHER.id and address(opened)["query"] == str(now(opened).run.answer_query)


@pytest.mark.parametrize(("tokens", "text"), [
    ((0,), "0"), ((3, 4, 5, 9), "3-5.9"), ((0, 1), "0-1"), ((0, 2, 4), "0.2.4"), (tuple(range(12)), "0-11"),
])  # fmt: skip
def test_groups_are_written_and_read(tokens: tuple[int, ...], text: str) -> None:
    assert page_address.write_group(tokens) == text and page_address.read_group(text, 12) == tokens


@pytest.mark.parametrize("text", [
    "", ".", "-", "3.", ".3", "3-", "-3", "3--5", "3-5-7", "5-3", "3-3", "3.3", "5.3", "3-5.5", "3-5.4-6", "12", "0-12",
    "0-99999999", "+1", "1e1", "0x1", "²", "٣", "1 ", "1,2", "1;2", "3–5", "0." * 500 + "1", "0-" + "9" * 10_000,
])  # fmt: skip
def test_any_other_text_is_no_group(text: str) -> None:
    assert page_address.read_group(text, 12) is None


@pytest.mark.parametrize("name", ["", "<b>bold</b>", "{0}"])
def test_a_link_to_an_unknown_example_shows_the_first_and_says_so(name: str) -> None:
    page = visit(example=name)
    assert now(page).run_example == EXAMPLES[0] and link_message(page) == say("link-example", example=name)
    assert "<b>bold" not in markup(page)


NAMES = ("query", "versus", "direction", "map", "style", "scale")


@pytest.mark.parametrize("value", ["²", "٣", "-1", "9999999999", "99999999", "<b>", "", " 1", "1.0", "1:means", "{0}"])
def test_what_a_run_does_not_have_is_left_out(unchanged: AppTest, value: str) -> None:
    read = page_address.read_selection(dict.fromkeys(NAMES, value), now(unchanged).run, None)
    assert read == (selected(unchanged), set(NAMES))


@pytest.mark.parametrize("value", ["<b>", "{0}"])
def test_what_a_run_does_not_have_is_named(unchanged: AppTest, value: str) -> None:
    page = visit(example=OTHER.id, **dict.fromkeys(NAMES, value))
    assert link_message(page) == say("link-unknown", names=", ".join(NAMES))
    assert link_view(page) == link_view(unchanged) and address(page) == address(unchanged)


def test_one_beyond_the_last_is_not_there(unchanged: AppTest) -> None:
    shown = now(unchanged).run
    record = shown.record
    layers, heads, tokens = len(record.maps), record.maps[0].heads, len(shown.tokens)
    last = {
        "query": f"0.{tokens - 1}", "versus": f"1-{tokens - 1}", "direction": "to", "map": f"{layers - 1}:{heads - 1}",
    }  # fmt: skip
    page = visit(example=OTHER.id, **last)
    assert address(page) == {"example": OTHER.id, **last}
    for name, value in (
        ("query", str(tokens)), ("query", f"0-{tokens}"), ("versus", str(tokens)),
        ("map", f"{layers}:0"), ("map", f"0:{heads}"), ("map", f"0.1:{heads - 1}"), ("map", "-1:0"),
        ("map", "Rollout"), ("direction", "FROM"), ("style", "Heat"), ("scale", "whole"),
    ):  # fmt: skip
        selection, unknown = page_address.read_selection({**last, name: value}, shown, None)
        assert unknown == {name}, (name, value)
        fields = {"query": "tokens", "versus": "versus", "direction": "direction", "map": "map_ref"}
        for other in fields.keys() - {name}:
            assert getattr(selection, fields[other]) == getattr(selected(page), fields[other]), (name, value)
    beyond = visit(example=OTHER.id, **{**last, "query": str(tokens)})
    assert link_message(beyond) == say("link-unknown", names="query")
    assert {name: last[name] for name in ("versus", "direction", "map")}.items() <= address(beyond).items()


def test_both_problems_of_a_link_are_named() -> None:
    message = link_message(visit(example="nowhere", query="9999"))
    assert say("link-example", example="nowhere") in message and say("link-unknown", names="query") in message


def test_a_link_message_is_gone_once_the_visitor_does_something_else() -> None:
    page = visit(example="nowhere")
    assert link_message(page)
    press(page, f"example-{OTHER.id}")
    assert not link_message(page)


def test_back_and_forward_in_the_history(opened: AppTest, settled_at_once: None) -> None:
    first, begin = address(opened), selected(opened)
    report_view(opened, view(opened, tokens=[5, 6], versus=[2], direction="to", style="heat", scale="map"))
    second, end = address(opened), selected(opened)
    press(opened, f"example-{OTHER.id}")
    for params, expected in ((second, end), (first, begin), (second, end)):
        opened.query_params.clear()
        opened.query_params.update(params)
        serial = now(opened).serial
        run(opened)
        assert now(opened).run_example == EXAMPLES[0] and selected(opened) == expected and address(opened) == params
        assert payload(opened)[0]["serial"] > serial, "the viewer follows"
        assert payload(opened)[0]["view"]["tokens"] == list(expected.tokens)


def test_an_address_that_the_browser_has_not_taken_over_yet_moves_nothing(
    opened: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visitor, "SETTLED", 600.0)  # however long a busy machine draws
    old = address(opened)
    press(opened, f"example-{OTHER.id}")
    opened.query_params.clear()
    opened.query_params.update(old)
    opened.checkbox(state.USE_AUDIO).uncheck()
    run(opened)
    assert now(opened).run_example == OTHER and opened.checkbox(state.USE_AUDIO).value is False


def test_a_visitors_inputs_are_never_in_the_address(opened: AppTest) -> None:
    opened.text_input(state.QUESTION).set_value("secret words")
    press(opened, "run")
    assert now(opened).run_example is None
    assert set(address(opened)) == {"run", "query", "direction", "map"} and "secret" not in str(address(opened))
    press(opened, "own")
    give(opened, "image", "secret.png", image_bytes())
    give(opened, "audio", "secret.wav", wav())
    press(opened, "run")
    assert now(opened).run.sample.audio is not None
    assert set(address(opened)) == {"run", "query", "direction", "map"} and "secret" not in str(address(opened))


def test_relevance_is_unknown_to_a_run_without_it(opened: AppTest, settled_at_once: None) -> None:
    press(opened, "control-uniform")
    opened.query_params["map"] = "relevance"
    run(opened)
    assert link_message(opened) == say("link-unknown", names="map")
    assert selected(opened).map_ref == now(opened).run.map_ref


def test_a_link_without_an_example_opens_the_first() -> None:
    page = visit(query="3")
    assert now(page).run_example == EXAMPLES[0] and selected(page).tokens == (3,) and link_message(page) == ""
    assert address(page)["example"] == EXAMPLES[0].id and word(page)


# several streams, and several maps in a layer


@pytest.fixture(scope="module")
def crossmodal() -> Run:
    """A run of the model whose layers have several maps, between streams of different lengths."""
    crossmodal_run = run_sample(FULL.sample(), model="crossmodal", backend=LocalBackend("cpu"))
    record = crossmodal_run.record
    assert len({attn_map.layer for attn_map in record.maps}) < len(record.maps)
    assert len({len(tokens) for tokens in record.streams.values()}) > 1
    return crossmodal_run


def is_whole(selection: Selection, of: Run) -> bool:
    """Returns whether the selection can be drawn, and its address names it again."""
    shown = SelectionView(of, selection)
    count = len(shown.selectable_tokens)
    assert all(0 <= token < count for token in (*selection.tokens, *selection.versus)) and selection.tokens
    assert shown.amounts.shape == (len(shown.other_tokens),) and np.isfinite(shown.amounts).all() and shown.name
    params = {
        "query": page_address.write_group(selection.tokens), "direction": selection.direction,
        "map": str(selection.map_ref),
        "style": selection.style, "scale": selection.scale,
    }  # fmt: skip
    if selection.versus:
        params["versus"] = page_address.write_group(selection.versus)
    return page_address.read_selection(params, of, None) == (selection, set())


def test_a_link_opens_every_map_of_a_model_with_several_maps_in_a_layer(crossmodal: Run) -> None:
    refs = map_refs(crossmodal.record)
    assert len({map_ref.stack for map_ref in refs}) > 6, "their layers have the same numbers"
    before = None
    for map_ref in refs:
        for direction in ("from", "to"):
            params = {"map": str(map_ref), "direction": direction}
            selection, unknown = page_address.read_selection(params, crossmodal, before)
            assert (selection.map_ref, selection.direction, unknown) == (map_ref, direction, set())
            assert is_whole(selection, crossmodal)
            before = selection


def random_link(source: random.Random, refs: list[MapRef]) -> dict[str, str]:
    """Returns parameters of a link, some of them nonsense."""
    numbers = [str(source.randrange(400)) for _ in range(3)]
    values = {
        "query": [numbers[0], f"{numbers[0]}-{numbers[1]}", ".".join(sorted(numbers, key=int)), "", "x", "0"],
        "versus": ["1", f"2.{numbers[2]}", "-"],
        "direction": ["from", "to", "both"],
        "map": [str(source.choice(refs)), "rollout", "relevance", f"{numbers[0]}:0", "0.9:0", "1:mean", "5.1:2", ":"],
        "style": ["spotlight", "heat", "?"],
        "scale": ["view", "map", "?"],
    }
    return {name: source.choice(options) for name, options in values.items() if source.random() < 0.7}


def test_no_link_crashes_whatever_it_names(crossmodal: Run) -> None:
    source, refs = random.Random(0), map_refs(crossmodal.record)
    before: Selection | None = None
    for _ in range(400):
        params = random_link(source, refs)
        selection, unknown = page_address.read_selection(params, crossmodal, before)
        assert is_whole(selection, crossmodal), params
        assert unknown <= set(params), params
        if "map" in params and "map" not in unknown:
            assert selection.map_ref == parse_map_ref(crossmodal.record, params["map"])
        before = selection


ENCODER_DECODER = """
import torch
from torch import nn
import mmviz

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)
        self.word, self.answer = nn.Embedding(100, 8), nn.Linear(8, 2)

    def forward(self, target, source):
        return self.answer(self.layer(self.word(target), self.word(source))[:, 0])

def prepare(sample):
    words = (sample.text or "none").split()
    token = lambda word: mmviz.Token(mmviz.Modality.TEXT, word)
    source = [*words, *words, "end"]
    inputs = tuple(torch.tensor([[len(word) for word in part]]) for part in (words, source))
    return inputs, {"target": [*map(token, words)], "source": [*map(token, source)]}

def make():
    return mmviz.CustomModel(Model(), prepare, answers=["yes", "no"])
"""


@pytest.fixture
def encoder_decoder(operator_model: Callable[[str, str], None]) -> None:
    """The operator's own model: a layer that attends to itself and to another, longer stream."""
    operator_model("translator", ENCODER_DECODER)


def test_the_page_of_an_encoder_decoder_can_be_reloaded_at_every_map(encoder_decoder: None) -> None:
    page = visit()
    refs = [map_ref for map_ref in map_refs(now(page).run.record) if map_ref.head in (None, 0)]
    stacks = ("layer.self_attn", "layer.multihead_attn")
    layers = {f"{stack}/0:{head}" for stack in stacks for head in ("mean", 0)}
    flows = {f"{keys}{method}" for keys in ("", "target/") for method in ("rollout", "relevance")}
    assert {str(map_ref) for map_ref in refs} == layers | flows
    for map_ref, direction in zip(refs, cycle(("from", "to"))):
        params = {"map": str(map_ref), "direction": direction, "query": "0"}
        other = visit(**params)
        assert selected(other).map_ref == map_ref and params.items() <= address(other).items()
        assert link_view(visit(**address(other))) == link_view(other), "a reload shows the same"
