"""Cut routes in the page's address: a link opens the same cut run, and whatever it names, the page stands."""

from __future__ import annotations

import html
import random
import sys
from dataclasses import replace
from pathlib import Path

import app_page
import pytest
from app_page import EXAMPLES, ROOT, address, markup, notes, now, record_of, run, settled, visit
from routed_model import routed
from streamlit.testing.v1 import AppTest

import mmviz
from mmviz.app import visitor_language as visitor
from mmviz.app.change_links import read_heads, write_heads
from mmviz.app.chosen_routes import QUERIES, RouteChoice, choose_linked, current_choice
from mmviz.app.route_links import MAX_CHARS, MAX_CUTS, read_cuts, write_cuts
from mmviz.backends.local import LocalBackend
from mmviz.explain import run_sample
from mmviz.i18n.page import say
from mmviz.io.change_text import MAX_HEADS, read_removals, write_removals
from mmviz.types import (
    ANSWER,
    AblateHead,
    ChosenTokens,
    CutRoute,
    DropModality,
    Modality,
    ReplaceInput,
    Token,
    TokenGroup,
    UniformAttention,
)

IMAGE, TEXT, AUDIO, SPECIAL = Modality
OTHER = EXAMPLES[1]
STACKS = ("", "layers", "vision.blocks", "a:b,c@d", "图 像", "%2C", "none")


def random_cut(source: random.Random) -> CutRoute:
    def numbers() -> tuple[int, ...] | None:
        return source.choice([None, (), tuple(sorted(source.sample(range(60), source.randrange(1, 9))))])

    def group() -> TokenGroup:
        tokens = ChosenTokens(tuple(sorted(source.sample(range(900), 5))), source.choice(STACKS))
        return source.choice([*QUERIES, SPECIAL, tokens])

    return CutRoute(group(), group(), source.choice(STACKS), numbers(), numbers())


def test_routes_are_read_as_they_were_written() -> None:
    source = random.Random(0)
    for _ in range(300):
        cuts = tuple(random_cut(source) for _ in range(source.randrange(6)))
        text = write_cuts(cuts)
        assert read_cuts(text) == cuts, text
        assert bool(text) == bool(cuts) and text.isascii()
    assert write_cuts((CutRoute(ANSWER, IMAGE),)) == "answer:image"
    assert write_cuts((CutRoute(TEXT, AUDIO, "layers", (0, 1, 2)),)) == "text:audio:layers:0-2"
    assert read_cuts("text:audio::none") == (CutRoute(TEXT, AUDIO, layers=()),), "no layer is not every layer"


def test_any_other_text_is_refused() -> None:
    for text in (
        "text", "text:", ":image", "text:image:::0:0", "text:words", "Text:image", "text:image,", "text:image::x",
        "text:image::2-1", "text:image::1.1", "text:image::-1", "text:image::0-99999999", "text:image::99999999999999",
        "1-@s:image", "@s:image", "9999999@s:image", "text:image::none.1", " text:image", "text:image::٣",
    ):  # fmt: skip
        assert read_cuts(text) is None, text
    source = random.Random(1)
    for _ in range(3000):
        text = "".join(source.choices("text:image,answer@0123456789-.:none%2C\0é", k=source.randrange(40)))
        cuts = read_cuts(text)
        assert cuts is None or read_cuts(write_cuts(cuts)) == cuts, text


def test_texts_are_bounded() -> None:
    cut = CutRoute(TEXT, IMAGE)
    assert read_cuts(write_cuts([cut] * MAX_CUTS)) == (cut,) * MAX_CUTS
    assert write_cuts([cut] * (MAX_CUTS + 1)) == "" and read_cuts(",".join(["text:image"] * (MAX_CUTS + 1))) is None
    stack = "s" * (MAX_CHARS - len("text:image:"))
    assert read_cuts(f"text:image:{stack}") == (CutRoute(TEXT, IMAGE, stack),)
    assert read_cuts(f"text:image:{stack}s") is None and write_cuts([CutRoute(TEXT, IMAGE, f"{stack}s")]) == ""


def test_a_route_of_a_modality_that_the_run_lacks_is_not_chosen() -> None:
    record = mmviz.explain(text="word", model="routed", backend=LocalBackend("cpu", {"routed": routed()})).record
    link = [CutRoute(TEXT, AUDIO)]
    assert choose_linked(record, link) and current_choice(record).routes == ((TEXT, AUDIO),)
    (name,) = record.streams
    tokens = [Token(TEXT, token.label) if token.modality is AUDIO else token for token in record.streams[name]]
    silent = replace(record, id="silent", streams={name: tuple(tokens)})
    assert not choose_linked(silent, link) and current_choice(silent).routes == ()
    assert choose_linked(silent, [CutRoute(TEXT, IMAGE)]) and choose_linked(silent, [])
    assert current_choice(silent).routes == (), "a link without routes restores them"


@pytest.fixture(autouse=True)
def _routed_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of the model whose carrying route is known on paper."""
    monkeypatch.setattr(sys, "argv", ["streamlit_script.py", "--model", "routed_model:routed"])
    monkeypatch.chdir(ROOT / "tests")


def press(page: AppTest, *keys: str) -> AppTest:
    for key in keys:
        page = settled(app_page.press(page, key))
    return page


def routes_page(**params: str) -> AppTest:
    return settled(visit(page="debug", section="routes", example=OTHER.id, **params))


def opened(copied: dict[str, str]) -> AppTest:
    """Returns the page that a colleague sees who opens a copied address."""
    page = visit(**copied)
    return settled(page) if copied.get("page") == "debug" else page


def probability(page: AppTest) -> float:
    """Returns the probability of the answer without a cut, “seen”, in the run on the screen."""
    (answer,) = (answer for answer in record_of(page).answers if answer.label == "seen")
    return answer.probability


def answers(page: AppTest) -> str:
    """Returns the answers before and after the cut, in large type."""
    return markup(page).split("<div class='route-answers'>")[1].split("</div></div>")[0]


@pytest.mark.slow
def test_a_link_opens_what_the_section_cuts() -> None:
    page = routes_page()
    assert "routes" not in address(page) and "cut" not in address(page)
    page = press(page, "routes-cell-text-image", "routes-cell-answer-text")
    (slider,) = page.select_slider
    page = settled(slider.set_value((0, 0)).run())
    copied = address(page)
    assert copied["routes"] == "answer:text::0,text:image::0" and "cut" not in copied
    other = opened(copied)
    assert address(other) == copied and not now(other).link_messages
    assert answers(other) == answers(page) and now(other).run.request.changes == ()
    assert set(chosen_routes(other)) == {(ANSWER, TEXT), (TEXT, IMAGE)}
    assert other.select_slider[0].value == (0, 0), "the boxes show the layers of the link"
    other = press(other, "routes-restore")
    assert "routes" not in address(other)
    copied["section"] = "effect"
    assert "routes" not in address(opened(copied)), "another section cuts nothing"


def chosen_routes(page: AppTest) -> tuple[tuple[TokenGroup, TokenGroup], ...]:
    choice: RouteChoice = page.session_state[f"routes-choice-{record_of(page).id}"]
    return choice.routes


@pytest.mark.slow
def test_a_link_opens_the_run_with_its_cuts_on_every_page() -> None:
    page = press(routes_page(), "routes-cell-text-image", "routes-run")
    cut = CutRoute(TEXT, IMAGE)
    assert now(page).run.request.changes == (cut,) and probability(page) == pytest.approx(0.5)
    page = press(page, "routes-cell-answer-text")
    copied = address(page)
    assert (copied["cut"], copied["routes"]) == ("text:image", "answer:text")
    other = opened(copied)
    assert now(other).run.request.changes == (cut,) and probability(other) == probability(page)
    assert answers(other) == answers(page)
    assert address(other) == copied and notes(other, "banner") == notes(page, "banner")
    explore = app_page.press(other, "page-explore")
    copied = address(explore)
    assert copied["cut"] == "text:image" and "routes" not in copied
    again = opened(copied)
    assert now(again).run.request.changes == (cut,) and probability(again) == probability(page)
    assert address(again) == copied and notes(again, "banner")


def test_heads_are_read_as_they_were_written() -> None:
    source = random.Random(0)
    for _ in range(200):
        heads = tuple(AblateHead(source.randrange(60), source.randrange(20)) for _ in range(source.randrange(30)))
        expected = tuple(sorted({*heads}, key=lambda change: (change.map, change.head)))
        assert read_heads(write_heads(heads)) == expected and write_heads(heads).isascii()
    assert write_heads([AblateHead(5, 2), AblateHead(5, 0), AblateHead(5, 1), AblateHead(11, 4)]) == "5:0-2,11:4"
    for text in ("5", "5:", ":1", "5:2,4:1", "5:1,5:1", "5-6:1", "5:1,", "5:x", f"{MAX_HEADS}:0", " 5:1", "5:1:1"):
        assert read_heads(text) is None, text
    assert write_heads([AblateHead(number, 0) for number in range(1000)]) == "", "more than an address holds"


def test_removed_modalities_are_read_as_they_were_written() -> None:
    removals = (DropModality(IMAGE), ReplaceInput(AUDIO, "blur"), ReplaceInput(TEXT, "mean"))
    assert write_removals(removals) == "image,audio:blur,text:mean" and write_removals(()) == ""
    for count in range(4):
        assert read_removals(write_removals(removals[:count])) == removals[:count]
    for text in ("special", "image:", "image:learned", "image,", "Image", "image:mean:mean", " image"):
        assert read_removals(text) is None, text


@pytest.mark.slow
def test_a_link_opens_the_run_with_its_heads_and_its_control() -> None:
    page = visit(example=OTHER.id, ablate="1:0", cut="text:image", control="uniform")
    changes = now(page).run.request.changes
    assert AblateHead(1, 0) in changes and CutRoute(TEXT, IMAGE) in changes and UniformAttention() in changes
    copied = address(page)
    assert (copied["ablate"], copied["cut"], copied["control"]) == ("1:0", "text:image", "uniform")
    assert not now(page).link_messages and probability(opened(copied)) == probability(page)
    page = app_page.press(page, "control-trained")
    assert "control" not in address(page) and address(page)["ablate"] == "1:0"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "text", "code"), [
    ("ablate", "nonsense", "link-unknown"), ("ablate", "0:99", "link-changes"), ("ablate", "99:0", "link-changes"),
    ("control", "nonsense", "link-unknown"),
])  # fmt: skip
def test_a_link_to_changes_that_the_model_cannot_make_opens_its_run_without_them(
    name: str, text: str, code: str
) -> None:
    page = visit(**{"example": OTHER.id, "cut": "text:image", name: text})
    assert now(page).run.request.changes == (CutRoute(TEXT, IMAGE),)
    (remark,) = notes(page, "remark")
    assert html.unescape(remark).split(">")[1].startswith(say(code, names=name, why="").strip())
    assert name not in address(page) and not notes(page, "error")


@pytest.mark.slow
def test_what_is_changed_in_a_run_from_a_file_is_said_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heads = (AblateHead(2, 1), AblateHead(3, 0))
    changes = (UniformAttention(), *heads)
    run_sample(EXAMPLES[0].sample(), backend=LocalBackend("cpu"), changes=changes).save(tmp_path / "run.npz")
    monkeypatch.setattr(sys, "argv", [*sys.argv[:1], "--run", str(tmp_path / "run.npz")])
    page = visit()
    assert now(page).is_saved and now(page).control == "trained", "the runs to come are as trained"
    (banner,) = (text for text in notes(page, "banner") if "Ablated" in text)
    assert all(f"map={head.map}, head={head.head}" in banner for head in heads)
    kinds = {button.key: button.proto.type for button in page.button if str(button.key).startswith("control-")}
    assert [key for key, kind in kinds.items() if kind == "primary"] == ["control-uniform"]


def test_back_and_forward_follow_the_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitor, "SETTLED", 0.0)
    page = visit(example=OTHER.id)
    whole = address(page)
    cut = {**whole, "cut": "text:image"}
    before = probability(page)
    for params, expected in ((cut, 0.5), (whole, before), (cut, 0.5)):
        page.query_params.clear()
        page.query_params.update(params)
        run(page)
        assert probability(page) == pytest.approx(expected) and address(page) == params
    assert before > 0.6


NOT_THERE = (
    "nonsense", "text:image::0-5", "text:image:nowhere", "text:image::::", "99@tokens:text", "1.99@tokens:text",
    "1@nowhere:text", "text:image:::7",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("text", NOT_THERE)
def test_a_link_to_a_run_that_cannot_be_made_opens_it_without_the_cuts(text: str) -> None:
    page = visit(example=OTHER.id, cut=text)
    assert now(page).run.request.changes == () and now(page).cut_routes == ()
    (remark,) = notes(page, "remark")
    code = "link-unknown" if read_cuts(text) is None else "link-cuts"
    assert html.unescape(remark).split(">")[1].startswith(say(code, names="cut", why="").strip())
    assert "cut" not in address(page) and not notes(page, "error")


@pytest.mark.slow
def test_the_section_cuts_nothing_of_a_link_that_it_cannot_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitor, "SETTLED", 0.0)
    page = routes_page()
    whole = address(page)
    two_windows, not_a_switch = "image:text::1,image:text::0", "special:image"
    for text in (*NOT_THERE, two_windows, not_a_switch):
        page.query_params.clear()
        page.query_params.update({**whole, "routes": text})
        run(page)
        assert say("link-unknown", names="routes") in list(map(str, now(page).link_messages)), text
        assert now(page).route_cuts == () and address(page) == whole and not notes(page, "error")
    page.query_params.update({**whole, "routes": "image:text:layers:1"})
    settled(run(page))
    assert now(page).route_cuts == (CutRoute(IMAGE, TEXT, "", (1,)),), "the only stack needs no name"
    assert page.select_slider[0].value == (1, 1) and not now(page).link_messages
