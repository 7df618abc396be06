"""Gradient relevance through several streams, exact, without a matrix ``[token, token]``.

Formulas and source: Chefer, Gur and Wolf 2021, "Generic Attention-model Explainability for Interpreting Bi-Modal and
Encoder-Decoder Transformers", sections 3.1 and 3.2. ``R^ab`` is the relevance of the tokens of stream ``b``, as they
enter it, for those of stream ``a``; at first ``R^aa = I`` and the others are 0. With ``A' = mean over heads of
max(0, dlogit/dA * A)`` (equation 5), self-attention of ``s`` gives ``R^sx <- R^sx + A' R^sx`` for every ``x`` (6, 7).
Where ``s`` attends to ``q``:

- ``R^sq <- R^sq + (R~^ss)^T A' R~^qq`` (10), with ``R~ = (R - I) / S + I``, where ``S`` are the row sums of ``R - I``
  (8, 9); a row that sums to 0 stays 0;
- ``R^sx <- R^sx + A' R^qx`` for the others, ``s`` itself among them (11).

Two things are added to the paper. It has two streams; of more, (7) and (11) hold for each. And tokens of a stream may
be made of those of another, by links: ``R^ab`` then begins as ``L R^cb``, with ``L`` the shares of tokens of ``c``.
What links alone make of ``I`` is called ``E``: it takes the place of ``I`` in (8) to (10), and in the result, which is
``R - E``, what attention adds.

Products with rows are carried down from the last map, products with columns up from the first. (10) needs a product
with the transpose of ``R^ss``, and so a pass the other way through the maps below. Co-attention of n layers therefore
takes about 3^n passes, cross-attention to a stream that does not attend back n.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmviz.capture.joint_rollout import StateColumns, StateRows, embedded, of_part
from mmviz.capture.joint_system import FlowMap, JointSystem
from mmviz.capture.lazy_attention import Gradients
from mmviz.capture.tiled_rollout_relevance import relevance_columns_product, relevance_row_product


@dataclass(frozen=True, eq=False)
class _Sums:
    """The row sums ``[token, 1]`` of ``R - E`` before a map from ``s`` to ``q``, for some keys of the flow."""

    queries: Tensor | None
    """Those of ``R^ss``; None for 0."""
    keys: Tensor | None
    """Those of ``R^qk`` in the state that the map reads."""


class JointRelevance:
    """Products with the relevance of one logit. ``gradients``: those of the outputs of the attention calls."""

    def __init__(self, system: JointSystem, gradients: Gradients):
        self._system, self._gradients = system, gradients
        self._sums: dict[tuple[int, int], _Sums] = {}
        self._made_of = [system.made_of(stream) for stream in range(len(system.counts))]

    def rows(self, start: Tensor, queries: int, keys: int) -> Tensor:
        """Returns ``start @ (R - E)``, ``[row, key]``, for ``start`` ``[row, query]`` over final tokens of ``queries``.

        The keys are the tokens of the stream ``keys`` as they enter it.
        """
        self._add_sums(keys)
        return self._rows(start, queries, keys)

    def columns(self, start: Tensor, queries: int, keys: int) -> Tensor:
        """Returns ``(R - E) @ start``, ``[query, column]``, for ``start`` ``[key, column]``; see `rows`."""
        self._add_sums(keys)
        final = self._columns(start, keys).get(queries)
        if final is None:
            return torch.zeros(self._system.counts[queries], start.shape[1], dtype=torch.float32)
        return final

    def _rows(self, start: Tensor, queries: int, keys: int, until: int | None = None) -> Tensor:
        """Returns ``start @ (R - E)`` before map ``until``, or at the end for None."""
        system = self._system
        hat, plain = StateRows(system), StateRows(system)  # what is multiplied by R - E, and by E
        hat.add(queries, start)
        for kind, number in system.downward(until):
            if kind == "link":
                carried = hat.pop(number), plain.pop(number)
                if number == keys:
                    return self._zeros(len(start), keys) if carried[1] is None else carried[1]
                for link in system.links_of(number):
                    place = link.source, system.time_of(link), system.link_times[number]
                    for rows, values in zip((hat, plain), carried, strict=True):
                        if values is not None:
                            rows.add_at(*place, link.to_source(values, system.counts[link.source]))
                continue
            flow_map = system.maps[number]
            carried_hat = hat.pop(flow_map.queries)
            hat.undo(number)
            plain.undo(number)
            if carried_hat is None:
                continue
            hat.add(flow_map.queries, carried_hat)
            sums = self._sums.get((number, keys))
            if sums is not None:  # equation 10
                passed = self._row_product(flow_map, self._by_queries(carried_hat, number, sums))
                divided = _divided(passed, None if sums.keys is None else sums.keys.T)
            else:
                divided = passed = self._row_product(flow_map, carried_hat)
            hat.add_at(flow_map.keys, flow_map.keys_state, number, divided)
            plain.add_at(flow_map.keys, flow_map.keys_state, number, passed)
        raise LookupError(keys)

    def _columns(self, start: Tensor, keys: int, until: int | None = None) -> StateColumns:
        """Returns ``(R - E) @ start`` for all streams before map ``until``, or at the end, for ``start`` ``[key,
        column]``."""
        columns = _KeyColumns(self._system, keys, start)
        for kind, number in self._system.upward(until):
            columns.begin(number) if kind == "link" else self._pass_up(columns, number, self._sums.get((number, keys)))
        return columns.hat

    def _pass_up(self, columns: _KeyColumns, number: int, sums: _Sums | None) -> None:
        """Carries columns through a map."""
        flow_map = self._system.maps[number]
        state = flow_map.keys, flow_map.keys_state
        hat, plain = columns.hat.get(*state), columns.plain.get(*state)
        for each in (columns.hat, columns.plain):
            each.leave(flow_map.queries, number)
        if sums is not None:
            hat = None if hat is None else _divided(hat, sums.keys)
        of_keys = hat if plain is None else plain if hat is None else hat + plain
        if of_keys is None:
            return
        product = relevance_columns_product(flow_map.layer, self._gradients, of_part(flow_map.key_part, of_keys, 0))
        product = embedded(flow_map.query_part, product, self._system.counts[flow_map.queries], 0)
        if sums is not None:
            product = self._by_transposed_queries(product, number, sums)
        before = columns.hat.get(flow_map.queries)
        columns.hat.set(flow_map.queries, product if before is None else before + product)

    def _by_queries(self, rows: Tensor, number: int, sums: _Sums) -> Tensor:
        """Returns ``rows @ (R~^ss)^T`` before map ``number``, whose queries are ``s``."""
        if sums.queries is None:
            return rows
        stream = self._system.maps[number].queries
        columns = self._columns(rows.T.contiguous(), stream, number).get(stream)
        return rows if columns is None else rows + _divided(columns, sums.queries).T

    def _by_transposed_queries(self, columns: Tensor, number: int, sums: _Sums) -> Tensor:
        """Returns ``(R~^ss)^T @ columns`` before map ``number``, whose queries are ``s``."""
        if sums.queries is None:
            return columns
        stream = self._system.maps[number].queries
        rows = self._rows(_divided(columns, sums.queries).T.contiguous(), stream, stream, number)
        return columns + rows.T

    def _add_sums(self, keys: int) -> None:
        """Computes the row sums that (8) needs for a flow to ``keys``: the product of ``R - E`` with a column of ones.

        (10) also needs those of ``R^ss`` for the streams ``s`` that attend to the keys, and so on.
        """
        system, targets = self._system, {keys}
        for _ in system.maps:
            targets |= {m.queries for m in system.maps if not m.is_self and targets & self._made_of[m.keys]}
        all_columns = {
            target: _KeyColumns(system, target, torch.ones(system.counts[target], 1, dtype=torch.float32))
            for target in targets
        }
        if len(targets) == 1:
            return
        for kind, number in system.upward():
            if kind == "link":
                for columns in all_columns.values():
                    columns.begin(number)
                continue
            flow_map = system.maps[number]
            attended = set() if flow_map.is_self else self._made_of[flow_map.keys] - {flow_map.queries}
            for target in targets & attended:  # (6) and (7), for attention of a stream to itself, need none
                own = all_columns[flow_map.queries].hat.get(flow_map.queries)
                of_keys = all_columns[target].hat.get(flow_map.keys, flow_map.keys_state)
                self._sums[number, target] = _Sums(own, of_keys)
            for target, columns in all_columns.items():
                self._pass_up(columns, number, self._sums.get((number, target)))

    def _row_product(self, flow_map: FlowMap, rows: Tensor) -> Tensor:
        product = relevance_row_product(flow_map.layer, self._gradients, of_part(flow_map.query_part, rows, 1))
        return embedded(flow_map.key_part, product, self._system.counts[flow_map.keys], 1)

    def _zeros(self, rows: int, stream: int) -> Tensor:
        return torch.zeros(rows, self._system.counts[stream], dtype=torch.float32)


class _KeyColumns:
    """Columns over the tokens of one stream of keys, multiplied by ``R - E`` and by ``E``."""

    def __init__(self, system: JointSystem, keys: int, start: Tensor):
        self._system, self._keys, self._start = system, keys, start
        self.hat, self.plain = StateColumns(system), StateColumns(system)

    def begin(self, stream: int) -> None:
        """Sets the columns of a stream where its tokens begin."""
        if stream == self._keys:
            self.plain.set(stream, self._start)
            return
        for link in self._system.links_of(stream):
            for columns in (self.hat, self.plain):
                source = columns.get(link.source, self._system.time_of(link))
                if source is not None:
                    part, before = link.from_source(source, self._system.counts[stream]), columns.get(stream)
                    columns.set(stream, part if before is None else before + part)


def _divided(values: Tensor, sums: Tensor | None) -> Tensor:
    """Returns ``values / sums``, 0 where the sum is 0."""
    if sums is None:
        return torch.zeros_like(values)
    return torch.where(sums > 0, values / torch.where(sums > 0, sums, 1), 0)
