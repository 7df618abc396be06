"""Figures tested as data: they show the numbers that they are given."""

from __future__ import annotations

import io
import re
from typing import Any

import librosa.display
import numpy as np
import pytest
from made_up_tokens import ANSWER, FRAMES, MEL, PATCHES, PIXELS, RATE, WAVE, patches
from matplotlib.collections import QuadMesh
from matplotlib.figure import FigureBase
from matplotlib.text import Text
from PIL import Image
from records import plain

from mmviz.analysis.map_weights import weights
from mmviz.figures.audio import lit_mel
from mmviz.figures.colour_scale import cividis, contrast, hex_colour, range_text, short, text_colour
from mmviz.figures.column_figure import SMALLEST, WIDTH, column_figure, column_layout
from mmviz.figures.heat_strip import strip_html
from mmviz.figures.legend import amount_legend_html
from mmviz.figures.print_figure import print_figure
from mmviz.figures.printed_map import PrintedMap
from mmviz.figures.printed_parts import FigureLayout
from mmviz.figures.signed_colours import signed, signed_image, signed_rgb
from mmviz.figures.split_at_tokens import split_at_tokens
from mmviz.figures.theme import DARK, LIGHT, MODALITY_COLOURS
from mmviz.figures.token_labels import full_names, group_name, names
from mmviz.figures.token_matrix import token_matrix
from mmviz.i18n.figures import modality_name, tell, unit_name
from mmviz.report import run_figure
from mmviz.types import Answer, Chars, MapRef, Modality, Token

TEXT = "is <script> & $x$ it?"
WORDS = [Token(Modality.TEXT, TEXT[a:b], Chars(a, b)) for a, b in ((0, 2), (3, 11), (12, 13), (14, 17), (18, 20))]

TOKENS = [ANSWER, *WORDS, *PATCHES, *FRAMES]
AMOUNTS = np.random.default_rng(3).dirichlet(np.ones(len(TOKENS)))


def shapes(figure: Any, kind: str) -> list[Any]:
    return [shape for shape in figure.layout.shapes if shape.type == kind]


# amounts and theme


def test_colours_are_linear_and_end_at_the_scale() -> None:
    assert hex_colour(0, 0.5) == "#00224e"
    assert hex_colour(0.5, 0.5) == hex_colour(9, 0.5) == "#fee838"
    brightness = cividis(np.linspace(0, 1, 50)).astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(brightness) > 0).all()
    # between two of the ten stops (5/9 and 6/9) lies the middle of their colours
    assert cividis(np.array(5.5 / 9)).tolist() == [152, 145, 118]


def test_text_reaches_contrast_level_aa_everywhere() -> None:
    for step in np.linspace(0, 1, 101):
        ground = hex_colour(step, 1)
        assert contrast(text_colour(ground), ground) >= 4.5
    for colours in (LIGHT, DARK):
        assert contrast(colours.text, colours.ground) >= 7
        assert contrast(colours.muted, colours.ground) >= 4.5
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0"), (0.3, "0.30"), (0.00417, "0.0042"), (1, "1.0"), (12.4, "12"), (9.96, "10"), (1e-7, "<0.0001")],
)
def test_short_numbers_have_two_significant_digits(amount: float, text: str) -> None:
    assert short(amount) == text


def test_a_range_says_if_amounts_exceed_the_scale() -> None:
    assert range_text(0.3, np.array([0.1, 0.3])) == "0 to 0.30"
    assert range_text(0.3, np.array([0.1, 0.31])) == "0 to 0.30 and above"
    assert range_text(1.0, np.array([1.0 + 1e-12])) == "0 to 1.0"


def test_names_have_locations_in_the_original_input() -> None:
    tokens = [ANSWER, WORDS[1], PATCHES[7], FRAMES[4], Token(Modality.AUDIO, "absent")]
    assert names([*PATCHES[:7], PATCHES[7]])[7] == "patch 2,3"
    assert names(tokens)[1] == "<script>"
    assert names(tokens)[3:] == ["0.32 s", f"{modality_name(Modality.AUDIO)}: {tell('token-absent')}"]
    assert full_names(tokens)[1] == "“<script>”\n(characters 4 to 11)"
    assert full_names(tokens)[3] == "sound, 0.32 to 0.40 s"


# matrix


def test_matrix_shows_the_weights_and_names_rows_and_columns() -> None:
    weights = np.random.default_rng(0).dirichlet(np.ones(len(TOKENS)), size=len(TOKENS))
    figure = token_matrix(weights, TOKENS, TOKENS, "A <b> title", 0.2)
    assert np.allclose(figure.data[0].z, weights, atol=1e-7)
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 0.2)
    assert tuple(figure.layout.coloraxis.colorbar.ticktext) == ("0", "0.10", "0.20+")
    assert "Rows are queries, columns are keys." in figure.layout.title.text
    assert "A &lt;b&gt; title" in figure.layout.title.text
    # the first query is at the top
    assert tuple(figure.layout.yaxis.range) == (len(TOKENS) - 0.5, -0.5)
    assert "query: %{y}" in figure.data[0].hovertemplate
    assert "key: %{x}" in figure.data[0].hovertemplate


def test_matrix_bands_lie_at_the_tokens_of_their_modality() -> None:
    keys = [ANSWER, *WORDS, *FRAMES]
    figure = token_matrix(np.full((2, 12), 1 / 12), [PATCHES[0], WORDS[0]], keys, "t", 0.1)
    across = [(s.x0, s.x1, s.fillcolor) for s in shapes(figure, "rect") if s.yref == "paper"]
    down = [(s.y0, s.y1, s.fillcolor) for s in shapes(figure, "rect") if s.xref == "paper"]
    assert across == [
        (-0.5, 0.5, MODALITY_COLOURS[Modality.SPECIAL]),
        (0.5, 5.5, MODALITY_COLOURS[Modality.TEXT]),
        (5.5, 11.5, MODALITY_COLOURS[Modality.AUDIO]),
    ]
    assert down == [(-0.5, 0.5, MODALITY_COLOURS[Modality.IMAGE]), (0.5, 1.5, MODALITY_COLOURS[Modality.TEXT])]
    assert [s.x0 for s in shapes(figure, "line") if s.yref == "paper"] == [0.5, 5.5]


def test_matrix_labels_are_complete_or_sparse_and_escaped() -> None:
    keys = [ANSWER, *WORDS]
    figure = token_matrix(np.full((1, 6), 1 / 6), [ANSWER], keys, "t", 1)
    assert tuple(figure.layout.xaxis.ticktext) == ("answer", "is", "&lt;script&gt;", "&amp;", "&#36;x&#36;", "it")
    many = patches(100, 100, 20, 20)
    figure = token_matrix(np.full((400, 400), 1 / 400), many, many, "t", 1)
    assert len(figure.layout.xaxis.ticktext) <= 13
    assert len(figure.layout.yaxis.ticktext) <= 26
    # a label is at its own token
    tick = figure.layout.xaxis.tickvals[1]
    assert list(figure.data[0].x).index(tick) == 31
    assert figure.layout.xaxis.ticktext[1] == "patch 2,12"


def test_matrix_keeps_equal_tokens_apart() -> None:
    equal = [WORDS[0], WORDS[0]]
    assert len(set(token_matrix(np.eye(2), equal, equal, "t", 1).data[0].x)) == 2


def test_matrix_needs_tokens_that_fit_the_weights() -> None:
    with pytest.raises(ValueError, match="2 queries"):
        token_matrix(np.eye(3), WORDS[:2], WORDS[:3], "t", 1)


# text


def test_pieces_make_up_the_text_and_tokens_have_their_index() -> None:
    cut = split_at_tokens(TEXT, TOKENS)
    assert "".join(word for word, _ in cut) == TEXT
    assert [index for _, index in cut if index is not None] == [1, 2, 3, 4, 5]
    assert cut[:3] == [("is", 1), (" ", None), ("<script>", 2)]
    assert split_at_tokens(None, TOKENS) == [] and split_at_tokens(TEXT, PATCHES) == []


def test_tokens_of_one_character_show_it_once() -> None:
    tokens = [Token(Modality.TEXT, "▁x", Chars(0, 1)), Token(Modality.TEXT, "<0x80>", Chars(0, 1))]
    assert split_at_tokens("猫", tokens) == [("猫", 0), ("<0x80>", 1)]


def test_a_group_has_a_count_and_the_names_of_its_first_tokens() -> None:
    assert group_name(["dog"]) == "“dog”"
    assert group_name(["dog", "cat"]) == "2 tokens: “dog”, “cat”"
    assert group_name(["dog", "cat", "owl", "fox"]) == "4 tokens: “dog”, “cat” …"


def test_invisible_characters_are_replaced_everywhere() -> None:
    text = "a\u202eb \x07 \u200b\U0001f469\u200d\U0001f680"
    spans = ((0, 3), (4, 5), (7, 8), (8, 9), (9, 10))
    tokens = [Token(Modality.TEXT, text[a:b], Chars(a, b)) for a, b in spans]
    shown = [word for word, _ in split_at_tokens(text, tokens)]
    assert not set("".join(shown)) & set("\u202e\x07\u200b")
    assert {"a\u27e8U+202E\u27e9b", "\u2407"} <= set(shown) and "\u27e8U+200B\u27e9" in "".join(shown)
    assert "\u200d" in shown, "it joins two emoji of the whole text"
    assert names(tokens)[:2] == ["a\u27e8U+202E\u27e9b", "\u2407"]
    assert full_names(tokens)[0] == "\u201ca\u27e8U+202E\u27e9b\u201d\n(characters 1 to 3)"
    assert not set("".join(names(tokens) + full_names(tokens))) & set("\u202e\x07\u200b")
    odd = [Token(Modality.TEXT, "no\u202ene"), Token(Modality.SPECIAL, "[\x00]")]
    assert names(odd) == ["no\u27e8U+202E\u27e9ne", "[\u2400]"]
    assert full_names(odd) == [f"{modality_name(Modality.TEXT)}: no\u27e8U+202E\u27e9ne", "special token: [\u2400]"]
    assert "\u27e8U+202E\u27e9" in token_matrix(np.eye(5), tokens, tokens, "t", 1).layout.xaxis.ticktext[0]


def test_the_legend_prints_its_range_and_unit() -> None:
    legend = amount_legend_html(0.314, dark=True)
    assert "attention weight" in legend and ">0<" in legend and ">0.31<" in legend


@pytest.mark.parametrize("scale_max", [0.0, -1.0, float("nan")])
def test_an_empty_scale_and_missing_amounts_are_errors(scale_max: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        strip_html(TOKENS, AMOUNTS, scale_max, Modality.TEXT)
    with pytest.raises(ValueError, match="as many amounts"):
        strip_html(TOKENS, AMOUNTS[1:], 1.0, Modality.TEXT)


# print


def printed_map(**changes: Any) -> PrintedMap:
    settings: dict[str, Any] = {
        "image": PIXELS,
        "text": TEXT,
        "wave": WAVE,
        "rate": RATE,
        "mel": MEL,
        "hop_seconds": 0.01,
        "tokens": TOKENS,
        "amounts": AMOUNTS,
        "scale_max": 0.1,
        "answers": [Answer("cat", 0.9), Answer("$dog", 0.1)],
        "title": r"Costs $\notacommand{ 5$",
        "caption": "word " * 400,
        "method": "layer 1, mean over 4 heads",
        "direction": "from",
        "token": 0,
    }
    return PrintedMap(**(settings | changes))


def page(**changes: Any) -> Image.Image:
    return Image.open(io.BytesIO(print_figure([printed_map(**changes)])))


@pytest.mark.slow
def test_a_figure_for_print_has_its_size() -> None:
    shown = page()
    assert shown.format == "PNG"
    assert shown.size == (1600, 900)
    assert np.asarray(page(image=None, text=None, wave=None, mel=None)).shape[:2] == (900, 1600)


def texts_of_page(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> list[str]:
    """All texts that are drawn on a page."""
    texts: list[str] = []

    def record_text(self: FigureBase, x: float, y: float, text: str, **style: Any) -> Any:
        texts.append(text)
        return original(self, x, y, text, **style)

    original = FigureBase.text
    monkeypatch.setattr(FigureBase, "text", record_text)
    page(**changes)
    return texts


@pytest.mark.slow
def test_a_figure_for_print_names_the_query_or_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "From “answer”: layer" in texts_of_page(monkeypatch)[1]
    assert "To 3 tokens: “is”, “<script>” …: layer" in texts_of_page(monkeypatch, token=(1, 2, 3), direction="to")[1]


@pytest.mark.slow
def test_every_legend_has_the_unit_of_its_method(monkeypatch: pytest.MonkeyPatch) -> None:
    units = {"attention": "attention weight", "rollout": "rollout", "relevance": "gradient relevance"}
    assert {method: unit_name(method) for method in units} == units
    weights = np.full((len(TOKENS), len(TOKENS)), 1 / len(TOKENS))
    for unit in units.values():
        figure = token_matrix(weights, TOKENS, TOKENS, "t", 0.2, unit=unit)
        assert f">{unit}, 0 to 0.20." in figure.layout.title.text
        assert f"{unit}: %{{z:.6g}}" in figure.data[0].hovertemplate
        assert any(text.startswith(f"{unit}, 0 to ") for text in texts_of_page(monkeypatch, unit=unit))


@pytest.mark.slow
def test_a_figure_for_print_has_its_spectrogram_by_librosa(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each hop fills its 10 ms and each band its height, as bright as `lit_mel` says."""
    meshes: list[QuadMesh] = []

    def record_mesh(*given: Any, **settings: Any) -> QuadMesh:
        meshes.append(original(*given, **settings))
        return meshes[-1]

    original = librosa.display.specshow
    monkeypatch.setattr(librosa.display, "specshow", record_mesh)
    page()
    (mesh,) = meshes
    corners = mesh.get_coordinates()
    np.testing.assert_allclose(corners[0, :, 0], np.arange(MEL.shape[1] + 1) * 0.01)
    np.testing.assert_array_equal(corners[:, 0, 1], np.arange(MEL.shape[0] + 1))
    np.testing.assert_array_equal(mesh.get_array(), lit_mel(MEL, 0.01, TOKENS, AMOUNTS, 0.1))


def test_a_figure_for_print_says_which_inputs_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = [Token(modality, "absent") for modality in (Modality.IMAGE, Modality.TEXT, Modality.AUDIO)]
    amounts = np.array([0.1, 0.2, 0.3])
    texts = texts_of_page(monkeypatch, tokens=absent, amounts=amounts, image=None, text=None, wave=None, mel=None)
    for token, amount in zip(absent, ("0.10", "0.20", "0.30"), strict=True):
        sentence = tell("stand-in", token=tell("token-absent"), amount=amount)
        assert f"{tell(f'paper-no-{token.modality}')} {sentence}" in texts


def test_a_figure_for_print_cuts_a_long_text_before_the_audio() -> None:
    text = "wordy " * 300
    long = [Token(Modality.TEXT, "wordy", Chars(6 * i, 6 * i + 5)) for i in range(300)]
    settings = {"wave": None, "mel": None, "image": None, "answers": [], "title": "t", "caption": ""}
    shown = page(text=text, tokens=long, amounts=np.full(300, 1 / 300), **settings)
    below_words = np.asarray(shown.convert("L"))[int(0.44 * 900) : int(0.445 * 900), 760:]
    right_edge = np.asarray(shown.convert("L"))[:, 1575:]
    assert (below_words == 255).all()
    assert (right_edge == 255).all()


def test_a_figure_for_print_replaces_invisible_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    question = "a\u202eb \x07 \x1c"
    tokens = [Token(Modality.TEXT, question[a:b], Chars(a, b)) for a, b in ((0, 3), (4, 5), (6, 7))]
    texts = texts_of_page(
        monkeypatch, text=question, tokens=tokens, amounts=np.full(3, 0.1), image=None, wave=None, mel=None
    )
    assert {"a\u27e8U+202E\u27e9b", "\u27e8U+0007\u27e9", "\u27e8U+001C\u27e9"} <= set(texts)
    assert "\u201ca\u27e8U+202E\u27e9b\u201d" in texts[1]
    assert not set("".join(texts)) & set("\u202e\x07\x1c\u2407")


def a_difference(**changes: Any) -> PrintedMap:
    """The first word minus two patches, with amounts of both signs, the largest of them -0.2."""
    amounts = np.linspace(-0.2, 0.1, len(TOKENS))
    return printed_map(amounts=amounts, scale_max=0.2, token=1, versus=(6, 7), **changes)


def test_two_pins_are_printed_as_their_difference() -> None:
    """Every word has the colour and the signed number of its difference, the picture and the sound theirs."""
    shown = a_difference(caption="", title="t")
    figure = column_layout([shown])
    texts = {text.get_text(): text for text in figure.findobj(Text)}
    whole = " ".join(texts)
    assert "From “is” minus from 2 tokens: “p”, “p”" in whole, "it names both"
    assert "attention weight, first minus second: −0.20 (purple) to +0.20 (orange)" in whole, "and its scale"
    for index, word in enumerate(WORDS, start=1):
        amount = float(shown.amounts[index])
        assert signed(amount) in texts and signed(amount)[0] in "+−≈0"
        ground = texts[word.label].get_bbox_patch().get_facecolor()  # type: ignore[union-attr]
        expected = signed_rgb(np.array(amount), 0.2, dark=False) / 255
        np.testing.assert_allclose(ground[:3], expected, atol=1e-6)
    size = (PIXELS.shape[1], PIXELS.shape[0])
    pictures = [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]
    expected = signed_image(PIXELS, TOKENS, shown.values, 0.2, size=size)
    assert any(np.array_equal(picture, expected) for picture in pictures)
    assert any(np.array_equal(picture, shown.spectrogram()) for picture in pictures)
    assert page(amounts=shown.amounts, scale_max=0.2, versus=(6, 7)).size == (1600, 900)


@pytest.mark.parametrize("layout", ["page", "column"])
def test_a_run_prints_the_difference_of_two_pins(layout: FigureLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[PrintedMap] = []
    for name in ("print_figure", "column_figure"):
        monkeypatch.setattr(run_figure, name, lambda maps, file_format: drawn.extend(maps) or b"")
    run, head = plain(), MapRef("attention", 1, head=2)
    run.figure("pdf", head, [3], "to", versus=[5, 7], layout=layout)
    (shown,) = drawn
    columns = weights(run.record, head, None)
    np.testing.assert_allclose(shown.amounts, columns[:, 3] - columns[:, [5, 7]].mean(1), rtol=0, atol=1e-15)
    sizes = [abs(a) for a, token in zip(shown.amounts, run.tokens, strict=True) if token.location is not None]
    assert shown.scale_max == max(sizes) and (shown.token, shown.versus) == ([3], (5, 7))


def test_the_sound_of_a_difference_has_the_colour_of_each_moment() -> None:
    """A silent spectrogram is in no way lighter or darker but by the amounts: on paper 0.7 of each colour."""
    values = np.zeros(len(TOKENS))
    first = TOKENS.index(FRAMES[0])
    values[first], values[first + 1] = 0.2, -0.1
    silence = np.full_like(MEL, -1.0)
    lit = printed_map(amounts=values, scale_max=0.2, versus=(1,), mel=silence).spectrogram()
    hops = [int((FRAMES[k].location.start + FRAMES[k].location.end) / 2 / 0.01) for k in (0, 1, 2)]  # type: ignore[union-attr]
    for hop, value in zip(hops, (0.2, -0.1, 0.0), strict=True):
        expected = np.round(0.7 * signed_rgb(np.array(value), 0.2, dark=False))
        np.testing.assert_array_equal(lit[:, hop], np.tile(expected, (len(lit), 1)))


@pytest.mark.parametrize("shown", [printed_map(), a_difference(), printed_map(image=None, text=None, wave=None)])
def test_a_figure_for_a_column_is_as_wide_as_one_and_its_text_is_legible(shown: PrintedMap) -> None:
    figure = column_layout([shown, shown])
    figure.canvas.draw()
    width, height = figure.get_size_inches()
    assert width == WIDTH == 3.3 and 1 < height < 12
    drawn = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert drawn and min(text.get_fontsize() for text in drawn) >= SMALLEST == 6
    whole = figure.bbox
    for text in drawn:
        box = text.get_window_extent()
        assert whole.x0 <= box.x0 and box.x1 <= whole.x1 + 1, f"{text.get_text()!r} is cut off"
        assert whole.y0 <= box.y0 and box.y1 <= whole.y1 + 1, f"{text.get_text()!r} is cut off"


def test_a_figure_for_a_column_has_vectors_and_is_stable() -> None:
    maps = [printed_map(caption="A caption.")]
    pdf, svg = column_figure(maps, "pdf"), column_figure(maps, "svg").decode()
    assert pdf == column_figure(maps, "pdf") and b"/FontFile2" in pdf, "characters are TrueType"
    box = re.search(rb"/MediaBox \[ ?0 0 ([0-9.]+) ([0-9.]+)", pdf)
    assert box is not None and float(box.group(1)) == pytest.approx(72 * 3.3, abs=0.1)
    assert svg.count("<image") <= 5, "picture, spectrogram and scales alone are pixels"
