"""The amounts of a slide on the inputs of its run: as light on the picture and the sound, as colours of the words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.available_maps import map_words, parse_map_ref, streams_of
from mmviz.explain.run import Run
from mmviz.figures.colour_scale import largest_drawn
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.figures import unit_name
from mmviz.present.slide_deck import Slide
from mmviz.report.answer_maps import shown_map
from mmviz.types import MmvizError, Modality, PixelBox, Token


@dataclass(frozen=True, eq=False)
class LitInputs:
    """Tokens with their amounts."""

    tokens: tuple[Token, ...]
    """The tokens that have amounts, in the order of the record."""
    amounts: NDArray[np.float64]
    """float64 ``[token]``, at least 0 but for a difference."""
    scale_max: float
    """The end of the colour scale; of a difference it goes from minus this."""
    unit: str = ""
    """The unit of the amounts, in words; empty for tokens that are bright or not."""
    method: str = ""
    """What the amounts are, in words."""
    is_difference: bool = False
    """Whether the amounts are those of some tokens minus those of others."""
    read: tuple[Token, ...] = ()
    """The patches that a step reads, if those that read them are patches too; else empty."""
    readers: tuple[Token, ...] = ()
    """The patches that read them; else empty."""

    @property
    def is_amount(self) -> bool:
        """Whether the amounts are measured; otherwise tokens are bright or not."""
        return bool(self.unit)

    def has(self, modality: Modality) -> bool:
        """Returns whether a token of ``modality`` has a place in the inputs; of a step, whether one is bright.

        An input of a step without bright tokens is read, or reads, as a whole.
        """
        located = (
            amount
            for token, amount in zip(self.tokens, self.amounts, strict=True)
            if token.modality is modality and token.location is not None
        )
        return any(self.is_amount or amount > 0 for amount in located)


def lit_inputs(run: Run, slide: Slide) -> LitInputs | None:
    """Returns what a slide shows bright; None for a slide that shows the inputs as they are.

    Raises ``MmvizError`` where the run does not hold a map.
    """
    record = run.record
    match slide.kind:
        case "reads_from" | "depends_on":
            shown = shown_map(run, slide.kind)
            if isinstance(shown, MmvizError):
                raise shown
            amounts = np.maximum(shown.map.amounts, 0)
            return LitInputs(shown.keys, amounts, shown.scale_max, shown.map.unit, shown.method)
        case "selection":
            ref = parse_map_ref(record, slide.map)
            attention = run.attention if run.is_exact else run.pooled_attention
            row = attention(ref, slide.tokens, slide.direction)
            if slide.versus:
                row = row - attention(ref, slide.versus, slide.direction)
            tokens = record.streams[streams_of(record, ref)[1 if slide.direction == "from" else 0]]
            method = map_words(ref, record)
            method = method if run.is_exact else sentence("method-pooled", method=method)
            return LitInputs(
                tokens, row, largest_drawn(tokens, row), unit_name(ref.method), method, is_difference=bool(slide.versus)
            )
        case "step" if slide.lit:
            return _bright_tokens(run, slide)
    return None


def _bright_tokens(run: Run, slide: Slide) -> LitInputs:
    """Returns the tokens of the streams of a step, 1 for those that it names and 0 for the others."""
    tokens: list[Token] = []
    amounts: list[float] = []
    for stream in dict.fromkeys(lit.stream for lit in slide.lit):
        named = {token for lit in slide.lit if lit.stream == stream for token in lit.tokens}
        tokens += run.record.streams[stream]
        amounts += [float(token in named) for token in range(len(run.record.streams[stream]))]
    read, readers = (_patches(run, slide, is_reader) for is_reader in (False, True))
    both = {"read": read, "readers": readers} if read and readers else {}
    return LitInputs(tuple(tokens), np.array(amounts), 1.0, **both)  # type: ignore[arg-type]


def _patches(run: Run, slide: Slide, is_reader: bool) -> tuple[Token, ...]:
    """Returns the patches that a step reads, or that read."""
    tokens = [run.record.streams[lit.stream][k] for lit in slide.lit if lit.is_reader is is_reader for k in lit.tokens]
    return tuple(token for token in tokens if isinstance(token.location, PixelBox))
