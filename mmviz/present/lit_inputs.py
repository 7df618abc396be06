"""The amounts of a slide on the inputs of its run: as light on the picture and the sound, as colours of the words."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.available_maps import map_words, parse_map_ref, streams_of
from mmviz.explain.run import Run
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.figures import unit_name
from mmviz.present.talk import Slide
from mmviz.report.answer_maps import shown_map
from mmviz.types import MmvizError, Modality, PixelBox, Token


@dataclass(frozen=True, eq=False)
class LitInputs:
    """Tokens with their amounts."""

    tokens: tuple[Token, ...]
    """The tokens that have amounts, in the order of the record."""
    amounts: NDArray[np.float64]
    """float64 ``[token]``, at least 0."""
    scale_max: float
    """The end of the colour scale."""
    unit: str = ""
    """The unit of the amounts, in words; empty for tokens that are bright or not."""
    method: str = ""
    """What the amounts are, in words."""
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
            row = (run.attention if run.is_exact else run.pooled_attention)(ref, slide.tokens, slide.direction)
            tokens = record.streams[streams_of(record, ref)[1 if slide.direction == "from" else 0]]
            method = map_words(ref, record)
            method = method if run.is_exact else sentence("method-pooled", method=method)
            lit = LitInputs(tokens, row, 1.0, unit_name(ref.method), method)
            return replace(lit, scale_max=_largest(lit))
        case "step" if slide.lit:
            return _bright_tokens(run, slide)
    return None


def _largest(lit: LitInputs) -> float:
    """Returns the largest amount on the inputs, else of all tokens; 1 where none is above 0."""
    located = [k for k, token in enumerate(lit.tokens) if token.location is not None]
    return max(0.0, float(lit.amounts[located or slice(None)].max())) or 1.0


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
