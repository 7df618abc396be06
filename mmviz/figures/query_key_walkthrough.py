"""The path from a query and a key to the output as a picture: six panels of numbers, which arrows join."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mmviz.figures.colour_scale import short
from mmviz.figures.theme import MODALITY_COLOURS
from mmviz.types import MODALITIES, Modality

WIDTH, HEIGHT = 1216, 448
"""Size of the picture in its own pixels; type is 20 px and more."""
_PANEL = (560, 124)
_PLACES = {"query": (0, 0), "key": (656, 0), "score": (0, 162), "weight": (656, 162), "value": (0, 324),
           "output": (656, 324)}  # fmt: skip
"""Upper left corner of each panel."""
_ARROWS = {
    "score": ("M 230 126 V 158", "M 656 100 C 600 110 500 130 420 158"), "weight": ("M 562 224 H 648",),
    "output": ("M 880 288 V 320", "M 562 386 H 648"),
}  # fmt: skip
"""What flows into a panel."""
_BARS = (0, 34, 470, 58)
"""Left, top, width and height of the bars in a panel."""


def attention_path_svg(
    vectors: Mapping[str, NDArray[np.float64]], modalities: Sequence[Modality], key: int,
    texts: Mapping[str, tuple[str, str]], alt: str,
) -> str:  # fmt: skip
    """Returns the picture as SVG. A panel is a group ``data-step="N"``, N from 1, with the arrows that lead to it.

    - ``vectors``: the numbers of each panel: ``query``, ``key``, ``score`` (products), ``value``, ``output``, and
      ``weight`` ``[key]``, which is drawn in the order of `mmviz.types.MODALITIES`.
    - ``modalities``: of the keys.
    - ``key``: the key token that the path leads through; it is marked among the weights.
    - ``texts``: heading and numbers of each panel.
    - ``alt``: the picture in one sentence.
    """
    groups = ""
    for step, (name, (x, y)) in enumerate(_PLACES.items(), start=1):
        arrows = "".join(
            f"<path class='arrow' d='{path}' marker-end='url(#head)' pathLength='1'/>"
            f"<circle class='packet' r='7' style=\"offset-path:path('{path}')\"/>"
            for path in _ARROWS.get(name, ())
        )
        heading, numbers = map(html.escape, texts[name])
        if name == "weight":
            order = sorted(range(len(modalities)), key=lambda k: MODALITIES.index(modalities[k]))
            colours = [MODALITY_COLOURS[modalities[k]] for k in order]
            bars = _bars(vectors[name][order], colours, order.index(key))
        else:
            bars = _bars(vectors[name], ["currentColor"] * len(vectors[name]))
        groups += (
            f"<g class='stage' data-step='{step}'>{arrows}<g transform='translate({x} {y})'>"
            f"<text class='name' y='22'>{heading}</text>{bars}<text y='{_PANEL[1] - 4}'>{numbers}</text></g></g>"
        )
    return (
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{html.escape(alt)}'><defs><marker id='head' "
        "viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' orient='auto'>"
        f"<path d='M0 0L8 4L0 8z' fill='currentColor'/></marker></defs>{groups}</svg>"
    )


def _bars(values: NDArray[np.float64], colours: Sequence[str], marked: int | None = None) -> str:
    """Returns bars up and down from 0, with the largest amount beside them: the end of their scale."""
    left, top, width, height = _BARS
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    is_signed = bool((values < 0).any())
    zero = top + height / (2 if is_signed else 1)
    unit, step = (zero - top) / largest, width / len(values)
    bars = ""
    for k, value in enumerate(values):
        size = max(abs(float(value)) * unit, 0.4)
        y = zero - size if value >= 0 else zero
        bars += (
            f"<rect x='{left + k * step:.2f}' y='{y:.2f}' width='{max(step * 0.8, 0.8):.2f}' height='{size:.2f}' "
            f"fill='{colours[k]}'/>"
        )
    if marked is not None:
        x = left + (marked + 0.4) * step
        bars += f"<path class='mark' d='M {x - 7:.1f} {top - 9} h 14 l -7 10 z'/>"
    scale = ("±" if is_signed else "") + short(largest)
    return (
        f"<g class='bars'><line x1='{left}' x2='{left + width}' y1='{zero}' y2='{zero}'/>{bars}</g>"
        f"<text class='scale' x='{left + width + 10}' y='{zero + 7}'>{scale}</text>"
    )
