"""When the words of a transcript are spoken: the moment of the sound that the token writing each attends to most.

Some cross-attention heads of Whisper follow the words through the sound. Their mean is what OpenAI's ``timing.py`` and
transformers align words by, after smoothing and dynamic time warping; here the plain maximum of a row is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmviz.types import Seconds, Token


def strongest_moments(weights: NDArray[np.floating], keys: Sequence[Token]) -> list[Seconds | None]:
    """Returns the place of the key that each query attends to most; None where that is no moment, as after the end.

    ``weights``: attention ``[query, key]``, such as the mean over the alignment heads.
    """
    places = [keys[int(key)].location for key in weights.argmax(1)]
    return [place if isinstance(place, Seconds) else None for place in places]


def rising_share(moments: Sequence[Seconds | None]) -> float:
    """Returns the share of steps from one moment to the next that do not go back in time; nan for less than two.

    Steps from or to a query without a moment are left out.
    """
    starts = [np.nan if moment is None else moment.start for moment in moments]
    steps = np.diff(starts)
    steps = steps[~np.isnan(steps)]
    return float((steps >= 0).mean()) if len(steps) else float("nan")
