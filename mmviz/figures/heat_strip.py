"""The tokens of one modality as a thin strip of colours, in HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from mmviz.figures.colour_scale import checked, exact, hex_colour
from mmviz.figures.token_labels import places
from mmviz.i18n.figures import tell
from mmviz.types import Modality, Token


def strip_html(tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float, modality: Modality) -> str:
    """One cell a token of ``modality`` that has a place, in the model's order, all of the same width.

    ``amounts`` ``[token]`` for all ``tokens``; ``title`` of a cell holds its place and exact amount.
    """
    values = checked(tokens, amounts, scale_max)
    titles = places(tokens)
    cells = "".join(
        f"<i data-token='{index}' "
        f"title='{html.escape(tell('told', place=titles[index], amount=exact(values[index])))}' "
        f"style='flex:1;background:{hex_colour(values[index], scale_max)}'></i>"
        for index, token in enumerate(tokens)
        if token.modality is modality and token.location is not None
    )
    return f"<div style='display:flex;height:14px;border-radius:3px;overflow:hidden'>{cells}</div>"
