"""A run as it is looked at just now: amounts, their scale, and the words that go with them. No Streamlit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.modality import ModalityMatrix, modality_matrix
from mmviz.analysis.select import find_layer, looked, spread, weights
from mmviz.analysis.sinks import sinks
from mmviz.app.state import Selection
from mmviz.app.texts import say
from mmviz.explain import Run
from mmviz.figures.amounts import short
from mmviz.figures.places import names, places
from mmviz.inputs.mel import HOP, SAMPLE_RATE, log_mel
from mmviz.types import Token

HOP_SECONDS = HOP / SAMPLE_RATE


@dataclass(frozen=True, eq=False)
class Seen:
    """``run`` under ``selection``. All arrays over ``tokens``; `amounts` ``[token]``, `map` ``[query, key]``."""

    run: Run
    selection: Selection

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The tokens of the run."""
        return self.run.tokens

    @property
    def way(self) -> str:
        """The way of looking in words."""
        return self.selection.way.words()

    @cached_property
    def name(self) -> str:
        """The chosen token, named shortly."""
        return f"“{names(self.tokens)[self.selection.token]}”"

    @cached_property
    def map(self) -> NDArray[np.float64]:
        """All weights, seen this way."""
        return weights(self.run.record, self.selection.way, self.run.record.relevance)

    @cached_property
    def amounts(self) -> NDArray[np.float64]:
        """What the chosen token gives to every token, or gets from it."""
        chosen = self.selection
        return looked(self.run.record, chosen.way, chosen.token, chosen.direction, self.run.record.relevance)

    @cached_property
    def scale_max(self) -> float:
        """The largest weight on picture, words and sound, in this view or in the whole map: one scale for all three."""
        drawn = [k for k, token in enumerate(self.tokens) if token.where is not None]
        if self.selection.scale == "view":
            found = self.amounts[drawn]
        else:
            found = self.map[:, drawn] if self.selection.direction == "from" else self.map[drawn]
        return float(found.max()) or 1.0

    @cached_property
    def shares(self) -> ModalityMatrix:
        """The amounts by modality, as a matrix of one row."""
        return self._by_modality(self.amounts)

    @cached_property
    def shares_of_heads(self) -> NDArray[np.float64] | None:
        """The sums by modality of every head ``[head, modality]``, where a mean over heads is looked at."""
        way, axis = self.selection.way, 1 if self.selection.direction == "from" else 2
        if way.method != "mean" or way.layer is None:
            return None
        heads = np.take(find_layer(self.run.record, way.layer).weights, self.selection.token, axis=axis)
        return np.stack([self._by_modality(head).sums[0] for head in heads])

    @cached_property
    def modalities(self) -> ModalityMatrix:
        """The whole map by modality."""
        return modality_matrix(self.map, self.tokens, self.tokens)

    @cached_property
    def spread_words(self) -> str:
        """How far the heads differ behind a mean; empty for every other way of looking."""
        way, axis = self.selection.way, 0 if self.selection.direction == "from" else 1
        if way.method != "mean" or way.layer is None:
            return ""
        found = np.take(spread(self.run.record, way.layer), self.selection.token, axis=axis)
        most = int(found.argmax())
        typical = short(float(found.mean()))
        return say("spread", typical=typical, most=short(float(found[most])), where=places(self.tokens)[most])

    @cached_property
    def sink_words(self) -> str:
        """Which tokens draw attention whatever asks; empty where none does."""
        if self.selection.way.method == "relevance":
            return ""
        named = names(self.tokens)
        found = ", ".join(f"“{named[key]}” {short(share)}" for key, share in sinks(self.map)[:4])
        return say("sinks", tokens=found) if found else ""

    @cached_property
    def mel(self) -> NDArray[np.float32] | None:
        """The spectrogram of the sound, ``[mel, hop]``."""
        return log_mel(self.run.sample.audio.wave) if self.run.sample.audio else None

    def title(self, part: str) -> str:
        """The title of a figure of ``part`` (picture, words or sound), with the direction in words."""
        return say(f"{part}-{self.selection.direction}", token=self.name)

    def inputs(self) -> dict[str, Any]:
        """What every figure of the sound, and the one for paper, takes."""
        audio = self.run.sample.audio
        return {
            "wave": audio.wave if audio else None,
            "rate": audio.rate if audio else SAMPLE_RATE,
            "mel": self.mel,
            "hop_seconds": HOP_SECONDS,
            "tokens": self.tokens,
            "amounts": self.amounts,
            "scale_max": self.scale_max,
        }

    def _by_modality(self, amounts: NDArray[Any]) -> ModalityMatrix:
        return modality_matrix(amounts[None], [self.tokens[self.selection.token]], self.tokens)
