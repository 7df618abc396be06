"""The figures of a lens tested as data: ranks, probabilities, colours on one scale, and the texts of the cells."""

from __future__ import annotations

import base64
import io
import math
import re
from html import unescape

import numpy as np
import pytest
from PIL import Image

from mmviz.experiments.lens import Lens
from mmviz.figures.colour_scale import hex_colour
from mmviz.figures.lens_forming import MAX_LABELLED, forming_figure, rank_ticks
from mmviz.figures.lens_sound import sound_figure
from mmviz.report import lens_grid
from mmviz.report.lens_grid import (
    LensGrid,
    forming_html,
    legend_html,
    moment_hovers,
    percent,
    pictures_html,
    shown_words,
    words_html,
)
from mmviz.types import Chars, ImageInput, Modality, PixelBox, Seconds, Token, TokenLens

ANSWERS = ("cat", "<dog>", "fox", "owl")
TOKENS = (
    Token(Modality.SPECIAL, "answer"),
    Token(Modality.TEXT, "<i>", Chars(0, 3)),
    Token(Modality.TEXT, "word", Chars(4, 8)),
    Token(Modality.IMAGE, "", PixelBox(0, 0, 10, 20)),
    Token(Modality.IMAGE, "", PixelBox(10, 0, 20, 20)),
    Token(Modality.AUDIO, "", Seconds(0.0, 0.5)),
    Token(Modality.AUDIO, "", Seconds(0.5, 1.0)),
)
TEXTS = {name: name for name in ("title", "x", "rank", "y", "best", "answer")}
IMAGE = ImageInput(np.full((20, 20, 3), 200, np.uint8), 20, 20)


def lens_of(probabilities: np.ndarray, with_input: bool = True) -> Lens:
    """A lens whose tokens have these ``probabilities`` ``[row, token, answer]``; the answer is the second of them."""
    order = np.argsort(-probabilities, axis=-1, kind="stable")[..., :2].astype(np.int32)
    followed = probabilities[..., 1]
    reading = TokenLens(
        stream="tokens", layers=("l.0:input", *(f"l.{k}" for k in range(len(probabilities) - 1))), through=("head",),
        labels=ANSWERS, top=order, top_log_probabilities=np.log(np.take_along_axis(probabilities, order, -1)),
        answer=ANSWERS[1], answer_ranks=1 + (probabilities > followed[..., None]).sum(-1),
        answer_log_probabilities=np.log(followed), answer_token=0, answers=len(ANSWERS), parity=0.0,
    )  # fmt: skip
    return Lens(TOKENS, reading)


@pytest.fixture
def lens() -> Lens:
    """Three rows. The answer token forms <dog>: 0.1, 0.25 (chance) and 0.7; so does the first patch, at once."""
    probabilities = np.full((3, len(TOKENS), 4), 0.25)
    probabilities[:, 0] = [[0.6, 0.1, 0.2, 0.1], [0.3, 0.25, 0.25, 0.2], [0.1, 0.7, 0.1, 0.1]]
    probabilities[:, 3] = [0.0625, 0.8125, 0.0625, 0.0625]
    probabilities[2, 4] = [0.01, 0.97, 0.01, 0.01]
    probabilities[1, 6] = [0.2, 0.5, 0.2, 0.1]
    return lens_of(probabilities)


def pixels(uri: str) -> np.ndarray:
    """The pixels of a data URI."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def titles(markup: str) -> list[str]:
    return [unescape(title) for title in re.findall(r"title='([^']*)'", markup)]


def test_the_rank_stands_on_a_logarithmic_axis_with_one_on_top(lens: Lens) -> None:
    figure = forming_figure(lens.reading, 0, ["input", "1", "2"], TEXTS)
    bars, line, ranks = figure.data
    assert list(ranks.y) == [3, 2, 1] and list(ranks.text) == ["3", "2", "1"]
    assert figure.layout.yaxis.type == "log" and figure.layout.yaxis.title.text == "rank"
    bottom, top = figure.layout.yaxis.range
    assert bottom > math.log10(len(ANSWERS)) and top < math.log10(1), "1 on top, the number of answers at the bottom"
    assert list(line.y) == pytest.approx([0.1, 0.25, 0.7]) and list(bars.y) == pytest.approx([0.6, 0.3, 0.7])
    assert list(bars.text) == ["cat", "cat", "&lt;dog&gt;"] and tuple(figure.layout.yaxis2.range) == (0, 1.05)
    assert list(figure.layout.xaxis.ticktext) == ["input", "1", "2"] and figure.layout.xaxis.title.text == "x"
    assert "cat 0.6" in bars.hovertemplate[0] and "rank: 3" in bars.hovertemplate[0]
    assert {bars.name, line.name} == {"best", "answer"} and not ranks.showlegend


def test_the_ranks_of_another_token_are_its_own(lens: Lens) -> None:
    figure = forming_figure(lens.reading, 3, ["input", "1", "2"], TEXTS)
    assert list(figure.data[2].y) == [1, 1, 1] and list(figure.data[1].y) == pytest.approx([0.8125] * 3)


def test_many_layers_are_not_written_over_each_other() -> None:
    probabilities = np.full((MAX_LABELLED + 30, len(TOKENS), 4), 0.25)
    lens = lens_of(probabilities)
    figure = forming_figure(lens.reading, 0, [str(k) for k in range(len(probabilities))], TEXTS)
    assert figure.data[0].text is None and figure.data[2].mode == "lines+markers"
    assert len(figure.layout.xaxis.tickvals) <= 17


@pytest.mark.parametrize(
    ("answers", "ticks"),
    [(2, [1]), (9, [1, 9]), (202, [1, 10, 100]), (1000, [1, 10, 100, 1000]), (864, [1, 10, 100, 864])],
)
def test_ticks_are_powers_of_ten_up_to_the_number_of_answers(answers: int, ticks: list[int]) -> None:
    assert rank_ticks(answers) == ticks


def test_amounts_are_nats_above_chance_on_one_scale(lens: Lens) -> None:
    grid = LensGrid.of(lens)
    assert grid.scale_max == pytest.approx(math.log(4)) and grid.layers == ("input", "1", "2")
    assert grid.amounts[:, 0] == pytest.approx([0, 0, math.log(0.7 * 4)]), "chance and less have no colour"
    assert grid.amounts[0, 3] == pytest.approx(math.log(0.8125 * 4)) and (grid.amounts[:, 1] == 0).all()
    assert (grid.amounts <= grid.scale_max).all()
    legend = unescape(legend_html(grid, dark=False))
    assert "1 in 4 or less" in legend and "<span>1</span>" in legend and "probability of “<dog>”" in legend


def test_patches_are_as_bright_in_every_layer_as_their_probability(lens: Lens) -> None:
    grid = LensGrid.of(lens)
    markup = pictures_html(grid, IMAGE)
    assert markup.count("<figure") == 3 and markup.count("data-token='3'") == 3 == markup.count("data-token='4'")
    assert "left:50.00%;top:0.00%;width:50.00%;height:100.00%" in markup
    assert re.findall(r"first in (\d of \d)", markup) == ["2 of 2"] * 3, "the second patch ties for the first place"
    assert [title.split("rank")[1] for title in titles(markup) if "column 2" in title] == [
        " 1, 25.0%", " 1, 25.0%", " 1, 97.0%",
    ]  # fmt: skip
    first = next(title for title in titles(markup) if "row 1, column 1" in title)
    assert "<dog> 81.2%, cat 6.2%" in first and "“<dog>”: rank 1, 81.2%" in first
    light = np.array([[pixels(uri)[10, x].mean() for x in (5, 15)] for uri in re.findall(r"src='([^']*)'", markup)])
    nats = np.log(4 * np.array([[0.8125, 0.25], [0.8125, 0.25], [0.8125, 0.97]]))
    np.testing.assert_allclose(
        light, 110 + 90 * nats / math.log(4), atol=3
    )  # grey 200 at amount 0: 0.4 * 200 + 0.6 * 50


def test_words_have_their_most_probable_answer_on_the_colour_of_the_final_one(lens: Lens) -> None:
    grid = LensGrid.of(lens)
    markup = words_html(grid)
    head, *rows = markup.split("<tr>")[1:]
    assert [unescape(word) for word in re.findall(r"<th scope='col'[^>]*>([^<]*)</th>", head)] == [
        "layer", "answer token", "<i>", "word",
    ]  # fmt: skip
    assert [re.findall(r"'>([^<]*)</span>", row) for row in rows] == [
        ["cat", "cat", "cat"], ["cat", "cat", "cat"], ["&lt;dog&gt;", "cat", "cat"],
    ]  # fmt: skip
    assert f"background:{hex_colour(math.log(2.8), math.log(4))};" in rows[2]
    assert rows[0].count("background:#00224e;") == 3 and "“<dog>”: rank 3, 10.0%" in titles(rows[0])[0]


def test_the_table_of_the_answer_token_has_its_answers_and_ranks(lens: Lens) -> None:
    rows = forming_html(LensGrid.of(lens)).split("<tr>")[2:]
    assert [re.findall(r"<td[^>]*>([^<]*)", row) for row in rows] == [
        ["cat", "60.0%", "3"], ["cat", "30.0%", "2"], ["&lt;dog&gt;", "70.0%", "1"],
    ]  # fmt: skip


def test_moments_are_strips_by_layer_with_their_seconds(lens: Lens) -> None:
    grid = LensGrid.of(lens)
    moments = grid.moments
    assert moments == [5, 6] and grid.patches == [3, 4]
    hovers = moment_hovers(grid, moments)
    figure = sound_figure(
        [TOKENS[k] for k in moments], grid.amounts[:, moments], grid.scale_max, hovers, grid.layers,
        {"x": "start", "y": "layer"},
    )  # fmt: skip
    (strips,) = figure.data
    np.testing.assert_allclose(strips.z, grid.amounts[:, moments])
    assert (strips.zmin, strips.zmax) == (0, grid.scale_max), "the scale of the patches"
    assert list(figure.layout.xaxis.ticktext) == ["0.00 s", "0.50 s"] and figure.layout.xaxis.title.text == "start"
    assert list(figure.layout.yaxis.ticktext) == ["input", "1", "2"] and figure.layout.yaxis.autorange == "reversed"
    assert "0.50 to 1.00 s" in strips.text[1][1] and "&lt;dog&gt; 50.0%" in strips.text[1][1]


def test_a_large_grid_has_no_texts_of_its_cells(lens: Lens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lens_grid, "MAX_CELLS", 6)
    grid = LensGrid.of(lens)
    assert grid.is_large and moment_hovers(grid, grid.moments) is None
    assert "data-token" not in pictures_html(grid, IMAGE) and pictures_html(grid, IMAGE).count("<img") == 3
    assert shown_words(grid) == [1, 2] and grid.words == [0, 1, 2], "the last words of a long text"


@pytest.mark.parametrize(("p", "text"), [(1.0, "100.0%"), (0.123, "12.3%"), (0.0005, "0.1%"), (0.0004, "<0.1%")])
def test_a_small_probability_is_not_zero(p: float, text: str) -> None:
    assert percent(math.log(p)) == text
