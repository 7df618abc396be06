"""The grids of routes as data: colours, numbers, frames, lines and what a click tells."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from mmviz.figures.colour_scale import CIVIDIS, contrast
from mmviz.figures.head_grid import effect_colours
from mmviz.figures.route_grids import align, effect_colour, effect_grid, share_grid, signed_label
from mmviz.figures.theme import theme

ROUTES, WINDOWS = ["words to picture", "words to words", "answer to picture"], ["1", "2", "all"]
EFFECTS = np.array([[-0.001, 0.04, np.nan], [0.0, -2.0, 0.5], [np.nan, np.nan, -4.0]])
SHARES = np.array([[0.25, 0.5, np.nan], [0.0, 0.1, 0.2], [np.nan, np.nan, 0.05]])
TEXTS = {"title": "T", "note": "N", "unit": "nats <&> $x$", "axis": "layer"}
HOVER = [[f"{row}/{column}" for column in range(3)] for row in range(3)]


def effects(dark: bool = False) -> go.Figure:
    marks = [(1, 1, "solid"), (0, 1, "dot")]
    return effect_grid(EFFECTS, ROUTES, WINDOWS, TEXTS, HOVER, [2], marks, dark)  # type: ignore[arg-type]


def shares() -> go.Figure:
    return share_grid(SHARES, ROUTES, WINDOWS, {**TEXTS, "note": "a long note " * 12}, HOVER, [2])


@pytest.mark.parametrize("dark", [False, True])
def test_the_scale_of_effects_is_centred_at_no_effect(dark: bool) -> None:
    heat, _ = effects(dark).data
    np.testing.assert_array_equal(heat.z, EFFECTS)
    assert (heat.zmin, heat.zmax) == (-4, 4)
    below, above = effect_colours(dark)
    assert [colour for _, colour in heat.colorscale] == [below, theme(dark).ground, above]
    assert [where for where, _ in heat.colorscale] == [0, 0.5, 1]
    assert list(heat.colorbar.tickvals) == [-4, 0, 4] and list(heat.colorbar.ticktext) == ["−4.0", "0", "+4.0"]
    _, points = effects(dark).data
    grounds = [effect_colour(effect, 4, dark) for effect in EFFECTS[np.isfinite(EFFECTS)]]
    assert grounds[2] == theme(dark).ground and grounds[-1] == below and effect_colour(4, 4, dark) == above
    assert all(contrast(*pair) >= 4.5 for pair in zip(points.textfont.color, grounds, strict=True))
    assert "<" not in heat.colorbar.title.text and "$" not in heat.colorbar.title.text


def test_shares_run_from_zero_to_the_largest_on_a_scale_of_amounts() -> None:
    heat, points = shares().data
    assert (heat.zmin, heat.zmax) == (0, 0.5)
    assert [colour for _, colour in heat.colorscale] == CIVIDIS
    assert list(heat.colorbar.ticktext) == ["0", "0.25", "0.50"]
    assert list(points.text) == ["0.25", "0.50", "0.00", "0.10", "0.20", "0.05"]
    inks = dict(zip(points.text, points.textfont.color, strict=True))
    assert inks["0.50"] == "#000000" and inks["0.00"] == "#ffffff", "readable on the bright and the dark end"


def test_each_cell_that_is_there_has_a_number_and_tells_a_click_where_it_is() -> None:
    _, points = effects().data
    assert [list(cell) for cell in points.customdata] == [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [2, 2]]
    assert list(points.text) == ["0", "+0.04", "0", "−2.00", "+0.50", "−4.00"]
    assert list(zip(points.x, points.y, strict=True))[1] == (1, 0), "x is the window, y the route"
    assert [text.split("<")[0] for text in points.hovertemplate] == ["0/0", "0/1", "1/0", "1/1", "1/2", "2/2"]


def test_rows_read_downwards_and_groups_and_all_layers_stand_apart() -> None:
    figure = effects()
    assert list(figure.layout.yaxis.ticktext) == ROUTES and list(figure.layout.yaxis.range) == [2.5, -0.5]
    assert list(figure.layout.xaxis.ticktext) == WINDOWS and figure.layout.xaxis.title.text == "layer"
    lines = [shape for shape in figure.layout.shapes if shape.type == "line"]
    assert [(line.x0, line.x1) for line in lines if line.x0 == line.x1] == [(1.5, 1.5)]
    assert [(line.y0, line.y1) for line in lines if line.y0 == line.y1] == [(1.5, 1.5)]
    frames = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    places = {(round((f.y0 + f.y1) / 2), round((f.x0 + f.x1) / 2), f.line.dash) for f in frames}
    assert places == {(1, 1, "solid"), (0, 1, "dot")}


def test_both_grids_have_their_rows_at_one_height() -> None:
    first, second = effects(), shares()
    rows = [figure.layout.height - figure.layout.margin.t - figure.layout.margin.b for figure in (first, second)]
    assert first.layout.margin.t < second.layout.margin.t
    align(first, second)
    assert first.layout.margin.t == second.layout.margin.t and first.layout.height == second.layout.height
    assert rows == [
        figure.layout.height - figure.layout.margin.t - figure.layout.margin.b for figure in (first, second)
    ]


def test_no_effect_at_all_and_no_cell_still_have_a_scale() -> None:
    flat = effect_grid(np.zeros((1, 1)), ["a"], ["1"], TEXTS, [["h"]])
    assert (flat.data[0].zmin, flat.data[0].zmax) == (-1, 1) and list(flat.data[1].text) == ["0"]
    empty = share_grid(np.full((1, 1), np.nan), ["a"], ["1"], TEXTS, [["h"]])
    assert empty.data[0].zmax == 1 and not empty.data[1].x
    assert [signed_label(value) for value in (-0.004, 0.004, -0.006, 12.345)] == ["0", "0", "−0.01", "+12.35"]
