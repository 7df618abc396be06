"""One attention over a whole stream whose tokens attend within windows, packed pictures or packed sounds alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.head_weights_by_row_tile import HeadWeights
from mmviz.capture.lazy_attention import Gradients, LazyAttention
from mmviz.capture.query_key_positions import Positions


@dataclass(frozen=True, eq=False)
class Window:
    """The queries and keys of one row of an attention call."""

    call: AttentionCall
    """The attention call that it is a row of."""
    row: int
    """Index of the row in the batch of the call."""
    queries: Positions
    """int64 ``[token]``: the place of each query in its stream, -1 for padding."""
    keys: Positions
    """int64 ``[token]``: the place of each key in its stream, -1 for padding."""


class WindowedAttention(LazyAttention):
    """The attention of one sample whose tokens attend within ``windows``: weights between windows are 0.

    ``queries`` and ``keys`` are the numbers of tokens of the streams. Padding of windows is left out, so that rows sum
    to less than 1 where a token attends to padding.
    """

    def __init__(self, windows: Sequence[Window], queries: int, keys: int):
        super().__init__(windows[0].call, windows[0].row)
        self.windows = tuple(windows)
        self.queries, self.keys = queries, keys
        self.is_normalized = False
        self._parts = [LazyAttention(window.call, window.row) for window in windows]
        self._window_of_query = np.full(queries, -1)
        self._place_in_window = np.zeros(queries, np.int64)
        for number, window in enumerate(windows):
            is_token = window.queries >= 0
            self._window_of_query[window.queries[is_token]] = number
            self._place_in_window[window.queries[is_token]] = np.flatnonzero(is_token)

    @property
    def window_of_query(self) -> Positions:
        """int64 ``[query]``: the number of the window of each query, -1 for queries that no window holds."""
        return self._window_of_query

    def head(self, number: int, keys: slice | Tensor | None = None) -> HeadWeights:
        """Returns one head, see `LazyAttention.head`."""
        return _WindowedHead(self, number, keys)

    def gradient_tile(self, head: int, rows: slice, gradients: Gradients) -> Tensor:
        """Returns the gradients of the weights of some rows, see `LazyAttention.gradient_tile`; 0 between windows."""
        device = self.call.value.device
        tile = torch.zeros(len(range(*rows.indices(self.queries))), self.keys, dtype=torch.float32, device=device)
        for number, places, inner in self._in_windows(rows):
            window = self.windows[number]
            part = gradients[id(window.call)][window.row, head][inner].float() @ self._value(window, head).T
            _scatter(tile, places, window.keys, part)
        return tile

    def _value(self, window: Window, head: int) -> Tensor:
        value = window.call.value[window.row]
        return value[head // (self.heads // value.shape[0])].detach().float()

    def _in_windows(self, rows: slice | Tensor) -> list[tuple[int, Tensor, Tensor]]:
        """Returns for each window its number, the places of its queries among ``rows``, and those in the window."""
        if isinstance(rows, slice):
            queries = np.arange(*rows.indices(self.queries))
        else:
            queries = rows.cpu().numpy()
        numbers = self._window_of_query[queries]
        device = self.call.value.device
        return [
            (
                int(number),
                torch.from_numpy(np.flatnonzero(numbers == number)).to(device),
                torch.from_numpy(self._place_in_window[queries[numbers == number]]).to(device),
            )
            for number in np.unique(numbers[numbers >= 0])
        ]


class _WindowedHead:
    """The weights of one head, see `HeadWeights`."""

    def __init__(self, attention: WindowedAttention, head: int, keys: slice | Tensor | None):
        self._attention, self._head, self._keys = attention, head, keys
        self._parts: dict[int, HeadWeights] = {}

    def row_tile(self, rows: slice | Tensor, out: Tensor | None = None) -> Tensor:
        """Returns the weights of some rows ``[row, key]``, see `HeadWeights.row_tile`."""
        del out  # most of a row is 0, so that little is gained
        attention = self._attention
        count = len(range(*rows.indices(attention.queries))) if isinstance(rows, slice) else len(rows)
        tile = torch.zeros(count, attention.keys, dtype=torch.float32, device=attention.call.value.device)
        for number, places, inner in attention._in_windows(rows):
            if number not in self._parts:
                self._parts[number] = attention._parts[number].head(self._head)
            _scatter(tile, places, attention.windows[number].keys, self._parts[number].row_tile(inner))
        return tile if self._keys is None else tile[:, self._keys]


def _scatter(tile: Tensor, rows: Tensor, keys: Positions, weights: Tensor) -> None:
    """Writes ``weights`` ``[row, key of the window]`` to ``rows`` of ``tile`` at the places ``keys``."""
    is_token = torch.from_numpy(keys >= 0).to(tile.device)
    columns = torch.from_numpy(keys[keys >= 0]).to(tile.device)
    tile[rows[:, None], columns] = weights[:, is_token].to(tile.device)
