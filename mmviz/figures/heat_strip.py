"""The tokens of one modality as a thin strip of colours, in HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from mmviz.figures.colour_scale import checked_amounts, exact, hex_colour
from mmviz.figures.token_labels import full_names
from mmviz.i18n.figures import tell
from mmviz.types import Modality, Token


def strip_html(tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float, modality: Modality) -> str:
    """Returns a strip with a cell for each token of ``modality`` that has a location, in the model's order.

    ``amounts`` ``[token]`` are of all ``tokens``. All cells have the same width; the ``title`` of a cell holds its
    location and exact amount.
    """
    values = checked_amounts(tokens, amounts, scale_max)
    titles = full_names(tokens)
    cells = "".join(
        f"<i data-token='{index}' "
        f"title='{html.escape(tell('token-amount', place=titles[index], amount=exact(values[index])))}' "
        f"style='flex:1;background:{hex_colour(values[index], scale_max)}'></i>"
        for index, token in enumerate(tokens)
        if token.modality is modality and token.location is not None
    )
    return f"<div style='display:flex;height:14px;border-radius:3px;overflow:hidden'>{cells}</div>"
