"""A run under a selection: amounts, their scale, and the sentences about them. No Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.available_maps import map_words, streams_of
from mmviz.analysis.map_weights import spread, weights
from mmviz.analysis.sinks import sinks
from mmviz.app.selection import Selection
from mmviz.explain import Run
from mmviz.figures.colour_scale import short
from mmviz.figures.token_labels import full_names, group_name, names
from mmviz.i18n.language import join_list
from mmviz.i18n.page import say
from mmviz.types import Columns, PooledMap, Rows, Token, is_unlocated_word

MAX_SINKS = 4
"""Sinks that are named, largest first."""


@dataclass(frozen=True, eq=False)
class SelectionView:
    """What a run shows under a selection: `amounts` over the `other_tokens`, for some of the `selectable_tokens`."""

    run: Run
    """The run whose weights are read."""
    selection: Selection
    """The map, the direction and the tokens that the amounts are of."""

    @cached_property
    def sides(self) -> tuple[tuple[Token, ...], tuple[Token, ...]]:
        """The query tokens and the key tokens of the map."""
        record = self.run.record
        queries, keys = streams_of(record, self.selection.map_ref)
        return record.streams[queries], record.streams[keys]

    @property
    def selectable_tokens(self) -> tuple[Token, ...]:
        """The side of the map that the selected tokens are on."""
        return self.sides[0 if self.selection.direction == "from" else 1]

    @property
    def other_tokens(self) -> tuple[Token, ...]:
        """The other side of the map, whose tokens have amounts."""
        return self.sides[1 if self.selection.direction == "from" else 0]

    @property
    def method_text(self) -> str:
        """The map or method in words."""
        return map_words(self.selection.map_ref, self.run.record)

    @cached_property
    def name(self) -> str:
        """The short name of the selected token or group of tokens."""
        return self._name_of(self.selection.tokens)

    @cached_property
    def versus_text(self) -> str:
        """Says that the viewer shows a difference while the rest of the page does not; empty without a difference."""
        versus = self.selection.versus
        return say("versus", token=self.name, other=self._name_of(versus)) if versus else ""

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """All weights of the map, float64 ``[query, key]``. Only a run that holds them all has this."""
        return weights(self.run.record, self.selection.map_ref, self.run.record.relevance)

    @cached_property
    def amounts(self) -> NDArray[np.float64]:
        """The mean over the selected tokens of their weights to or from each of the `other_tokens`, ``[token]``.

        They are means over bins where `is_pooled`.
        """
        selection = self.selection
        if self.is_pooled:
            return self.run.pooled_attention(selection.map_ref, selection.tokens, selection.direction)
        return self.run.attention(selection.map_ref, selection.tokens, selection.direction)

    @cached_property
    def is_pooled(self) -> bool:
        """Whether only means over bins of tokens are left of this long run."""
        return not self.run.is_exact

    @cached_property
    def scale_max(self) -> float:
        """The end of the colour scale, one for image, text and audio: the largest amount on them, in this view or in
        the whole map; 1 where all are 0."""
        tokens = self.other_tokens
        inputs = [k for k, token in enumerate(tokens) if token.location is not None or is_unlocated_word(token)]
        shown = inputs or list(range(len(tokens)))
        if self.selection.scale == "view" or self.run.record.is_long:
            amounts = self.amounts[shown]
        else:
            amounts = self.weights[:, shown] if self.selection.direction == "from" else self.weights[shown]
        return float(amounts.max()) or 1.0

    @cached_property
    def spread_text(self) -> str:
        """Says how far the heads differ under a mean over heads; empty for everything else."""
        selection = self.selection
        if selection.map_ref.method != "attention" or selection.map_ref.head is not None or self.is_pooled:
            return ""
        number = self.run.record.map_number(selection.map_ref)
        axis, view = (0, Rows) if selection.direction == "from" else (1, Columns)
        heads = range(self.run.record.maps[number].heads)
        head_amounts = np.stack(
            [self.run.view(view(replace(selection.map_ref, head=head), selection.tokens)).mean(axis) for head in heads]
        )
        deviations = spread(head_amounts)
        largest = int(deviations.argmax())
        return say(
            "spread", typical=short(float(deviations.mean())), most=short(float(deviations[largest])),
            where=full_names(self.other_tokens)[largest],
        )  # fmt: skip

    @cached_property
    def sinks_text(self) -> str:
        """Names the attention sinks; empty where there are none, for relevance, and for a flow through a long run."""
        map_ref = self.selection.map_ref
        if map_ref.method == "relevance" or (map_ref.layer is None and self.run.record.is_long):
            return ""
        labels = names(self.sides[1])
        largest = sinks(self._mean_received())[:MAX_SINKS]
        tokens = join_list(f"“{labels[key]}” {short(share)}" for key, share in largest)
        return say("sinks", tokens=tokens) if tokens else ""

    def _mean_received(self) -> NDArray[np.float64]:
        """Returns the mean weight that each key gets from a query, ``[key]``."""
        map_ref = self.selection.map_ref
        attn_map = None if map_ref.layer is None else self.run.record.maps[self.run.record.map_number(map_ref)]
        if not isinstance(attn_map, PooledMap):
            return np.asarray(self.weights.mean(axis=0))
        sums = attn_map.column_modality_sums
        head_sums = sums.mean(0, dtype=np.float64) if map_ref.head is None else sums[map_ref.head]
        return np.asarray(head_sums.sum(-1, dtype=np.float64) / attn_map.shape[0])

    def _name_of(self, tokens: Sequence[int]) -> str:
        labels = names(self.selectable_tokens)
        return group_name([labels[k] for k in tokens])
