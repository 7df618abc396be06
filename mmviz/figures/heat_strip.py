"""The tokens of one modality as a thin strip of colours, in HTML."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from mmviz.figures.colour_scale import checked_amounts, exact, hex_colour, text_colour
from mmviz.figures.token_labels import full_names, token_label
from mmviz.i18n.figures import tell
from mmviz.types import Modality, Seconds, Token


def strip_html(tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float, modality: Modality) -> str:
    """Returns a strip with a cell for each token of ``modality`` that has a location, in the model's order.

    ``amounts`` ``[token]`` are of all ``tokens``. All cells have the same width; the ``title`` of a cell holds its
    location and exact amount.
    """
    values = checked_amounts(tokens, amounts, scale_max)
    cells = strip_cells(tokens, modality, lambda k: exact(values[k]), lambda k: hex_colour(values[k], scale_max))
    return f"<div style='display:flex;height:14px;border-radius:3px;overflow:hidden'>{cells}</div>"


def labelled_strip_html(tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float, modality: Modality) -> str:
    """Returns `strip_html` with the labels of its tokens: words each on its colour, sounds above their seconds."""
    if modality is not Modality.TEXT:
        places = [token.location for token in tokens if token.modality is modality]
        ends = [place.end for place in places if isinstance(place, Seconds)]
        axis = f"<span>0 s</span><span>{max(ends):.1f} s</span>" if ends else ""
        strip = strip_html(tokens, amounts, scale_max, modality)
        return f"{strip}<div style='display:flex;justify-content:space-between;font-size:11px'>{axis}</div>"
    values = checked_amounts(tokens, amounts, scale_max)
    words = ""
    for k, name in _located(tokens, modality).items():
        ground = hex_colour(values[k], scale_max)
        title = html.escape(tell("token-amount", place=name, amount=exact(values[k])))
        words += (
            f"<i data-token='{k}' title='{title}' style='font-style:normal;padding:0 4px;border-radius:3px;"
            f"background:{ground};color:{text_colour(ground)}'>{html.escape(token_label(tokens[k]))}</i>"
        )
    return f"<div style='display:flex;flex-wrap:wrap;gap:2px;line-height:1.35'>{words}</div>"


def strip_cells(
    tokens: Sequence[Token], modality: Modality, amount_of: Callable[[int], str], background_of: Callable[[int], str]
) -> str:
    """Returns the cells of a strip: one for each token of ``modality`` that has a location, in the model's order.

    ``amount_of`` and ``background_of`` return the printed amount and the CSS background of the token at an index.
    """
    return "".join(
        f"<i data-token='{k}' title='{html.escape(tell('token-amount', place=name, amount=amount_of(k)))}' "
        f"style='flex:1;background:{background_of(k)}'></i>"
        for k, name in _located(tokens, modality).items()
    )


def _located(tokens: Sequence[Token], modality: Modality) -> dict[int, str]:
    """Returns the indices of the tokens of ``modality`` that have a location, each with the token's full name."""
    indices = [k for k, token in enumerate(tokens) if token.modality is modality and token.location is not None]
    return dict(zip(indices, full_names([tokens[k] for k in indices]), strict=True))


def bar(share: float) -> str:
    """Returns the HTML of a bar from 0 to 1."""
    return f"<div class='bar'><i style='width:{share:.1%}'></i></div>"
