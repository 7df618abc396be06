"""A run as it is looked at just now: amounts, their scale, and the words that go with them. No Streamlit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.select import looked, spread, weights
from mmviz.analysis.sinks import sinks
from mmviz.app.selection import Selection
from mmviz.app.texts import say
from mmviz.explain import Run
from mmviz.figures.amounts import short
from mmviz.figures.places import names, places, together
from mmviz.types import Token


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
        """The chosen token, or group of tokens, named shortly."""
        return self._named(self.selection.tokens)

    @cached_property
    def versus_words(self) -> str:
        """Whose attention the viewer takes away, where it shows a difference: everything else shows the first alone."""
        versus = self.selection.versus
        return say("versus", token=self.name, other=self._named(versus)) if versus else ""

    @cached_property
    def map(self) -> NDArray[np.float64]:
        """All weights, seen this way."""
        return weights(self.run.record, self.selection.way, self.run.record.relevance)

    @cached_property
    def amounts(self) -> NDArray[np.float64]:
        """What the chosen tokens give to every token, or get from it; their mean."""
        chosen = self.selection
        return looked(self.run.record, chosen.way, chosen.tokens, chosen.direction, self.run.record.relevance)

    @cached_property
    def scale_max(self) -> float:
        """The largest weight on picture, words and sound, in this view or in the whole map: one scale for all three."""
        drawn = [k for k, token in enumerate(self.tokens) if token.where is not None] or list(range(len(self.tokens)))
        if self.selection.scale == "view":
            found = self.amounts[drawn]
        else:
            found = self.map[:, drawn] if self.selection.direction == "from" else self.map[drawn]
        return float(found.max()) or 1.0

    @cached_property
    def spread_words(self) -> str:
        """How far the heads differ behind a mean; empty for every other way of looking."""
        chosen = self.selection
        if chosen.way.method != "mean" or chosen.way.layer is None:
            return ""
        found = spread(self.run.record, chosen.way.layer, chosen.tokens, chosen.direction)
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

    def _named(self, chosen: tuple[int, ...]) -> str:
        named = names(self.tokens)
        return together([named[k] for k in chosen])
