"""Which part of an input each number of a tensor, or each token, comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class InputFields:
    """The part of a picture, a sound or a text that each number of an input of a model comes from.

    A part is an interval on each axis, such as x, y and the number of a frame, or seconds and hertz. All inputs whose
    parts are requested together have the same axes.
    """

    low: NDArray[np.float32]
    """float32 ``[axis, *shape]``: lower ends; infinite for numbers that come from no part, such as padding."""
    high: NDArray[np.float32]
    """float32 ``[axis, *shape]``: upper ends; minus infinite for such."""


@dataclass(frozen=True, eq=False)
class TokenFields:
    """The parts of an input that the tokens of one stream come from, before they attend to others."""

    count: int
    """Number of tokens."""
    low: NDArray[np.float32] | None = None
    """float32 ``[axis, token]``: the lower ends of the smallest intervals that hold all parts of a token; infinite for
    tokens that come from no part. None where that is not known."""
    high: NDArray[np.float32] | None = None
    """float32 ``[axis, token]``: the upper ends; minus infinite for such tokens."""
    is_learned: NDArray[np.bool_] | None = None
    """bool ``[token]``: whether a token is a learned vector that attended to tokens of the input, and so has no part of
    its own. None where no token is."""
    unfollowed: str = ""
    """The function through which tokens could not be followed; "" for none."""


FieldsOf = Callable[[Mapping[str, InputFields]], Mapping[str, TokenFields]]
"""Returns the fields of the tokens of each stream, by its name, from those of inputs of the model by theirs."""
