"""Two runs compared: corresponding tokens, the difference A minus B, and its figures as data."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from made_up_tokens import ANSWER, PATCHES, PIXELS, patches
from records import TEXT, attention, frames, words

from mmviz.analysis.comparison import (
    Pairing,
    difference,
    expand_to_a,
    modality_difference,
    pair_tokens,
    symmetric_limit,
)
from mmviz.analysis.modality_matrix import modality_matrix
from mmviz.figures.colour_scale import contrast, text_colour
from mmviz.figures.difference import (
    lit_text_html,
    signed_legend_html,
    signed_matrix,
    signed_modalities,
    signed_strip_html,
    signed_text_html,
)
from mmviz.figures.signed_colours import diverging, signed, signed_image, signed_rgb
from mmviz.figures.theme import DARK, LIGHT, MODALITY_COLOURS
from mmviz.types import ABSENT, Chars, Modality, Seconds, Token

NAN = float("nan")


def text(written: str) -> list[Token]:
    """Words without a location."""
    return [Token(Modality.TEXT, word) for word in written.split()]


def word_pairs(a: str, b: str) -> list[tuple[str, str]]:
    """The words of two texts that correspond."""
    a_words, b_words = text(a), text(b)
    return [(a_words[k].label, b_words[j].label) for k, j in pair_tokens(a_words, b_words).pairs]


# pairs


def test_tokens_of_the_same_inputs_correspond_to_themselves() -> None:
    tokens = [ANSWER, *PATCHES, *words(), *frames(6)]
    result = pair_tokens(tokens, tokens)
    assert result.pairs == tuple((k, k) for k in range(len(tokens))) and result.is_whole
    assert result.partner(3) == 3 and result.partner(len(tokens)) is None


def test_patches_correspond_by_row_and_column_whatever_their_size() -> None:
    small, large = patches(301, 187, 3, 5), patches(3000, 900, 3, 5)
    result = pair_tokens(small, large[::-1])
    assert result.is_whole and result.partner(0) == 14 and result.partner(7) == 7 and result.partner(4) == 10
    other = pair_tokens(small, patches(301, 187, 5, 3))
    assert not other.pairs and other.only_a == other.only_b == tuple(range(15)), (
        "patches of different grids do not correspond"
    )


def test_the_order_of_the_tokens_does_not_matter() -> None:
    a = [ANSWER, *words("a cat"), *PATCHES[:2]]
    b = [*PATCHES[:2], ANSWER, *words("a cat")]
    assert pair_tokens(a, b) == Pairing(((0, 2), (1, 3), (2, 4), (3, 0), (4, 1)), (), ())


def test_equally_many_words_correspond_by_position_and_others_by_the_word() -> None:
    assert word_pairs("is a cat there", "was a dog there") == [
        ("is", "was"), ("a", "a"), ("cat", "dog"), ("there", "there"),
    ]  # fmt: skip
    assert word_pairs("cat dog", "dog cat") == [("cat", "dog"), ("dog", "cat")]
    # by position alone "the" would correspond to "spoken"
    assert word_pairs("What is right of the spoken thing", "what is below the spoken thing") == [
        ("What", "what"), ("is", "is"), ("right", "below"), ("the", "the"), ("spoken", "spoken"), ("thing", "thing"),
    ]  # fmt: skip
    result = pair_tokens(text("What is right of the thing"), text("what is below the thing"))
    assert result.only_a == (3,) and result.only_b == ()


def test_audio_tokens_correspond_by_their_overlap_in_seconds() -> None:
    def intervals(*spans: tuple[float, float]) -> list[Token]:
        return [Token(Modality.AUDIO, "m", Seconds(*span)) for span in spans]

    a = intervals((0, 1), (1, 2), (2, 3))
    # the last interval cut to 0.6 s corresponds; cut to 0.4 s it does not
    assert pair_tokens(a, intervals((0, 1), (1, 2), (2, 2.6))).is_whole
    assert pair_tokens(a, intervals((0, 1), (1, 2), (2, 2.4))) == Pairing(((0, 0), (1, 1)), (2,), (2,))
    assert pair_tokens(a, intervals((1, 2), (2, 3), (3, 4))) == Pairing(((1, 0), (2, 1)), (0,), (2,))


def test_the_token_of_a_missing_modality_corresponds_to_no_token_of_an_input() -> None:
    missing = [ANSWER, Token(Modality.IMAGE, ABSENT), Token(Modality.TEXT, ABSENT)]
    result = pair_tokens([ANSWER, *PATCHES, *words("a cat")], missing)
    assert result.pairs == ((0, 0),) and len(result.only_a) == 17 and result.only_b == (1, 2), "every token is listed"
    assert pair_tokens(missing, missing).is_whole
    register = Token(Modality.SPECIAL, "register")
    assert pair_tokens([register, ANSWER, register], [ANSWER, register, register]).pairs == ((0, 1), (1, 0), (2, 2))
    assert pair_tokens([Token(Modality.SPECIAL, "cat")], text("cat")).pairs == (), "a special token is no word"


# differences


def test_a_minus_b_by_hand() -> None:
    axis = pair_tokens([ANSWER, *text("is a cat")], [*text("is cat"), ANSWER])
    assert axis == Pairing(((0, 2), (1, 0), (3, 1)), (2,), ())
    a, b = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.25, 0.25, 0.5])
    assert np.allclose(difference(a, b, axis), [0.1 - 0.5, 0.2 - 0.25, 0.4 - 0.25])
    assert np.allclose(difference(b, a, Pairing(((2, 0),), (0, 1), (1, 2, 3))), [0.4])
    result = expand_to_a(difference(a, b, axis), axis, 4)
    assert np.allclose(result, [-0.4, -0.05, NAN, 0.15], equal_nan=True)


def test_the_difference_of_matrices_is_in_the_order_of_a() -> None:
    queries, keys = Pairing(((0, 1), (1, 0)), (), ()), Pairing(((0, 2), (2, 0)), (1,), (1,))
    a = np.array([[0.5, 0.25, 0.25], [0.0, 0.5, 0.5]])
    b = np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
    assert np.allclose(difference(a, b, queries, keys), [[0.5 - 0.1, 0.25 - 0.6], [0.0 - 0.7, 0.5 - 0.1]])
    with pytest.raises(ValueError, match="1 pairings"):
        difference(a, b, queries)


def test_the_scale_is_symmetric_and_rounding_never_fills_it() -> None:
    assert symmetric_limit(np.array([0.1, -0.3]), np.array([[0.2]])) == 0.3
    assert symmetric_limit(np.array([NAN, -0.2])) == 0.2
    assert symmetric_limit(np.array([1e-8, -3e-8])) == symmetric_limit(np.array([NAN])) == symmetric_limit() == 1


def test_modalities_are_subtracted_if_both_runs_have_them() -> None:
    patch = PATCHES[0]
    a = modality_matrix(np.array([[0.5, 0.3, 0.2], [0.2, 0.6, 0.2]]), [ANSWER, patch], [ANSWER, patch, patch])
    b = modality_matrix(np.array([[0.4, 0.6], [0.1, 0.9]]), [ANSWER, *text("cat")], [ANSWER, patch])
    result = modality_difference(a, b)
    assert (result.queries, result.keys) == ((Modality.SPECIAL,), (Modality.IMAGE, Modality.SPECIAL))
    assert np.allclose(result.sums, [[0.5 - 0.6, 0.5 - 0.4]]) and np.allclose(result.sums.sum(), 0)
    assert np.allclose(result.per_token, [[0.25 - 0.6, 0.5 - 0.4]])
    assert np.allclose(result.ratio, [[0.25 * 3 - 0.6 * 2, 0.5 * 3 - 0.4 * 2]])
    assert result.only_a == () and result.only_b == (Modality.TEXT,)


# colours


def luminance(colour: str) -> float:
    return contrast(colour, "#000000")


@pytest.mark.parametrize("dark", [False, True])
def test_zero_has_the_colour_of_the_page_and_both_ends_the_same_contrast(dark: bool) -> None:
    colours = diverging(dark)
    middle = len(colours) // 2
    assert colours[middle] == (DARK if dark else LIGHT).ground
    for side in (colours[middle::-1], colours[middle:]):
        steps = np.diff([luminance(colour) for colour in side])
        assert (steps > 0).all() if dark else (steps < 0).all()
    for below, above in zip(colours[:middle], colours[:middle:-1], strict=True):
        assert luminance(below) == pytest.approx(luminance(above), rel=0.13)
    assert not set(colours) & set(MODALITY_COLOURS.values())
    for step in np.linspace(-1, 1, 81):
        ground = "#" + bytes(signed_rgb(np.array(step), 1, dark)).hex()
        assert contrast(text_colour(ground), ground) >= 4.5


def test_colours_are_linear_in_the_value_and_end_at_the_scale() -> None:
    colours = signed_rgb(np.array([-9, -0.2, 0, 0.2, 9]), 0.2, False)
    assert colours[0].tolist() == colours[1].tolist() and colours[3].tolist() == colours[4].tolist()
    assert colours[2].tolist() == [255, 255, 255]
    assert ["#" + bytes(rgb).hex() for rgb in colours[[0, 4]]] == [diverging(False)[0], diverging(False)[-1]]
    # half of a quarter of the scale: the middle of the page and the first orange
    assert signed_rgb(np.array(0.125), 1.0, False).tolist() == [248, 232, 221]
    for empty in (0.0, float("nan")):
        with pytest.raises(ValueError, match="empty"):
            signed_rgb(np.zeros(1), empty, False)


def test_numbers_have_their_sign() -> None:
    assert [signed(value) for value in (0.031, -0.2, 0, -1e-6)] == ["+0.031", "−0.20", "0", "≈0"]
    legend = signed_legend_html(0.314, True, "relevance <b>")
    assert "more in B −0.31" in legend and "+0.31 more in A" in legend and "A − B, relevance &lt;b&gt;" in legend


# inputs


def colour_at(image: np.ndarray, row: float, column: float) -> list[int]:
    return image[int(row), int(column)].astype(int).tolist()


@pytest.mark.parametrize("dark", [False, True])
def test_the_image_shows_each_patch_on_the_scale_and_hatches_patches_without_a_partner(dark: bool) -> None:
    neutral = 0 if dark else 255  # an image of this grey leaves the colours as they are
    image = np.full_like(PIXELS, neutral)
    values = np.zeros(15)
    values[[0, 4]] = 0.2, -0.2
    values[14] = NAN
    shown = signed_image(image, PATCHES, values, 0.2, dark)
    assert colour_at(shown, 20, 20) == signed_rgb(np.array(0.2), 0.2, dark).tolist()
    assert colour_at(shown, 20, 290) == signed_rgb(np.array(-0.2), 0.2, dark).tolist()
    assert colour_at(shown, 90, 150) == signed_rgb(np.array(0), 0.2, dark).tolist()
    hatched = {tuple(rgb) for rgb in shown[150:180, 250:290].reshape(-1, 3).tolist()}
    assert len(hatched) == 2, "two colours alternate"
    half = signed_image(image[::2, ::2], PATCHES, values, 0.2, dark, (301, 187))
    assert colour_at(half, 10, 10) == colour_at(shown, 20, 20)
    assert signed_image(PIXELS, PATCHES, values, 0.2, dark)[20:40, 20:40].std() > 0, "the image stays visible"


def test_words_have_their_value_and_the_word_of_b() -> None:
    tokens = [ANSWER, *words("is <b>left</b> it")]
    shown = signed_text_html("is <b>left</b> it", tokens, np.array([0.5, 0.1, -0.1, NAN]), 0.1, False, {2: "<i>"})
    assert "<b>" not in shown and "&lt;b&gt;left" in shown and "B: &lt;i&gt;" in shown
    chips = re.findall(r"data-token='(\d)' title='(.*?)'.*?background:(.*?)[';].*?class='number'>(.*?)<", shown, re.S)
    assert [(token, number) for token, _, _, number in chips] == [("1", "+0.10"), ("2", "−0.10"), ("3", "–")]
    assert [ground for _, _, ground, _ in chips][:2] == [diverging(False)[-1], diverging(False)[0]]
    assert (
        "gradient" in chips[2][2] and chips[2][1].endswith("no counterpart in B") and chips[0][1].endswith("A − B +0.1")
    )


def test_words_are_coloured_by_amount_and_the_selected_word_is_framed() -> None:
    tokens = words(TEXT)
    shown = lit_text_html(TEXT, tokens, np.linspace(0, 0.4, len(tokens)), 0.4, (2,))
    assert shown.count("class='chip'") == len(tokens) - 1 and "class='chip chosen' data-token='2'" in shown
    assert "background:#00224e" in shown and "background:#fee838" in shown
    assert lit_text_html(None, PATCHES, np.zeros(15), 1) == ""


def test_the_strip_of_audio_tokens_is_signed() -> None:
    tokens = [*words("a"), *frames(3)]
    shown = signed_strip_html(tokens, np.array([9, 0.1, NAN, -0.1]), 0.1, Modality.AUDIO, True)
    assert re.findall(r"data-token='(\d)'", shown) == ["1", "2", "3"]
    grounds = re.findall(r"flex:1;background:(.*?)'>", shown)
    assert grounds[0] == diverging(True)[-1] and "gradient" in grounds[1] and grounds[2] == diverging(True)[0]


# matrices


def is_centred(figure: Any, largest: float, dark: bool) -> None:
    axis = figure.layout.coloraxis
    assert (axis.cmin, axis.cmid, axis.cmax) == (-largest, 0, largest)
    assert axis.colorscale[len(axis.colorscale) // 2] == (0.5, (DARK if dark else LIGHT).ground)
    assert tuple(axis.colorbar.tickvals) == (-largest, 0, largest)
    assert tuple(axis.colorbar.ticktext) == (signed(-largest), "0", signed(largest))
    assert "Rows are queries, columns are keys." in figure.layout.title.text.replace("<br>", " ")


@pytest.mark.parametrize("dark", [False, True])
def test_the_modality_matrix_is_centred_and_its_title_says_a_minus_b(dark: bool) -> None:
    sums = np.array([[0.2, -0.3], [-0.004, 0.0]])
    kinds = [Modality.IMAGE, Modality.SPECIAL]
    figure = signed_modalities(sums, sums / 100, kinds, kinds, "A − B: <b>", 0.3, dark, "relevance")
    is_centred(figure, 0.3, dark)
    assert np.array_equal(figure.data[0].z, sums)
    assert [note.text for note in figure.layout.annotations] == ["+0.20", "−0.30", "−0.0040", "0"]
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("key", "query")
    assert list(figure.data[0].x) == ["picture", "special"] and tuple(figure.layout.yaxis.range) == (1.5, -0.5)
    legend = figure.layout.coloraxis.colorbar
    assert legend.title.text == "A − B, relevance"
    assert (legend.yref, legend.yanchor) == ("paper", "top"), "below the cells, however few"
    assert "A − B: &lt;b&gt;" in figure.layout.title.text and "more in B" in figure.layout.title.text
    with pytest.raises(ValueError, match="3 modalities"):
        signed_modalities(sums, sums, kinds, [*kinds, Modality.TEXT], "t", 1)


@pytest.mark.parametrize("dark", [False, True])
def test_the_token_matrix_is_centred_and_keeps_its_bands(dark: bool) -> None:
    tokens = [ANSWER, *words("a cat"), *PATCHES]
    weights = attention(2, len(tokens), len(tokens))
    values = weights[1] - weights[0]
    figure = signed_matrix(values, tokens, tokens, "A − B", symmetric_limit(values), dark)
    is_centred(figure, symmetric_limit(values), dark)
    assert np.allclose(figure.data[0].z, values) and (figure.data[0].z < 0).any()
    bands = [shape.fillcolor for shape in figure.layout.shapes if shape.type == "rect" and shape.yref == "paper"]
    assert bands == [MODALITY_COLOURS[modality] for modality in (Modality.SPECIAL, Modality.TEXT, Modality.IMAGE)]
    assert "A − B: %{z" in figure.data[0].hovertemplate and "query: %{y}" in figure.data[0].hovertemplate
    plot_height = figure.layout.height - figure.layout.margin.t
    assert plot_height == 500 and figure.layout.margin.l == 92, "the longer note takes no space from the cells"


def test_words_with_and_without_a_location_correspond() -> None:
    assert pair_tokens(words("a cat"), text("a cat")).is_whole
    assert pair_tokens([Token(Modality.TEXT, "a", Chars(0, 1))], [Token(Modality.TEXT, ABSENT)]).pairs == ()
