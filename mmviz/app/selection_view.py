"""A run as it is looked at just now: amounts, their scale, and the words that go with them. No Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.map_refs import map_words, streams_of
from mmviz.analysis.map_weights import spread, weights
from mmviz.analysis.sinks import sinks
from mmviz.app.selection import Selection
from mmviz.explain import Run
from mmviz.figures.colour_scale import short
from mmviz.figures.token_labels import names, places, together
from mmviz.i18n.language import listed
from mmviz.i18n.page import say
from mmviz.types import Columns, PooledMap, Rows, Token, is_word


@dataclass(frozen=True, eq=False)
class SelectionView:
    """``run`` under ``selection``: `amounts` over the tokens that are `lit`, from those `chosen` among others."""

    run: Run
    selection: Selection

    @cached_property
    def sides(self) -> tuple[tuple[Token, ...], tuple[Token, ...]]:
        """The tokens that ask, and those that are asked."""
        record = self.run.record
        queries, keys = streams_of(record, self.selection.map_ref)
        return record.streams[queries], record.streams[keys]

    @property
    def chosen(self) -> tuple[Token, ...]:
        """The tokens of which some are chosen."""
        return self.sides[0 if self.selection.direction == "from" else 1]

    @property
    def lit(self) -> tuple[Token, ...]:
        """The tokens that have amounts."""
        return self.sides[1 if self.selection.direction == "from" else 0]

    @property
    def method_words(self) -> str:
        """The way of looking in words."""
        return map_words(self.selection.map_ref)

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
        """All weights, seen this way, ``[query, key]``; of a run that has them."""
        return weights(self.run.record, self.selection.map_ref, self.run.record.relevance)

    @cached_property
    def amounts(self) -> NDArray[np.float64]:
        """What the chosen tokens give to every token, or get from it; their mean. `is_about` says whether exact."""
        chosen = self.selection
        if self.is_about:
            return self.run.about(chosen.map_ref, chosen.tokens, chosen.direction)
        return self.run.attention(chosen.map_ref, chosen.tokens, chosen.direction)

    @cached_property
    def is_about(self) -> bool:
        """Whether nothing but means over bins can be had of a run this long."""
        return not self.run.is_exact

    @cached_property
    def scale_max(self) -> float:
        """The largest weight on picture, words and sound, in this view or in the whole map: one scale for all three."""
        every = range(len(self.lit))
        drawn = [k for k in every if self.lit[k].location is not None or is_word(self.lit[k])] or list(every)
        if self.selection.scale == "view" or self.run.record.is_long:
            found = self.amounts[drawn]
        else:
            found = self.map[:, drawn] if self.selection.direction == "from" else self.map[drawn]
        return float(found.max()) or 1.0

    @cached_property
    def spread_words(self) -> str:
        """How far the heads differ behind a mean; empty for every other way of looking."""
        chosen = self.selection
        if chosen.map_ref.method != "attention" or chosen.map_ref.head is not None or self.is_about:
            return ""
        number = self.run.record.map_number(chosen.map_ref)
        axis, view = (0, Rows) if chosen.direction == "from" else (1, Columns)
        heads = range(self.run.record.maps[number].heads)
        each = np.stack(
            [self.run.view(view(replace(chosen.map_ref, head=head), chosen.tokens)).mean(axis) for head in heads]
        )
        found = spread(each)
        most = int(found.argmax())
        typical = short(float(found.mean()))
        return say("spread", typical=typical, most=short(float(found[most])), where=places(self.lit)[most])

    @cached_property
    def sink_words(self) -> str:
        """Which tokens draw attention whatever asks; empty where none does."""
        if self.selection.map_ref.method == "relevance":
            return ""
        named = names(self.sides[1])
        found = listed(f"“{named[key]}” {short(share)}" for key, share in sinks(self._received())[:4])
        return say("sinks", tokens=found) if found else ""

    def _received(self) -> NDArray[np.float64]:
        """What each key gets from a query on the average."""
        map_ref = self.selection.map_ref
        found = None if map_ref.layer is None else self.run.record.maps[self.run.record.map_number(map_ref)]
        if not isinstance(found, PooledMap):
            return np.asarray(self.map.mean(axis=0))
        got = (
            found.column_modality_sums.mean(0, dtype=np.float64)
            if map_ref.head is None
            else found.column_modality_sums[map_ref.head]
        )
        return np.asarray(got.sum(-1, dtype=np.float64) / found.shape[0])

    def _named(self, chosen: Sequence[int]) -> str:
        named = names(self.chosen)
        return together([named[k] for k in chosen])
