"""A map to be printed: its amounts on the inputs, in pictures, colours and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmviz.figures.audio import lit_mel
from mmviz.figures.colour_scale import checked_amounts, hex_colour, range_text, short
from mmviz.figures.image import Pixels, Size, downscaled, spotlight
from mmviz.figures.signed_colours import signed, signed_image, signed_mel, signed_rgb
from mmviz.figures.text_wrapping import clipped
from mmviz.figures.token_labels import group_name, token_label
from mmviz.i18n.figures import tell
from mmviz.i18n.unicode_display import replace_invisible
from mmviz.types import Answer, Chars, PixelBox, Seconds, Token


@dataclass(frozen=True, eq=False, kw_only=True)
class PrintedMap:
    """A map with the inputs and answers beside it. An input that is None is stated to be missing."""

    image: Pixels | None
    """uint8 ``[height, width, 3]``."""
    text: str | None
    """The text input, whose words are coloured."""
    wave: NDArray[Any] | None
    """``[sample]``."""
    rate: int
    """Samples per second of ``wave``."""
    mel: NDArray[Any] | None
    """As in `mmviz.figures.audio.lit_mel`, with ``hop_seconds``."""
    hop_seconds: float
    """Seconds between two columns of ``mel``."""
    tokens: Sequence[Token]
    """The tokens that have amounts: the keys of the map, or with ``to`` its queries."""
    amounts: NDArray[Any]
    """Of each of ``tokens``, ``[token]``."""
    scale_max: float
    """Colours go from 0 to this; of a difference, from minus this."""
    answers: Sequence[Answer]
    """Of these the five most probable ones are drawn."""
    title: str
    """The heading; it is cut after 84 characters."""
    caption: str
    """Stands at the bottom, in at most three lines."""
    method: str
    """The map in words, such as "layer 6, mean over 4 heads"."""
    direction: Literal["from", "to"]
    """``from``: the amounts are the row of ``token``, or the mean over a group; ``to``: its column."""
    token: int | Sequence[int]
    """Counts in ``selected_from``."""
    versus: Sequence[int] = ()
    """Tokens of ``selected_from`` that ``token`` is compared with: the amounts are then those of ``token`` minus
    theirs."""
    selected_from: Sequence[Token] | None = None
    """``tokens`` if None."""
    size: Size | None = None
    """Size of the original of ``image``, as in `mmviz.figures.image.spotlight`."""
    unit: str = ""
    """Unit of the amounts; attention weights if empty."""
    image_note: str = ""
    """Stands below the picture."""

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The amounts, checked. Raises ``ValueError`` as `checked_amounts`."""
        return checked_amounts(self.tokens, self.amounts, self.scale_max)

    def colour(self, index: int) -> str:
        """Returns the colour of a token's amount, ``#rrggbb``."""
        if self.versus:
            return "#" + bytes(signed_rgb(self.values[index], self.scale_max, dark=False)).hex()
        return hex_colour(self.values[index], self.scale_max)

    def number(self, index: int) -> str:
        """Returns the amount of a token with two significant digits; of a difference, with its sign."""
        return (signed if self.versus else short)(float(self.values[index]))

    def picture_size(self) -> Size | None:
        """Returns width and height of the original image; None without an image that has patches."""
        if self.image is None or not any(isinstance(token.location, PixelBox) for token in self.tokens):
            return None
        return self.size or (self.image.shape[1], self.image.shape[0])

    def picture(self, size: Size) -> Pixels:
        """Returns the image under the amounts of its patches. Needs an image; ``size`` is that of the original."""
        assert self.image is not None
        draw = signed_image if self.versus else spotlight
        return draw(downscaled(self.image), self.tokens, self.values, self.scale_max, size=size)

    def spectrogram(self) -> Pixels:
        """Returns the spectrogram under the amounts of its moments, the lowest band first: uint8 ``[mel, hop]``; of a
        difference, with an axis of colours. Needs ``mel``."""
        assert self.mel is not None
        draw = signed_mel if self.versus else lit_mel
        return draw(self.mel, self.hop_seconds, self.tokens, self.values, self.scale_max)

    def words(self) -> list[tuple[str, int]]:
        """Returns the words of the text in its order, each with the index of its token; none without a text."""
        if self.text is None:
            return []
        spans = sorted(
            (token.location.start, token.location.end, index)
            for index, token in enumerate(self.tokens)
            if isinstance(token.location, Chars)
        )
        words: list[tuple[str, int]] = []
        last = 0
        for start, end, index in spans:
            label = replace_invisible(self.tokens[index].label, control_pictures=False)
            is_new = end > last
            word = replace_invisible(self.text, max(start, last), end, control_pictures=False) if is_new else label
            words.append((word, index))
            last = max(last, end)
        return words

    def sound_end(self) -> float | None:
        """Returns where the time axis ends, in seconds; None without a sound that has moments."""
        spans = self.moments()
        if self.wave is None or self.mel is None or not spans:
            return None
        return max(len(self.wave) / self.rate, *(span.end for span in spans.values()))

    def moments(self) -> dict[int, Seconds]:
        """Returns the moments of the tokens that have any, by index."""
        located = ((index, token.location) for index, token in enumerate(self.tokens))
        return {index: location for index, location in located if isinstance(location, Seconds)}

    @property
    def subtitle(self) -> str:
        """Whose attention is shown, and by which method."""
        texts = {"token": self._name_of(self.token), "method": self.method, "direction": tell("direction")}
        if self.versus:
            return tell(f"paper-minus-{self.direction}", other=self._name_of(self.versus), **texts)
        return tell(f"paper-{self.direction}", **texts)

    @property
    def scale_text(self) -> str:
        """The unit of the amounts, and the range of their colours."""
        unit = self.unit or tell("unit")
        if self.versus:
            return tell("paper-minus-range", unit=unit, most=short(self.scale_max))
        return tell("unit-range", unit=unit, range=range_text(self.scale_max, self.values))

    def _name_of(self, token: int | Sequence[int]) -> str:
        tokens = self.selected_from or self.tokens
        numbers = np.atleast_1d(token).tolist()
        return group_name([clipped(token_label(tokens[k], control_pictures=False), 24) for k in numbers])
